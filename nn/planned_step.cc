// What step a node of a Graph is.
#include "nn/graph.h"

namespace furrow {
namespace {

StepBytes step_bytes(const GraphNode& node, const Graph& graph) {
  StepBytes out;
  if (graph.quantised.empty()) return out;
  const auto stored = [&](ValueId v) { return v >= 0 && graph.stored_bytes[static_cast<size_t>(v)]; };
  for (size_t i = 0; node.in_bytes && i < node.in.size(); ++i) {
    out.x[i] = graph.quantised[static_cast<size_t>(node.in[i])];
    out.in_bytes[i] = stored(node.in[i]);
  }
  if (stored(node.y) || stored(node.pooled)) out.y = graph.quantised[static_cast<size_t>(node.y)];
  return out;
}

}  // namespace

std::string join_paths(const std::vector<const Module*>& modules) {
  std::string out, parent;
  const Module* before = nullptr;
  for (const Module* m : modules) {
    if (m == before) continue;  // two operations of its own
    before = m;
    const std::string path = m->path();
    const size_t dot = path.rfind('.');
    const std::string above = dot == std::string::npos ? "" : path.substr(0, dot);
    const std::string last = dot == std::string::npos ? path : path.substr(dot + 1);
    if (out.empty())
      out = path;
    else
      out += above == parent ? "+" + last : " " + path;
    parent = above;
  }
  return out;
}

Step planned_step(const GraphNode& node, const Graph& graph) {
  const auto shape = [&](ValueId v) { return graph.shapes.at(static_cast<size_t>(v)); };
  const PadAttrs at = node.placement.value_or(PadAttrs{});
  const StepBytes bytes = step_bytes(node, graph);
  switch (node.op) {
    case OpKind::conv2d: {
      ConvStep step;
      step.x[0] = shape(node.in[0]);
      step.x[1] = node.in.size() > 1 ? shape(node.in[1]) : Shape{0, 0, 0, 0};
      step.oc = node.w.shape().n;
      step.geometry = std::get<ConvAttrs>(node.attrs).geometry;
      step.act = node.act;
      step.store_y = graph.readers(node.y) > 0;
      step.pool = node.pooled >= 0;
      step.head = node.head >= 0 ? node.head_w.shape().n : 0;
      step.residual = node.residual >= 0;
      step.bytes = bytes;
      return step;
    }
    case OpKind::upconv2x2: return UpconvStep{shape(node.in[0]), shape(node.y), at.top, at.left, bytes};
    case OpKind::upsample_bilinear: {
      const auto& size = std::get<ResizeAttrs>(node.attrs);
      return UpsampleStep{shape(node.in[0]), size.h, size.w, shape(node.y), at.top, at.left};
    }
    case OpKind::max_pool2x2: return PoolStep{shape(node.in[0])};
    case OpKind::max_pool3x3: return PoolStep{shape(node.in[0]), 3};
    case OpKind::gate: return GateStep{shape(node.in[0])};
    case OpKind::upsample_nearest: {
      const auto& size = std::get<ResizeAttrs>(node.attrs);
      return NearestStep{shape(node.in[0]), size.h, size.w};
    }
    case OpKind::global_mean: return MeanStep{shape(node.in[0])};
    case OpKind::channel_gate: return ChannelGateStep{shape(node.in[0]), node.residual >= 0};
    default: break;
  }
  throw Error(ErrorCode::unsupported,
              "no planned step for " + std::string(op_def(node.op).name) + " at " + join_paths(node.modules));
}

}  // namespace furrow
