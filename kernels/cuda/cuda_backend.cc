#include "kernels/cuda/cuda_backend.h"

#include <cstring>
#include <mutex>

namespace furrow::gpu {
namespace {

class DeviceRecording : public Recorded {
 public:
  DeviceRecording(std::unique_ptr<Recording> recording, Stream stream) : recording_(std::move(recording)), stream_(stream) {}
  void replay() override { recording_->replay(stream_); }

 private:
  std::unique_ptr<Recording> recording_;
  Stream stream_;
};

std::shared_ptr<void> allocate_shared_pinned(const std::shared_ptr<Runtime>& runtime, size_t bytes) {
  return {runtime->allocate_pinned(bytes), [runtime](void* memory) { runtime->release_pinned(memory); }};
}

}  // namespace

// Addresses of device memory handed out by reserve(), by their ends. Arenas may outlive the back-end, so they share it.
struct CudaBackend::Ranges {
  std::mutex mutex;
  std::map<const std::byte*, const std::byte*> begin_of;   // end -> begin
};

std::shared_ptr<void> allocate_shared(const std::shared_ptr<Runtime>& runtime, size_t bytes) {
  if (bytes == 0) return nullptr;
  return {runtime->allocate(bytes), [runtime](void* memory) { runtime->release(memory); }};
}

CudaBackend::CudaBackend(std::unique_ptr<Runtime> runtime, const KernelApi& kernels, Precision precision)
    : Backend(nullptr),
      runtime_(std::move(runtime)),
      kernels_(kernels),
      precision_(precision),
      stream_(runtime_->create_stream()),
      staged_(runtime_, allocate_shared),
      uploads_(runtime_, allocate_shared_pinned),
      arenas_(std::make_shared<Ranges>()) {}

CudaBackend::~CudaBackend() { runtime_->destroy_stream(stream_); }

std::string CudaBackend::name() const {
  const std::string how(furrow::name(precision_));
  return runtime_->emulated() ? "cpu-emulated (" + how + ")" : "cuda (" + runtime_->name() + "; " + how + ")";
}

Arena CudaBackend::reserve(size_t bytes) {
  const size_t size = (bytes + Arena::kAlignment - 1) / Arena::kAlignment * Arena::kAlignment;
  const std::shared_ptr<void> memory = allocate_shared(runtime_, std::max(size, Arena::kAlignment));
  const auto* begin = static_cast<const std::byte*>(memory.get());
  const auto* end = begin + std::max(size, Arena::kAlignment);
  {
    const std::lock_guard lock(arenas_->mutex);
    arenas_->begin_of[end] = begin;
  }
  // The range goes when its last user goes.
  std::shared_ptr<void> owner(memory.get(), [memory, end, ranges = arenas_](void*) {
    const std::lock_guard lock(ranges->mutex);
    ranges->begin_of.erase(end);
  });
  return Arena(std::move(owner), std::max(size, Arena::kAlignment));
}

bool CudaBackend::on_device(const void* memory) const {
  if (runtime_->emulated()) return true;
  const std::lock_guard lock(arenas_->mutex);
  const auto* at = static_cast<const std::byte*>(memory);
  const auto range = arenas_->begin_of.upper_bound(at);
  return range != arenas_->begin_of.end() && range->second <= at;
}

void* CudaBackend::borrow(Slot slot, size_t bytes) {
  Borrowed& borrowed = borrowed_[static_cast<size_t>(slot)];
  if (borrowed.bytes < bytes) {
    runtime_->synchronize(stream_);   // work that still uses the old memory
    borrowed = {};
    const bool pinned = slot == Slot::pinned_in || slot == Slot::pinned_out;
    borrowed = {pinned ? allocate_shared_pinned(runtime_, bytes) : allocate_shared(runtime_, bytes), bytes};
  }
  return borrowed.memory.get();
}

void CudaBackend::fetch(const Tensor& from, Tensor& to) {
  require(from.shape() == to.shape() && from.dtype() == DType::f32 && to.dtype() == DType::f32, "fetch: shape or type");
  download(from.values<float>().data(), to.values<float>().data(), from.bytes());
}

void CudaBackend::start_fetch(const Tensor& from, Tensor& to) {
  require(from.shape() == to.shape() && from.dtype() == DType::f32 && to.dtype() == DType::f32, "start_fetch: shape or type");
  runtime_->download(stream_, to.values<float>().data(), from.values<float>().data(), from.bytes());
}

Arena CudaBackend::reserve_host(size_t bytes) { return {allocate_shared_pinned(runtime_, bytes), bytes}; }

void CudaBackend::put(const Tensor& from, Tensor& to) {
  require(from.shape() == to.shape() && from.dtype() == DType::f32 && to.dtype() == DType::f32, "put: shape or type");
  void* pinned = borrow(Slot::pinned_in, from.bytes());
  finish();   // an earlier copy out of the same memory
  std::memcpy(pinned, from.values<float>().data(), from.bytes());
  runtime_->upload(stream_, to.values<float>().data(), pinned, from.bytes());
  finish();
}

void CudaBackend::download(const void* device, void* host, size_t bytes) {
  void* pinned = borrow(Slot::pinned_out, bytes);
  runtime_->download(stream_, pinned, device, bytes);
  finish();
  std::memcpy(host, pinned, bytes);
}

bool CudaBackend::upload(void* device, const void* host, size_t bytes) {
  bool room = bytes <= most_pinned_ && uploads_.taken() <= most_pinned_ - bytes;
  if (room) {
    try {
      void* pinned = uploads_.take(bytes);
      std::memcpy(pinned, host, bytes);
      host = pinned;
    } catch (const DeviceLost&) {
      throw;
    } catch (const Error&) {   // the system has no pinned memory left: from where it lies, then
      room = false;
    }
  }
  runtime_->upload(stream_, device, host, bytes);
  return room;
}

void CudaBackend::end_staging() {
  if (staged_.grows()) runtime_->synchronize(stream_);   // the operation
  staged_.reset();                                       // by the next one in the stream, later
}

void CudaBackend::finish() {
  runtime_->synchronize(stream_);
  uploads_.reset();
}

std::unique_ptr<Recorded> CudaBackend::record(const std::function<void()>& work) {
  runtime_->use();
  std::unique_ptr<Recording> recording = runtime_->record(stream_, work);
  if (recording == nullptr) return nullptr;
  return std::make_unique<DeviceRecording>(std::move(recording), stream_);
}

}  // namespace furrow::gpu
