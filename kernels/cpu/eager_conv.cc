// The convolutions of the back-end on dense tensors, each written as one of the forms of eager_conv.h.
#include "kernels/cpu/eager_conv.h"

#include <algorithm>

#include "kernels/cpu/cpu_backend.h"

namespace furrow::cpu {
namespace {

void check_geometry(const ConvGeometry& g, const Shape& x, const Shape& w, const Shape& y) {
  require(g.kernel_h > 0 && g.kernel_w > 0 && g.stride > 0 && g.pad >= 0, "conv2d: geometry");
  require(w.h == g.kernel_h && w.w == g.kernel_w, "conv2d: the weight's kernel size is not the geometry's");
  require(x.h + 2 * g.pad >= g.kernel_h && x.w + 2 * g.pad >= g.kernel_w,
          "conv2d: the kernel is larger than the input");
  require(y == Shape{x.n, g.out(x.h, g.kernel_h), g.out(x.w, g.kernel_w), w.n}, "conv2d: output shape");
}

// Channels of the second source, which may be missing.
int64_t second_channels(const Tensor* x1, const Shape& x0) {
  if (x1 == nullptr) return 0;
  require(x1->shape().n == x0.n && x1->shape().h == x0.h && x1->shape().w == x0.w,
          "conv2d: the two sources differ in size");
  return x1->shape().c;
}

void check_vector(const Tensor* t, int64_t channels, const char* text) {
  if (t != nullptr && !t->empty()) require(t->shape() == Shape{1, 1, 1, channels}, text);
}

// 16 biases for every panel of `channels` channels; none for a missing bias.
std::vector<float> bias_panels(const Tensor* b, int64_t channels) {
  if (b == nullptr || b->empty()) return {};
  std::vector<float> panels(static_cast<size_t>(ceil_div(channels, kPanel) * kPanel));
  std::ranges::copy(b->values<float>(), panels.begin());
  return panels;
}

std::vector<ResultPanel> results_of(Tensor& y) {
  std::vector<ResultPanel> out;
  for (const ChannelPanel& p : channel_panels(y.shape().c, 0)) out.push_back({&y, p.channel, p.lanes});
  return out;
}

// Rows of a matrix turned into a panel's columns: to[k*16 + lane] = rows[lane][k].
void pack_rows(const float* rows, int64_t row_length, int64_t lanes, float* to) {
  for (int64_t k = 0; k < row_length; ++k)
    for (int64_t lane = 0; lane < kPanel; ++lane)
      to[k * kPanel + lane] = lane < lanes ? rows[lane * row_length + k] : 0;
}

void pack_lanes(const float* from, int64_t lanes, float* to) {
  for (int64_t lane = 0; lane < kPanel; ++lane) to[lane] = lane < lanes ? from[lane] : 0;
}

// The inputs of a convolution, one row for each of its outputs.
Gather inputs_of(const Tensor* x0, const Tensor* x1, const ConvGeometry& g, const Shape& y) {
  Gather in(x0, y.h, y.w, g.stride, {});
  in.x1 = x1;
  for (int64_t kh = 0; kh < g.kernel_h; ++kh)
    for (int64_t kw = 0; kw < g.kernel_w; ++kw) in.taps.push_back({kh - g.pad, kw - g.pad});
  return in;
}

constexpr Tap kPixel = {0, 0};
constexpr Tap kQuarters[] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};  // what an upconv makes of one pixel
std::vector<Tap> quarters() { return {std::begin(kQuarters), std::end(kQuarters)}; }

// Along one axis, the kernel positions k that meet input `phase` modulo the stride, and the outputs they meet it in.
struct PhaseTap {
  int64_t k, shift;  // input i*stride + phase is read by output i + shift
};
std::vector<PhaseTap> phase_taps(int64_t kernel, const ConvGeometry& g, int64_t phase) {
  std::vector<PhaseTap> taps;
  for (int64_t k = 0; k < kernel; ++k)
    if ((phase + g.pad - k) % g.stride == 0) taps.push_back({k, (phase + g.pad - k) / g.stride});
  return taps;
}

}  // namespace

