// What a run will take of memory: the parts against what their makers take, and what the system says is free. The whole
// against real runs: tests/apps/memory_test.py.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "kernels/cpu/cpu_backend.h"
#include "nn/freeze.h"
#include "nn/plan.h"
#include "nn/step_peak.h"
#include "tests/train/tiny_run.h"
#include "train/preflight.h"

namespace furrow::testing {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMeasured = false;  // sanitizers have memory of their own
#else
constexpr bool kMeasured = true;
#endif

struct Case {
  int64_t base = 16, classes = 1;
  bool bilinear = false, frozen = false;
  int threads = 1;
  Shape input{2, 48, 64, 3};
};

std::unique_ptr<Network> network_of(const Case& c) {
  std::unique_ptr<Network> network = build({.base = c.base, .classes = c.classes, .bilinear = c.bilinear});
  network->initialise(1);
  if (c.frozen) freeze(*network, network->encoder(), FrozenStatistics::fixed);
  return network;
}

// Small channels do not go Winograd's way, a single output has a loss that works aside, and for one large picture of
// few channels that is the most there is.
const Case kCases[] = {{},
                       {.bilinear = true},
                       {.frozen = true, .threads = 2},
                       {.base = 4, .classes = 2, .threads = 3},
                       {.base = 1, .input = {1, 160, 160, 3}},
                       {.base = 32, .input = {2, 16, 16, 3}}};

TEST(Memory, ScratchIsCountedAsAStepTakesIt) {
  for (const Case& c : kCases) {
    ThreadPool pool(c.threads);
    cpu::CpuBackend backend(&pool);
    const auto network = network_of(c);
    const uint64_t counted = step_scratch(*network, c.input, backend);
    EXPECT_EQ(backend.scratch_held(), 0u) << "counting takes nothing";
    const bool one = c.classes == 1;
    TrainStep step(*network, backend, {.loss = one ? loss_of(DiceFocal{}) : loss_of(CrossEntropy{})});
    const MicroBatch batch{Tensor(c.input),
                           Tensor({c.input.n, c.input.h, c.input.w, 1}, one ? DType::f32 : DType::i32)};
    step.run({&batch, 1}, 1e-3);
    const uint64_t whole = (counted + Arena::kAlignment - 1) / Arena::kAlignment * Arena::kAlignment;
    EXPECT_EQ(whole, backend.scratch_held()) << "base " << c.base << ", threads " << c.threads;
  }
}

TEST(Memory, APlanIsAsLargeAsForetold) {
  for (const Case& c : kCases) {
    ThreadPool pool(c.threads);
    cpu::CpuBackend backend(&pool);
    const auto network = network_of(c);
    const PlanSize size = plan_size(*network, backend, c.input);
    const Plan plan(*network, backend, c.input);
    EXPECT_LE(size.arena, plan.peak_bytes());  // which is whole units of alignment
    EXPECT_GT(size.arena + Arena::kAlignment, plan.peak_bytes());
    // Outputs are packed by 16, and so are their biases; from base 16 on that is little.
    if (c.base >= 16) {
      EXPECT_NEAR(static_cast<double>(size.packed) / static_cast<double>(plan.weights().bytes()), 1, 0.02);
    }
    EXPECT_GE(plan.weights().bytes(), size.packed);
  }
}

TEST(Memory, ParametersAreThoseOfTheStep) {
  ThreadPool pool(1);
  cpu::CpuBackend backend(&pool);
  for (const bool frozen : {false, true}) {
    const auto network = network_of({.frozen = frozen});
    const TrainStep step(*network, backend, {.loss = loss_of(DiceFocal{})});
    const uint64_t flat = static_cast<uint64_t>(step.parameters().count()) * sizeof(float);
    train::MemoryQuestion question{.input = {2, 48, 64, 3}};
    EXPECT_EQ(train::trained_bytes(*network, DType::f32), flat);
    EXPECT_EQ(train::estimate_memory(*network, backend, question).parameters, 4 * flat);
    question.moments = 0;
    EXPECT_EQ(train::estimate_memory(*network, backend, question).parameters, 2 * flat);
    question.averaged = true;
    uint64_t all = 0;
    for (const Module::Keyed& keyed : network->parameters()) all += keyed.parameter->value.bytes();
    // Counters are 8 bytes each, and counted as 4.
    EXPECT_NEAR(static_cast<double>(train::estimate_memory(*network, backend, question).parameters),
                static_cast<double>(2 * flat + all), 4 * 30);
  }
}

class FreeMemory : public TemporaryFolder {
 protected:
  void put(const std::string& name, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    write(path(name), text);
  }
  uint64_t free() const { return train::available_memory(folder_.string()); }
};

// What comes between two steps may have their memory, and the steps come out as if it had not.
TEST(Memory, AStepAfterItsMemoryWasReleasedIsTheSame) {
  ThreadPool pool(1);
  cpu::CpuBackend backend(&pool);
  const auto kept = network_of({.base = 4}), released = network_of({.base = 4});
  TrainStep a(*kept, backend, {.loss = loss_of(DiceFocal{})}), b(*released, backend, {.loss = loss_of(DiceFocal{})});
  MicroBatch batch{Tensor({2, 32, 48, 3}), Tensor({2, 32, 48, 1})};
  std::ranges::fill(batch.target.values<float>().first(500), 1.0f);
  b.release_memory();  // of which there is none yet
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(a.run({&batch, 1}, 1e-2).loss.total, b.run({&batch, 1}, 1e-2).loss.total);
    b.release_memory();
  }
  EXPECT_EQ(a.memory_bytes(), b.memory_bytes());
  EXPECT_TRUE(std::ranges::equal(a.parameters().values().values<float>(), b.parameters().values().values<float>()));
}

