// The Plan's passes over a Graph (nn/graph.h).
#include <algorithm>

#include "nn/graph.h"

namespace furrow {
namespace {

// Position of the node whose y is `value`, or -1.
int producer(const Graph& graph, ValueId value) {
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    if (graph.nodes[i].y == value) return static_cast<int>(i);
  return -1;
}

// For every node that `wanted` and has one input, asks `merge` to take it into the node that produces that input; where
// merge says yes, the node is gone and its producer covers its modules too.
template <class Wanted, class Merge>
Graph fuse(Graph graph, Wanted wanted, Merge merge) {
  for (size_t i = 0; i < graph.nodes.size();) {
    const GraphNode& node = graph.nodes[i];
    const int before = wanted(node) && node.in.size() == 1 ? producer(graph, node.in[0]) : -1;
    if (before < 0 || !merge(graph, graph.nodes[static_cast<size_t>(before)], node)) {
      ++i;
      continue;
    }
    auto& modules = graph.nodes[static_cast<size_t>(before)].modules;
    graph.nodes[static_cast<size_t>(before)].parameters += node.parameters;
    modules.insert(modules.end(), node.modules.begin(), node.modules.end());
    graph.nodes.erase(graph.nodes.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return graph;
}

bool is(const GraphNode& node, OpKind op) { return node.op == op; }

constexpr ConvGeometry kPointwise{1, 1, 1, 0};

// Nothing but the plain operation yet, so that something may follow it inside the same node.
bool ends_plain(const GraphNode& node) {
  return node.act == Activation::none && !node.placement && node.pooled < 0 && node.head < 0;
}

}  // namespace

Graph take_cut(Graph graph) {
  if (graph.nodes.empty()) return graph;
  const GraphNode& last = graph.nodes.back();
  if (!is(last, OpKind::pad) || last.y != graph.output || graph.readers(last.y) != 1) return graph;
  const auto& pad = std::get<PadAttrs>(last.attrs);
  const Shape& whole = graph.shapes[static_cast<size_t>(last.in[0])];
  if (pad.top != 0 || pad.left != 0 || pad.h > whole.h || pad.w > whole.w) return graph;
  graph.cut = graph.shapes[static_cast<size_t>(last.y)];
  graph.output = last.in[0];
  graph.nodes.pop_back();
  return graph;
}

Graph take_resize(Graph graph) {
  if (graph.nodes.empty() || graph.cut) return graph;
  const GraphNode& last = graph.nodes.back();
  if (!is(last, OpKind::upsample_bilinear) || last.y != graph.output || graph.readers(last.y) != 1) return graph;
  graph.resize = std::get<ResizeAttrs>(last.attrs);
  graph.output = last.in[0];
  graph.nodes.pop_back();
  return graph;
}

Graph fold_batch_norm(Graph graph) {
  return fuse(
      std::move(graph), [](const GraphNode& n) { return is(n, OpKind::batch_norm); },
      [](const Graph& g, GraphNode& before, const GraphNode& norm) {
        const bool conv = is(before, OpKind::conv2d) || is(before, OpKind::upconv2x2);
        if (!conv || before.norm || before.residual >= 0 || !ends_plain(before) || g.only_reader(before.y) < 0)
          return false;
        before.norm = norm.norm;
        before.y = norm.y;
        return true;
      });
}

Graph sink_upsampling(Graph graph) {
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    GraphNode& conv = graph.nodes[i];
    if (!is(conv, OpKind::conv2d) || conv.in.size() != 1 || !ends_plain(conv) || conv.residual >= 0 ||
        std::get<ConvAttrs>(conv.attrs).geometry != kPointwise)
      continue;
    const int before = producer(graph, conv.in[0]);
    if (before < 0 || graph.only_reader(conv.in[0]) < 0) continue;
    GraphNode& resize = graph.nodes[static_cast<size_t>(before)];
    if (!is(resize, OpKind::upsample_bilinear) || resize.placement) continue;
    // The value between them changes: it is what the convolution makes of the small picture.
    const ValueId small = resize.in[0], between = resize.y, result = conv.y;
    Shape shape = graph.shapes[static_cast<size_t>(small)];
    shape.c = graph.shapes[static_cast<size_t>(result)].c;
    graph.shapes[static_cast<size_t>(between)] = shape;
    graph.names[static_cast<size_t>(between)] = graph.names[static_cast<size_t>(result)] + ".small";
    conv.in[0] = small;
    conv.y = between;
    resize.in[0] = between;
    resize.y = result;
    std::swap(conv, resize);  // each now stands where its input is there; nobody else knew the value between them
  }
  return graph;
}

Graph fuse_add(Graph graph) {
  for (size_t i = 0; i < graph.nodes.size(); ++i) {
    const GraphNode add = graph.nodes[i];
    if (!is(add, OpKind::add)) continue;
    const int first = producer(graph, add.in[0]), second = producer(graph, add.in[1]);
    const bool swapped = first > second;
    const int last = std::max(first, second);
    if (last < 0) continue;
    GraphNode& node = graph.nodes[static_cast<size_t>(last)];
    const bool takes = is(node, OpKind::conv2d) || is(node, OpKind::channel_gate);
    if (!takes || !ends_plain(node) || node.residual >= 0 || graph.only_reader(node.y) < 0) continue;
    node.residual = add.in[swapped ? 1 : 0];
    node.y = add.y;
    node.modules.insert(node.modules.end(), add.modules.begin(), add.modules.end());
    graph.nodes.erase(graph.nodes.begin() + static_cast<std::ptrdiff_t>(i--));
  }
  return graph;
}

Graph fuse_relu(Graph graph) {
  return fuse(
      std::move(graph), [](const GraphNode& n) { return is(n, OpKind::relu); },
      [](const Graph& g, GraphNode& before, const GraphNode& relu) {
        if (!is(before, OpKind::conv2d) || !ends_plain(before) || g.only_reader(before.y) < 0) return false;
        before.act = Activation::relu;
        before.y = relu.y;
        return true;
      });
}

Graph merge_padding(Graph graph) {
  return fuse(
      std::move(graph), [](const GraphNode& n) { return is(n, OpKind::pad); },
      [](const Graph& g, GraphNode& before, const GraphNode& pad) {
        const bool up = is(before, OpKind::upconv2x2) || is(before, OpKind::upsample_bilinear);
        if (!up || !ends_plain(before) || g.only_reader(before.y) < 0) return false;
        before.placement = std::get<PadAttrs>(pad.attrs);
        before.unpadded = g.names[static_cast<size_t>(before.y)];
        before.y = pad.y;
        return true;
      });
}

Graph fuse_pool(Graph graph) {
  return fuse(
      std::move(graph), [](const GraphNode& n) { return is(n, OpKind::max_pool2x2); },
      [](const Graph&, GraphNode& before, const GraphNode& pool) {
        if (!is(before, OpKind::conv2d) || before.pooled >= 0 || before.residual >= 0) return false;
        before.pooled = pool.y;
        return true;
      });
}

Graph fuse_head(Graph graph) {
  const auto head = [output = graph.output](const GraphNode& n) {
    return is(n, OpKind::conv2d) && n.y == output && ends_plain(n) && !n.norm &&
           std::get<ConvAttrs>(n.attrs).geometry == kPointwise && n.residual < 0;
  };
  return fuse(std::move(graph), head, [](const Graph&, GraphNode& before, const GraphNode& last) {
    if (!is(before, OpKind::conv2d) || before.head >= 0 || before.residual >= 0) return false;
    before.head = last.y;
    before.head_w = last.w;
    before.head_b = last.b;
    return true;
  });
}

}  // namespace furrow