void CpuBackend::conv2d(const Conv2d& op, Tensor& y) {
  require(op.x0 != nullptr && op.w != nullptr, "conv2d: no input or no weight");
  const Shape x = op.x0->shape(), w = op.w->shape(), out = y.shape();
  const int64_t second = second_channels(op.x1, x);
  require(w.c == x.c + second, "conv2d: the weight's input channels are not the sources'");
  check_geometry(op.geometry, x, w, out);
  check_vector(op.b, w.n, "conv2d: bias shape");
  const std::vector<float> bias = bias_panels(op.b, w.n);
  const float* const b = bias.empty() ? nullptr : bias.data();
  if (winograd_fits(op.geometry, w.c, w.n)) {
    const std::vector<ChannelPanel> in = channel_panels(x.c, second);
    WinogradConv conv;
    conv.x[0] = op.x0, conv.x[1] = op.x1, conv.out = results_of(y);
    conv.pad = op.geometry.pad, conv.out_h = out.h, conv.out_w = out.w;
    conv.bias = b, conv.act = op.act;
    const bool four = eager_winograd4_fits(op.geometry, w.c, w.n, out);
    conv.pack = [&](int64_t panel, int64_t first, int64_t last, float* to, int64_t stride) {
      const int64_t lanes = conv.out[static_cast<size_t>(panel)].lanes;
      const auto some = std::span(in).subspan(static_cast<size_t>(first), static_cast<size_t>(last - first));
      if (four) return winograd4_pack(machine_, *op.w, some, panel * kPanel, lanes, to, stride);
      winograd_pack(*op.w, some, panel * kPanel, lanes, to, stride);
    };
    return four ? run_winograd4(machine_, scratch_, conv) : cpu::run(machine_, scratch_, conv);
  }
  TapConv conv;
  conv.in = inputs_of(op.x0, op.x1, op.geometry, out), conv.out = results_of(y);
  conv.bias = b, conv.act = op.act;
  const float* weights = op.w->values<float>().data();
  const int64_t k = conv.in.columns();
  conv.pack = [&](int64_t panel, float* to) {
    pack_rows(weights + panel * kPanel * k, k, conv.out[static_cast<size_t>(panel)].lanes, to);
  };
  cpu::run(machine_, scratch_, conv);
}