TEST_F(FreeMemory, ACheckpointThatWasReadIsNotKept) {
  train::Snapshot snapshot;
  const auto bytes = std::make_shared<std::vector<std::byte>>(4 * kMiB, std::byte{7});
  for (int i = 0; i < 8; ++i)
    snapshot.tensors.push_back(
        {"t" + std::to_string(i), DType::u8, {static_cast<int64_t>(bytes->size())}, std::span(*bytes), bytes});
  train::write_snapshot(path("large"), snapshot);
  const uint64_t before = train::resident_memory();
  const train::Snapshot read = train::read_snapshot(path("large"));
  if (kMeasured && before != 0) { EXPECT_LT(train::resident_memory(), before + 8 * kMiB); }
  ASSERT_EQ(read.tensors.size(), 8u);
  for (const NamedTensor& tensor : read.tensors) EXPECT_TRUE(std::ranges::equal(tensor.bytes, *bytes));
}

TEST(Memory, PhasesTakeTurns) {
  train::MemoryEstimate m{.process = 1, .parameters = 10, .scratch = 100, .data = 1000};
  m.activations = 40'000, m.validation = 30'000, m.checkpoint = 20'000, m.trial = 7;
  EXPECT_EQ(m.total(), 41'111u);
  EXPECT_EQ(m.follower(), 41'111u);
  m.validation = 50'000;
  EXPECT_EQ(m.total(), 51'111u);
  EXPECT_EQ(m.follower(), 41'111u) << "only one process validates";
  m.trial = 60'000;  // comes before the data
  EXPECT_EQ(m.total(), 60'111u);
}

train::Preflight preflight_with(uint64_t free, int64_t neighbours) {
  train::Preflight out;
  out.memory.process = 20 * kMiB, out.memory.parameters = 30 * kMiB;
  out.memory.activations = 50 * kMiB, out.memory.validation = 70 * kMiB;
  out.memory_held = 25 * kMiB;
  out.neighbours = neighbours;
  out.memory_free = free;
  out.disk_free = UINT64_MAX;
  return out;
}

TEST(Memory, ProcessesOfOneMachineShareWhatIsFree) {
  EXPECT_EQ(preflight_with(0, 0).memory_needed(), 95 * kMiB);   // 120 - 25
  EXPECT_EQ(preflight_with(0, 2).memory_needed(), 245 * kMiB);  // and 100 - 25 for each that does not validate
  EXPECT_NO_THROW(preflight_with(95 * kMiB, 0).require_ready());
  EXPECT_NO_THROW(preflight_with(245 * kMiB, 2).require_ready());
  EXPECT_NO_THROW(preflight_with(UINT64_MAX, 2).require_ready());  // nobody knows
  EXPECT_THROW(preflight_with(95 * kMiB - 1, 0).require_ready(), Error);
  try {
    preflight_with(245 * kMiB - 1, 2).require_ready();
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::limit);
    EXPECT_NE(error.line().find("245 MiB more memory in its 3 processes on this machine"), std::string::npos)
        << error.line();
  }
}

TEST_F(FreeMemory, IsWhatTheSystemSays) {
  EXPECT_EQ(free(), UINT64_MAX);
  put("proc/meminfo", "MemTotal:       16000 kB\nMemFree:         1000 kB\nMemAvailable:    8000 kB\n");
  EXPECT_EQ(free(), 8000u * 1024);
  put("sys/fs/cgroup/memory.max", "max\n");
  put("sys/fs/cgroup/memory.current", "5000\n");
  EXPECT_EQ(free(), 8000u * 1024);
}

TEST_F(FreeMemory, IsWhatTheControlGroupLeaves) {
  put("proc/meminfo", "MemAvailable: 8000 kB\n");
  put("sys/fs/cgroup/memory.max", "1000000\n");  // as a container sees it: its own group is the mount
  put("sys/fs/cgroup/memory.current", "700000\n");
  put("sys/fs/cgroup/memory.stat", "anon 500000\ninactive_file 150000\nactive_file 50000\n");
  EXPECT_EQ(free(), 450'000u);
  put("sys/fs/cgroup/memory.stat", "inactive_file 900000\n");  // counted at another moment
  EXPECT_EQ(free(), 1'000'000u);
  put("sys/fs/cgroup/memory.current", "1200000\n");  // just lowered
  put("sys/fs/cgroup/memory.stat", "");
  EXPECT_EQ(free(), 0u);
}

TEST_F(FreeMemory, IsTheLeastOfAllGroupsAbove) {
  put("proc/meminfo", "MemAvailable: 8000 kB\n");
  put("proc/self/cgroup", "0::/slice/job/step\n");
  const auto group = [&](const std::string& name, const std::string& most, const std::string& used) {
    put("sys/fs/cgroup" + name + "/memory.max", most + "\n");
    put("sys/fs/cgroup" + name + "/memory.current", used + "\n");
  };
  group("/slice/job/step", "max", "10");
  EXPECT_EQ(free(), 8000u * 1024);
  group("/slice/job", "3000000", "1000000");
  EXPECT_EQ(free(), 2'000'000u);
  group("/slice", "1500000", "1000000");
  EXPECT_EQ(free(), 500'000u);
  group("/slice/job/step", "400000", "10");
  EXPECT_EQ(free(), 399'990u);
  group("/slice/job/other", "1", "1");
  EXPECT_EQ(free(), 399'990u);
  put("proc/self/cgroup", "0::/../slice/job\n");  // of a namespace above
  EXPECT_EQ(free(), 8000u * 1024);
}

TEST_F(FreeMemory, IsWhatVersion1Leaves) {
  put("proc/meminfo", "MemAvailable: 8000 kB\n");
  put("proc/self/cgroup", "3:cpu,cpuacct:/a\n2:memory:/a\n1:name=systemd:/a\n");
  put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "500000\n");
  put("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "300000\n");
  put("sys/fs/cgroup/memory/a/memory.stat", "inactive_file 1\ntotal_inactive_file 100000\n");
  EXPECT_EQ(free(), 300'000u);
  put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "9223372036854771712\n");  // none
  EXPECT_EQ(free(), 8000u * 1024);
}

}  // namespace
}  // namespace furrow::testing
