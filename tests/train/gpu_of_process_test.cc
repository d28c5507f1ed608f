// Which GPU a process takes, on machines with two GPUs, one and none.
#include "train/gpu_of_process.h"

#include <gtest/gtest.h>

namespace furrow::train {
namespace {

// choose_device() of a machine with this many GPUs.
auto machine(int gpus) {
  return [gpus](const std::string& name) -> ChosenDevice {
    if (name == "cpu" || (name == "auto" && gpus == 0)) return {{DeviceKind::cpu, 0}, "asked for, or no GPU"};
    const int index = name.starts_with("cuda:") ? std::stoi(name.substr(5)) : 0;
    if (index >= gpus) throw Error(ErrorCode::device, "there is no GPU " + std::to_string(index));
    return {{DeviceKind::cuda, index}, "a GPU"};
  };
}

std::optional<parallel::Launch> process(int rank, int local_rank) {
  return parallel::Launch{.rank = rank, .size = 4, .local_rank = local_rank, .by = "test"};
}

TEST(GpuOfProcess, IsTheOneOfItsNumberOnThisMachine) {
  for (const char* wanted : {"cuda", "auto"}) {
    const OwnDevice own = device_of_process(wanted, process(3, 1), machine(2));
    EXPECT_EQ(own.chosen.device.index, 1);
    EXPECT_EQ(own.note, "");
    EXPECT_EQ(device_of_process(wanted, process(2, 0), machine(2)).chosen.device.index, 0);
    EXPECT_EQ(device_of_process(wanted, std::nullopt, machine(2)).chosen.device.index, 0);
  }
  EXPECT_EQ(device_of_process("cuda:0", process(3, 1), machine(2)).chosen.device.index, 0) << "it was named";
}

TEST(GpuOfProcess, IsTheFirstWithANoteWhereThereIsNoOther) {
  const OwnDevice own = device_of_process("auto", process(3, 1), machine(1));
  EXPECT_EQ(own.chosen.device.kind, DeviceKind::cuda);
  EXPECT_EQ(own.chosen.device.index, 0);
  EXPECT_EQ(own.note, "process 3 of 4 computes on cuda:0, as others of this machine may: there is no GPU 1");
  EXPECT_EQ(device_of_process("auto", process(2, 0), machine(1)).note, "");
  EXPECT_EQ(device_of_process("cuda:0", process(3, 1), machine(1)).note, "");
}

TEST(GpuOfProcess, IsNoneWhereNoneIsMeant) {
  for (const char* wanted : {"cpu", "auto"}) {
    const OwnDevice own = device_of_process(wanted, process(3, 1), machine(0));
    EXPECT_EQ(own.chosen.device.kind, DeviceKind::cpu);
    EXPECT_EQ(own.note, "");
  }
  EXPECT_THROW(device_of_process("cuda", process(3, 1), machine(0)), Error);
}

}  // namespace
}  // namespace furrow::train
