// Several processes on one network are one with all of the batch: here each is a thread with a network of its own.
#include "kernels/peers.h"

#include <gtest/gtest.h>

#include <thread>

#include "nn/train_step.h"
#include "tests/nn/support.h"
#include "tests/thread_peers.h"

namespace furrow {
namespace {

Tensor images(const Tensor& all, int64_t first, int64_t count) {
  const Shape& s = all.shape();
  Tensor out({count, s.h, s.w, s.c}, DType::f64);
  const auto stride = static_cast<size_t>(s.h * s.w * s.c);
  std::ranges::copy(
      all.values<double>().subspan(static_cast<size_t>(first) * stride, static_cast<size_t>(count) * stride),
      out.values<double>().begin());
  return out;
}

struct Case {
  DeviceKind kind;
  double tolerance;
};

// `shares`: images of each process; of an empty one it has the first image, as if absent.
NamedTensors trained(const Case& on, const std::vector<int64_t>& shares, bool cross_entropy) {
  Meeting meeting(static_cast<int>(shares.size()));
  std::vector<NamedTensors> out(shares.size());
  std::vector<std::thread> processes;
  int64_t begin = 0;
  for (size_t rank = 0; rank < shares.size(); begin += shares[rank++])
    processes.emplace_back([&, rank, begin] {
      ThreadPeers peers(meeting, static_cast<int>(rank));
      const auto backend = make_backend(
          {on.kind, 0}, nullptr,
          on.kind == DeviceKind::cpu_emulated ? BackendOptions{.precision = Precision::fp32} : BackendOptions{});
      const DType type = backend->dtype();
      const auto network = random_network({.base = 1, .classes = cross_entropy ? 2 : 1, .dropout = 0.1}, 3, type);
      TrainStep step(*network, *backend,
                     {.loss = cross_entropy ? loss_of(CrossEntropy{.class_weights = {1, 3}}) : loss_of(DiceFocal{}),
                      .optimiser = Sgd{.momentum = 0.9},
                      .seed = 5,
                      .peers = shares.size() > 1 ? &peers : nullptr});
      for (uint64_t number = 0; number < 2; ++number) {
        const int64_t all = 3;
        const Tensor x = random_tensor({all, 32, 32, 3}, 10 + number),
                     t = random_tensor({all, 32, 32, 1}, 20 + number, 0, 1);
        const int64_t count = std::max<int64_t>(shares[rank], 1), first = shares[rank] > 0 ? begin : 0;
        Tensor target = images(t, first, count);
        for (double& value : target.values<double>()) value = value > 0.7 ? 1 : 0;
        Tensor labels(target.shape(), DType::i32);
        std::ranges::transform(target.values<double>(), labels.values<int32_t>().begin(),
                               [](double v) { return static_cast<int32_t>(v); });
        const MicroBatch part{images(x, first, count).to(type), cross_entropy ? labels : target.to(type),
                              shares[rank] == 0};
        const StepResult result = step.run(std::span(&part, 1), 0.1);
        EXPECT_FALSE(result.skipped);
      }
      step.parameters().publish();
      out[rank] = network->state();
    });
  for (std::thread& process : processes) process.join();
  for (size_t rank = 1; rank < out.size(); ++rank)
    for (size_t i = 0; i < out[0].size(); ++i)
      EXPECT_TRUE(std::ranges::equal(out[0][i].bytes, out[rank][i].bytes)) << out[0][i].name << " of process " << rank;
  return out[0];
}

class ManyProcesses : public testing::TestWithParam<Case> {};

TEST_P(ManyProcesses, AreOneWithAllOfTheBatch) {
  for (const bool cross_entropy : {false, true}) {
    if (cross_entropy && GetParam().kind == DeviceKind::cpu_emulated) continue;  // slow, and no other way than Dice's
    const NamedTensors one = trained(GetParam(), {3}, cross_entropy);
    for (const std::vector<int64_t>& shares : {std::vector<int64_t>{2, 1}, std::vector<int64_t>{0, 1, 2}}) {
      if (shares.size() > 2 && GetParam().kind == DeviceKind::cpu_emulated) continue;
      const NamedTensors many = trained(GetParam(), shares, cross_entropy);
      ASSERT_EQ(one.size(), many.size());
      for (size_t i = 0; i < one.size(); ++i) {
        const std::vector<double> a = one[i].to<double>(), b = many[i].to<double>();
        double difference = 0, size = 1e-3;  // of values that began as zeros
        for (size_t k = 0; k < a.size(); ++k)
          difference = std::max(difference, std::abs(a[k] - b[k])), size = std::max(size, std::abs(a[k]));
        EXPECT_LE(difference / size, GetParam().tolerance) << one[i].name << " " << shares.size() << " processes";
      }
    }
  }
}

// The order of sums is all that differs: 2e-16 a term in float64; in float32 6e-8 a term of gradients of some 3000
// values, through two steps.
INSTANTIATE_TEST_SUITE_P(Devices, ManyProcesses,
                         testing::Values(Case{DeviceKind::ref, 1e-12}, Case{DeviceKind::cpu, 2e-5},
                                         Case{DeviceKind::cpu_emulated, 2e-5}),
                         [](const auto& one) {
                           return one.param.kind == DeviceKind::ref   ? "ref"
                                  : one.param.kind == DeviceKind::cpu ? "cpu"
                                                                      : "emulated";
                         });

// The bottleneck of a picture of 16 pixels: only together do the processes have a variance.
TEST(SharedBatchNorm, OneValueOfEachProcessIsEnough) {
  const Tensor all = random_tensor({2, 1, 1, 3}, 1), gradients = random_tensor({2, 1, 1, 3}, 2);
  struct Outcome {
    std::vector<double> y, dx, running_mean, running_var;
  };
  const auto normalised = [&](Backend& backend, const Tensor& x, const Tensor& dy, Peers* peers) {
    const DType type = backend.dtype();
    const Shape vector{1, 1, 1, 3};
    const Tensor gamma = random_tensor(vector, 3).to(type), beta = random_tensor(vector, 4).to(type);
    Tensor y(x.shape(), type), dx(x.shape(), type), mean(vector, type), rstd(vector, type), running_mean(vector, type),
        running_var(vector, type);
    backend.batch_norm_train(x.to(type), gamma, beta,
                             {.running_mean = &running_mean, .running_var = &running_var, .shared = {.peers = peers}},
                             y, mean, rstd);
    if (peers == nullptr)
      backend.batch_norm_grad(x.to(type), gamma, mean, rstd, false, dy.to(type), &dx, nullptr, nullptr,
                              Grad::overwrite);
    else
      backend.batch_norm_grad_shared({.peers = peers}, x.to(type), gamma, mean, rstd, dy.to(type), &dx, nullptr,
                                     nullptr, Grad::overwrite);
    const auto values = [](const Tensor& t) {
      const Tensor wide = t.to(DType::f64);
      return std::vector<double>(wide.values<double>().begin(), wide.values<double>().end());
    };
    return Outcome{values(y), values(dx), values(running_mean), values(running_var)};
  };
  const Outcome expected = normalised(*make_backend({DeviceKind::ref, 0}, nullptr, {}), all, gradients, nullptr);
  for (const DeviceKind kind : {DeviceKind::ref, DeviceKind::cpu, DeviceKind::cpu_emulated}) {
    // Float32 rounds values of size 1 to 6e-8; dx is a small difference of such products, times rstd, here below 20.
    const double tolerance = kind == DeviceKind::ref ? 1e-14 : 1e-5;
    Meeting meeting(2);
    std::vector<std::thread> processes;
    for (int rank = 0; rank < 2; ++rank)
      processes.emplace_back([&, rank] {
        ThreadPeers peers(meeting, rank);
        const auto backend = make_backend({kind, 0}, nullptr, {});
        const Outcome own = normalised(*backend, images(all, rank, 1), images(gradients, rank, 1), &peers);
        for (size_t c = 0; c < 3; ++c) {
          const size_t at = static_cast<size_t>(rank) * 3 + c;
          EXPECT_NEAR(own.y[c], expected.y[at], tolerance) << backend->name();
          EXPECT_NEAR(own.dx[c], expected.dx[at], tolerance) << backend->name();
          EXPECT_NEAR(own.running_mean[c], expected.running_mean[c], tolerance) << backend->name();
          EXPECT_NEAR(own.running_var[c], expected.running_var[c], tolerance) << backend->name();
        }
      });
    for (std::thread& process : processes) process.join();
  }
}

TEST(SharedBatchNorm, OneValueOfAllProcessesIsNot) {
  for (const DeviceKind kind : {DeviceKind::ref, DeviceKind::cpu, DeviceKind::cpu_emulated}) {
    Meeting meeting(2);
    std::vector<std::thread> processes;
    for (int rank = 0; rank < 2; ++rank)
      processes.emplace_back([&, rank] {
        ThreadPeers peers(meeting, rank);
        const auto backend = make_backend({kind, 0}, nullptr, {});
        const DType type = backend->dtype();
        const Shape vector{1, 1, 1, 3};
        const Tensor x = random_tensor(vector, 1).to(type);
        Tensor y(vector, type), mean(vector, type), rstd(vector, type);
        const BatchNormTrain options{.shared = {.peers = &peers, .absent = rank == 1}};
        EXPECT_THROW(backend->batch_norm_train(x, x, x, options, y, mean, rstd), Error) << backend->name();
      });
    for (std::thread& process : processes) process.join();
  }
}

TEST(SharedMoments, AreThoseOfAllValues) {
  // 1, 2, 6 in one process, none in the second, 9 in the third: mean 4.5, squares 12.25 + 6.25 + 2.25 + 20.25.
  Meeting meeting(3);
  std::vector<std::thread> processes;
  for (int rank = 0; rank < 3; ++rank)
    processes.emplace_back([&, rank] {
      ThreadPeers peers(meeting, rank);
      double count = rank == 0 ? 3 : 1;
      std::vector<double> mean = {rank == 0   ? 3.0
                                  : rank == 1 ? 77.0
                                              : 9.0},
                          squares = {rank == 0   ? 14.0
                                     : rank == 1 ? 5.0
                                                 : 0.0};
      share_moments({&peers, rank == 1}, count, mean, squares);
      EXPECT_EQ(count, 4);
      EXPECT_DOUBLE_EQ(mean[0], 4.5);
      EXPECT_DOUBLE_EQ(squares[0], 41);
    });
  for (std::thread& process : processes) process.join();
}

}  // namespace
}  // namespace furrow
