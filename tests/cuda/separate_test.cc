// CudaBackend on a device whose memory is not the host's (separate_runtime.h): staging, pinned copies, recording,
// arenas and threads, which the emulator alone never meets.
#include <gtest/gtest.h>

#include <thread>

#include "kernels/cuda/cuda_backend.h"
#include "kernels/ref/ref_backend.h"
#include "nn/freeze.h"
#include "nn/plan.h"
#include "nn/train_step.h"
#include "tests/cuda/separate_runtime.h"
#include "tests/kernels/compare.h"
#include "tests/nn/support.h"

namespace furrow::gpu {
namespace {

// A back-end and, for looking at, its device.
struct Device {
  explicit Device(Precision precision) {
    auto owned = std::make_unique<SeparateRuntime>();
    runtime = owned.get();
    backend = std::make_unique<CudaBackend>(std::move(owned), separate_kernels(), precision);
  }
  SeparateRuntime* runtime = nullptr;
  std::unique_ptr<CudaBackend> backend;
};

class SeparateDevice : public ::testing::Test {
 protected:
  void TearDown() override { EXPECT_EQ(SeparateRuntime::alive(), 0) << "a device leaks"; }
};

// Of the largest logit, against the reference, at most 2.7 times what was measured. The kernels are those of
// network_test.cc, whose networks have other weights: of these two the bilinear one has logits about 0, of both signs,
// and so, in tf32, an error of 1.1e-3 instead of 1.6e-4.
struct Bound {
  Precision precision;
  double transposed, bilinear;
};
constexpr double kFp32 = 2.5e-7, kFp16 = 5e-4;   // networks of transposed convolutions
constexpr Bound kBounds[] = {{Precision::fp32, kFp32, 7e-7},
                             {Precision::tf32, 4e-4, 2.5e-3},
                             {Precision::fp16, kFp16, 2.5e-3},
                             {Precision::bf16, 4e-3, 2e-2}};

// Inputs of two sizes and what the reference makes of them. Every run has its own input.
struct Runs {
  std::unique_ptr<Network> network;
  std::vector<Shape> shapes;
  struct Run {
    size_t plan;
    Tensor x, want;
  };
  std::vector<Run> runs;

