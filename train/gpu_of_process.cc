#include "train/gpu_of_process.h"

namespace furrow::train {

OwnDevice device_of_process(const std::string& wanted, const std::optional<parallel::Launch>& launch,
                            const std::function<ChosenDevice(const std::string&)>& choose) {
  OwnDevice out{choose(wanted), ""};
  if (out.chosen.device.kind != DeviceKind::cuda || wanted.find(':') != std::string::npos || !launch ||
      launch->local_rank == 0)
    return out;
  try {
    out.chosen = choose("cuda:" + std::to_string(launch->local_rank));
  } catch (const Error& error) {
    out.note = "process " + std::to_string(launch->rank) + " of " + std::to_string(launch->size) +
               " computes on cuda:0, as others of this machine may: " + error.reason();
  }
  return out;
}

OwnDevice device_of_process(const std::string& wanted, const std::optional<parallel::Launch>& launch) {
  return device_of_process(wanted, launch, [](const std::string& name) { return choose_device(name); });
}

}  // namespace furrow::train
