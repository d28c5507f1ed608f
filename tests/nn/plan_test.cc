#include "nn/plan.h"

#include <map>

#include "nn/graph.h"
#include "nn/layers.h"
#include "tests/nn/support.h"

namespace furrow {
namespace {

Tensor tape_output(const Network& network, Backend& backend, const Tensor& x) {
  Tape tape(backend);
  return network.forward(tape, tape.input(x)).value();
}

// 1e-12: the plan folds batch norm into the weights, in float64, and so rounds elsewhere.
TEST(Plan, GivesTheTapesOutput) {
  auto backend = ref_backend();
  for (const bool bilinear : {false, true})
    for (const Shape& shape : {Shape{1, 16, 16, 3}, Shape{1, 31, 45, 3}, Shape{2, 47, 33, 3}, Shape{3, 17, 64, 3}}) {
      const auto network = random_network({.base = 2, .classes = shape.n, .bilinear = bilinear}, 5);
      const Tensor x = random_tensor(shape, 6), expected = tape_output(*network, *backend, x);
      for (const bool pool : {false, true})
        for (const bool head : {false, true}) {
          Plan plan(*network, *backend, shape, {.fuse_pool = pool, .fuse_head = head});
          EXPECT_EQ(plan.output_shape(), expected.shape());
          EXPECT_LT(relative_error(plan.run(x), expected), 1e-12) << to_string(shape) << bilinear << pool << head;
          EXPECT_LT(relative_error(plan.run(x), expected), 1e-12) << "the second run";
        }
    }
}

TEST(Plan, GivesEachPictureOfABatchTheSameBits) {
  auto backend = ref_backend();
  const auto network = random_network({.base = 2}, 5);
  const Tensor one = random_tensor({1, 32, 32, 3}, 6), other = random_tensor({1, 32, 32, 3}, 7);
  Tensor both({2, 32, 32, 3}, DType::f64);
  std::ranges::copy(other.values<double>(), both.values<double>().begin());
  std::ranges::copy(one.values<double>(), both.values<double>().begin() + one.shape().elements());
  Plan single(*network, *backend, one.shape()), pair(*network, *backend, both.shape());
  const Tensor alone = single.run(one), together = pair.run(both);
  EXPECT_TRUE(
      std::ranges::equal(alone.values<double>(), together.values<double>().last(alone.values<double>().size())));
}

TEST(Plan, TakesFloat32NetworksToo) {
  auto backend = ref_backend();
  const auto narrow = random_network({.base = 2}, 5, DType::f32);
  const auto wide = build(narrow->architecture());
  wide->load(narrow->state(), DType::f64);
  const Tensor x = random_tensor({1, 20, 20, 3}, 6);
  Plan a(*narrow, *backend, x.shape()), b(*wide, *backend, x.shape());
  EXPECT_EQ(relative_error(a.run(x), b.run(x)), 0);
}

TEST(Plan, PacksOncePerNetworkWhateverTheSize) {
  auto backend = ref_backend();
  const auto network = random_network({.base = 1}, 5);
  const auto weights = std::make_shared<PackedWeights>();
  Plan first(*network, *backend, {1, 32, 32, 3}, {.weights = weights});
  EXPECT_EQ(weights->prepared(), 22u);  // 18 convolutions (the last with its head) and 4 up-convolutions
  const size_t bytes = weights->bytes();
  Plan second(*network, *backend, {2, 47, 33, 3}, {.weights = weights});
  EXPECT_EQ(weights->prepared(), 22u);
  EXPECT_EQ(weights->bytes(), bytes);
  const Tensor x = random_tensor({2, 47, 33, 3}, 6);
  EXPECT_LT(relative_error(second.run(x), tape_output(*network, *backend, x)), 1e-12);
}

// Against float64: a float32 convolution errs by about 4e-8 * sqrt(K) of its largest value, here sqrt(9 * 256) at most,
// and 18 of them follow each other; 2e-5 leaves them a factor of about 10 for adding up. Sizes share one set of
// weights.
TEST(Plan, OnCpuIsThePlanOnRef) {
  ThreadPool pool(2);
  auto ref = ref_backend(), cpu = make_backend({DeviceKind::cpu, 0}, &pool);
  for (const bool bilinear : {false, true}) {
    const auto network = random_network({.base = 8, .classes = 2, .bilinear = bilinear}, 5, DType::f32);
    const auto weights = std::make_shared<PackedWeights>();
    std::set<std::string> packed;  // once for all sizes, unless a small picture is computed otherwise
    for (const Shape& shape : {Shape{1, 64, 64, 3}, Shape{1, 31, 45, 3}, Shape{3, 47, 33, 3}, Shape{1, 16, 200, 3}}) {
      const Tensor x = random_tensor(shape, 6).to(DType::f32);
      Plan exact(*network, *ref, shape), fast(*network, *cpu, shape, {.weights = weights});
      EXPECT_LT(relative_error(fast.run(x), exact.run(x.to(DType::f64))), 2e-5) << to_string(shape) << bilinear;
      EXPECT_EQ(fast.activation_bytes(), fast.activation_bound());
      for (const Plan::StepInfo& step : fast.steps())
        if (step.parameters > 0)
          packed.insert(step.where.substr(0, step.where.find_first_of(" +")) + step.op + step.algorithm);
      EXPECT_EQ(weights->prepared(), packed.size()) << to_string(shape);
    }
  }
}

TEST(Plan, OutlivesItsNetwork) {
  auto backend = ref_backend();
  auto network = random_network({.base = 1}, 5);
  const Tensor x = random_tensor({1, 32, 32, 3}, 6), expected = tape_output(*network, *backend, x);
  Plan plan(*network, *backend, x.shape());
  network.reset();
  Plan moved = std::move(plan);
  EXPECT_LT(relative_error(moved.run(x), expected), 1e-12);
}

TEST(Plan, PlacesAUNetInTheLeastMemoryPossible) {
  auto backend = ref_backend();
  for (const bool bilinear : {false, true})
    for (const Shape& shape : {Shape{1, 256, 256, 3}, Shape{1, 77, 101, 3}, Shape{4, 64, 96, 3}})
      for (const bool fused : {false, true}) {
        const auto network = random_network({.base = 8, .bilinear = bilinear}, 5);
        const Plan plan(*network, *backend, shape, {.fuse_pool = fused, .fuse_head = fused});
        EXPECT_EQ(plan.activation_bytes(), plan.activation_bound()) << to_string(shape) << bilinear << fused;
        EXPECT_GE(plan.peak_bytes(), plan.activation_bytes() + plan.workspace_bytes());
      }
}

TEST(Plan, PrintsItselfAndTracesWhatRan) {
  auto backend = ref_backend();
  const auto network = random_network({.base = 1}, 5);
  Plan plan(*network, *backend, {1, 33, 32, 3});
  ASSERT_EQ(plan.steps().size(),
            1u + 18 + 4);  // place, convolutions, up-convolutions; the last convolution wrote the output
  EXPECT_EQ(plan.steps()[0].op, "place");
  EXPECT_EQ(plan.steps()[1].where, "inc.double_conv.0+1+2");
  EXPECT_EQ(plan.steps()[2].where, "inc.double_conv.3+4+5 down1.maxpool_conv.0");
  EXPECT_EQ(plan.steps()[20].where, "up4.up up4");
  EXPECT_EQ(plan.steps().back().where, "up4.conv.double_conv.3+4+5 outc.conv");
  const std::string table = plan.describe();
  EXPECT_EQ(std::ranges::count(table, '\n'), 1 + 23 + 1);
  for (const Plan::StepInfo& s : plan.steps()) {
    EXPECT_NE(table.find(s.where), std::string::npos);
    EXPECT_NE(table.find(s.problem), std::string::npos);
    EXPECT_FALSE(s.algorithm.empty());
    EXPECT_GT(s.bytes, 0u);
  }
  Trace trace;
  plan.run(random_tensor({1, 33, 32, 3}, 1), &trace);
  ASSERT_EQ(trace.records().size(), plan.steps().size());
  for (size_t i = 0; i < trace.records().size(); ++i) {
    EXPECT_EQ(trace.records()[i].where, plan.steps()[i].where);
    EXPECT_EQ(trace.records()[i].flops, plan.steps()[i].flops);
    EXPECT_GE(trace.records()[i].milliseconds, 0);
  }
}

// What a step writes is what the tape has under the same name: PyTorch's value of that module. 1e-12 as above.
TEST(Plan, ShowsEveryValueThatItsStepsWrite) {
  auto backend = ref_backend();
  for (const bool bilinear : {false, true})
    for (const Shape& shape : {Shape{1, 32, 32, 3}, Shape{2, 31, 45, 3}}) {
      const auto network = random_network({.base = 2, .bilinear = bilinear}, 5);
      const Tensor x = random_tensor(shape, 6);
      Tape tape(*backend);
      std::vector<double> times;
      tape.time_operations(&times);
      network->forward(tape, tape.input(x));
      const std::vector<std::string> names = layer_names(tape.nodes());
      std::map<std::string, Tensor> values = {{"input", x}};
      uint64_t parameters = 0;
      for (size_t id = 0; id < names.size(); ++id)
        if (!names[id].empty()) { EXPECT_TRUE(values.emplace(names[id], tape.nodes()[id].value).second) << names[id]; }
      EXPECT_EQ(times.size() + 1, values.size());

      Plan plan(*network, *backend, shape);
      std::vector<std::string> seen;
      size_t steps = 0;
      const Tensor logits = plan.run_watched(x, [&](size_t step, double milliseconds, const auto& written) {
        EXPECT_EQ(step, steps++);
        EXPECT_GE(milliseconds, 0);
        parameters += plan.steps()[step].parameters;
        for (const Plan::Written& w : written) {
          ASSERT_TRUE(values.contains(w.name)) << w.name;
          EXPECT_LT(relative_error(w.value, values.at(w.name)), 1e-12) << w.name;
          seen.push_back(w.name);
        }
      });
      EXPECT_EQ(steps, plan.steps().size());
      EXPECT_EQ(seen.size(), 1u + 18 + 4 + 4);  // of the last convolution the head, not y; four are pooled besides
      EXPECT_EQ(seen[1], "inc.double_conv.2");
      EXPECT_EQ(seen[3], "down1.maxpool_conv.0");
      EXPECT_EQ(seen.back(), "outc.conv");
      const Tensor expected = plan.run(x);
      EXPECT_TRUE(std::ranges::equal(logits.values<double>(), expected.values<double>()));
      uint64_t learnt = 0;
      for (const Module::Keyed& k : network->parameters())
        if (k.parameter->trainable) learnt += static_cast<uint64_t>(k.parameter->shape().elements());
      EXPECT_EQ(parameters, learnt);
    }
}

// 192.670 GMAC at 512x512, base 64; convolutions and up-convolutions.
TEST(Tape, CountsThePublishedMultiplyAdds) {
  const auto network = build({.base = 64});
  Tape tape;
  network->forward(tape, tape.input(Shape{1, 512, 512, 3}));
  uint64_t flops = 0;
  for (const Node& node : tape.nodes()) {
    if (node.op != OpKind::conv2d && node.op != OpKind::upconv2x2) continue;
    std::vector<Shape> in;
    for (VarId id : node.in) in.push_back(tape.nodes()[static_cast<size_t>(id)].shape);
    flops += op_def(node.op).flops(node.attrs, in, node.shape);
  }
  EXPECT_NEAR(static_cast<double>(flops) / 2e9, 192.670, 0.0005);
}

TEST(Plan, RefusesWhatItCannotRun) {
  auto backend = ref_backend();
  const auto network = random_network({.base = 1}, 5);
  EXPECT_THROW(Plan(*network, *backend, {1, 15, 32, 3}), Error);
  EXPECT_THROW(Plan(*network, *backend, {1, 32, 32, 1}), Error);
  EXPECT_THROW(Plan(*network, *backend, {0, 32, 32, 3}), Error);
  EXPECT_THROW(Plan(*build({.base = 1}), *backend, {1, 32, 32, 3}), Error);  // nothing loaded
  Plan plan(*network, *backend, {1, 32, 32, 3});
  EXPECT_THROW(plan.run(random_tensor({1, 32, 33, 3}, 1)), Error);
  EXPECT_THROW(plan.run(Tensor({1, 32, 32, 3}, DType::f32)), Error);
}

}  // namespace
}  // namespace furrow
