#include "bench/gpu/samples.h"

#include <cmath>
#include <string_view>

#include "kernels/error.h"

namespace furrow::bench {
namespace {

// The largest error and the largest wanted value so far; a NaN stays.
struct Worst {
  double error = 0, size = 0;
  void compare(double got, double want) {
    const double by = std::abs(got - want);
    error = std::isnan(error) || by <= error ? error : by;
    size = std::max(size, std::abs(want));
  }
  double relative() const { return size > 0 ? error / size : NAN; }
};

template <class T>
double value_at(const Tensor& t, int64_t i) {
  return static_cast<double>(t.values<T>()[static_cast<size_t>(i)]);
}
double at(const Tensor& t, int64_t n, int64_t h, int64_t w, int64_t c) {
  const Shape& s = t.shape();
  const int64_t i = ((n * s.h + h) * s.w + w) * s.c + c;
  return t.dtype() == DType::f64 ? value_at<double>(t, i) : value_at<float>(t, i);
}

struct Pixel { int64_t n, h, w; };

// The corners, then pixels spread by a multiplicative hash.
std::vector<Pixel> some_pixels(const Shape& s, int count) {
  std::vector<Pixel> out{{0, 0, 0}, {0, 0, s.w - 1}, {s.n - 1, s.h - 1, 0}, {s.n - 1, s.h - 1, s.w - 1}};
  for (int i = 0; i < count; ++i) {
    const uint64_t hash = (static_cast<uint64_t>(i) + 1) * 0x9E3779B97F4A7C15u;
    out.push_back({static_cast<int64_t>((hash >> 8) % static_cast<uint64_t>(s.n)),
                   static_cast<int64_t>((hash >> 20) % static_cast<uint64_t>(s.h)),
                   static_cast<int64_t>((hash >> 40) % static_cast<uint64_t>(s.w))});
  }
  return out;
}

// All channels of one output pixel of a convolution.
std::vector<double> conv_pixel(const ConvStep& s, const StepInputs& in, const Pixel& p) {
  std::vector<double> out(static_cast<size_t>(s.oc));
  for (int64_t oc = 0; oc < s.oc; ++oc) {
    double sum = in.weights.b.empty() ? 0 : at(in.weights.b, 0, 0, 0, oc);
    for (int64_t kh = 0; kh < s.geometry.kernel_h; ++kh)
      for (int64_t kw = 0; kw < s.geometry.kernel_w; ++kw) {
        const int64_t h = p.h * s.geometry.stride + kh - s.geometry.pad,
                      w = p.w * s.geometry.stride + kw - s.geometry.pad;
        if (h < 0 || h >= s.x[0].h || w < 0 || w >= s.x[0].w) continue;
        for (int64_t source = 0, first = 0; source < 2; first += s.x[source].c, ++source)
          for (int64_t c = 0; c < s.x[source].c; ++c)
            sum += at(in.weights.w, oc, kh, kw, first + c) * at(in.x[source], p.n, h, w, c);
      }
    out[static_cast<size_t>(oc)] = s.act == Activation::relu && sum < 0 ? 0 : sum;
  }
  return out;
}

double conv_error(const ConvStep& s, const StepInputs& in, const StepResults& got, int pixels) {
  Worst y, pooled, head;
  const auto compare = [](Worst& worst, const Tensor& result, const Pixel& p, const std::vector<double>& want) {
    for (size_t c = 0; c < want.size(); ++c) worst.compare(at(result, p.n, p.h, p.w, static_cast<int64_t>(c)), want[c]);
  };
  if (!got.y.empty() || !got.head.empty())
    for (const Pixel& p : some_pixels(s.y(), pixels)) {
      const std::vector<double> want = conv_pixel(s, in, p);
      if (!got.y.empty()) compare(y, got.y, p, want);
      if (got.head.empty()) continue;
      std::vector<double> logits;
      for (int64_t k = 0; k < s.head; ++k) {
        double sum = at(in.weights.head_b, 0, 0, 0, k);
        for (int64_t c = 0; c < s.oc; ++c) sum += at(in.weights.head_w, k, 0, 0, c) * want[static_cast<size_t>(c)];
        logits.push_back(sum);
      }
      compare(head, got.head, p, logits);
    }
  if (!got.pooled.empty())
    for (const Pixel& p : some_pixels(got.pooled.shape(), pixels / 4)) {
      std::vector<double> want = conv_pixel(s, in, {p.n, 2 * p.h, 2 * p.w});
      for (const Pixel& other :
           {Pixel{p.n, 2 * p.h, 2 * p.w + 1}, {p.n, 2 * p.h + 1, 2 * p.w}, {p.n, 2 * p.h + 1, 2 * p.w + 1}}) {
        const std::vector<double> more = conv_pixel(s, in, other);
        for (size_t c = 0; c < want.size(); ++c) want[c] = std::max(want[c], more[c]);
      }
      compare(pooled, got.pooled, p, want);
    }
  double error = 0;
  for (const auto& [worst, result] : {std::pair{y, &got.y}, {pooled, &got.pooled}, {head, &got.head}})
    if (!result->empty()) error = worst.relative() <= error ? error : worst.relative();
  return error;
}

double upconv_error(const UpconvStep& s, const StepInputs& in, const StepResults& got, int pixels) {
  Worst worst;
  for (const Pixel& p : some_pixels(s.y, pixels))
    for (int64_t oc = 0; oc < s.y.c; ++oc) {
      double sum = at(in.weights.b, 0, 0, 0, oc);
      for (int64_t c = 0; c < s.x.c; ++c)
        sum += at(in.weights.w, oc, p.h % 2, p.w % 2, c) * at(in.x[0], p.n, p.h / 2, p.w / 2, c);
      worst.compare(at(got.y, p.n, p.h, p.w, oc), sum);
    }
  return worst.relative();
}

}  // namespace

double sampled_error(const Step& step, const StepInputs& in, const StepResults& got, int pixels) {
  if (const auto* conv = std::get_if<ConvStep>(&step)) return conv_error(*conv, in, got, pixels);
  const auto* up = std::get_if<UpconvStep>(&step);
  require(up != nullptr && up->top == 0 && up->left == 0 && up->y.h == 2 * up->x.h && up->y.w == 2 * up->x.w,
          "sampled_error: an odd step");
  return upconv_error(*up, in, got, pixels);
}

double relative_difference(std::span<const float> got, std::span<const float> want) {
  if (got.size() != want.size() || got.empty()) return NAN;
  Worst worst;
  for (size_t i = 0; i < got.size(); ++i) worst.compare(static_cast<double>(got[i]), static_cast<double>(want[i]));
  return worst.relative();
}

void Logits::add(std::span<const float> got, std::span<const double> want) {
  double difference = 0, size = got.size() == want.size() && !got.empty() ? 0 : NAN;
  for (size_t i = 0; i < std::min(got.size(), want.size()); ++i) {
    const double g = static_cast<double>(got[i]), w = want[i];
    difference += (g - w) * (g - w);
    size += w * w;
    flips += (g > 0) != (w > 0);
    not_finite += !std::isfinite(g);
  }
  values += static_cast<int64_t>(got.size());
  const double by = std::sqrt(difference / size);   // 0 / 0 is no number either
  error = std::isnan(error) || by <= error ? error : by;
}

std::string Logits::text() const {
  return std::to_string(flips) + " of " + std::to_string(values) + " signs flipped, " + std::to_string(not_finite) +
         " not finite";
}

double rounding_bound(const char* precision, int64_t length) {
  const std::string_view p = precision;
  if (p == "fp32") return 4e-8 * std::sqrt(static_cast<double>(length));
  if (p == "tf32") return 1e-3;
  return p == "fp16" ? 2e-3 : 1e-2;
}

}  // namespace furrow::bench
