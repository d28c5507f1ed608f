// A `furrow` whose device `cuda` is there without a GPU: the emulator's kernels and memory, but a device apart to
// whoever asks. Linked in the place of kernels/device.cc, which it compiles as builds with nvcc do, and of the CUDA
// runtime.
#if !defined(FURROW_HAVE_CUDA)
#define FURROW_HAVE_CUDA 1
#endif
#define FURROW_HAVE_EMULATOR 1
#include "kernels/device.cc"

#define make_emulated_runtime make_emulated_gpu
#include "kernels/emu/runtime.cc"
#undef make_emulated_runtime

namespace furrow::cuda {

const gpu::KernelApi api = emulated::api;

}  // namespace furrow::cuda

namespace furrow::gpu {
namespace {

class PretendedGpu : public EmulatedRuntime {
 public:
  std::string name() const override { return "pretended"; }
  bool emulated() const override { return false; }
};

}  // namespace

std::string why_no_cuda(int index) { return index == 0 ? "" : "there is no GPU " + std::to_string(index); }
std::unique_ptr<Runtime> make_cuda_runtime(int) { return std::make_unique<PretendedGpu>(); }

}  // namespace furrow::gpu