void CpuBackend::conv2d_grad_input(const Conv2dGradInput& op, Tensor* dx0, Tensor* dx1, Grad mode) {
  require(op.dy != nullptr && op.w != nullptr && (dx0 != nullptr || dx1 != nullptr),
          "conv2d_grad_input: a tensor is missing");
  const ConvGeometry& g = op.geometry;
  const Shape x = dx0 != nullptr ? dx0->shape() : dx1->shape(), w = op.w->shape();
  if (dx0 != nullptr && dx1 != nullptr) require(second_channels(dx1, x) + x.c == w.c, "conv2d_grad_input: channels");
  require(x.c <= w.c, "conv2d_grad_input: more channels than the weight has");
  check_geometry(g, x, w, op.dy->shape());
  const int64_t channels0 = dx0 != nullptr ? x.c : w.c - x.c;
  const std::vector<ChannelPanel> panels = channel_panels(channels0, w.c - channels0, dx0 != nullptr, dx1 != nullptr);
  std::vector<ResultPanel> out;
  for (const ChannelPanel& p : panels) out.push_back({p.part == 0 ? dx0 : dx1, p.channel, p.lanes});
  if (winograd_fits(g, w.c, w.n)) {
    WinogradConv conv;
    conv.x[0] = op.dy, conv.out = out, conv.mode = mode;
    conv.pad = 2 - g.pad, conv.out_h = x.h, conv.out_w = x.w;
    const bool four = eager_winograd4_fits(g, w.c, w.n, x);
    conv.pack = [&](int64_t panel, int64_t first, int64_t last, float* to, int64_t stride) {
      const ChannelPanel& p = panels[static_cast<size_t>(panel)];
      if (four) return winograd4_pack_turned(machine_, *op.w, p, first, last, to, stride);
      winograd_pack_turned(*op.w, p, first, last, to, stride);
    };
    return four ? run_winograd4(machine_, scratch_, conv) : cpu::run(machine_, scratch_, conv);
  }
  const float* weights = op.w->values<float>().data();
  for (int64_t row = 0; row < std::min(g.stride, x.h); ++row)
    for (int64_t column = 0; column < std::min(g.stride, x.w); ++column) {
      const std::vector<PhaseTap> rows = phase_taps(g.kernel_h, g, row), columns = phase_taps(g.kernel_w, g, column);
      TapConv conv;
      conv.out = out, conv.step = g.stride, conv.mode = mode;
      conv.in = Gather(op.dy, ceil_div(x.h - row, g.stride), ceil_div(x.w - column, g.stride), 1, {});
      for (const PhaseTap& r : rows)
        for (const PhaseTap& c : columns) conv.in.taps.push_back({r.shift, c.shift});
      for (ResultPanel& p : conv.out) p.row = row, p.column = column;
      conv.pack = [&](int64_t panel, float* to) {
        const ChannelPanel& p = panels[static_cast<size_t>(panel)];
        for (const PhaseTap& r : rows)
          for (const PhaseTap& c : columns)
            for (int64_t oc = 0; oc < w.n; ++oc, to += kPanel)
              pack_lanes(weights + ((oc * w.h + r.k) * w.w + c.k) * w.c + p.first, p.lanes, to);
      };
      cpu::run(machine_, scratch_, conv);
    }
}

void CpuBackend::conv2d_grad_weight(const Conv2dGradWeight& op, Tensor& dw, Tensor* db, Grad mode) {
  require(op.x0 != nullptr && op.dy != nullptr, "conv2d_grad_weight: no input or no gradient");
  const Shape x = op.x0->shape(), w = dw.shape(), out = op.dy->shape();
  require(w.c == x.c + second_channels(op.x1, x),
          "conv2d_grad_weight: the weight's input channels are not the sources'");
  check_geometry(op.geometry, x, w, out);
  if (winograd_grad_fits(op.geometry, w.c, w.n, out)) {
    const WinogradWeightGrad grad{.x = {op.x0, op.x1}, .dy = op.dy, .pad = op.geometry.pad, .dw = &dw, .mode = mode};
    winograd4_grad_fits(op.geometry, w.c, w.n, out) ? run_winograd4(machine_, scratch_, grad)
                                                    : cpu::run(machine_, scratch_, grad);
  } else {
    WeightGrad grad;
    grad.left = Gather(op.dy, out.h, out.w, 1, {kPixel});
    grad.right = inputs_of(op.x0, op.x1, op.geometry, out);
    float* to = dw.values<float>().data();
    const int64_t k = grad.right.columns();
    grad.row = [&](int64_t oc) { return to + oc * k; };
    grad.mode = mode;
    cpu::run(machine_, scratch_, grad);
  }
  if (db != nullptr) grad_bias(*op.dy, *db, mode);
}

void CpuBackend::grad_bias(const Tensor& dy, Tensor& db, Grad mode) {
  const int64_t channels = dy.shape().c;
  require(db.shape() == Shape{1, 1, 1, channels}, "the gradient of a bias: shape");
  std::vector<double> sums(static_cast<size_t>(channels));
  channel_sums(pool_, dy, sums.data());
  // Short sums are rounded once, with what they are added to.
  const bool add = is_short_sum(dy.shape().pixels()) && mode == Grad::accumulate;
  for (size_t c = 0; c < sums.size(); ++c) {
    float& to = db.values<float>()[c];
    store(to, static_cast<float>(add ? sums[c] + static_cast<double>(to) : sums[c]), add ? Grad::overwrite : mode);
  }
}

