// The emulator as a Runtime: device memory is host memory, streams are empty, everything happens at once.
#include <cstdlib>
#include <cstring>

#include "kernels/cuda/runtime.h"
#include "kernels/emu/engine.h"
#include "kernels/error.h"

namespace furrow::gpu {
namespace {

class EmulatedRuntime : public Runtime {
 public:
  std::string name() const override { return "emulated on this CPU"; }
  std::string versions() const override { return "emulator"; }
  bool emulated() const override { return true; }
  size_t shared_limit() const override { return emu::options().shared_limit; }
  void use() const override {}

  void* allocate(size_t bytes) override {
    constexpr size_t kAlignment = 256;
    // Exactly as much as was asked for, so that AddressSanitizer sees the first byte past it.
    void* memory = nullptr;
    if (posix_memalign(&memory, kAlignment, bytes > 0 ? bytes : 1) != 0)
      throw Error(ErrorCode::device, "out of memory for the emulated device").limit(0, bytes);
    std::memset(memory, 0xFF, bytes);  // NaN in every floating-point type: what was never written shows
    return memory;
  }
  void release(void* memory) noexcept override { std::free(memory); }
  void* allocate_pinned(size_t bytes) override { return allocate(bytes); }
  void release_pinned(void* memory) noexcept override { std::free(memory); }
  Memory memory() const override { return {}; }

  Stream create_stream() override { return {}; }
  void destroy_stream(Stream) noexcept override {}
  void synchronize(Stream) override {}

  void upload(Stream, void* device, const void* host, size_t bytes) override { std::memcpy(device, host, bytes); }
  void download(Stream, void* host, const void* device, size_t bytes) override { std::memcpy(host, device, bytes); }
  void copy(Stream, void* to, const void* from, size_t bytes) override { std::memcpy(to, from, bytes); }
  void zero(Stream, void* device, size_t bytes) override { std::memset(device, 0, bytes); }

  std::unique_ptr<Recording> record(Stream, const std::function<void()>&) override { return nullptr; }
};

}  // namespace

std::unique_ptr<Runtime> make_emulated_runtime() { return std::make_unique<EmulatedRuntime>(); }

}  // namespace furrow::gpu