  Runs(const Architecture& a, std::vector<Shape> sizes, std::initializer_list<size_t> order)
      : network(random_network(a, 5, DType::f32)), shapes(std::move(sizes)) {
    RefBackend ref(nullptr);
    uint64_t seed = 6;
    for (const size_t plan : order) {
      const Tensor x = random_tensor(shapes[plan], seed++).to(DType::f32);
      runs.push_back({plan, x, Plan(*network, ref, shapes[plan]).run(x.to(DType::f64))});
    }
  }
  // Largest error over all runs.
  double error(Backend& backend) const {
    std::vector<Plan> plans;
    PlanOptions shared{.weights = std::make_shared<PackedWeights>()};
    for (const Shape& shape : shapes) plans.emplace_back(*network, backend, shape, shared);
    double worst = 0;
    for (const Run& run : runs) {
      const double error = relative_error(plans[run.plan].run(run.x), run.want);
      worst = std::isnan(worst) || error <= worst ? worst : error;
    }
    return worst;
  }
};

TEST_F(SeparateDevice, PlansRunRecordAndReplayInEveryPrecision) {
  for (const bool bilinear : {false, true}) {
    // 40 classes: too many for a fused head, so the last step reorders what the device computed.
    const Runs runs({.base = 4, .classes = bilinear ? 1 : 40, .bilinear = bilinear}, {{1, 16, 32, 3}, {2, 17, 21, 3}},
                    {0, 0, 1, 0, 1, 1, 0});
    for (const Bound& bound : kBounds) {
      const Device device(bound.precision);
      EXPECT_LT(runs.error(*device.backend), bilinear ? bound.bilinear : bound.transposed)
          << name(bound.precision) << bilinear;
      EXPECT_EQ(device.runtime->recordings, 2);
      EXPECT_EQ(device.runtime->replays, 5) << "every run of a plan but its first";
    }
  }
}

TEST_F(SeparateDevice, TheTraceRunsStepByStep) {
  const Runs runs({.base = 4}, {{1, 32, 32, 3}}, {0});
  const Device device(Precision::fp16);
  Plan plan(*runs.network, *device.backend, runs.shapes[0]);
  Trace trace;
  EXPECT_LT(relative_error(plan.run(runs.runs[0].x, &trace), runs.runs[0].want), kFp16);
  EXPECT_EQ(trace.records().size(), plan.steps().size());
}

// A recording refers to nothing of the plan object, which may move.
TEST_F(SeparateDevice, APlanMovesAfterItsRecording) {
  const Runs runs({.base = 4}, {{1, 32, 32, 3}}, {0, 0, 0});
  const Device device(Precision::fp32);
  auto before = std::make_unique<Plan>(*runs.network, *device.backend, runs.shapes[0]);
  for (int i = 0; i < 2; ++i) before->run(runs.runs[0].x);
  Plan after = std::move(*before);
  before.reset();
  EXPECT_LT(relative_error(after.run(runs.runs[2].x), runs.runs[2].want), kFp32);
}

// Of each parameter's largest gradient; measured 3.7e-6 (network_test.cc bounds other networks' by what roundings make
// of them).
TEST_F(SeparateDevice, GradientsThroughTheTapeAreThoseOfRef) {
  const Architecture a{.base = 2};
  const Tensor x = random_tensor({2, 32, 32, 3}, 6), dy = random_tensor({2, 32, 32, 1}, 7);
  const auto exact = random_network(a, 5), narrow = random_network(a, 5, DType::f32);
  RefBackend ref(nullptr);
  const Device device(Precision::fp32);
  Tape want(ref, Mode::training), got(*device.backend, Mode::training);
  want.backward(exact->forward(want, want.input(x)), dy);
  got.backward(narrow->forward(got, got.input(x.to(DType::f32))), dy.to(DType::f32));
  const auto wanted = exact->parameters(), found = narrow->parameters();
  ASSERT_EQ(wanted.size(), found.size());
  int compared = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const Tensor& gradient = want.grad(*wanted[i].parameter);
    if (gradient.empty() || largest(gradient) < 1e-9) continue;   // a bias before a batch norm has none but rounding
    EXPECT_LT(relative_error(got.grad(*found[i].parameter), gradient), 1e-5) << wanted[i].key;
    ++compared;
  }
  EXPECT_GT(compared, 50);
}

// Tensors of an eager operation: some in an arena of the device, some in host memory. Channels are multiples of 4, so
// that an fp32 image that place() writes is dense.
class Mixed {
 public:
  Mixed(Backend& backend, unsigned on_device)
      : backend_(backend), on_device_(on_device), arena_(backend.reserve(1 << 20)) {}

  // The next tensor, holding the values; it lies on the device where its bit of the mask is set.
  Tensor& next(const Tensor& values) {
    const Tensor narrow = values.to(DType::f32);
    const bool apart = (on_device_ >> tensors_.size() & 1) != 0;
    if (!apart) return *tensors_.emplace_back(std::make_unique<Tensor>(narrow));
    Tensor there = arena_.take(narrow.shape(), DType::f32);
    backend_.place(narrow, {reinterpret_cast<std::byte*>(there.values<float>().data()), narrow.shape()});
    return *tensors_.emplace_back(std::make_unique<Tensor>(there));
  }
  Tensor value(Tensor& t) {
    const auto* at = reinterpret_cast<std::byte*>(t.values<float>().data());
    if (at < arena_.data() || at >= arena_.data() + arena_.capacity()) return t;
    Tensor host(t.shape(), DType::f32);
    backend_.fetch(t, host);
    return host;
  }

