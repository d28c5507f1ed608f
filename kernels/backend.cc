// Planned steps for a back-end that has none of its own: dense buffers and the operations of the page, one after
// another.
#include "kernels/backend.h"

#include <algorithm>

#include "kernels/checked.h"

namespace furrow {
namespace {

constexpr ConvGeometry kPointwise{1, 1, 1, 0};

class EagerWeights : public Packed {
 public:
  EagerWeights(const StepWeights& from, DType type)
      : weights{converted(from.w, type), converted(from.b, type), converted(from.head_w, type),
                converted(from.head_b, type)} {}
  size_t bytes() const override {
    return weights.w.bytes() + weights.b.bytes() + weights.head_w.bytes() + weights.head_b.bytes();
  }
  StepWeights weights;

 private:
  static Tensor converted(const Tensor& t, DType type) { return t.empty() ? Tensor() : t.to(type); }
};

const StepWeights& weights_of(const Packed* packed) {
  const auto* eager = dynamic_cast<const EagerWeights*>(packed);
  require(eager != nullptr, "Backend::run: weights that this back-end did not prepare");
  return eager->weights;
}

// The shape of the result before it is laid into y; equal to y where it fills it.
Shape whole(const UpconvStep& s) { return {s.x.n, 2 * s.x.h, 2 * s.x.w, s.y.c}; }
Shape whole(const UpsampleStep& s) { return {s.x.n, s.h, s.w, s.x.c}; }
template <class S>
bool fills(const S& s) {
  return s.top == 0 && s.left == 0 && whole(s) == s.y;
}

// What a step computes but does not keep: y where nothing reads it, a resized picture before it is laid into its frame.
Shape scratch(const Step& step) {
  constexpr Shape kNone{0, 0, 0, 0};
  if (const auto* conv = std::get_if<ConvStep>(&step)) return conv->store_y ? kNone : conv->y();
  if (const auto* up = std::get_if<UpconvStep>(&step)) return fills(*up) ? kNone : whole(*up);
  if (const auto* up = std::get_if<UpsampleStep>(&step)) return fills(*up) ? kNone : whole(*up);
  return kNone;
}

size_t dense_bytes(const Shape& s, DType type) {
  return (Checked::from_signed(s.n) * Checked::from_signed(s.h) * Checked::from_signed(s.w) *
          Checked::from_signed(s.c) * size_of(type))
      .size();
}

void copy_values(const Tensor& from, Tensor to) {
  if (from.dtype() == DType::f64)
    std::ranges::copy(from.values<double>(), to.values<double>().begin());
  else
    std::ranges::copy(from.values<float>(), to.values<float>().begin());
}

// One step on dense buffers of the back-end's type.
struct Runner {
  Backend& backend;
  const Packed* packed;
  const StepBuffers& buffers;

  Tensor view(const Placed& placed, const Shape& expected) const {
    require(placed.data != nullptr && placed.shape == expected, "Backend::run: a buffer of another shape");
    return Tensor(expected, backend.dtype(), placed.data, nullptr);
  }
  // Where a whole result goes: straight to `to`, or to the workspace.
  Tensor target(bool direct, const Placed& to, const Shape& shape) const {
    if (direct) return view(to, shape);
    require(buffers.workspace != nullptr, "Backend::run: no workspace");
    return Tensor(shape, backend.dtype(), buffers.workspace, nullptr);
  }

  void operator()(const ConvStep& s) const {
    const StepWeights& weights = weights_of(packed);
    const bool two = s.x[1].c > 0;
    const Tensor x0 = view(buffers.x[0], s.x[0]), x1 = two ? view(buffers.x[1], s.x[1]) : Tensor();
    Tensor y = target(s.store_y, buffers.y, s.y());
    backend.conv2d({.x0 = &x0,
                    .x1 = two ? &x1 : nullptr,
                    .w = &weights.w,
                    .b = &weights.b,
                    .geometry = s.geometry,
                    .act = s.residual ? Activation::none : s.act},
                   y);
    if (s.residual) {
      backend.add(y, view(buffers.residual, s.y()), y);
      if (s.act == Activation::relu) backend.relu(y, y);
    }
    if (s.pool) {
      Tensor pooled = view(buffers.pooled, PoolStep{s.y()}.y());
      backend.max_pool2x2(y, pooled);
    }
    if (s.head > 0) {
      Tensor head = buffers.head;
      require(head.shape() == Shape{s.y().n, s.y().h, s.y().w, s.head}, "Backend::run: head shape");
      backend.conv2d({.x0 = &y, .w = &weights.head_w, .b = &weights.head_b, .geometry = kPointwise}, head);
    }
  }

  void operator()(const UpconvStep& s) const {
    const StepWeights& weights = weights_of(packed);
    const Tensor x = view(buffers.x[0], s.x);
    Tensor y = target(fills(s), buffers.y, whole(s));
    backend.upconv2x2(x, weights.w, &weights.b, y);
    lay(s, y);
  }

