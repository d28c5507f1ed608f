// Runtime over a table of CUDA runtime calls: which GPU, memory, streams, copies, graphs, and what errors say.
#include <utility>

#include "kernels/cuda/cuda_calls.h"
#include "kernels/error.h"

namespace furrow::gpu {
namespace {

std::string mib(size_t bytes) {   // rounded up, so that a small request never reads as 0 MiB
  return std::to_string(bytes / (1u << 20) + (bytes % (1u << 20) != 0)) + " MiB";
}

std::string version_text(int version) { return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10); }

// Statuses become errors here. A failed call leaves its status behind as the thread's last error, where an innocent later
// call would report it: it is cleared. What cannot be cleared has ended the context: every later call fails with it.
class Checker {
 public:
  explicit Checker(const CudaCalls& calls) : calls_(calls) {}

  // `doing`: "copying to the GPU".
  void operator()(int status, const char* doing) const {
    if (status == kSuccess) return;
    const std::string reason = std::string(doing) + " failed: " + calls_.error_string(status);
    calls_.get_last_error();
    if (!lost()) throw Error(ErrorCode::device, reason);
    throw DeviceLost(Error(ErrorCode::device, reason)
        .hint(kDeviceLostHint));
  }
  // For releases, which cannot report: the failure belongs to earlier work, which has been or will be reported.
  void forget(int status) const noexcept {
    if (status != kSuccess) calls_.get_last_error();
  }
  // After get_last_error: does a harmless call still fail?
  bool lost() const {
    size_t free = 0, total = 0;
    if (calls_.mem_get_info(&free, &total) == kSuccess) return false;
    calls_.get_last_error();
    return true;
  }

 private:
  const CudaCalls& calls_;
};

class CudaRecording : public Recording {
 public:
  CudaRecording(const CudaCalls& calls, int index, void* executable) : calls_(calls), index_(index), executable_(executable) {}
  CudaRecording(const CudaRecording&) = delete;
  CudaRecording& operator=(const CudaRecording&) = delete;
  ~CudaRecording() override {
    const Checker check(calls_);
    check.forget(calls_.set_device(index_));
    check.forget(calls_.graph_exec_destroy(executable_));
  }
  void replay(Stream stream) override {
    const Checker check(calls_);
    check(calls_.set_device(index_), "choosing the GPU");
    check(calls_.graph_launch(executable_, stream.handle), "replaying recorded work");
  }

 private:
  const CudaCalls& calls_;
  int index_;
  void* executable_;
};

class CudaRuntime : public Runtime {
 public:
  CudaRuntime(const CudaCalls& calls, int index) : calls_(calls), check_(calls), index_(index) {
    CudaDevice device;
    check_(calls_.get_device(&device, index), "asking for the GPU's name");
    shared_limit_ = device.shared_limit;
    name_ = device.name + ", sm_" + std::to_string(device.major) + std::to_string(device.minor);
    use();
  }

  std::string name() const override { return name_; }
  std::string versions() const override {
    int driver = 0, runtime = 0;
    check_(calls_.driver_version(&driver), "asking for the driver's version");
    check_(calls_.runtime_version(&runtime), "asking for the runtime's version");
    return "driver " + version_text(driver) + ", runtime " + version_text(runtime);
  }
  bool emulated() const override { return false; }
  size_t shared_limit() const override { return shared_limit_; }
  // CUDA's current GPU belongs to the calling thread.
  void use() const override { check_(calls_.set_device(index_), "choosing the GPU"); }

  void* allocate(size_t bytes) override {
    use();
    void* memory = nullptr;
    const int status = calls_.malloc(&memory, bytes > 0 ? bytes : 1);
    if (status == kOutOfMemory) {
      calls_.get_last_error();   // survived: what was allocated before stays usable
      const Memory now = this->memory();
      const std::string lacks = bytes > now.free ? mib(bytes - now.free) + " missing" : "but not in one piece";
      throw Error(ErrorCode::device, "out of GPU memory: " + mib(bytes) + " wanted, " + mib(now.free) + " of " + mib(now.total) + " free, " + lacks)
          .hint("smaller pictures, batches or tiles need less; another program may hold the rest");
    }
    check_(status, "allocating GPU memory");
    return memory;
  }
  void release(void* memory) noexcept override {
    check_.forget(calls_.set_device(index_));
    check_.forget(calls_.free(memory));
  }
  void* allocate_pinned(size_t bytes) override {
    use();
    void* memory = nullptr;
    const int status = calls_.malloc_host(&memory, bytes > 0 ? bytes : 1);
    if (status == kOutOfMemory) {
      calls_.get_last_error();
      throw Error(ErrorCode::device, "out of pinned host memory: " + mib(bytes) + " wanted").hint("`ulimit -l` or a container may limit it");
    }
    check_(status, "allocating pinned host memory");
    return memory;
  }
  void release_pinned(void* memory) noexcept override {
    check_.forget(calls_.set_device(index_));
    check_.forget(calls_.free_host(memory));
  }
  Memory memory() const override {
    use();
    Memory now;
    check_(calls_.mem_get_info(&now.free, &now.total), "asking for free GPU memory");
    return now;
  }