 private:
  Backend& backend_;
  unsigned on_device_;
  Arena arena_;
  std::vector<std::unique_ptr<Tensor>> tensors_;
};

// float32 on sums of at most 9 * 12 products (4e-8 * sqrt(K) of the largest, 4.2e-7) and a division by a standard
// deviation near 0.6. Measured 2.1e-7.
constexpr double kEager = 5e-7;

// The reference's answers, in double.
struct Exact {
  RefBackend backend{nullptr};
  Tensor conv{Shape{2, 5, 6, 8}, DType::f64}, dw{Shape{8, 3, 3, 12}, DType::f64},
      normalised{Shape{2, 5, 6, 8}, DType::f64}, mean{Shape{1, 1, 1, 8}, DType::f64},
      rstd{Shape{1, 1, 1, 8}, DType::f64}, running;
};

TEST_F(SeparateDevice, EagerTensorsMayLieOnEitherSide) {
  const Shape vector{1, 1, 1, 8};
  const Tensor x0 = random_tensor({2, 5, 6, 4}, 1), x1 = random_tensor({2, 5, 6, 8}, 2),
               w = random_tensor({8, 3, 3, 12}, 3), b = random_tensor(vector, 4), gamma = random_tensor(vector, 5),
               running = random_tensor(vector, 6, 0.5, 1.5);
  Exact want;
  want.backend.conv2d({.x0 = &x0, .x1 = &x1, .w = &w, .b = &b, .geometry = {3, 3, 1, 1}}, want.conv);
  for (size_t i = 0; i < want.dw.values<double>().size(); ++i) want.dw.values<double>()[i] = w.values<double>()[i];
  want.backend.conv2d_grad_weight({.x0 = &x0, .x1 = &x1, .dy = &want.conv, .geometry = {3, 3, 1, 1}}, want.dw, nullptr,
                                  Grad::accumulate);
  Tensor mean = running.to(DType::f64), var = running.to(DType::f64);
  want.backend.batch_norm_train(x1, gamma, b, {.running_mean = &mean, .running_var = &var}, want.normalised, want.mean,
                                want.rstd);

  const Device device(Precision::fp32), other(Precision::fp32);
  const Tensor nothing(Shape{2, 5, 6, 8}, DType::f32), no_vector(vector, DType::f32);
  const auto expect_close = [](const Tensor& got, const Tensor& expected, const char* what) {
    EXPECT_LT(relative_error(got, expected), kEager) << what;
  };
  for (const unsigned mask : {0u, 0x3fu, 1u, 2u, 4u, 8u, 0x10u, 0x20u, 0x15u, 0x2au}) {
    SCOPED_TRACE(mask);
    Backend& backend = *device.backend;
    {
      Mixed t(backend, mask);
      const Tensor &a = t.next(x0), &c = t.next(x1), &weights = t.next(w), &bias = t.next(b);
      Tensor &y = t.next(nothing), &dw = t.next(w);
      other.runtime->use();   // the thread last worked with another device
      backend.conv2d({.x0 = &a, .x1 = &c, .w = &weights, .b = &bias, .geometry = {3, 3, 1, 1}}, y);
      expect_close(t.value(y), want.conv, "conv2d");
      other.runtime->use();
      backend.conv2d_grad_weight({.x0 = &a, .x1 = &c, .dy = &y, .geometry = {3, 3, 1, 1}}, dw, nullptr,
                                 Grad::accumulate);
      expect_close(t.value(dw), want.dw, "conv2d_grad_weight");
    }
    {
      Mixed t(backend, mask);
      const Tensor &x = t.next(x1), &scale = t.next(gamma);
      Tensor &y = t.next(nothing), &saved = t.next(no_vector), &running_mean = t.next(running),
             &running_var = t.next(running);
      Tensor rstd = no_vector;
      other.runtime->use();
      backend.batch_norm_train(x, scale, b.to(DType::f32), {.running_mean = &running_mean, .running_var = &running_var},
                               y, saved, rstd);
      expect_close(t.value(y), want.normalised, "batch_norm_train");
      expect_close(t.value(saved), want.mean, "saved mean");
      expect_close(t.value(running_mean), mean, "running mean");
      expect_close(t.value(running_var), var, "running variance");
      expect_close(rstd, want.rstd, "rstd");
      other.runtime->use();
      backend.add(y, x, y);   // in place
      Tensor sum = want.normalised.to(DType::f64);
      want.backend.add(want.normalised, x1, sum);
      expect_close(t.value(y), sum, "add");
    }
  }
  EXPECT_EQ(other.runtime->launches, 0);
}

// An arena may outlive the back-end that reserved it.
TEST_F(SeparateDevice, AnArenaOutlivesItsBackend) {
  Arena arena;
  const Device device(Precision::fp32);
  {
    Device shorter(Precision::fp32);
    arena = shorter.backend->reserve(1000);
  }
  EXPECT_EQ(SeparateRuntime::alive(), 2);
}

TEST_F(SeparateDevice, TwoThreadsWithADeviceEach) {
  const Runs runs({.base = 4}, {{1, 32, 32, 3}, {1, 17, 40, 3}}, {0, 1, 0, 1, 1, 0});
  double error[2] = {1, 1};
  std::vector<std::thread> threads;
  for (const size_t i : {0, 1})
    threads.emplace_back([&, i] {
      const Device device(i == 0 ? Precision::fp32 : Precision::fp16);
      error[i] = runs.error(*device.backend);
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_LT(error[0], kFp32);
  EXPECT_LT(error[1], kFp16);
}

// A back-end made on one thread works on another, which never chose a device.
TEST_F(SeparateDevice, ABackendMovesBetweenThreads) {
  const Runs runs({.base = 4}, {{1, 32, 32, 3}}, {0, 0, 0});
  const Device device(Precision::fp16), other(Precision::fp16);
  Plan plan(*runs.network, *device.backend, runs.shapes[0]), elsewhere(*runs.network, *other.backend, runs.shapes[0]);
  for (const auto& run : runs.runs) {
    double error[2] = {1, 1};
    std::thread([&] {
      error[0] = relative_error(plan.run(run.x), run.want);
      error[1] = relative_error(elsewhere.run(run.x), run.want);
    }).join();
    EXPECT_LT(error[0], kFp16);
    EXPECT_LT(error[1], kFp16);
  }
}

// Steps between tensors that are on the device already call nothing else of the runtime.
TEST_F(SeparateDevice, EveryPlannedCallChoosesItsDevice) {
  const Device device(Precision::fp32), other(Precision::fp32);
  Backend& backend = *device.backend;
  const Tensor x = random_tensor({1, 6, 6, 4}, 1).to(DType::f32);
  Mixed t(backend, 3);
  Tensor &in = t.next(x), &out = t.next(Tensor(Shape{1, 3, 3, 4}, DType::f32));
  Arena arena = backend.reserve(1 << 16);
  const Placed from{arena.take(backend.placed_bytes(x.shape())), x.shape()},
      to{arena.take(backend.placed_bytes(out.shape())), out.shape()};
  other.runtime->use();
  backend.place(in, from);
  other.runtime->use();
  backend.run(PoolStep{x.shape()}, nullptr, {.x = {from, {}}, .y = to});
  other.runtime->use();
  backend.unplace(to, out);
  Tensor want(out.shape(), DType::f64);
  RefBackend(nullptr).max_pool2x2(x.to(DType::f64), want);
  EXPECT_EQ(relative_error(t.value(out), want), 0);
}

// A device that cannot record for the moment runs the steps one by one; a lost one does not.
class Unrecording : public SeparateRuntime {
 public:
  explicit Unrecording(bool lost) : lost_(lost) {}
  std::unique_ptr<Recording> record(Stream, const std::function<void()>&) override {
    ++recordings;
    Error error(ErrorCode::device, "no memory for a recording");
    if (lost_) throw DeviceLost(std::move(error));
    throw error;
  }

 private:
  bool lost_;
};

TEST_F(SeparateDevice, AFailedRecordingCostsNoResults) {
  const Runs runs({.base = 4}, {{1, 32, 32, 3}}, {0, 0, 0, 0});
  auto owned = std::make_unique<Unrecording>(false);
  const SeparateRuntime& runtime = *owned;
  CudaBackend poor(std::move(owned), separate_kernels(), Precision::fp32);
  EXPECT_LT(runs.error(poor), kFp32);
  EXPECT_EQ(runtime.recordings, 1) << "tried again";
  CudaBackend lost(std::make_unique<Unrecording>(true), separate_kernels(), Precision::fp32);
  EXPECT_THROW(runs.error(lost), DeviceLost);
}

// Training on a device apart: parameters, gradients, moments and activations lie there. The same bits as where the
// device's memory is the host's: the same kernels on the same numbers, wherever those come from.
TEST_F(SeparateDevice, TrainsInItsOwnMemory) {
  const auto emulated = make_backend({DeviceKind::cpu_emulated, 0}, nullptr, {.precision = Precision::fp32});
  const Device device(Precision::fp32);
  std::vector<NamedTensors> states, moments;
  std::vector<double> losses;
  for (Backend* backend : {emulated.get(), static_cast<Backend*>(device.backend.get())}) {
    const auto network = random_network({.base = 2, .dropout = 0.2}, 5, DType::f32);
    freeze(*network, std::vector<std::string>{"down4"}, FrozenStatistics::fixed);
    TrainStep train(*network, *backend,
                    {.loss = loss_of(dice_focal_form("L6")), .weight_decay = 0.01, .max_norm = 1, .seed = 2});
    Tensor marks = random_tensor({2, 19, 22, 1}, 7);
    for (double& value : marks.values<double>()) value = value > 0.6;
    const MicroBatch parts[] = {{random_tensor({2, 19, 22, 3}, 6).to(DType::f32), marks.to(DType::f32)},
                                {random_tensor({2, 19, 22, 3}, 8).to(DType::f32), marks.to(DType::f32)}};
    for (int step = 0; step < 2; ++step)
      losses.push_back(train.run(parts, 1e-2).loss.total);  // by way of the host, then not
    Tensor copy = train.parameters().zeros();   // a moment through a checkpoint
    train.parameters().take(train.parameters().named(train.moment(1), "v."), "v.", copy);
    moments.push_back(train.parameters().named(copy, "v."));
    train.parameters().publish();
    states.push_back(network->state());
    MicroBatch bad = parts[0];
    bad.target.values<float>()[5] = NAN;
    EXPECT_EQ(train.run({&bad, 1}, 1e-2).bad.key, "inc.double_conv.0.weight");
  }
  EXPECT_TRUE(std::equal(losses.begin(), losses.begin() + 2, losses.begin() + 2));
  EXPECT_NE(losses[1], losses[0]);
  for (size_t i = 0; i < states[0].size(); ++i)
    EXPECT_TRUE(std::ranges::equal(states[0][i].bytes, states[1][i].bytes)) << states[0][i].name;
  ASSERT_EQ(moments[0].size(), moments[1].size());
  for (size_t i = 0; i < moments[0].size(); ++i)
    EXPECT_TRUE(std::ranges::equal(moments[0][i].bytes, moments[1][i].bytes)) << moments[0][i].name;
}

// The same in fp16, whose copies and packed weights lie in the device's scratch memory.
TEST_F(SeparateDevice, TrainsInMixedPrecisionInItsOwnMemory) {
  const auto emulated = make_backend({DeviceKind::cpu_emulated, 0}, nullptr, {.precision = Precision::fp16});
  const Device device(Precision::fp16);
  Tensor marks = random_tensor({2, 16, 16, 1}, 7);
  for (double& value : marks.values<double>()) value = value > 0.6;
  const MicroBatch batch{random_tensor({2, 16, 16, 3}, 6).to(DType::f32), marks.to(DType::f32)};
  std::vector<NamedTensors> states;
  std::vector<double> losses;
  for (Backend* backend : {emulated.get(), static_cast<Backend*>(device.backend.get())}) {
    const auto network = random_network({.base = 1}, 5, DType::f32);
    TrainStep train(
        *network, *backend,
        {.loss = loss_of(dice_focal_form("L6")), .scaling = {.interval = 2000}, .loss_scale = 65536});
    const StepResult result = train.run({&batch, 1}, 1e-2);
    EXPECT_FALSE(result.skipped);
    losses.push_back(result.loss.total);
    train.parameters().publish();
    states.push_back(network->state());
  }
  EXPECT_EQ(losses[0], losses[1]);
  for (size_t i = 0; i < states[0].size(); ++i)
    EXPECT_TRUE(std::ranges::equal(states[0][i].bytes, states[1][i].bytes)) << states[0][i].name;
}

}  // namespace
}  // namespace furrow::gpu
