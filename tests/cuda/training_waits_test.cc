// What a training step costs the host on a device whose memory is not the host's, how often it waits and allocates; and
// that it computes the bits of the emulator, whose memory is.
#include <gtest/gtest.h>

#include <thread>

#include "kernels/cuda/cuda_backend.h"
#include "nn/freeze.h"
#include "nn/train_step.h"
#include "tests/cuda/separate_runtime.h"
#include "tests/nn/support.h"
#include "tests/thread_peers.h"

namespace furrow::gpu {
namespace {

// What the host did; pageable: copies with memory that is not pinned, for which a driver may wait.
struct Cost {
  int waits = 0, allocations = 0, releases = 0, pageable = 0;
  friend bool operator==(const Cost&, const Cost&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Cost& c) {
    return out << c.waits << " waits, " << c.allocations << " allocations, " << c.releases << " releases, "
               << c.pageable << " copies of pageable memory";
  }
};

// Lets a test say how much pinned memory is kept for uploads under way.
class Roomy : public CudaBackend {
 public:
  using CudaBackend::CudaBackend;
  void allow_pinned(size_t bytes) { most_pinned_ = bytes; }
};

struct Device {
  explicit Device(Precision precision = Precision::fp32) {
    auto owned = std::make_unique<SeparateRuntime>();
    runtime = owned.get();
    backend = std::make_unique<Roomy>(std::move(owned), separate_kernels(), precision);
  }
  Cost now() const { return {runtime->waits, runtime->allocations, runtime->releases, runtime->pageable_copies}; }
  Cost cost_of(const std::function<void()>& body) const {
    const Cost before = now();
    body();
    const Cost after = now();
    return {after.waits - before.waits, after.allocations - before.allocations, after.releases - before.releases,
            after.pageable - before.pageable};
  }

