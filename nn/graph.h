// Graph: a shape-only tape as the Plan's passes rewrite it: activations by number, weights beside the operation that
// uses them. A node may come to do several things at once; what it computes is always
//   y = act(norm(op(in)) + residual),  laid at (placement.top, placement.left) of a zero y where there is a placement;
//   pooled = 2x2 maximum of y;   head = head_w * y + head_b.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernels/planned.h"
#include "nn/network.h"
#include "nn/quantisation.h"

namespace furrow {

using ValueId = int;  // index into Graph::shapes; -1 is none

// Batch norm by running statistics: gamma * (x - mean) / sqrt(var + eps) + beta. Tensors {1,1,1,C}, the network's own.
struct Norm {
  Tensor gamma, beta, mean, var;
  double eps = 1e-5;
};

struct GraphNode {
  OpKind op = OpKind::leaf;
  Attrs attrs;
  std::vector<ValueId> in;
  ValueId y = -1, pooled = -1, head = -1;
  ValueId residual = -1;        // another value that is read; -1: none
  Tensor w, b, head_w, head_b;  // shared with the network, in its element type; empty where there is none
  std::optional<Norm> norm;
  Activation act = Activation::none;
  std::optional<PadAttrs> placement;
  std::vector<const Module*> modules;  // what it covers, in order
  uint64_t parameters = 0;             // of those modules: weights, biases, scales and shifts; no statistics
  bool in_bytes = false;               // computed from bytes
  std::string unpadded = {};           // what y was called before padding was merged into it
};

struct Graph {
  std::vector<GraphNode> nodes;           // in an order in which they can run
  std::vector<Shape> shapes;              // by ValueId
  std::vector<std::string> names;         // likewise (layer_names())
  std::vector<Quantised> quantised = {};  // likewise, how a value becomes bytes; empty: none does
  std::vector<bool> stored_bytes = {};    // likewise, whether it is stored so
  ValueId input = -1, output = -1;
  std::optional<Shape> cut;  // the result is the upper left part of `output`, of this shape; nothing: all of it
  std::optional<ResizeAttrs> resize = {};  // the result is `output` resized: bilinear, align_corners; nothing: as it is
  // How many times nodes read a value, plus one where it is the output.
  int readers(ValueId value) const;
  // The only node that reads a value, or -1.
  int only_reader(ValueId value) const;
};

// Names of the values of a tape, in its order; "" of leaves. A value is called after the module whose result it is in
// PyTorch ("down1.maxpool_conv.1.double_conv.2"); of an operation that a module with children records itself, ".pad" or
// what it does follows. Where a module runs more than once, ".2", ".3" follow from the second time on.
std::vector<std::string> layer_names(const std::vector<Node>& tape);
// Weights, biases, scales and shifts that an operation reads; running statistics are none.
uint64_t parameters_of(const Node& node, const std::vector<Node>& tape);

// The graph of network(x) for a dense input. Throws ErrorCode::unsupported for a size the network cannot take and
// ErrorCode::limit for one whose tensors would not fit 2^62 bytes.
Graph graph_of(const Network& network, const Shape& input);

// Weights of a conv2d or upconv2x2 node in float64, its norm folded in:
//   w' = w * gamma / sqrt(var + eps),   b' = beta + (b - mean) * gamma / sqrt(var + eps)
StepWeights folded_weights(const GraphNode& node);

// The planned step of a node; weights apart. Throws ErrorCode::unsupported where there is none.
Step planned_step(const GraphNode& node, const Graph& graph);
// "inc.double_conv.3+4+5 down1.maxpool_conv.0": full path, then the last names of siblings that follow.
std::string join_paths(const std::vector<const Module*>& modules);

// -- passes: each rewrites a graph into one that computes the same output (tests/nn/passes_test.cc)
// -----------------------

// A last operation that only cuts rows and columns off below and on the right: out of the nodes, into `cut`.
Graph take_cut(Graph graph);
// A last operation that only resizes the logits: out of the nodes, into `resize`. What is left ends at the small ones,
// which a head can write.
Graph take_resize(Graph graph);
// Batch norm into the convolution before it.
Graph fold_batch_norm(Graph graph);
// A bilinear resize behind the 1x1 convolution that follows it: both are linear, the weights of a resize add up to 1,
// so they commute, and the convolution of an up-sampled picture costs a quarter on the picture itself.
Graph sink_upsampling(Graph graph);
// An addition into the later of the two nodes that make its terms, where that is a convolution or a channel gate, as
// its residual.
Graph fuse_add(Graph graph);
// ReLU into the epilogue of the convolution before it.
Graph fuse_relu(Graph graph);
// Padding into the up-sampling before it, which then writes at an offset.
Graph merge_padding(Graph graph);
// 2x2 maximum as a second output of the convolution before it.
Graph fuse_pool(Graph graph);
// The final 1x1 convolution, of any number of classes, into the convolution before it.
Graph fuse_head(Graph graph);
// What is computed from bytes and stored so (nn/quantisation.h). The last pass: it looks at the steps that are left.
// The only one after which the graph computes something else.
Graph quantise(Graph graph, const Quantisation& quantisation);

}  // namespace furrow
