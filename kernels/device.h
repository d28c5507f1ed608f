// Devices by name, what this build and machine offer, and the back-end behind each.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/backend.h"

namespace furrow {

// cpu_emulated: the CUDA kernels, thread for thread, on the CPU (docs/emulator.md); for tests and the debugger, slow.
enum class DeviceKind : uint8_t { cpu, ref, cuda, cpu_emulated };

struct Device {
  DeviceKind kind = DeviceKind::cpu;
  int index = 0;
};

// "auto" | "cpu" | "ref" | "cuda[:N]" | "cpu-emulated". `auto` takes a usable GPU where there is one, else the CPU; nothing
// else ever falls back. Throws ErrorCode::usage for an unknown name, ErrorCode::device for one this build or machine does
// not have, saying why.
struct ChosenDevice { Device device; std::string reason; };   // reason: one sentence for the log, e.g. why not cuda
ChosenDevice choose_device(std::string_view name);

// One line per device name: usable or why not.
std::vector<std::string> describe_devices();

// Arithmetic of planned inference and of training's convolutions on the CUDA kernels. fp32: float32 throughout. tf32:
// float32 storage, operands of multiplications rounded to 10 bits of fraction. bf16, fp16: 16-bit operands, and storage (of
// training: none, tensors are float32 between operations). Sums are float32 in all four.
enum class Precision : uint8_t { fp32, tf32, bf16, fp16 };
std::string_view name(Precision precision);                    // "fp32"
std::optional<Precision> precision_of(std::string_view name);  // empty: not one of the four

// Who computes convolutions, planned and (with `vendor`) of training, on device cuda: Furrow's kernels, cuDNN and cuBLASLt (opened by name when asked for:
// kernels/cuda/vendor), or, with `automatic`, Furrow's unless measured times say otherwise.
enum class KernelChoice : uint8_t { own, vendor, automatic };
std::optional<KernelChoice> kernel_choice_of(std::string_view name);   // own, vendor, auto; empty: none of them
// Throws ErrorCode::usage where the device knows no such kernels: vendor is of cuda alone.
void check_kernels(const Device& device, KernelChoice kernels);

// What planned inference on device cpu may take beside activations and the checkpoint's own weights. normal: Winograd's
// transformed weights, four times those of its 3x3 convolutions, and their workspace. low: neither, about half the speed.
enum class MemoryClass : uint8_t { normal, low };
std::optional<MemoryClass> memory_class_of(std::string_view name);   // normal, low; empty: neither

// Measured times (`furrow model tune`), as far as they matter: for each machine (VendorBackend::machine(): GPU, versions
// and precision) the steps (step_key()) that the vendor's libraries computed faster.
struct Tuning { std::map<std::string, std::set<std::string>> vendor_steps; };
std::string step_key(const Step& step);   // "conv2d+relu+pool 1x64x64x64 -> 1x64x64x64 k3s1p1"

struct BackendOptions {
  std::optional<Precision> precision;   // default fp16 for cuda and cpu-emulated; the others compute in fp32 (ref: double)
  KernelChoice kernels = KernelChoice::automatic;
  std::shared_ptr<const Tuning> tuning;   // for `automatic`; null: nothing was measured
  MemoryClass memory = MemoryClass::normal;   // of device cpu; the others have one way alone
};
// What `precision` means on that device. Throws ErrorCode::usage where the device cannot.
Precision precision_on(const Device& device, std::optional<Precision> precision);

// `pool` must outlive the back-end; null means one thread. Throws ErrorCode::device, ErrorCode::usage as above; with
// KernelChoice::vendor also ErrorCode::usage on devices other than cuda and for fp32, ErrorCode::device without the
// libraries. With `automatic`, times measured with libraries that are not there any more count for nothing.
std::unique_ptr<Backend> make_backend(const Device& device, ThreadPool* pool, const BackendOptions& options = {});

}  // namespace furrow
