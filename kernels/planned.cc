#include "kernels/planned.h"

#include "kernels/checked.h"

namespace furrow {
namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

Checked count(const Shape& s) {
  return Checked::from_signed(s.n) * Checked::from_signed(s.h) * Checked::from_signed(s.w) * Checked::from_signed(s.c);
}

// Channels of both sources; a missing one has none.
int64_t channels(const ConvStep& s) { return s.x[0].c + s.x[1].c; }

Checked weight_count(const ConvStep& s) {
  const Checked head = Checked::from_signed(s.head) * (Checked::from_signed(s.oc) + 1);
  return count({s.oc, s.geometry.kernel_h, s.geometry.kernel_w, channels(s)}) + Checked::from_signed(s.oc) + head;
}

Shape head_shape(const ConvStep& s) { return {s.y().n, s.y().h, s.y().w, s.head}; }
Shape pooled_shape(const ConvStep& s) { return PoolStep{s.y()}.y(); }

// " at (1,0)" where the result does not simply fill y.
std::string placement(const Shape& full, const Shape& y, int64_t top, int64_t left) {
  if (top == 0 && left == 0 && full.h == y.h && full.w == y.w) return "";
  return " at (" + std::to_string(top) + "," + std::to_string(left) + ")";
}

std::string conv_problem(const ConvStep& s) {
  const ConvGeometry& g = s.geometry;
  const Shape& x = s.x[0];
  std::string text = std::to_string(x.n) + "x" + std::to_string(x.h) + "x" + std::to_string(x.w) + "x";
  if (s.x[1].c > 0)
    text.append("(").append(std::to_string(x.c)).append("+").append(std::to_string(s.x[1].c)).append(")");
  else
    text += std::to_string(x.c);
  text.append(" -> ").append(to_string(s.y())).append(" k").append(std::to_string(g.kernel_h));
  if (g.kernel_w != g.kernel_h) text.append("x").append(std::to_string(g.kernel_w));
  text.append("s").append(std::to_string(g.stride)).append("p").append(std::to_string(g.pad));
  if (s.head > 0) text.append(" head ").append(std::to_string(s.head));
  return text;
}

}  // namespace

// 32-bit sums hold every product of a byte and a weight of up to 127.
constexpr int64_t kMostTerms = 0x7fffffff / (255 * 127);
bool fits_bytes(const ConvStep& s) {
  const ConvGeometry& g = s.geometry;
  const auto readable = [&](int source) {
    return s.x[source].c >= kLeastByteChannels || (s.x[source].c > 0 && s.bytes.in_bytes[source]);
  };
  return g.kernel_h <= 3 && g.kernel_w <= 3 && g.stride <= 2 && g.pad <= 1 && readable(0) &&
         (s.x[1].c == 0 || readable(1)) && s.oc >= kLeastByteChannels &&
         channels(s) * g.kernel_h * g.kernel_w <= kMostTerms;
}
bool fits_bytes(const UpconvStep& s) {
  return s.x.c >= kLeastByteChannels && s.y.c >= kLeastByteChannels && s.x.c <= kMostTerms;
}

const StepBytes* bytes_of(const Step& step) {
  if (const auto* conv = std::get_if<ConvStep>(&step)) return &conv->bytes;
  const auto* up = std::get_if<UpconvStep>(&step);
  return up == nullptr ? nullptr : &up->bytes;
}

Shape output_shape(const Step& step) {
  return std::visit(Overloaded{[](const ConvStep& s) { return s.y(); }, [](const UpconvStep& s) { return s.y; },
                               [](const UpsampleStep& s) { return s.y; }, [](const PoolStep& s) { return s.y(); },
                               [](const GateStep& s) { return s.x; }, [](const NearestStep& s) { return s.y(); },
                               [](const MeanStep& s) { return s.y(); }, [](const ChannelGateStep& s) { return s.x; }},
                    step);
}

int64_t weight_elements(const Step& step) {
  if (const auto* conv = std::get_if<ConvStep>(&step)) return weight_count(*conv).signed_value();
  if (const auto* up = std::get_if<UpconvStep>(&step))
    return (count({up->y.c, 2, 2, up->x.c}) + Checked::from_signed(up->y.c)).signed_value();
  return 0;
}

std::string op_name(const Step& step) {
  return std::visit(
      Overloaded{[](const ConvStep& s) {
                   return std::string("conv2d") + (s.residual ? "+add" : "") +
                          (s.act == Activation::relu ? "+relu" : "") + (s.pool ? "+pool" : "") +
                          (s.head > 0 ? "+head" : "");
                 },
                 [](const UpconvStep&) { return std::string("upconv2x2"); },
                 [](const UpsampleStep&) { return std::string("upsample_bilinear"); },
                 [](const PoolStep& s) { return std::string(s.window == 3 ? "max_pool3x3" : "max_pool2x2"); },
                 [](const GateStep&) { return std::string("gate"); },
                 [](const NearestStep&) { return std::string("upsample_nearest"); },
                 [](const MeanStep&) { return std::string("global_mean"); },
                 [](const ChannelGateStep& s) { return std::string(s.residual ? "channel_gate+add" : "channel_gate"); }},
      step);
}

