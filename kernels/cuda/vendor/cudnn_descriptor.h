// A cuDNN handle and cuDNN descriptors that end with their owner, and statuses that become errors.
#pragma once

#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernels/cuda/stream.h"
#include "kernels/cuda/vendor/library.h"
#include "kernels/error.h"

namespace furrow::gpu {

// cuDNN on the current GPU, its work given to one stream. Not for two threads at once.
class CudnnHandle {
 public:
  CudnnHandle(std::shared_ptr<const CudnnLibrary> library, Stream stream) : library_(std::move(library)) {
    check(library_->api.create(&handle_), "starting");
    const int status = library_->api.set_stream(handle_, stream.handle);
    if (status == 0) return;
    std::string said = reason(status, "setting the stream");  // before another call replaces the message
    library_->api.destroy(handle_);
    throw Error(ErrorCode::device, std::move(said)).hint(kHint);
  }
  CudnnHandle(const CudnnHandle&) = delete;
  CudnnHandle& operator=(const CudnnHandle&) = delete;
  ~CudnnHandle() { library_->api.destroy(handle_); }

  const cudnn::Api& api() const { return library_->api; }
  const CudnnLibrary& library() const { return *library_; }
  void* get() const { return handle_; }

  // Throws ErrorCode::device where `status` is not success. `doing`: "describing a tensor".
  void check(int status, const char* doing) const {
    if (status != 0) throw Error(ErrorCode::device, reason(status, doing)).hint(kHint);
  }
  // "cuDNN 9.19.0: describing a tensor failed: CUDNN_STATUS_BAD_PARAM (...)"; the brackets hold what the library adds.
  std::string reason(int status, const char* doing) const {
    char more[160] = "";
    library_->api.last_error(more, sizeof more);
    more[sizeof more - 1] = '\0';
    std::string text =
        "cuDNN " + library_->version + ": " + doing + " failed: " + printable(library_->api.error_string(status));
    if (more[0] != '\0') text += " (" + printable(more) + ")";
    return text;
  }

 private:
  static constexpr const char* kHint = "--kernels own does without cuDNN";
  std::shared_ptr<const CudnnLibrary> library_;
  void* handle_ = nullptr;
};

// One backend descriptor. Setters return it, so that descriptions read as lists; `finalize` ends one.
class CudnnDescriptor {
 public:
  // `what`: for messages, "a tensor".
  CudnnDescriptor(const CudnnHandle& cudnn, int type, const char* what) : cudnn_(&cudnn), what_(what) {
    check(cudnn_->api().create_descriptor(type, &descriptor_));
  }
  CudnnDescriptor(CudnnDescriptor&& other) noexcept
      : cudnn_(other.cudnn_), what_(other.what_), descriptor_(std::exchange(other.descriptor_, nullptr)) {}
  CudnnDescriptor& operator=(CudnnDescriptor&&) = delete;
  ~CudnnDescriptor() {
    if (descriptor_ != nullptr) cudnn_->api().destroy_descriptor(descriptor_);
  }

  template <class T>
  CudnnDescriptor& set(int name, int type, std::span<const T> values) {
    check(cudnn_->api().set_attribute(descriptor_, name, type, static_cast<int64_t>(values.size()), values.data()));
    return *this;
  }
  template <class T>
  CudnnDescriptor& set(int name, int type, std::initializer_list<T> values) {
    return set(name, type, std::span<const T>(values.begin(), values.size()));
  }
  CudnnDescriptor& set(int name, const CudnnDescriptor& other) {
    return set(name, cudnn::kTypeDescriptor, {other.get()});
  }
  CudnnDescriptor& finalize() {
    check(cudnn_->api().finalize(descriptor_));
    return *this;
  }
  // Status instead of an error, for those that may be refused.
  int try_finalize() { return cudnn_->api().finalize(descriptor_); }

  int64_t get_int64(int name) const {
    int64_t count = 0, value = 0;
    check(cudnn_->api().get_attribute(descriptor_, name, cudnn::kTypeInt64, 1, &count, &value));
    return value;
  }
  // Enumerators, as many as there are.
  std::vector<int> get_notes(int name, int type) const {
    int64_t count = 0;
    check(cudnn_->api().get_attribute(descriptor_, name, type, 0, &count, nullptr));
    std::vector<int> notes(static_cast<size_t>(count));
    if (count > 0) check(cudnn_->api().get_attribute(descriptor_, name, type, count, &count, notes.data()));
    return notes;
  }
  // Fills existing descriptors; how many.
  int64_t get(int name, std::span<void*> descriptors) const {
    int64_t count = 0;
    check(cudnn_->api().get_attribute(descriptor_, name, cudnn::kTypeDescriptor,
                                      static_cast<int64_t>(descriptors.size()), &count,
                                      descriptors.empty() ? nullptr : descriptors.data()));
    return count;
  }
  void* get() const { return descriptor_; }

 private:
  void check(int status) const {
    if (status != 0) cudnn_->check(status, (std::string("describing ") + what_).c_str());
  }
  const CudnnHandle* cudnn_;
  const char* what_;
  void* descriptor_ = nullptr;
};

}  // namespace furrow::gpu
