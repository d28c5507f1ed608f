// The pass that decides what is computed from bytes.
#include <algorithm>

#include "nn/graph.h"

namespace furrow {
namespace {

bool fits(const GraphNode& node, const Graph& graph) {
  if (node.op != OpKind::conv2d && node.op != OpKind::upconv2x2) return false;
  Step step = planned_step(node, graph);
  auto* conv = std::get_if<ConvStep>(&step);
  if (conv == nullptr) return fits_bytes(std::get<UpconvStep>(step));
  for (size_t i = 0; i < node.in.size(); ++i)  // the picture can be bytes where nothing else reads it
    conv->bytes.in_bytes[i] = node.in[i] == graph.input && graph.readers(graph.input) == 1;
  return fits_bytes(*conv);
}

// Nothing reads the value but steps that compute from bytes.
bool only_bytes_read(const Graph& graph, ValueId value) {
  if (value == graph.output) return false;
  return std::ranges::all_of(graph.nodes, [&](const GraphNode& node) {
    return node.residual != value && (node.in_bytes || std::ranges::find(node.in, value) == node.in.end());
  });
}

// Steps whose result may be stored as bytes: those in 8 bits, and a convolution of too few channels for that.
bool may_store(const GraphNode& node, const Graph& graph) {
  if (node.residual >= 0) return false;
  const bool first = node.op == OpKind::conv2d && graph.shapes[static_cast<size_t>(node.in[0])].c < kLeastByteChannels;
  return node.in_bytes || first;
}

}  // namespace

Graph quantise(Graph graph, const Quantisation& quantisation) {
  graph.quantised.resize(graph.shapes.size());
  graph.stored_bytes.resize(graph.shapes.size());
  const auto how = [&](ValueId v) -> Quantised& { return graph.quantised[static_cast<size_t>(v)]; };
  const auto look_up = [&](ValueId v, const std::string& name) {
    if (const auto found = quantisation.values.find(name); found != quantisation.values.end()) how(v) = found->second;
  };
  for (size_t v = 0; v < graph.names.size(); ++v) look_up(static_cast<ValueId>(v), graph.names[v]);
  how(graph.input) = {};
  look_up(graph.input, Quantisation::kPixels);
  for (const GraphNode& node : graph.nodes)  // padding is 0, whose byte is exact
    if (!node.unpadded.empty()) look_up(node.y, node.unpadded);
  for (const GraphNode& node : graph.nodes)  // a maximum is one of the bytes
    if (node.pooled >= 0 && how(node.y)) how(node.pooled) = how(node.y);
  for (GraphNode& node : graph.nodes)
    node.in_bytes = fits(node, graph) && std::ranges::all_of(node.in, [&](ValueId v) { return bool(how(v)); }) &&
                    !quantisation.floats.contains(node.modules.front()->path());
  if (how(graph.input) && only_bytes_read(graph, graph.input))
    graph.stored_bytes[static_cast<size_t>(graph.input)] = true;
  for (const GraphNode& node : graph.nodes) {
    const auto storable = [&](ValueId v) {
      return v < 0 || graph.readers(v) == 0 ||
             (graph.shapes[static_cast<size_t>(v)].c >= kLeastByteChannels && only_bytes_read(graph, v));
    };
    if (!may_store(node, graph) || !how(node.y) || !storable(node.y) || !storable(node.pooled)) continue;
    for (const ValueId v : {node.y, node.pooled})
      if (v >= 0 && graph.readers(v) > 0) graph.stored_bytes[static_cast<size_t>(v)] = true;
  }
  return graph;
}

}  // namespace furrow
