// Which device a process takes that trains together with others of its machine.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "kernels/device.h"
#include "parallel/launch.h"

namespace furrow::train {

struct OwnDevice {
  ChosenDevice chosen;
  std::string note;  // one line with the process's rank where it does not have the GPU that would be its own, else ""
};

// What `wanted` means (choose_device()), and where that is cuda without a number, the GPU that has the process's number
// on this machine. Where there is none of that number, because the machine has fewer or because the launcher shows each
// process its own alone, it is cuda:0, with a note. `launch`: nothing where the process trains alone. `choose`:
// choose_device(), but for tests. Errors: those of choose_device().
OwnDevice device_of_process(const std::string& wanted, const std::optional<parallel::Launch>& launch,
                            const std::function<ChosenDevice(const std::string&)>& choose);
OwnDevice device_of_process(const std::string& wanted, const std::optional<parallel::Launch>& launch);

}  // namespace furrow::train