std::string problem(const Step& step) {
  const auto arrow = [](const Shape& x, const Shape& y) { return to_string(x) + " -> " + to_string(y); };
  return std::visit(
      Overloaded{[](const ConvStep& s) { return conv_problem(s); },
                 [&](const UpconvStep& s) {
                   return arrow(s.x, s.y) + placement({s.x.n, 2 * s.x.h, 2 * s.x.w, s.y.c}, s.y, s.top, s.left);
                 },
                 [&](const UpsampleStep& s) {
                   return arrow(s.x, s.y) + placement({s.x.n, s.h, s.w, s.x.c}, s.y, s.top, s.left);
                 },
                 [&](const PoolStep& s) { return arrow(s.x, s.y()); },
                 [&](const GateStep& s) { return to_string(s.x) + " by " + to_string(s.z()); },
                 [&](const NearestStep& s) { return arrow(s.x, s.y()); },
                 [&](const MeanStep& s) { return arrow(s.x, s.y()); },
                 [&](const ChannelGateStep& s) { return to_string(s.x) + " by " + to_string(s.z()); }},
      step);
}

uint64_t flops(const Step& step) {
  const Checked result = std::visit(
      Overloaded{[](const ConvStep& s) {
                   const Checked taps = count({1, s.geometry.kernel_h, s.geometry.kernel_w, channels(s)});
                   const Checked pool = s.pool ? Checked(3) * count(pooled_shape(s)) : Checked(0);
                   const Checked residual = s.residual ? count(s.y()) : Checked(0);
                   return Checked(2) * count(s.y()) * (taps + Checked::from_signed(s.head)) + pool + residual;
                 },
                 [](const UpconvStep& s) { return Checked(2) * 4 * count(s.x) * Checked::from_signed(s.y.c); },
                 [](const UpsampleStep& s) {
                   return Checked(2) * 4 * count({s.x.n, s.h, s.w, s.x.c});
                 },
                 [](const PoolStep& s) { return Checked::from_signed(s.window * s.window - 1) * count(s.y()); },
                 [](const GateStep& s) { return count(s.x) + Checked(3) * count(s.z()); },
                 [](const NearestStep&) { return Checked(0); }, [](const MeanStep& s) { return count(s.x); },
                 [](const ChannelGateStep& s) { return Checked(s.residual ? 2 : 1) * count(s.x); }},
      step);
  return result.value();
}

uint64_t min_bytes(const Step& step, size_t element) {
  const auto of = [element](bool bytes, const Shape& s) { return count(s) * (bytes ? 1 : element); };
  const Checked total =
      std::visit(Overloaded{[&](const ConvStep& s) {
                              const bool out = static_cast<bool>(s.bytes.y);
                              Checked sum = of(s.bytes.in_bytes[0], s.x[0]) + of(s.bytes.in_bytes[1], s.x[1]) +
                                            weight_count(s) * (s.bytes.x[0] ? 1 : element);
                              if (s.store_y) sum += of(out, s.y());
                              if (s.pool) sum += of(out, pooled_shape(s));
                              if (s.head > 0) sum += of(false, head_shape(s));
                              if (s.residual) sum += of(false, s.y());
                              return sum;
                            },
                            [&](const UpconvStep& s) {
                              const Checked weights = count({s.y.c, 2, 2, s.x.c}) + Checked::from_signed(s.y.c);
                              return of(s.bytes.in_bytes[0], s.x) + of(static_cast<bool>(s.bytes.y), s.y) +
                                     weights * (s.bytes.x[0] ? 1 : element);
                            },
                            [&](const UpsampleStep& s) { return of(false, s.x) + of(false, s.y); },
                            [&](const PoolStep& s) { return of(false, s.x) + of(false, s.y()); },
                            [&](const GateStep& s) { return Checked(2) * of(false, s.x) + of(false, s.z()); },
                            [&](const NearestStep& s) { return of(false, s.x) + of(false, s.y()); },
                            [&](const MeanStep& s) { return of(false, s.x) + of(false, s.y()); },
                            [&](const ChannelGateStep& s) {
                              return Checked(s.residual ? 3 : 2) * of(false, s.x) + of(false, s.z());
                            }},
                 step);
  return total.value();
}

}  // namespace furrow
