// Plan::run_watched: what it shows is what run() computes, step by step, on every back-end and for every shape.
#include "kernels/threads.h"
#include "nn/plan.h"
#include "tests/nn/support.h"

namespace furrow {
namespace {

bool same_bits(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape() || a.dtype() != b.dtype()) return false;
  return a.dtype() == DType::f64 ? std::ranges::equal(a.values<double>(), b.values<double>())
                                 : std::ranges::equal(a.values<float>(), b.values<float>());
}

// The elements of every value, in the order in which they are written, and their names.
struct Seen {
  std::vector<std::string> names;
  std::vector<Tensor> values;
};

Tensor watch(Plan& plan, const Tensor& input, Seen& seen) {
  return plan.run_watched(input, [&](size_t, double, const std::vector<Plan::Written>& written) {
    for (const Plan::Written& w : written) {
      seen.names.push_back(w.name);
      seen.values.push_back(w.value.to(w.value.dtype()));
    }
  });
}

// Odd sides cut rows and columns off the result, batches of two, networks with gates, residuals and resizes.
TEST(PlanWatch, GivesTheBitsOfRunBeforeAndAfterIt) {
  ThreadPool pool(2);
  for (const DeviceKind kind : {DeviceKind::ref, DeviceKind::cpu}) {
    const auto backend = make_backend({kind, 0}, &pool);
    for (const Architecture& a :
         {Architecture{.base = 4}, Architecture{.base = 4, .classes = 3, .bilinear = true},
          Architecture{.family = "attention-unet", .base = 4}, Architecture{.family = "resnet50-unet", .base = 4},
          Architecture{"bisenet", 4, 3, 19}})
      for (const Shape& shape : {Shape{1, 32, 32, 3}, Shape{a.resnet() ? 1 : 2, 47, 61, 3}}) {
        if (a.resnet() && kind == DeviceKind::ref) continue;  // half a minute
        const auto network = random_network(a, 3, backend->dtype());
        const Tensor x = random_tensor(shape, 4).to(backend->dtype());
        Plan plan(*network, *backend, shape);
        const Tensor before = plan.run(x).to(backend->dtype());
        Seen first, second;
        const Tensor watched = watch(plan, x, first).to(backend->dtype());
        EXPECT_TRUE(same_bits(watched, before)) << a.text() << " " << to_string(shape);
        EXPECT_TRUE(same_bits(plan.run(x), before));
        EXPECT_TRUE(same_bits(watch(plan, x, second), before));
        EXPECT_EQ(first.names, second.names);
        EXPECT_TRUE(std::ranges::equal(first.values, second.values, same_bits));
        // The last value is what the result is cut from, or resized from.
        const Tensor& last = first.values.back();
        EXPECT_EQ(first.names.back(), a.parser() ? "conv_out.conv_out" : "outc.conv");
        EXPECT_EQ(last.shape().h > watched.shape().h, a.resnet() && shape.h == 47);
        EXPECT_EQ(last.shape().h < watched.shape().h, a.parser());
        EXPECT_EQ(plan.output_shape(), watched.shape());
      }
  }
}

TEST(PlanWatch, NamesWhatEachStepWritesAndWhen) {
  const auto backend = ref_backend();
  const auto network = random_network({.base = 4}, 5);
  const Tensor x = random_tensor({1, 32, 48, 3}, 6);
  for (const bool fused : {true, false}) {
    Plan plan(*network, *backend, x.shape(), {.fuse_pool = fused, .fuse_head = fused});
    size_t next = 0, pooled = 0;
    plan.run_watched(x, [&](size_t step, double milliseconds, const std::vector<Plan::Written>& written) {
      ASSERT_EQ(step, next++);
      EXPECT_GE(milliseconds, 0);
      const Plan::StepInfo& info = plan.steps().at(step);
      ASSERT_EQ(written.size(), info.writes.size()) << info.where;
      for (size_t i = 0; i < written.size(); ++i) {
        EXPECT_EQ(written[i].name, info.writes[i]);
        EXPECT_EQ(written[i].value.dtype(), DType::f64);
        EXPECT_GT(written[i].value.shape().elements(), 0);
      }
      if (written.size() == 2 && written[1].value.shape().h * 2 == written[0].value.shape().h) ++pooled;
    });
    EXPECT_EQ(next, plan.steps().size());
    EXPECT_EQ(pooled, fused ? 4u : 0u);
  }
}

// The first value that departs belongs to the module that was changed; what comes before it keeps its bits.
TEST(PlanWatch, AChangeShowsFirstWhereItIs) {
  const auto backend = ref_backend();
  const Tensor x = random_tensor({1, 32, 32, 3}, 6);
  const struct {
    const char *key, *value;
  } rows[] = {{"inc.double_conv.0.weight", "inc.double_conv.2"},
              {"down2.maxpool_conv.1.double_conv.3.weight", "down2.maxpool_conv.1.double_conv.5"},
              {"down4.maxpool_conv.1.double_conv.4.running_var", "down4.maxpool_conv.1.double_conv.5"},
              {"up2.up.bias", "up2.up"},
              {"up4.conv.double_conv.1.bias", "up4.conv.double_conv.2"},
              {"outc.conv.weight", "outc.conv"}};
  const auto network = random_network({.base = 4}, 5);
  Plan plan(*network, *backend, x.shape());
  Seen whole;
  watch(plan, x, whole);
  for (const auto& row : rows) {
    const auto changed = random_network({.base = 4}, 5);
    for (const Module::Keyed& k : changed->parameters())
      if (k.key == row.key)
        for (double& v : k.parameter->value.values<double>()) v += 0.25;
    Plan other(*changed, *backend, x.shape());
    Seen seen;
    watch(other, x, seen);
    ASSERT_EQ(seen.names, whole.names);
    size_t first = 0;
    while (first < seen.values.size() && same_bits(seen.values[first], whole.values[first])) ++first;
    ASSERT_LT(first, seen.values.size()) << row.key << " changes nothing";
    EXPECT_EQ(seen.names[first], row.value);
  }
}

TEST(PlanWatch, RefusesAnotherShapeOrType) {
  const auto backend = ref_backend();
  const auto network = random_network({.base = 1}, 5);
  Plan plan(*network, *backend, {1, 32, 32, 3});
  size_t called = 0;
  const auto count = [&](size_t, double, const std::vector<Plan::Written>&) { ++called; };
  EXPECT_THROW(plan.run_watched(random_tensor({1, 32, 33, 3}, 1), count), Error);
  EXPECT_THROW(plan.run_watched(Tensor({1, 32, 32, 3}, DType::f32), count), Error);
  EXPECT_EQ(called, 0u);
}

// What the watcher throws leaves the plan usable.
TEST(PlanWatch, SurvivesAWatcherThatThrows) {
  const auto backend = ref_backend();
  const auto network = random_network({.base = 1}, 5);
  const Tensor x = random_tensor({1, 32, 32, 3}, 6);
  Plan plan(*network, *backend, x.shape());
  const Tensor before = plan.run(x).to(DType::f64);
  const auto thrower = [](size_t step, double, const std::vector<Plan::Written>&) {
    if (step == 3) throw Error(ErrorCode::io, "disk full");
  };
  EXPECT_THROW(plan.run_watched(x, thrower), Error);
  EXPECT_TRUE(same_bits(plan.run(x), before));
}

}  // namespace
}  // namespace furrow
