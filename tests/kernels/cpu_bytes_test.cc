// Steps in 8 bits of device `cpu`, for each instruction set this CPU can run, to the bit against the formula in plain
// loops: sums of integers are exact, and what follows them rounds in an order that is given
// (kernels/cpu/byte_kernels.h).
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/random.h"
#include "tests/kernels/cases.h"
#include "tests/kernels/compare.h"
#include "tests/kernels/run_step.h"

namespace furrow {
namespace {

using cpu::CpuBackend;
using cpu::Isa;

uint8_t byte_of(float value, const Quantised& q) {
  const float scaled = value * (1 / q.scale) + static_cast<float>(q.zero_point);
  return static_cast<uint8_t>(std::nearbyint(std::clamp(scaled, 0.0f, 255.0f)));
}
float real_of(uint8_t byte, const Quantised& q) { return static_cast<float>(byte - q.zero_point) * q.scale; }

// Every element as a quantised buffer would give it back.
Tensor through_bytes(const Tensor& x, const Quantised& q) {
  Tensor out(x.shape());
  const auto from = x.values<float>();
  for (size_t i = 0; i < from.size(); ++i) out.values<float>()[i] = real_of(byte_of(from[i], q), q);
  return out;
}

// The weights of one channel of y, [rest][IC], as integers, and their scale.
struct Channel {
  std::vector<int> w;
  float scale;
};
Channel channel_of(const double* w, int64_t terms, int64_t ic, int64_t ic0, const StepBytes& bytes) {
  const auto scaled = [&](int64_t i) { return w[i] * static_cast<double>(bytes.x[i % ic < ic0 ? 0 : 1].scale); };
  double most = 0;
  for (int64_t i = 0; i < terms; ++i) most = std::max(most, std::abs(scaled(i)));
  Channel out{std::vector<int>(static_cast<size_t>(terms)), static_cast<float>(most / 127)};
  for (int64_t i = 0; i < terms; ++i)
    if (out.scale > 0)
      out.w[static_cast<size_t>(i)] = static_cast<int>(std::nearbyint(scaled(i) / static_cast<double>(out.scale)));
  return out;
}

float of_sum(int64_t sum, float scale, double bias, bool relu) {
  const float product = static_cast<float>(sum) * scale;
  const float y = product + static_cast<float>(bias);
  return relu && y < 0 ? 0 : y;
}

// y of a convolution without pool and head, float32.
Tensor expected(const ConvStep& s, const std::vector<Tensor>& x, const StepWeights& weights) {
  const ConvGeometry& g = s.geometry;
  const int64_t ic0 = s.x[0].c, ic = ic0 + s.x[1].c, terms = g.kernel_h * g.kernel_w * ic;
  Tensor y(s.y());
  const Shape& shape = y.shape();
  for (int64_t oc = 0; oc < s.oc; ++oc) {
    const Channel channel = channel_of(weights.w.values<double>().data() + oc * terms, terms, ic, ic0, s.bytes);
    for (int64_t n = 0; n < shape.n; ++n)
      for (int64_t i = 0; i < shape.h; ++i)
        for (int64_t j = 0; j < shape.w; ++j) {
          int64_t sum = 0;
          for (int64_t kh = 0; kh < g.kernel_h; ++kh)
            for (int64_t kw = 0; kw < g.kernel_w; ++kw)
              for (int64_t c = 0; c < ic; ++c) {
                const int source = c < ic0 ? 0 : 1;
                const int64_t h = i * g.stride - g.pad + kh, w = j * g.stride - g.pad + kw;
                if (h < 0 || h >= s.x[0].h || w < 0 || w >= s.x[0].w) continue;
                const Shape& from = s.x[source];
                const float value = x[static_cast<size_t>(source)].values<float>()[static_cast<size_t>(
                    ((n * from.h + h) * from.w + w) * from.c + (source == 0 ? c : c - ic0))];
                const Quantised& q = s.bytes.x[source];
                sum += (byte_of(value, q) - q.zero_point) *
                       channel.w[static_cast<size_t>((kh * g.kernel_w + kw) * ic + c)];
              }
          y.values<float>()[static_cast<size_t>(((n * shape.h + i) * shape.w + j) * s.oc + oc)] = of_sum(
              sum, channel.scale, weights.b.values<double>()[static_cast<size_t>(oc)], s.act == Activation::relu);
        }
  }
  return y;
}

Tensor expected(const UpconvStep& s, const std::vector<Tensor>& x, const StepWeights& weights) {
  const int64_t ic = s.x.c;
  Tensor y(s.y);
  std::ranges::fill(y.values<float>(), 0.0f);
  for (int64_t oc = 0; oc < s.y.c; ++oc) {
    const Channel channel = channel_of(weights.w.values<double>().data() + oc * 4 * ic, 4 * ic, ic, ic, s.bytes);
    for (int64_t n = 0; n < s.x.n; ++n)
      for (int64_t i = 0; i < 2 * s.x.h; ++i)
        for (int64_t j = 0; j < 2 * s.x.w; ++j) {
          const int64_t h = i + s.top, w = j + s.left;
          if (h < 0 || h >= s.y.h || w < 0 || w >= s.y.w) continue;
          int64_t sum = 0;
          for (int64_t c = 0; c < ic; ++c) {
            const float value =
                x[0].values<float>()[static_cast<size_t>(((n * s.x.h + i / 2) * s.x.w + j / 2) * ic + c)];
            sum += (byte_of(value, s.bytes.x[0]) - s.bytes.x[0].zero_point) *
                   channel.w[static_cast<size_t>((i % 2 * 2 + j % 2) * ic + c)];
          }
          y.values<float>()[static_cast<size_t>(((n * s.y.h + h) * s.y.w + w) * s.y.c + oc)] =
              of_sum(sum, channel.scale, weights.b.values<double>()[static_cast<size_t>(oc)], false);
        }
  }
  return y;
}

Tensor pooled_of(const Tensor& y) {
  const Shape& s = y.shape();
  Tensor out({s.n, s.h / 2, s.w / 2, s.c});
  const auto at = [&](int64_t n, int64_t h, int64_t w, int64_t c) {
    return y.values<float>()[static_cast<size_t>(((n * s.h + h) * s.w + w) * s.c + c)];
  };
  size_t i = 0;
  for (int64_t n = 0; n < s.n; ++n)
    for (int64_t h = 0; h + 1 < s.h; h += 2)
      for (int64_t w = 0; w + 1 < s.w; w += 2)
        for (int64_t c = 0; c < s.c; ++c)
          out.values<float>()[i++] =
              std::max({at(n, h, w, c), at(n, h, w + 1, c), at(n, h + 1, w, c), at(n, h + 1, w + 1, c)});
  return out;
}

class CpuBytes : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    const std::vector<Isa> isas = cpu::supported_isas();
    if (std::ranges::find(isas, GetParam()) == isas.end()) GTEST_SKIP() << "this CPU has no " << cpu::name(GetParam());
  }
};

