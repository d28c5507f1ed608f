// Devices by name, what this build and machine offer, and the back-end behind each.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/backend.h"

namespace furrow {

enum class DeviceKind : uint8_t { cpu, ref };

struct Device {
  DeviceKind kind = DeviceKind::cpu;
  int index = 0;
};

// "auto" | "cpu" | "ref" | "cuda[:N]" | "cpu-emulated". `auto` takes the best usable device; nothing else ever falls back.
// Throws ErrorCode::usage for an unknown name, ErrorCode::device for one this build does not have, saying why.
struct ChosenDevice { Device device; std::string reason; };   // reason: one sentence for the log, e.g. why not cuda
ChosenDevice choose_device(std::string_view name);

// One line per device name: usable or why not.
std::vector<std::string> describe_devices();

// `pool` must outlive the back-end; null means one thread.
std::unique_ptr<Backend> make_backend(const Device& device, ThreadPool* pool);

}  // namespace furrow