  SeparateRuntime* runtime = nullptr;
  std::unique_ptr<Roomy> backend;
};

class TrainingWaits : public ::testing::Test {
 protected:
  void TearDown() override { EXPECT_EQ(SeparateRuntime::alive(), 0) << "a device leaks"; }
};

// Batches in the host's memory, as a loader gives them.
MicroBatch photos(int64_t n, uint64_t seed) {
  Tensor marks = random_tensor({n, 32, 19, 1}, seed + 1);
  for (double& value : marks.values<double>()) value = value > 0.6;
  return {random_tensor({n, 32, 19, 3}, seed).to(DType::f32), marks.to(DType::f32)};
}
MicroBatch labelled(int64_t n, uint64_t seed) {
  Tensor labels({n, 32, 19, 1}, DType::i32);
  for (size_t i = 0; i < labels.values<int32_t>().size(); ++i)
    labels.values<int32_t>()[i] = static_cast<int32_t>(i % 3);
  return {random_tensor({n, 32, 19, 3}, seed).to(DType::f32), labels};
}

TrainOptions options(std::variant<AdamW, Sgd> optimiser) {
  return {
      .loss = loss_of(dice_focal_form("L6")), .optimiser = optimiser, .weight_decay = 0.01, .max_norm = 1, .seed = 2};
}

void expect_same(const NamedTensors& got, const NamedTensors& want) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(std::ranges::equal(got[i].bytes, want[i].bytes)) << got[i].name;
}

std::unique_ptr<Backend> emulated() {
  return make_backend({DeviceKind::cpu_emulated, 0}, nullptr, {.precision = Precision::fp32});
}

// nn/train_step.h, docs/gpu.md: once for each micro-batch's loss, once at the end; nothing is allocated any more.
TEST_F(TrainingWaits, OncePerLossAndOnceAtTheEnd) {
  for (const std::variant<AdamW, Sgd>& optimiser :
       {std::variant<AdamW, Sgd>(AdamW{}), {Sgd{.momentum = 0.9}}, {Sgd{}}}) {
    SCOPED_TRACE(optimiser.index() == 0 ? "AdamW" : std::get<Sgd>(optimiser).momentum != 0 ? "momentum" : "SGD");
    const Device device;
    const auto network = random_network({.base = 1, .dropout = 0.2}, 5, DType::f32);
    TrainStep train(*network, *device.backend, options(optimiser));
    const MicroBatch parts[] = {photos(2, 6), photos(1, 8)};
    train.run(parts, 1e-3);
    for (int step = 1; step < 4; ++step) {
      EXPECT_EQ(device.cost_of([&] { train.run(parts, 1e-3 / step); }), (Cost{.waits = 3})) << step;
      EXPECT_EQ(device.runtime->launches_waited_for, device.runtime->launches) << "work after the last wait";
      EXPECT_EQ(device.cost_of([&] { train.run({parts, 1}, 1e-3); }), (Cost{.waits = 2})) << step;
    }
    EXPECT_EQ(train.state().step, 7);
  }
}

TEST_F(TrainingWaits, NoMoreInMixedPrecision) {
  const Device device(Precision::fp16);
  const auto network = random_network({.base = 1}, 5, DType::f32);
  TrainStep train(*network, *device.backend, options(AdamW{}));
  const MicroBatch batch = photos(1, 6);
  train.run({&batch, 1}, 1e-3);
  EXPECT_EQ(device.cost_of([&] { train.run({&batch, 1}, 1e-3); }), (Cost{.waits = 2}));
}

TEST_F(TrainingWaits, NoMoreForAnyLoss) {
  const Architecture one{.base = 1}, three{.base = 1, .classes = 3};
  SoftDice dice = soft_dice_form("foreground_dice");
  dice.entropy.class_weights = {0.5f, 2, 1};
  struct Case {
    Architecture architecture;
    LossFunction loss;
    MicroBatch batch;
  };
  for (const Case& c : {Case{three, loss_of(CrossEntropy{.class_weights = {0.5f, 2, 1}}), labelled(2, 6)},
                        Case{three, loss_of(dice), labelled(2, 6)}, Case{one, squared_error_loss(), photos(2, 6)}}) {
    const Device device;
    const auto network = random_network(c.architecture, 5, DType::f32);
    TrainOptions all = options(AdamW{});
    all.loss = c.loss;
    TrainStep train(*network, *device.backend, all);
    train.run({&c.batch, 1}, 1e-3);
    EXPECT_EQ(device.cost_of([&] { train.run({&c.batch, 1}, 1e-3); }), (Cost{.waits = 2}));
  }
}

// Frozen weights, statistics that move and statistics that stay; a key of its own freezes one statistic of a pair.
TEST_F(TrainingWaits, NoMoreWithFrozenParts) {
  const std::vector<std::string> encoder{"inc", "down1"}, mean{"inc.double_conv.1.running_mean"};
  struct Case {
    const std::vector<std::string>& prefixes;
    FrozenStatistics statistics;
  };
  for (const Case& c : {Case{encoder, FrozenStatistics::fixed}, Case{encoder, FrozenStatistics::moving},
                        Case{mean, FrozenStatistics::fixed}}) {
    std::vector<NamedTensors> states;
    const Device device;
    const auto host = emulated();
    for (Backend* on : {host.get(), static_cast<Backend*>(device.backend.get())}) {
      const auto network = random_network({.base = 1}, 5, DType::f32);
      freeze(*network, c.prefixes, c.statistics);
      TrainStep train(*network, *on, options(AdamW{}));
      const MicroBatch parts[] = {photos(2, 6), photos(1, 8)};
      train.run(parts, 1e-3);
      const Cost cost = device.cost_of([&] { train.run(parts, 1e-3); });
      if (on != host.get()) { EXPECT_EQ(cost, (Cost{.waits = 3})); }
      train.parameters().publish();
      states.push_back(network->state());
    }
    expect_same(states[1], states[0]);
  }
}

// The device does what the emulator does where a gradient is not finite: nothing, although the update was asked for
// before the host knew. The host waits once more, to say which gradient it was.
TEST_F(TrainingWaits, ASkippedStepLeavesEverythingAsItWas) {
  for (const bool adam : {true, false}) {
    const Device device;
    const auto network = random_network({.base = 1}, 5, DType::f32);
    TrainStep train(*network, *device.backend,
                    options(adam ? std::variant<AdamW, Sgd>(AdamW{}) : Sgd{.momentum = 0.9}));
    const MicroBatch good = photos(2, 6);
    MicroBatch bad = photos(2, 6);
    bad.target.values<float>()[5] = NAN;
    const auto all = [&] {
      NamedTensors out;
      for (const Tensor* buffer : {&train.parameters().values(), &train.moment(0), &train.moment(1)})
        if (!buffer->empty())
          for (const NamedTensor& t : train.parameters().named(*buffer, "")) out.push_back(t);
      return out;
    };
    for (const bool first : {true, false}) {  // the first step of a run has no step number to correct moments by
      const NamedTensors before = all();
      const OptimState state = train.state();
      StepResult result;
      const Cost cost = device.cost_of([&] { result = train.run({&bad, 1}, 1e-2); });
      EXPECT_TRUE(result.skipped);
      EXPECT_FALSE(std::isfinite(result.gradient_norm));
      EXPECT_FALSE(result.bad.key.empty());
      EXPECT_EQ(train.state().step, state.step);
      EXPECT_EQ(train.state().skipped, state.skipped + 1);
      if (!first) { EXPECT_EQ(cost, (Cost{.waits = 3})); }
      expect_same(all(), before);
      EXPECT_FALSE(train.run({&good, 1}, 1e-2).skipped);
      EXPECT_FALSE(std::ranges::equal(all()[0].bytes, before[0].bytes)) << "the next step updates again";
    }
  }
}

// More uploads under way than pinned memory is kept for: those are copied from where they lie, and waited for.
TEST_F(TrainingWaits, WhatPinnedMemoryHasNoRoomForIsWaitedFor) {
  const MicroBatch parts[] = {photos(2, 6), photos(1, 8)};
  std::vector<NamedTensors> states;
  struct Case {
    size_t pinned;
    Cost cost;
  };
  // For each part x twice and its target, then state, segments and rate. Those operations wait for themselves: six, and
  // the update a second time.
  for (const Case& c : {Case{size_t{1} << 20, {.waits = 3}}, Case{300, {.waits = 10, .pageable = 7}},
                        Case{0, {.waits = 10, .pageable = 9}}}) {
    SCOPED_TRACE(c.pinned);
    const Device device;
    device.backend->allow_pinned(c.pinned);
    const auto network = random_network({.base = 1}, 5, DType::f32);
    TrainStep train(*network, *device.backend, options(AdamW{}));
    train.run(parts, 1e-3);
    EXPECT_EQ(device.cost_of([&] { train.run(parts, 1e-3); }), c.cost);
    train.parameters().publish();
    states.push_back(network->state());
  }
  expect_same(states[1], states[0]);
  expect_same(states[2], states[0]);
}

// New values reach the device: parameters, statistics that move, frozen weights.
TEST_F(TrainingWaits, ALoadedNetworkIsBoundAgain) {
  const MicroBatch batch = photos(2, 6);
  const NamedTensors other = random_network({.base = 1}, 9, DType::f32)->state();
  std::vector<NamedTensors> states;
  const Device device;
  const auto apart = emulated();
  for (Backend* backend : {apart.get(), static_cast<Backend*>(device.backend.get())}) {
    const auto network = random_network({.base = 1}, 5, DType::f32);
    freeze(*network, std::vector<std::string>{"down2"}, FrozenStatistics::moving);
    TrainStep train(*network, *backend, options(AdamW{}));
    train.run({&batch, 1}, 1e-2);
    network->load(other);
    train.parameters().rebind();
    train.run({&batch, 1}, 1e-2);
    train.parameters().publish();
    states.push_back(network->state());
  }
  expect_same(states[1], states[0]);
}

// Peers compute statistics by way of the host, which keeps them.
TEST_F(TrainingWaits, PeersOnDevicesApartAreThoseOfTheEmulator) {
  std::vector<NamedTensors> states(4);
  for (const size_t apart : {0, 1}) {
    Meeting meeting(2);
    std::vector<std::thread> threads;
    for (const size_t rank : {0, 1})
      threads.emplace_back([&, rank] {
        ThreadPeers peers(meeting, static_cast<int>(rank));
        const Device device;
        const auto host = emulated();
        const auto network = random_network({.base = 1}, 5, DType::f32);
        TrainOptions all = options(AdamW{});
        all.peers = &peers;
        TrainStep train(*network, apart != 0 ? static_cast<Backend&>(*device.backend) : *host, all);
        const MicroBatch batch = photos(1, 6 + rank);
        for (int step = 0; step < 2; ++step) train.run({&batch, 1}, 1e-2);
        train.parameters().publish();
        states[2 * apart + rank] = network->state();
      });
    for (std::thread& thread : threads) thread.join();
  }
  for (const size_t rank : {1, 2, 3}) expect_same(states[rank], states[0]);
}

TEST_F(TrainingWaits, KeptMemoryServesTheSameAgain) {
  const auto runtime = std::make_shared<SeparateRuntime>();
  KeptMemory memory(runtime, allocate_shared);
  EXPECT_EQ(memory.take(0), nullptr);
  EXPECT_EQ(runtime->allocations, 0);
  for (int round = 0; round < 3; ++round) {
    const auto* a = static_cast<const std::byte*>(memory.take(1000));
    const auto* b = static_cast<const std::byte*>(memory.take(1));
    const auto* c = static_cast<const std::byte*>(memory.take(500));
    EXPECT_EQ(memory.taken(), 1024u + 256 + 512);
    EXPECT_EQ(memory.grows(), round == 0);
    if (round > 0) {
      EXPECT_EQ(b, a + 1024);
      EXPECT_EQ(c, b + 256);
    }
    memory.reset();
    EXPECT_EQ(memory.taken(), 0u);
  }
  EXPECT_EQ(runtime->allocations, 4) << "three pieces, then the block";
  memory.take(2000);
  EXPECT_TRUE(memory.grows()) << "a piece that is larger than the block";
  memory.reset();
  EXPECT_EQ(runtime->allocations, 6);
}

}  // namespace
}  // namespace furrow::gpu
