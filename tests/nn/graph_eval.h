// Runs a Graph at any stage of its rewriting, one plain back-end operation after another: what a pass must not change.
#pragma once

#include <map>

#include "nn/graph.h"

namespace furrow {

class GraphEvaluator {
 public:
  GraphEvaluator(const Graph& graph, Backend& backend) : graph_(graph), backend_(backend) {}

  Tensor operator()(const Tensor& input) {
    values_[graph_.input] = input;
    for (const GraphNode& node : graph_.nodes) run(node);
    const Tensor& last = values_.at(graph_.output);
    if (graph_.resize) {
      Tensor resized = make({last.shape().n, graph_.resize->h, graph_.resize->w, last.shape().c});
      backend_.upsample_bilinear(last, resized);
      return resized;
    }
    if (!graph_.cut) return last;
    Tensor part = make(*graph_.cut);
    backend_.pad(last, 0, 0, part, Grad::overwrite);
    return part;
  }

 private:
  Tensor make(Shape shape) const { return Tensor(shape, backend_.dtype()); }

  // The operation alone, weights with norm folded in.
  Tensor plain(const GraphNode& node) {
    const Tensor& x = values_.at(node.in[0]);
    const Shape& s = x.shape();
    Tensor y;
    if (node.op == OpKind::conv2d) {
      const StepWeights weights = folded_weights(node);
      const ConvGeometry g = std::get<ConvAttrs>(node.attrs).geometry;
      y = make({s.n, g.out(s.h, g.kernel_h), g.out(s.w, g.kernel_w), weights.w.shape().n});
      backend_.conv2d({.x0 = &x,
                       .x1 = node.in.size() > 1 ? &values_.at(node.in[1]) : nullptr,
                       .w = &weights.w,
                       .b = &weights.b,
                       .geometry = g,
                       .act = node.residual < 0 ? node.act : Activation::none},
                      y);
      if (node.residual >= 0) backend_.add(y, values_.at(node.residual), y);
      if (node.residual >= 0 && node.act == Activation::relu) backend_.relu(y, y);
    } else if (node.op == OpKind::upconv2x2) {
      const StepWeights weights = folded_weights(node);
      y = make({s.n, 2 * s.h, 2 * s.w, weights.w.shape().n});
      backend_.upconv2x2(x, weights.w, &weights.b, y);
    } else if (node.op == OpKind::upsample_bilinear) {
      const auto size = std::get<ResizeAttrs>(node.attrs);
      y = make({s.n, size.h, size.w, s.c});
      backend_.upsample_bilinear(x, y);
    } else if (node.op == OpKind::batch_norm) {
      y = make(s);
      backend_.batch_norm(x, node.norm->gamma, node.norm->beta, {&node.norm->mean, &node.norm->var, node.norm->eps}, y);
    } else if (node.op == OpKind::relu) {
      y = make(s);
      backend_.relu(x, y);
    } else if (node.op == OpKind::add) {
      backend_.add(x, values_.at(node.in[1]), y = make(s));
    } else if (node.op == OpKind::gate) {
      backend_.gate(x, values_.at(node.in[1]), y = make(s));
    } else if (node.op == OpKind::channel_gate) {
      backend_.channel_gate(x, values_.at(node.in[1]), y = make(s));
      if (node.residual >= 0) backend_.add(y, values_.at(node.residual), y);
    } else if (node.op == OpKind::global_mean) {
      backend_.global_mean(x, y = make({s.n, 1, 1, s.c}));
    } else if (node.op == OpKind::upsample_nearest) {
      const auto size = std::get<ResizeAttrs>(node.attrs);
      backend_.upsample_nearest(x, y = make({s.n, size.h, size.w, s.c}));
    } else if (node.op == OpKind::max_pool3x3) {
      backend_.max_pool3x3(x, y = make({s.n, (s.h + 1) / 2, (s.w + 1) / 2, s.c}));
    } else if (node.op == OpKind::max_pool2x2) {
      y = make({s.n, s.h / 2, s.w / 2, s.c});
      backend_.max_pool2x2(x, y);
    } else {
      const auto at = std::get<PadAttrs>(node.attrs);
      y = make({s.n, at.h, at.w, s.c});
      backend_.pad(x, at.top, at.left, y, Grad::overwrite);
    }
    return y;
  }

  void run(const GraphNode& node) {
    Tensor y = plain(node);
    if (node.placement) {
      Tensor larger = make({y.shape().n, node.placement->h, node.placement->w, y.shape().c});
      backend_.pad(y, node.placement->top, node.placement->left, larger, Grad::overwrite);
      y = larger;
    }
    if (node.pooled >= 0) {
      const Shape& s = y.shape();
      backend_.max_pool2x2(y, values_[node.pooled] = make({s.n, s.h / 2, s.w / 2, s.c}));
    }
    if (node.head >= 0) {
      const StepWeights weights = folded_weights(node);
      const Shape& s = y.shape();
      backend_.conv2d({.x0 = &y, .w = &weights.head_w, .b = &weights.head_b, .geometry = {1, 1, 1, 0}},
                      values_[node.head] = make({s.n, s.h, s.w, weights.head_w.shape().n}));
    }
    values_[node.y] = y;
  }

  const Graph& graph_;
  Backend& backend_;
  std::map<ValueId, Tensor> values_;
};

}  // namespace furrow