  Stream create_stream() override {
    use();
    Stream stream;
    check_(calls_.stream_create(&stream.handle), "creating a stream");
    return stream;
  }
  void destroy_stream(Stream stream) noexcept override {
    check_.forget(calls_.set_device(index_));
    if (stream.handle != nullptr) check_.forget(calls_.stream_destroy(stream.handle));
  }
  void synchronize(Stream stream) override {
    use();
    check_(calls_.stream_synchronize(stream.handle), "the GPU's work");
  }

  void upload(Stream stream, void* device, const void* host, size_t bytes) override {
    copy_async(stream, device, host, bytes, kUpload, "copying to the GPU");
  }
  void download(Stream stream, void* host, const void* device, size_t bytes) override {
    copy_async(stream, host, device, bytes, kDownload, "copying from the GPU");
  }
  void copy(Stream stream, void* to, const void* from, size_t bytes) override {
    copy_async(stream, to, from, bytes, kDeviceToDevice, "copying inside the GPU");
  }
  void zero(Stream stream, void* device, size_t bytes) override {
    use();
    check_(calls_.memset_async(device, 0, bytes, stream.handle), "clearing GPU memory");
  }

  std::unique_ptr<Recording> record(Stream stream, const std::function<void()>& body) override {
    if (stream.handle == nullptr) return nullptr;   // CUDA does not record its default stream
    use();
    check_(calls_.stream_begin_capture(stream.handle), "recording work");
    void* graph = nullptr;
    try {
      body();
    } catch (...) {   // the stream must leave the recording state, whatever became of the body
      calls_.stream_end_capture(stream.handle, &graph);
      if (graph != nullptr) calls_.graph_destroy(graph);
      calls_.get_last_error();
      throw;
    }
    check_(calls_.stream_end_capture(stream.handle, &graph), "recording work");
    void* executable = nullptr;
    const int status = calls_.graph_instantiate(&executable, graph);
    check_.forget(calls_.graph_destroy(graph));
    check_(status, "preparing recorded work");
    return std::make_unique<CudaRecording>(calls_, index_, executable);
  }

 private:
  void copy_async(Stream stream, void* to, const void* from, size_t bytes, int kind, const char* doing) {
    use();
    check_(calls_.memcpy_async(to, from, bytes, kind, stream.handle), doing);
  }

  const CudaCalls& calls_;
  Checker check_;
  int index_;
  std::string name_;
  size_t shared_limit_ = 0;
};

}  // namespace

std::string why_no_cuda(const CudaCalls& calls, int index) {
  int driver = 0, built = 0, count = 0;
  if (calls.driver_version(&driver) != kSuccess || driver == 0) {
    calls.get_last_error();
    return "no CUDA driver is installed";
  }
  const int status = calls.get_device_count(&count);
  if (status != kSuccess) calls.get_last_error();
  if (status == kInsufficientDriver && calls.runtime_version(&built) == kSuccess)
    return "the CUDA driver goes up to CUDA " + version_text(driver) + ", and this build needs " + version_text(built);
  if (status == kNoDevice || (status == kSuccess && count == 0)) return "the CUDA driver finds no GPU";
  if (status != kSuccess) return std::string("the CUDA driver fails: ") + calls.error_string(status);
  if (index < 0 || index >= count)
    return "there is no GPU " + std::to_string(index) + (count == 1 ? "; the only one is 0" : "; there are 0 to " + std::to_string(count - 1));
  CudaDevice device;
  if (const int error = calls.get_device(&device, index); error != kSuccess) {
    calls.get_last_error();
    return "GPU " + std::to_string(index) + " does not answer: " + calls.error_string(error);
  }
  if (device.major < 8)
    return "GPU " + std::to_string(index) + " (" + device.name + ", sm_" + std::to_string(device.major) + std::to_string(device.minor) +
           ") is older than sm_80";
  return "";
}

std::unique_ptr<Runtime> make_cuda_runtime(const CudaCalls& calls, int index) {
  if (std::string why = why_no_cuda(calls, index); !why.empty()) throw Error(ErrorCode::device, std::move(why));
  return std::make_unique<CudaRuntime>(calls, index);
}

}  // namespace furrow::gpu