// Signed sources have a zero point inside, others at 0 or 255; some values are beyond either end.
constexpr Quantised kSigned{0.011f, 97}, kOther{0.0073f, 160}, kPositive{0.004f, 0}, kNegative{0.009f, 255};

StepBytes bytes_from(Quantised x0, bool in0, Quantised x1, bool in1, Quantised y) { return {{x0, x1}, y, {in0, in1}}; }

std::vector<ConvStep> conv_steps() {
  std::vector<ConvStep> steps;
  const auto add = [&](Shape x0, Shape x1, int64_t oc, ConvGeometry g, Activation act, StepBytes bytes) {
    ConvStep s;
    s.x[0] = x0, s.x[1] = x1, s.oc = oc, s.geometry = g, s.act = act, s.bytes = bytes;
    steps.push_back(s);
  };
  const Shape none{0, 0, 0, 0};
  const auto relu = Activation::relu, plain = Activation::none;
  const ConvGeometry k3{}, k3s2{3, 3, 2, 1}, k1{1, 1, 1, 0}, k1s2{1, 1, 2, 0}, k3p0{3, 3, 1, 0}, k13{1, 3, 1, 1},
      k31{3, 1, 2, 1};
  add({1, 9, 27, 16}, none, 16, k3, relu, bytes_from(kPositive, true, {}, false, kPositive));
  add({2, 5, 53, 24}, none, 40, k3, plain, bytes_from(kSigned, true, {}, false, kOther));
  add({3, 4, 7, 20}, {3, 4, 7, 9}, 33, k3, relu, bytes_from(kSigned, true, kOther, true, {}));
  add({1, 6, 25, 16}, {1, 6, 25, 32}, 17, k3, relu, bytes_from(kPositive, false, kNegative, true, kPositive));
  add({1, 1, 1, 8}, none, 8, k3, plain, bytes_from(kSigned, true, {}, false, {}));
  add({2, 9, 35, 24}, none, 24, k3s2, relu, bytes_from(kSigned, true, {}, false, kPositive));
  add({1, 8, 14, 40}, none, 16, k3s2, plain, bytes_from(kNegative, false, {}, false, {}));
  add({1, 7, 50, 48}, none, 24, k1, plain, bytes_from(kSigned, true, {}, false, kSigned));
  add({1, 7, 9, 16}, {1, 7, 9, 16}, 24, k1, relu, bytes_from(kSigned, true, kPositive, false, {}));
  add({1, 9, 11, 32}, none, 64, k1s2, plain, bytes_from(kSigned, true, {}, false, kOther));
  add({1, 5, 30, 16}, none, 16, k3p0, relu, bytes_from(kOther, true, {}, false, kPositive));
  add({1, 5, 26, 19}, none, 16, k13, relu, bytes_from(kOther, true, {}, false, kPositive));
  add({1, 7, 12, 19}, none, 16, k31, plain, bytes_from(kSigned, false, {}, false, {}));
  // Pictures: few channels, 16 bytes a pixel all the same.
  add({2, 9, 31, 3}, none, 24, k3, relu, bytes_from(kSigned, true, {}, false, kPositive));
  add({1, 6, 26, 4}, none, 16, k3, plain, bytes_from(kOther, true, {}, false, {}));
  add({1, 7, 13, 1}, {1, 7, 13, 5}, 17, k3s2, relu, bytes_from(kPositive, true, kSigned, true, kOther));
  return steps;
}

