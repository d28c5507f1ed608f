// Transforms of Winograd's convolution F(4x4, 3x3), over runs of neighbouring tiles. Included after conv_rows.h, under
// its rules.
//
// 4x4 outputs of a 3x3 convolution come from 6x6 inputs with 36 multiplications in place of 144:
// y = A^T [(G g G^T) . (B^T d B)] A, by the polynomial points 0, +-a, +-b and infinity. Source: Lavin and Gray 2016,
// arXiv:1509.09308, section 4.3, who take a = 1 and b = 2. With a = 5/8 and b = 3/2 results err by a third of that, as
// no power of a point is large, and every constant of A and B is a float32 without rounding. (Points near 1/sqrt(2) and
// sqrt(2) are as good: Barabasz et al. 2020, arXiv:1803.10986.)
#pragma once

#include "kernels/cpu/conv_rows.h"

namespace furrow::cpu {
namespace {

// Constants of both transforms: powers of a = 5/8 and b = 3/2.
struct Points {
  static constexpr float a = 0.625f, b = 1.5f, a2 = a * a, b2 = b * b, a3 = a2 * a, b3 = b2 * b, product = a2 * b2,
                         sum = a2 + b2;
};
FURROW_INLINE T splat(const float& value) { return Vec::broadcast(&value); }

// B^T d: six values of a row or column, `step` registers apart.
template <int kStep>
FURROW_INLINE void source_line6(const T* d, T (&t)[6]) {
  static constexpr float kA = Points::a, kB = Points::b, kMinusA = -kA, kMinusB = -kB, kMinusA2 = -Points::a2,
                         kMinusB2 = -Points::b2, kProduct = Points::product, kMinusSum = -Points::sum;
  const T d0 = d[0], d1 = d[kStep], d2 = d[2 * kStep], d3 = d[3 * kStep], d4 = d[4 * kStep], d5 = d[5 * kStep];
  const T even_a = Vec::fma(splat(kMinusB2), d2, d4), odd_a = Vec::fma(splat(kMinusB2), d1, d3);
  const T even_b = Vec::fma(splat(kMinusA2), d2, d4), odd_b = Vec::fma(splat(kMinusA2), d1, d3);
  t[0] = Vec::fma(splat(kProduct), d0, Vec::fma(splat(kMinusSum), d2, d4));
  t[1] = Vec::fma(splat(kA), odd_a, even_a);
  t[2] = Vec::fma(splat(kMinusA), odd_a, even_a);
  t[3] = Vec::fma(splat(kB), odd_b, even_b);
  t[4] = Vec::fma(splat(kMinusB), odd_b, even_b);
  t[5] = Vec::fma(splat(kProduct), d1, Vec::fma(splat(kMinusSum), d3, d5));
}

// G g: three weights to six. The rows of G are those of Lavin and Gray for these points: 1 / (a^2 b^2) at 0; (1, +-a,
// a^2) / (2 a^2 (a^2 - b^2)) at +-a; the same with a and b exchanged; the last weight at infinity.
struct WeightPoints {
  static constexpr double a = Points::a, b = Points::b, aa = a * a, bb = b * b;
  static constexpr double zero = 1 / (aa * bb), a0 = 1 / (2 * aa * (aa - bb)), a1 = a0 * a, a2 = a0 * aa,
                          b0 = 1 / (2 * bb * (bb - aa)), b1 = b0 * b, b2 = b0 * bb, nothing = 0, one = 1, minus_one = -1;
};
FURROW_INLINE void weight_line6(Vec::Wide g0, Vec::Wide g1, Vec::Wide g2, Vec::Wide (&u)[6]) {
  using P = WeightPoints;
  const auto times = [](const double& c, Vec::Wide x) {
    return Vec::wide_fma(Vec::wide(&c), x, Vec::wide(&P::nothing));
  };
  const Vec::Wide even_a = Vec::wide_fma(Vec::wide(&P::a2), g2, times(P::a0, g0)), odd_a = times(P::a1, g1);
  const Vec::Wide even_b = Vec::wide_fma(Vec::wide(&P::b2), g2, times(P::b0, g0)), odd_b = times(P::b1, g1);
  u[0] = times(P::zero, g0);
  u[1] = Vec::wide_fma(Vec::wide(&P::one), odd_a, even_a);
  u[2] = Vec::wide_fma(Vec::wide(&P::minus_one), odd_a, even_a);
  u[3] = Vec::wide_fma(Vec::wide(&P::one), odd_b, even_b);
  u[4] = Vec::wide_fma(Vec::wide(&P::minus_one), odd_b, even_b);
  u[5] = g2;
}

FURROW_INLINE Vec::Wide widened(const double* p) { return Vec::wide_load(p); }
FURROW_INLINE Vec::Wide widened(const float* p) { return Vec::widen(p); }

template <class Value>
FURROW_INLINE void transform_taps(const Value* g, int64_t tap, float* u, int64_t matrix) {
  constexpr int kWideLanes = Vec::kLanes / 2;
  for (int64_t lane = 0; lane < kBlock; lane += Vec::kLanes) {
    alignas(64) double lines[2][3][6][kWideLanes];  // [half][column][row]
    for (int half = 0; half < 2; ++half)
      for (int j = 0; j < 3; ++j) {
        const Value* from = g + j * tap + lane + half * kWideLanes;
        Vec::Wide t[6];
        weight_line6(widened(from), widened(from + 3 * tap), widened(from + 6 * tap), t);
        FURROW_UNROLL
        for (int i = 0; i < 6; ++i) Vec::wide_store(lines[half][j][i], t[i]);
      }
    for (int i = 0; i < 6; ++i) {
      Vec::Wide t[2][6];
      for (int half = 0; half < 2; ++half)
        weight_line6(Vec::wide_load(lines[half][0][i]), Vec::wide_load(lines[half][1][i]),
                     Vec::wide_load(lines[half][2][i]), t[half]);
      FURROW_UNROLL
      for (int j = 0; j < 6; ++j) Vec::store(u + (6 * i + j) * matrix + lane, Vec::narrow(t[0][j], t[1][j]));
    }
  }
}

void winograd4_weights(const double* g, float* u, int64_t matrix) { transform_taps(g, kBlock, u, matrix); }
void winograd4_weights_of(const float* g, int64_t tap, float* u, int64_t matrix) { transform_taps(g, tap, u, matrix); }

// A^T m: six values to four.
FURROW_INLINE void result_line6(T m0, T m1, T m2, T m3, T m4, T m5, T (&y)[4]) {
  static constexpr float kA = Points::a, kB = Points::b, kA2 = Points::a2, kB2 = Points::b2, kA3 = Points::a3,
                         kB3 = Points::b3;
  const T sum_a = Vec::add(m1, m2), difference_a = Vec::sub(m1, m2);
  const T sum_b = Vec::add(m3, m4), difference_b = Vec::sub(m3, m4);
  y[0] = Vec::add(m0, Vec::add(sum_a, sum_b));
  y[1] = Vec::fma(splat(kB), difference_b, Vec::mul(splat(kA), difference_a));
  y[2] = Vec::fma(splat(kB2), sum_b, Vec::mul(splat(kA2), sum_a));
  y[3] = Vec::fma(splat(kB3), difference_b, Vec::fma(splat(kA3), difference_a, m5));
}

// Neighbouring tiles share two columns, so columns are transformed first, each once, for up to kStrip tiles.
void winograd4_source(const Winograd4Source& s) {
  constexpr int64_t kStrip = 8;
  alignas(64) float strip[(4 * kStrip + 2) * 6 * Vec::kLanes];  // [column][6]
  for (int64_t lane = 0; lane < kBlock; lane += Vec::kLanes)
    for (int64_t first = 0; first < s.tiles; first += kStrip) {
      const int64_t tiles = s.tiles - first < kStrip ? s.tiles - first : kStrip;
      for (int64_t column = 0; column < 4 * tiles + 2; ++column) {
        T d[6], t[6];
        FURROW_UNROLL
        for (int i = 0; i < 6; ++i) d[i] = Vec::load(s.row[i] + (4 * first + column) * s.pixel[i] + lane);
        source_line6<1>(d, t);
        FURROW_UNROLL
        for (int i = 0; i < 6; ++i) Vec::store(strip + (column * 6 + i) * Vec::kLanes, t[i]);
      }
      for (int64_t tile = 0; tile < tiles; ++tile) {
        float* v = s.v + (first + tile) * kBlock + lane;
        FURROW_UNROLL
        for (int i = 0; i < 6; ++i) {
          T d[6], t[6];
          FURROW_UNROLL
          for (int j = 0; j < 6; ++j) d[j] = Vec::load(strip + ((4 * tile + j) * 6 + i) * Vec::kLanes);
          source_line6<1>(d, t);
          FURROW_UNROLL
          for (int j = 0; j < 6; ++j) Vec::store(v + (6 * i + j) * s.matrix, t[j]);
        }
      }
    }
}

// One tile's 4x4 results of Vec::kLanes channels.
FURROW_INLINE void result_tile(const Winograd4Result& r, const float* m, int64_t lane, T (&y)[4][4]) {
  T s[6][4];  // [column][row]
  FURROW_UNROLL
  for (int j = 0; j < 6; ++j) {
    const float* from = m + j * r.matrix;
    result_line6(Vec::load(from), Vec::load(from + 6 * r.matrix), Vec::load(from + 12 * r.matrix),
                 Vec::load(from + 18 * r.matrix), Vec::load(from + 24 * r.matrix), Vec::load(from + 30 * r.matrix),
                 s[j]);
  }
  const T bias = r.bias != nullptr ? Vec::load(r.bias + lane) : Vec::zero();
  FURROW_UNROLL
  for (int i = 0; i < 4; ++i) {
    result_line6(s[0][i], s[1][i], s[2][i], s[3][i], s[4][i], s[5][i], y[i]);
    FURROW_UNROLL
    for (int j = 0; j < 4; ++j) {
      y[i][j] = Vec::add(y[i][j], bias);
      if (r.relu) y[i][j] = Vec::relu(y[i][j]);
    }
  }
}

// kBlocked: pixels of y are 16 floats apart, so that addresses are constants, and nothing is added to.
template <bool kBlocked>
FURROW_INLINE void result_tiles(const Winograd4Result& r) {
  const int64_t pixel = kBlocked ? kBlock : r.y_pixel;
  const bool accumulate = !kBlocked && r.accumulate;
  for (int64_t tile = 0; tile < r.tiles; ++tile)
    for (int64_t lane = 0; lane < kBlock; lane += Vec::kLanes) {
      T y[4][4];
      result_tile(r, r.m + tile * kBlock + lane, lane, y);
      if (r.y != nullptr) {
        float* to = r.y + tile * r.y_tile + lane;
        FURROW_UNROLL
        for (int i = 0; i < 4; ++i) {
          FURROW_UNROLL
          for (int j = 0; j < 4; ++j)
            if (i < r.height && j < r.width) {
              float* at = to + i * r.y_row + j * pixel;
              Vec::store(at, accumulate ? Vec::add(Vec::load(at), y[i][j]) : y[i][j]);
            }
        }
      }
      if (r.pooled != nullptr) {
        float* to = r.pooled + tile * 2 * kBlock + lane;
        FURROW_UNROLL
        for (int i = 0; i < 2; ++i) {
          FURROW_UNROLL
          for (int j = 0; j < 2; ++j)
            if (2 * i + 1 < r.height && 2 * j + 1 < r.width)
              Vec::store(to + i * r.pooled_row + j * kBlock,
                         Vec::max(Vec::max(y[2 * i][2 * j], y[2 * i][2 * j + 1]),
                                  Vec::max(y[2 * i + 1][2 * j], y[2 * i + 1][2 * j + 1])));
        }
      }
    }
}

void winograd4_result(const Winograd4Result& r) {
  r.y_pixel == kBlock && !r.accumulate ? result_tiles<true>(r) : result_tiles<false>(r);
}

// A d: four values to six.
FURROW_INLINE void gradient_line4(T d0, T d1, T d2, T d3, T (&t)[6]) {
  static constexpr float kA = Points::a, kB = Points::b, kMinusA = -kA, kMinusB = -kB, kA2 = Points::a2,
                         kB2 = Points::b2;
  const T even_a = Vec::fma(splat(kA2), d2, d0), odd_a = Vec::fma(splat(kA2), d3, d1);
  const T even_b = Vec::fma(splat(kB2), d2, d0), odd_b = Vec::fma(splat(kB2), d3, d1);
  t[0] = d0;
  t[1] = Vec::fma(splat(kA), odd_a, even_a);
  t[2] = Vec::fma(splat(kMinusA), odd_a, even_a);
  t[3] = Vec::fma(splat(kB), odd_b, even_b);
  t[4] = Vec::fma(splat(kMinusB), odd_b, even_b);
  t[5] = d3;
}

void winograd4_gradient(const Winograd4Source& s) {
  for (int64_t tile = 0; tile < s.tiles; ++tile)
    for (int64_t lane = 0; lane < kBlock; lane += Vec::kLanes) {
      T columns[4][6];
      FURROW_UNROLL
      for (int j = 0; j < 4; ++j) {
        T d[4];
        FURROW_UNROLL
        for (int i = 0; i < 4; ++i) d[i] = Vec::load(s.row[i] + (4 * tile + j) * s.pixel[i] + lane);
        gradient_line4(d[0], d[1], d[2], d[3], columns[j]);
      }
      float* v = s.v + tile * kBlock + lane;
      FURROW_UNROLL
      for (int i = 0; i < 6; ++i) {
        T t[6];
        gradient_line4(columns[0][i], columns[1][i], columns[2][i], columns[3][i], t);
        FURROW_UNROLL
        for (int j = 0; j < 6; ++j) Vec::store(v + (6 * i + j) * s.matrix, t[j]);
      }
    }
}

// G^T u: six values to three.
FURROW_INLINE void tap_line6(const Vec::Wide (&u)[6], Vec::Wide (&g)[3]) {
  using P = WeightPoints;
  const auto times = [](const double& c, Vec::Wide x) {
    return Vec::wide_fma(Vec::wide(&c), x, Vec::wide(&P::nothing));
  };
  const auto plus = [](Vec::Wide x, const double& c, Vec::Wide y) { return Vec::wide_fma(Vec::wide(&c), y, x); };
  const Vec::Wide sum_a = plus(u[1], P::one, u[2]), difference_a = plus(u[1], P::minus_one, u[2]);
  const Vec::Wide sum_b = plus(u[3], P::one, u[4]), difference_b = plus(u[3], P::minus_one, u[4]);
  g[0] = plus(plus(times(P::zero, u[0]), P::a0, sum_a), P::b0, sum_b);
  g[1] = plus(times(P::a1, difference_a), P::b1, difference_b);
  g[2] = plus(plus(u[5], P::a2, sum_a), P::b2, sum_b);
}

void winograd4_taps(const float* u, int64_t matrix, float* g) {
  constexpr int kWideLanes = Vec::kLanes / 2;
  for (int64_t lane = 0; lane < kBlock; lane += Vec::kLanes) {
    alignas(64) double taps[2][9][kWideLanes];
    for (int half = 0; half < 2; ++half) {
      Vec::Wide columns[6][3];  // [column][row of G^T u]
      FURROW_UNROLL
      for (int j = 0; j < 6; ++j) {
        Vec::Wide d[6];
        FURROW_UNROLL
        for (int i = 0; i < 6; ++i) d[i] = Vec::widen(u + (6 * i + j) * matrix + lane + half * kWideLanes);
        tap_line6(d, columns[j]);
      }
      FURROW_UNROLL
      for (int i = 0; i < 3; ++i) {
        const Vec::Wide row[6] = {columns[0][i], columns[1][i], columns[2][i],
                                  columns[3][i], columns[4][i], columns[5][i]};
        Vec::Wide t[3];
        tap_line6(row, t);
        FURROW_UNROLL
        for (int j = 0; j < 3; ++j) Vec::wide_store(taps[half][3 * i + j], t[j]);
      }
    }
    FURROW_UNROLL
    for (int t = 0; t < 9; ++t)
      Vec::store(g + t * kBlock + lane, Vec::narrow(Vec::wide_load(taps[0][t]), Vec::wide_load(taps[1][t])));
  }
}

}  // namespace
}  // namespace furrow::cpu
