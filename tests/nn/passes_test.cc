#include "nn/graph.h"
#include "nn/layers.h"
#include "tests/nn/graph_eval.h"
#include "tests/nn/support.h"

namespace furrow {
namespace {

int count(const Graph& graph, OpKind op) {
  return static_cast<int>(std::ranges::count_if(graph.nodes, [&](const GraphNode& n) { return n.op == op; }));
}

using Pass = Graph (*)(Graph);
struct Stage {
  const char* name;
  Pass pass;
  OpKind gone;
  int left;
};  // `left` nodes of kind `gone` remain

// 1e-12: folding multiplies the weights by gamma/sqrt(var+eps) before the sum instead of after it, in float64.
TEST(Passes, KeepTheOutputAndRemoveWhatTheySay) {
  auto backend = ref_backend();
  const Stage stages[] = {{"fold_batch_norm", fold_batch_norm, OpKind::batch_norm, 0},
                          {"fuse_relu", fuse_relu, OpKind::relu, 0},
                          {"merge_padding", merge_padding, OpKind::pad, 0},
                          {"fuse_pool", fuse_pool, OpKind::max_pool2x2, 0},
                          {"fuse_head", fuse_head, OpKind::conv2d, 18}};
  for (const bool bilinear : {false, true}) {
    const auto network = random_network({.base = 2, .classes = 3, .bilinear = bilinear}, 5);
    const Tensor x = random_tensor({2, 47, 51, 3}, 6);
    Tape tape(*backend);
    const Tensor expected = network->forward(tape, tape.input(x)).value();
    Graph graph = graph_of(*network, x.shape());
    EXPECT_EQ(count(graph, OpKind::pad), 4);  // 47 rows: an odd size at every level
    EXPECT_EQ(relative_error(GraphEvaluator(graph, *backend)(x), expected), 0);
    for (const Stage& stage : stages) {
      graph = stage.pass(std::move(graph));
      EXPECT_EQ(count(graph, stage.gone), stage.left) << stage.name;
      EXPECT_LT(relative_error(GraphEvaluator(graph, *backend)(x), expected), 1e-12) << stage.name;
    }
    EXPECT_EQ(graph.nodes.size(), 18u + 4);
    for (const Stage& stage : stages) {  // each alone, on a fresh graph
      const Graph alone = stage.pass(graph_of(*network, x.shape()));
      EXPECT_LT(relative_error(GraphEvaluator(alone, *backend)(x), expected), 1e-12) << stage.name << " alone";
    }
  }
}

TEST(Passes, OfGatesAndBottlenecksKeepTheOutput) {
  auto backend = ref_backend();
  const Stage stages[] = {{"take_cut", take_cut, OpKind::leaf, 0},
                          {"fold_batch_norm", fold_batch_norm, OpKind::batch_norm, 0},
                          {"sink_upsampling", sink_upsampling, OpKind::upsample_bilinear, 4},
                          {"fuse_add", fuse_add, OpKind::add, 0},
                          {"fuse_relu", fuse_relu, OpKind::relu, 0},
                          {"merge_padding", merge_padding, OpKind::pad, 0},
                          {"fuse_pool", fuse_pool, OpKind::max_pool2x2, 0},
                          {"fuse_head", fuse_head, OpKind::leaf, 0}};
  for (const char* family : {"attention-unet", "resnet50-attention-unet"}) {
    const auto network = random_network({family, 2, 3, 2, false}, 5);
    const Tensor x = random_tensor({2, 47, 51, 3}, 6);
    Tape tape(*backend);
    const Tensor expected = network->forward(tape, tape.input(x)).value();
    Graph graph = graph_of(*network, x.shape());
    EXPECT_EQ(relative_error(GraphEvaluator(graph, *backend)(x), expected), 0);
    for (const Stage& stage : stages) {
      graph = stage.pass(std::move(graph));
      EXPECT_EQ(count(graph, stage.gone), stage.left) << stage.name;
      EXPECT_LT(relative_error(GraphEvaluator(graph, *backend)(x), expected), 1e-12) << stage.name;
      const Graph alone = stage.pass(graph_of(*network, x.shape()));
      EXPECT_LT(relative_error(GraphEvaluator(alone, *backend)(x), expected), 1e-12) << stage.name << " alone";
    }
    EXPECT_EQ(graph.cut.has_value(), network->architecture().resnet());  // 47 rows: up5 ends at 48
    for (const GraphNode& node : graph.nodes)                            // each gate's g at its own, smaller size
      if (node.op == OpKind::upsample_bilinear) {
        EXPECT_LT(graph.shapes[static_cast<size_t>(node.in[0])].h, 48);
        EXPECT_EQ(graph.shapes[static_cast<size_t>(node.in[0])].c, graph.shapes[static_cast<size_t>(node.y)].c);
      }
  }
}

TEST(Passes, OfTheFaceParserKeepTheOutput) {
  auto backend = ref_backend();
  const Stage stages[] = {{"take_cut", take_cut, OpKind::pad, 0},
                          {"take_resize", take_resize, OpKind::upsample_bilinear, 0},
                          {"fold_batch_norm", fold_batch_norm, OpKind::batch_norm, 0},
                          {"fuse_add", fuse_add, OpKind::add, 0},
                          {"fuse_relu", fuse_relu, OpKind::relu, 0},
                          {"fuse_head", fuse_head, OpKind::conv2d, 31}};
  const auto network = random_network({"bisenet", 2, 3, 19}, 5);
  const Tensor x = random_tensor({2, 47, 51, 3}, 6);
  Tape tape(*backend);
  const Tensor expected = network->forward(tape, tape.input(x)).value();
  Graph graph = graph_of(*network, x.shape());
  EXPECT_EQ(relative_error(GraphEvaluator(graph, *backend)(x), expected), 0);
  for (const Stage& stage : stages) {
    graph = stage.pass(std::move(graph));
    EXPECT_EQ(count(graph, stage.gone), stage.left) << stage.name;
    EXPECT_LT(relative_error(GraphEvaluator(graph, *backend)(x), expected), 1e-12) << stage.name;
    const Graph alone = stage.pass(graph_of(*network, x.shape()));
    EXPECT_LT(relative_error(GraphEvaluator(alone, *backend)(x), expected), 1e-12) << stage.name << " alone";
  }
  ASSERT_TRUE(graph.resize.has_value());
  EXPECT_EQ(graph.resize->h, 47);
  EXPECT_EQ(graph.shapes[static_cast<size_t>(graph.output)], (Shape{2, 6, 7, 19}));
}

// A network in which nearly every fusion would be wrong: each convolution's plain result has a second reader.
class Branchy : public Network {
 public:
  Branchy() { initialise(3, DType::f64); }
  Var forward(Tape& tape, Var x) const override {
    const Var a = conv_.forward(tape, x);
    const Var n = norm_.forward(tape, a);
    const Var r = relu_.forward(tape, a);
    const Var mixed = mix_.forward(tape, n, r);  // reads norm(a) and relu(a)
    const Var up = up_.forward(tape, mixed);
    const Var padded = tape.record(OpKind::pad, PadAttrs{-1, 1, 2 * x.shape().h, 2 * x.shape().w}, {up}, this);
    const Var joined = join_.forward(tape, up, padded);  // reads the padded and the plain
    return last_.forward(tape, relu_.forward(tape, joined));
  }
  const Architecture& architecture() const override { return architecture_; }
  int64_t min_side() const override { return 2; }