void CpuBackend::upconv2x2(const Tensor& x, const Tensor& w, const Tensor* b, Tensor& y) {
  const Shape &s = x.shape(), &k = w.shape();
  require(k.h == 2 && k.w == 2 && k.c == s.c, "upconv2x2: weight shape");
  require(y.shape() == Shape{s.n, 2 * s.h, 2 * s.w, k.n}, "upconv2x2: output shape");
  check_vector(b, k.n, "upconv2x2: bias shape");
  TapConv conv;
  conv.in = Gather(&x, s.h, s.w, 1, {kPixel}), conv.step = 2;
  const std::vector<float> bias = bias_panels(b, k.n);
  std::vector<float> biases;
  for (const Tap& quarter : kQuarters) {
    for (ResultPanel p : results_of(y)) {
      p.row = quarter.dh, p.column = quarter.dw;
      conv.out.push_back(p);
    }
    biases.insert(biases.end(), bias.begin(), bias.end());
  }
  if (!biases.empty()) conv.bias = biases.data();
  const float* weights = w.values<float>().data();
  const int64_t panels = ceil_div(k.n, kPanel);
  conv.pack = [&](int64_t panel, float* to) {
    const int64_t quarter = panel / panels, oc0 = panel % panels * kPanel, lanes = std::min(kPanel, k.n - oc0);
    for (int64_t ic = 0; ic < k.c; ++ic)
      for (int64_t lane = 0; lane < kPanel; ++lane)
        to[ic * kPanel + lane] = lane < lanes ? weights[((oc0 + lane) * 4 + quarter) * k.c + ic] : 0;
  };
  cpu::run(machine_, scratch_, conv);
}

void CpuBackend::upconv2x2_grad_input(const Tensor& dy, const Tensor& w, Tensor& dx, Grad mode) {
  const Shape &s = dx.shape(), &k = w.shape();
  require(k.h == 2 && k.w == 2 && k.c == s.c, "upconv2x2: weight shape");
  require(dy.shape() == Shape{s.n, 2 * s.h, 2 * s.w, k.n}, "upconv2x2: output shape");
  TapConv conv;
  conv.in = Gather(&dy, s.h, s.w, 2, quarters()), conv.out = results_of(dx), conv.mode = mode;
  const float* weights = w.values<float>().data();
  conv.pack = [&](int64_t panel, float* to) {
    for (int64_t quarter = 0; quarter < 4; ++quarter)
      for (int64_t oc = 0; oc < k.n; ++oc, to += kPanel)
        pack_lanes(weights + (oc * 4 + quarter) * k.c + panel * kPanel, conv.out[static_cast<size_t>(panel)].lanes, to);
  };
  cpu::run(machine_, scratch_, conv);
}

void CpuBackend::upconv2x2_grad_weight(const Tensor& x, const Tensor& dy, Tensor& dw, Tensor* db, Grad mode) {
  const Shape &s = x.shape(), &k = dw.shape();
  require(k.h == 2 && k.w == 2 && k.c == s.c, "upconv2x2: weight shape");
  require(dy.shape() == Shape{s.n, 2 * s.h, 2 * s.w, k.n}, "upconv2x2: output shape");
  WeightGrad grad;
  grad.left = Gather(&dy, s.h, s.w, 2, quarters()), grad.right = Gather(&x, s.h, s.w, 1, {kPixel});
  float* to = dw.values<float>().data();
  grad.row = [&](int64_t m) { return to + (m % k.n * 4 + m / k.n) * k.c; };
  grad.mode = mode;
  cpu::run(machine_, scratch_, grad);
  if (db != nullptr) grad_bias(dy, *db, mode);
}

}  // namespace furrow::cpu