  void operator()(const UpsampleStep& s) const {
    const Tensor x = view(buffers.x[0], s.x);
    Tensor y = target(fills(s), buffers.y, whole(s));
    backend.upsample_bilinear(x, y);
    lay(s, y);
  }

  void operator()(const PoolStep& s) const {
    const Tensor x = view(buffers.x[0], s.x);
    Tensor y = view(buffers.y, s.y());
    if (s.window == 3)
      backend.max_pool3x3(x, y);
    else
      backend.max_pool2x2(x, y);
  }

  void operator()(const GateStep& s) const {
    Tensor y = view(buffers.y, s.x);
    backend.gate(view(buffers.x[0], s.x), view(buffers.x[1], s.z()), y);
  }

  void operator()(const NearestStep& s) const {
    Tensor y = view(buffers.y, s.y());
    backend.upsample_nearest(view(buffers.x[0], s.x), y);
  }

  void operator()(const MeanStep& s) const {
    Tensor y = view(buffers.y, s.y());
    backend.global_mean(view(buffers.x[0], s.x), y);
  }

  void operator()(const ChannelGateStep& s) const {
    Tensor y = view(buffers.y, s.x);
    backend.channel_gate(view(buffers.x[0], s.x), view(buffers.x[1], s.z()), y);
    if (s.residual) backend.add(y, view(buffers.residual, s.x), y);
  }

  // Puts the whole result at its place in a zero y, unless it is there already.
  template <class S>
  void lay(const S& s, const Tensor& result) const {
    if (fills(s)) return;
    Tensor y = view(buffers.y, s.y);
    backend.pad(result, s.top, s.left, y, Grad::overwrite);
  }
};

}  // namespace

size_t Backend::placed_bytes(const Shape& shape) const { return dense_bytes(shape, dtype()); }

size_t Backend::placed_bytes_of_bytes(const Shape&) const {
  throw Error(ErrorCode::internal, "Backend::placed_bytes_of_bytes: this back-end has no bytes");
}

void Backend::place(const Tensor& dense, const Placed& to) {
  require(dense.shape() == to.shape && dense.dtype() == dtype() && to.data != nullptr, "Backend::place: shape or type");
  copy_values(dense, Tensor(to.shape, dtype(), to.data, nullptr));
}

void Backend::unplace(const Placed& from, Tensor& dense) {
  require(dense.shape() == from.shape && dense.dtype() == dtype() && from.data != nullptr,
          "Backend::unplace: shape or type");
  copy_values(Tensor(from.shape, dtype(), from.data, nullptr), dense);
}

size_t Backend::place_pixels_bytes(const Shape& shape) const { return dense_bytes(shape, dtype()); }

void Backend::place_pixels(const uint8_t* pixels, const Tensor& values, std::byte* workspace, const Placed& to) {
  const Shape& s = to.shape;
  require(values.shape() == Shape{1, 1, s.c, 256} && values.dtype() == dtype(), "Backend::place_pixels: the values");
  Tensor dense(s, dtype(), workspace, nullptr);
  const auto look_up = [&](const auto& table, auto out) {
    const auto c = static_cast<size_t>(s.c);
    for (size_t i = 0; i < out.size(); ++i) out[i] = table[i % c * 256 + pixels[i]];
  };
  if (dtype() == DType::f64)
    look_up(values.values<double>(), dense.values<double>());
  else
    look_up(values.values<float>(), dense.values<float>());
  place(dense, to);
}

void Backend::fetch(const Tensor& from, Tensor& to) {
  require(from.shape() == to.shape() && from.dtype() == to.dtype(), "Backend::fetch: shape or type");
  copy_values(from, to);
}

void Backend::optim_step(const OptimStep& step, const Tensor& gradient, OptimState& state, Tensor& first, Tensor& second,
                         Tensor& p) {
  optim_prepare(gradient, step.max_norm, step.scaling, state);
  if (state.skip != 0) return;
  if (const auto* rule = std::get_if<AdamW>(&step.optimiser))
    adamw(*rule, step.lr, step.segments, state, gradient, first, second, p);
  else
    sgd(std::get<Sgd>(step.optimiser), step.lr, step.segments, state, gradient, first, p);
}

std::unique_ptr<Recorded> Backend::record(const std::function<void()>&) { return nullptr; }

std::string Backend::algorithm(const Step&) const { return "eager " + name(); }

size_t Backend::workspace_bytes(const Step& step) const { return dense_bytes(scratch(step), dtype()); }

size_t Backend::packed_bytes(const Step& step) const {
  return static_cast<size_t>(weight_elements(step)) * size_of(dtype());
}

std::unique_ptr<Packed> Backend::prepare(const Step&, const StepWeights& weights) {
  return std::make_unique<EagerWeights>(weights, dtype());
}

void Backend::run(const Step& step, const Packed* packed, const StepBuffers& buffers) {
  std::visit(Runner{*this, packed, buffers}, step);
}

}  // namespace furrow