 private:
  Architecture architecture_;
  Conv2dLayer conv_{this, "conv", {.in = 2, .out = 3, .bias = true}};
  BatchNorm2dLayer norm_{this, "norm", 3};
  ReluLayer relu_{this, "relu"};
  Conv2dLayer mix_{this, "mix", {.in = 6, .out = 4}};
  ConvTranspose2dLayer up_{this, "up", 4, 2};
  Conv2dLayer join_{this, "join", {.in = 4, .out = 3}};
  Conv2dLayer last_{this, "last", {.in = 3, .out = 2, .kernel = 3}};  // not a 1x1: no head
};

TEST(Passes, LeaveAloneWhatHasASecondReader) {
  auto backend = ref_backend();
  const Branchy network;
  const Tensor x = random_tensor({1, 6, 5, 2}, 7);
  Tape tape(*backend);
  const Tensor expected = network.forward(tape, tape.input(x)).value();
  Graph graph = fuse_head(fuse_pool(merge_padding(fuse_relu(fold_batch_norm(graph_of(network, x.shape()))))));
  EXPECT_EQ(count(graph, OpKind::batch_norm), 1);
  EXPECT_EQ(count(graph, OpKind::relu), 1);  // of `a`; the one after `join` is fused
  EXPECT_EQ(count(graph, OpKind::pad), 1);
  EXPECT_EQ(count(graph, OpKind::conv2d), 4);
  EXPECT_LT(relative_error(GraphEvaluator(graph, *backend)(x), expected), 1e-13);
}

// Terms of a sum, and a picture that is resized: each has a second reader, or a convolution that is not 1x1.
class Summing : public Network {
 public:
  Summing() { initialise(3, DType::f64); }
  Var forward(Tape& tape, Var x) const override {
    const Var a = conv_.forward(tape, x), b = other_.forward(tape, x);
    const Var sum = tape.record(OpKind::add, NoAttrs{}, {a, b}, this);      // b has a second reader
    const Var again = tape.record(OpKind::add, NoAttrs{}, {sum, b}, this);  // neither term is a convolution
    const Var twice = up_.forward(tape, again);
    const Var wide = wide_.forward(tape, twice), point = point_.forward(tape, twice);
    return last_.forward(tape, tape.record(OpKind::add, NoAttrs{}, {point, wide}, this));
  }
  const Architecture& architecture() const override { return architecture_; }
  int64_t min_side() const override { return 2; }