std::vector<UpconvStep> upconv_steps() {
  std::vector<UpconvStep> steps;
  const auto add = [&](Shape x, Shape y, int64_t top, int64_t left, StepBytes bytes) {
    steps.push_back({.x = x, .y = y, .top = top, .left = left, .bytes = bytes});
  };
  add({1, 3, 13, 16}, {1, 6, 26, 16}, 0, 0, bytes_from(kSigned, true, {}, false, kOther));
  add({2, 3, 5, 40}, {2, 7, 11, 24}, 0, 0, bytes_from(kPositive, true, {}, false, {}));
  add({1, 4, 30, 24}, {1, 9, 63, 20}, 1, 2, bytes_from(kSigned, false, {}, false, kOther));
  add({1, 4, 6, 8}, {1, 5, 9, 8}, -2, -1, bytes_from(kSigned, true, {}, false, kSigned));
  add({1, 2, 3, 8}, {1, 12, 20, 9}, 3, 7, bytes_from(kSigned, true, {}, false, {}));
  return steps;
}

std::vector<Tensor> single(const std::vector<Tensor>& x) {
  std::vector<Tensor> out;
  for (const Tensor& t : x) out.push_back(t.to(DType::f32));
  return out;
}

template <class S>
void expect_formula(Isa isa, const S& step, uint64_t seed, int threads) {
  ThreadPool pool(threads);
  CpuBackend backend(isa, &pool);
  const std::vector<Tensor> x = random_inputs(step, seed);
  const StepWeights weights = cases::random_weights(step, seed + 7);
  Tensor want = expected(step, single(x), weights);
  if (step.bytes.y) want = through_bytes(want, step.bytes.y);
  const StepResults got = run_step(backend, step, x, weights);
  EXPECT_TRUE(same_bits(got.y, want)) << problem(step) << " " << backend.algorithm(step);
}

TEST_P(CpuBytes, ConvolutionsAreTheFormulaToTheBit) {
  uint64_t seed = 1;
  for (const ConvStep& step : conv_steps())
    for (const int threads : {1, 3}) expect_formula(GetParam(), step, ++seed, threads);
}

TEST_P(CpuBytes, TransposedConvolutionsAreTheFormulaToTheBit) {
  uint64_t seed = 50;
  for (const UpconvStep& step : upconv_steps())
    for (const int threads : {1, 3}) expect_formula(GetParam(), step, ++seed, threads);
}

// A y that is stored as bytes, with the maximum and a head of the same numbers before they were rounded to bytes.
TEST_P(CpuBytes, PoolAndHeadFollowTheRealNumbers) {
  ThreadPool pool(2);
  CpuBackend backend(GetParam(), &pool);
  for (const bool stored : {true, false}) {
    ConvStep step;
    step.x[0] = {2, 7, 29, 24}, step.x[1] = {0, 0, 0, 0}, step.oc = 40, step.act = Activation::relu, step.pool = true;
    step.bytes = bytes_from(kSigned, true, {}, false, kPositive);
    step.store_y = stored;
    const std::vector<Tensor> x = random_inputs(step, 3);
    StepWeights weights = cases::random_weights(step, 4);
    const Tensor y = expected(step, single(x), weights);
    StepResults got = run_step(backend, step, x, weights);
    EXPECT_TRUE(same_bits(got.y, stored ? through_bytes(y, kPositive) : Tensor()));
    EXPECT_TRUE(same_bits(got.pooled, through_bytes(pooled_of(y), kPositive)));

    step.head = 2;
    weights = cases::random_weights(step, 4);
    const Tensor again = expected(step, single(x), weights);
    got = run_step(backend, step, x, weights);
    EXPECT_TRUE(same_bits(got.pooled, through_bytes(pooled_of(again), kPositive)));
    ConvStep head;
    head.x[0] = again.shape(), head.x[1] = {0, 0, 0, 0}, head.oc = 2, head.geometry = {1, 1, 1, 0};
    const StepResults want = run_step(backend, head, {again.to(DType::f64)}, {weights.head_w, weights.head_b, {}, {}});
    EXPECT_TRUE(close(got.head, want.y, rounding(want.y, 41, 1)));
  }
}

