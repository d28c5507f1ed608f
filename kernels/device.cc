#include "kernels/device.h"

#include "kernels/cpu/cpu_backend.h"
#include "kernels/ref/ref_backend.h"

namespace furrow {
namespace {

// Why this build has no device of that name; null where it has, or where the name is unknown.
const char* why_missing(std::string_view device) {
  if (device == "cuda") return "no CUDA in this build";
  if (device == "cpu-emulated") return "no CUDA kernels to emulate in this build";
  return nullptr;
}

constexpr std::string_view kNames[] = {"cuda", "cpu", "cpu-emulated", "ref"};

// "cuda:1" -> "cuda"; a number is all that may follow the colon.
std::string_view family(std::string_view name) {
  const size_t colon = name.find(':');
  if (colon == std::string_view::npos || name.substr(0, colon) != "cuda") return name;
  const std::string_view index = name.substr(colon + 1);
  const bool number =
      !index.empty() && index.size() <= 3 && index.find_first_not_of("0123456789") == std::string_view::npos;
  return number ? name.substr(0, colon) : name;
}

}  // namespace

ChosenDevice choose_device(std::string_view name) {
  if (name == "ref") return {{DeviceKind::ref, 0}, "ref, as asked"};
  if (name == "cpu") return {{DeviceKind::cpu, 0}, "cpu, as asked"};
  if (name == "auto") return {{DeviceKind::cpu, 0}, std::string("cpu: ") + why_missing("cuda")};
  if (const char* reason = why_missing(family(name)))
    throw Error(ErrorCode::device, "no device " + printable(name) + ": " + reason);
  throw Error(ErrorCode::usage, "unknown device " + printable(name))
      .hint("one of auto, cpu, cuda, cuda:N, cpu-emulated, ref");
}

std::vector<std::string> describe_devices() {
  std::string cpu = "native float32 kernels, inference only; this CPU runs";
  for (cpu::Isa isa : cpu::supported_isas()) cpu.append(" ").append(cpu::name(isa));
  std::vector<std::string> lines;
  for (std::string_view name : kNames) {
    const char* reason = why_missing(name);
    const std::string text = reason != nullptr ? reason
                             : name == "cpu"   ? cpu
                                               : "double-precision loops, for checking; slow";
    lines.push_back(std::string(name) + ": " + text);
  }
  return lines;
}

std::unique_ptr<Backend> make_backend(const Device& device, ThreadPool* pool) {
  switch (device.kind) {
    case DeviceKind::ref: return std::make_unique<RefBackend>(pool);
    case DeviceKind::cpu: return std::make_unique<cpu::CpuBackend>(pool);
  }
  throw Error(ErrorCode::internal, "make_backend: no such kind of device");
}

}  // namespace furrow