 private:
  Architecture architecture_;
  Conv2dLayer conv_{this, "conv", {.in = 2, .out = 3, .bias = true}};
  Conv2dLayer other_{this, "other", {.in = 2, .out = 3}};
  UpsampleLayer up_{this, "up"};
  Conv2dLayer wide_{this, "wide", {.in = 3, .out = 2}};
  Conv2dLayer point_{this, "point", {.in = 3, .out = 2, .kernel = 1, .pad = 0, .bias = true}};
  Conv2dLayer last_{this, "last", {.in = 2, .out = 1, .kernel = 1, .pad = 0}};
};

TEST(Passes, AddOnlyWhereTheLaterTermIsAConvolutionOfItsOwn) {
  auto backend = ref_backend();
  const Summing network;
  const Tensor x = random_tensor({1, 6, 5, 2}, 7);
  Tape tape(*backend);
  const Tensor expected = network.forward(tape, tape.input(x)).value();
  Graph graph = fuse_head(fuse_relu(fuse_add(sink_upsampling(graph_of(network, x.shape())))));
  EXPECT_EQ(count(graph, OpKind::add), 2);     // the third goes into the later of `wide` and `point`
  EXPECT_EQ(count(graph, OpKind::conv2d), 5);  // no head after a residual
  EXPECT_LT(relative_error(GraphEvaluator(graph, *backend)(x), expected), 1e-13);
}

TEST(FoldedWeights, FollowTheFormulaInFloat64) {
  Module root;
  Conv2dLayer conv(&root, "conv", {.in = 2, .out = 3, .bias = true});
  BatchNorm2dLayer norm(&root, "norm", 3);
  root.initialise(1, DType::f32);
  const auto p = root.parameters();  // weight, bias; gamma, beta, mean, var
  for (size_t i = 2; i < 6; ++i) p[i].parameter->value = random_tensor({1, 1, 1, 3}, i, 0.5, 1.5).to(DType::f32);
  const auto value = [&](size_t i, size_t at) {
    return static_cast<double>(p[i].parameter->value.values<float>()[at]);
  };
  const auto tensor = [&](size_t i) { return p[i].parameter->value; };
  const GraphNode node{
      .op = OpKind::conv2d, .w = tensor(0), .b = tensor(1), .norm = Norm{tensor(2), tensor(3), tensor(4), tensor(5)}};
  const StepWeights folded = folded_weights(node);
  for (size_t oc = 0; oc < 3; ++oc) {
    const double scale = value(2, oc) / std::sqrt(value(5, oc) + 1e-5);
    EXPECT_DOUBLE_EQ(folded.b.values<double>()[oc], value(3, oc) + (value(1, oc) - value(4, oc)) * scale);
    for (size_t i = 0; i < 18; ++i)
      EXPECT_DOUBLE_EQ(folded.w.values<double>()[oc * 18 + i], value(0, oc * 18 + i) * scale);
  }
}

TEST(Graph, RefusesSizesBeyondAnyMemory) {
  const auto network = random_network({.base = 1}, 1);
  EXPECT_THROW(graph_of(*network, {1, int64_t{1} << 31, int64_t{1} << 31, 3}), Error);
  EXPECT_THROW(graph_of(*network, {1, int64_t{1} << 40, int64_t{1} << 40, 3}), Error);
  EXPECT_THROW(graph_of(*network, {0, 32, 32, 3}), Error);
}

}  // namespace
}  // namespace furrow
