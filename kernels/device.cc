#include "kernels/device.h"

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cuda/api.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/runtime.h"
#include "kernels/cuda/vendor/vendor_backend.h"
#include "kernels/ref/ref_backend.h"

namespace furrow {
namespace {

#if defined(FURROW_HAVE_EMULATOR)
constexpr bool kEmulator = true;
#else
constexpr bool kEmulator = false;
#endif

constexpr std::string_view kPrecisions[] = {"fp32", "tf32", "bf16", "fp16"};

// The N of "cuda:N", 0 for "cuda"; empty where `name` is neither.
std::optional<int> cuda_index(std::string_view name) {
  if (name == "cuda") return 0;
  if (!name.starts_with("cuda:")) return std::nullopt;
  const std::string_view index = name.substr(5);
  if (index.empty() || index.size() > 3 || index.find_first_not_of("0123456789") != std::string_view::npos)
    return std::nullopt;
  return std::stoi(std::string(index));
}

}  // namespace

std::string_view name(Precision precision) { return kPrecisions[static_cast<size_t>(precision)]; }

std::optional<Precision> precision_of(std::string_view name) {
  for (size_t i = 0; i < std::size(kPrecisions); ++i)
    if (kPrecisions[i] == name) return static_cast<Precision>(i);
  return std::nullopt;
}

ChosenDevice choose_device(std::string_view name) {
  if (name == "ref") return {{DeviceKind::ref, 0}, "ref, as asked"};
  if (name == "cpu") return {{DeviceKind::cpu, 0}, "cpu, as asked"};
  if (name == "cpu-emulated" && !kEmulator)
    throw Error(ErrorCode::device, "no device cpu-emulated: this build left the emulator out")
        .hint("build with -DFURROW_EMULATOR=ON");
  if (name == "cpu-emulated")
    return {{DeviceKind::cpu_emulated, 0},
            "thread-exact emulation of the CUDA kernels, for debugging; --device cpu is fast"};
  if (name == "auto") {
    const std::string reason = gpu::why_no_cuda(0);
    if (reason.empty()) return {{DeviceKind::cuda, 0}, "cuda: a usable GPU"};
    return {{DeviceKind::cpu, 0}, "cpu: " + reason};
  }
  if (const std::optional<int> index = cuda_index(name)) {
    const std::string reason = gpu::why_no_cuda(*index);
    if (reason.empty()) return {{DeviceKind::cuda, *index}, "cuda, as asked"};
    throw Error(ErrorCode::device, "no device " + printable(name) + ": " + reason);
  }
  throw Error(ErrorCode::usage, "unknown device " + printable(name))
      .hint("one of auto, cpu, cuda, cuda:N, cpu-emulated, ref");
}

std::vector<std::string> describe_devices() {
  const std::string no_cuda = gpu::why_no_cuda(0);
  std::string cpu = "native float32 kernels; this CPU runs";
  for (cpu::Isa isa : cpu::supported_isas()) cpu.append(" ").append(cpu::name(isa));
  return {"cuda: " + (no_cuda.empty() ? std::string("usable") : no_cuda), "cpu: " + cpu,
          kEmulator ? "cpu-emulated: the CUDA kernels thread for thread on this CPU, for tests and the debugger; slow"
                    : "cpu-emulated: this build left the emulator out",
          "ref: double-precision loops, for checking; slow"};
}

Precision precision_on(const Device& device, std::optional<Precision> precision) {
  const bool cuda_kernels = device.kind == DeviceKind::cuda || device.kind == DeviceKind::cpu_emulated;
  if (!cuda_kernels && precision && *precision != Precision::fp32)
    throw Error(ErrorCode::usage, "precision " + std::string(name(*precision)) + " needs the CUDA kernels")
        .hint("use --device cuda or cpu-emulated, or leave --precision away");
  return precision.value_or(cuda_kernels ? Precision::fp16 : Precision::fp32);
}

std::optional<KernelChoice> kernel_choice_of(std::string_view name) {
  if (name == "own") return KernelChoice::own;
  if (name == "vendor") return KernelChoice::vendor;
  if (name == "auto") return KernelChoice::automatic;
  return std::nullopt;
}

void check_kernels(const Device& device, KernelChoice kernels) {
  if (kernels == KernelChoice::vendor && device.kind != DeviceKind::cuda)
    throw Error(ErrorCode::usage, "--kernels vendor is of --device cuda alone: cuDNN and cuBLASLt run on a GPU")
        .hint("--kernels own goes with every device");
}

std::optional<MemoryClass> memory_class_of(std::string_view name) {
  if (name == "normal") return MemoryClass::normal;
  if (name == "low") return MemoryClass::low;
  return std::nullopt;
}

std::string step_key(const Step& step) { return op_name(step) + " " + problem(step); }

#if defined(FURROW_HAVE_CUDA)
namespace {

// The back-end of measured times, or null where none hold for this machine.
std::unique_ptr<Backend> make_tuned(int index, Precision precision, const Tuning& tuning) {
  if (precision == Precision::fp32 || tuning.vendor_steps.empty()) return nullptr;
  try {
    auto backend = std::make_unique<gpu::VendorBackend>(gpu::make_cuda_runtime(index), cuda::api, precision);
    if (!backend->use(tuning)) return nullptr;
    return backend;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::device) throw;
    return nullptr;   // no such libraries: the times were measured with others
  }
}

}  // namespace
#endif

std::unique_ptr<Backend> make_backend(const Device& device, ThreadPool* pool, const BackendOptions& options) {
  [[maybe_unused]] const Precision precision =
      precision_on(device, options.precision);  // refuses, whatever the build has
  check_kernels(device, options.kernels);
  switch (device.kind) {
    case DeviceKind::ref: return std::make_unique<RefBackend>(pool);
    case DeviceKind::cpu: return std::make_unique<cpu::CpuBackend>(pool, options.memory);
    case DeviceKind::cpu_emulated:
#if defined(FURROW_HAVE_EMULATOR)
      return std::make_unique<gpu::CudaBackend>(gpu::make_emulated_runtime(), emulated::api, precision);
#else
      break;
#endif
    case DeviceKind::cuda: {
#if defined(FURROW_HAVE_CUDA)
      if (options.kernels == KernelChoice::vendor)
        return std::make_unique<gpu::VendorBackend>(gpu::make_cuda_runtime(device.index), cuda::api, precision);
      if (options.kernels == KernelChoice::automatic && options.tuning != nullptr)
        if (std::unique_ptr<Backend> tuned = make_tuned(device.index, precision, *options.tuning)) return tuned;
      return std::make_unique<gpu::CudaBackend>(gpu::make_cuda_runtime(device.index), cuda::api, precision);
#else
      break;
#endif
    }
  }
  throw Error(ErrorCode::internal, "make_backend: no such kind of device in this build");
}

}  // namespace furrow