// A step in float32 whose result is stored as bytes: a network's first layer.
TEST_P(CpuBytes, AStepInFloatLeavesItsNumbersRoundedToBytes) {
  ThreadPool pool(2);
  CpuBackend backend(GetParam(), &pool);
  ConvStep step;
  step.x[0] = {1, 9, 31, 3}, step.x[1] = {0, 0, 0, 0}, step.oc = 24, step.act = Activation::relu, step.pool = true;
  const std::vector<Tensor> x = random_inputs(step, 5);
  const StepWeights weights = cases::random_weights(step, 6);
  const StepResults real = run_step(backend, step, x, weights);
  step.bytes.y = kPositive;
  const StepResults bytes = run_step(backend, step, x, weights);
  EXPECT_TRUE(same_bits(bytes.y, through_bytes(real.y, kPositive)));
  EXPECT_TRUE(same_bits(bytes.pooled, through_bytes(real.pooled, kPositive)));
}

// The bytes of a picture's values, padding too, whether they come as bytes or as values.
TEST_P(CpuBytes, PixelsBecomeTheBytesOfTheirValues) {
  ThreadPool pool(2);
  CpuBackend backend(GetParam(), &pool);
  for (const Shape& shape : {Shape{2, 5, 13, 3}, Shape{1, 2, 300, 4}, Shape{1, 3, 2, 9}, Shape{1, 3, 4, 20}}) {
    const Tensor values = cases::random_values({1, 1, shape.c, 256}, 8, DType::f32);
    std::vector<uint8_t> pixels(static_cast<size_t>(shape.elements()));
    Tensor dense(shape);
    for (size_t i = 0; i < pixels.size(); ++i) {
      pixels[i] = static_cast<uint8_t>(i * 37 + i / 9);
      dense.values<float>()[i] = values.values<float>()[i % static_cast<size_t>(shape.c) * 256 + pixels[i]];
    }
    const size_t bytes = backend.placed_bytes_of_bytes(shape);
    Arena from_pixels(bytes), from_values(bytes);
    backend.place(dense, {from_values.data(), shape, kSigned});
    if (shape.c > 16) {
      EXPECT_THROW(backend.place_pixels(pixels.data(), values, nullptr, {from_pixels.data(), shape, kSigned}), Error);
      continue;
    }
    backend.place_pixels(pixels.data(), values, nullptr, {from_pixels.data(), shape, kSigned});
    EXPECT_EQ(std::memcmp(from_pixels.data(), from_values.data(), bytes), 0) << to_string(shape);
    Tensor back(shape);
    backend.unplace({from_pixels.data(), shape, kSigned}, back);
    EXPECT_TRUE(same_bits(back, through_bytes(dense, kSigned))) << to_string(shape);
  }
}

// The most that 32 bits must hold: every byte 255, every weight the largest.
TEST_P(CpuBytes, TheLargestSumsAreExact) {
  ThreadPool pool(2);
  CpuBackend backend(GetParam(), &pool);
  ConvStep step;
  step.x[0] = {1, 3, 3, 7360}, step.x[1] = {0, 0, 0, 0}, step.oc = 8;
  step.bytes = bytes_from({1.0f, 0}, true, {}, false, {});
  ASSERT_TRUE(fits_bytes(step));
  Tensor x(step.x[0], DType::f64), w({8, 3, 3, 7360}, DType::f64), b({1, 1, 1, 8}, DType::f64);
  std::ranges::fill(x.values<double>(), 255.0);
  std::ranges::fill(w.values<double>(), 127.0);
  std::ranges::fill(b.values<double>(), 0.0);
  const StepResults got = run_step(backend, step, {x}, {w, b, {}, {}});
  EXPECT_EQ(got.y.values<float>()[4 * 8], static_cast<float>(int64_t{255} * 127 * 9 * 7360));
  step.x[0].c = 7400;
  EXPECT_FALSE(fits_bytes(step));
}

INSTANTIATE_TEST_SUITE_P(, CpuBytes, ::testing::Values(Isa::portable, Isa::avx2, Isa::avx512),
                         [](const auto& which) { return std::string(cpu::name(which.param)); });

}  // namespace
}  // namespace furrow
