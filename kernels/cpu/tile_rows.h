// Products of panel matrices in register tiles, and Winograd's transforms. Included after conv_rows.h, under its rules.
//
// A tile is N rows x 2 registers of c: per step of the sum 2 loads of b and N broadcasts of a feed 2N multiply-adds.
// AVX-512: 12 x 32 values in 24 of 32 registers, so a pass takes two panels; AVX2: 6 x 16 in 12 of 16, one panel;
// portable: 6 x 8, half of one.
//
// Winograd's F(2x2, 3x3) computes 2x2 outputs of a 3x3 convolution from 4x4 inputs with 16 multiplications in place of
// 36: y = A^T [(G g G^T) . (B^T d B)] A. Source: Lavin and Gray 2016, arXiv:1509.09308, section 4.1.
#pragma once

#include "kernels/cpu/conv_rows.h"

namespace furrow::cpu {
namespace {

// From one register of a pass to the next: within a panel, or in the next one.
FURROW_INLINE int64_t next_register(int64_t panel) { return Vec::kLanes == kBlock ? panel : Vec::kLanes; }

template <int N, int V>
FURROW_INLINE void add_products(T (&acc)[N][V], const float* a, int64_t a_row, const float* b, int64_t b_next) {
  T weight[V];
  FURROW_UNROLL
  for (int v = 0; v < V; ++v) weight[v] = Vec::load(b + v * b_next);
  FURROW_UNROLL
  for (int j = 0; j < N; ++j) {
    const T value = Vec::broadcast(a + j * a_row);
    FURROW_UNROLL
    for (int v = 0; v < V; ++v) acc[j][v] = Vec::fma(value, weight[v], acc[j][v]);
  }
}

// A tile whose sums are of one part.
template <int N, int V>
void product_tile(const Product& p, const float* a, const float* b, float* c) {
  const int64_t b_next = next_register(p.b_panel), c_next = next_register(p.c_panel);
  T acc[N][V];
  FURROW_UNROLL
  for (int j = 0; j < N; ++j) {
    FURROW_UNROLL
    for (int v = 0; v < V; ++v) acc[j][v] = Vec::zero();
  }
  for (int64_t left = p.depth; left > 0; left -= kBlock, a += p.a_panel) {
    const int64_t steps = left < kBlock ? left : kBlock;
    for (int64_t k = 0; k < steps; ++k, b += kBlock) add_products<N, V>(acc, a + k, kBlock, b, b_next);
  }
  const bool relu = p.relu;
  T bias[V];
  FURROW_UNROLL
  for (int v = 0; v < V; ++v) bias[v] = p.bias != nullptr ? Vec::load(p.bias + v * Vec::kLanes) : Vec::zero();
  FURROW_UNROLL
  for (int j = 0; j < N; ++j) {
    FURROW_UNROLL
    for (int v = 0; v < V; ++v) {
      float* to = c + j * kBlock + v * c_next;
      const T sum = Vec::add(p.accumulate ? Vec::load(to) : bias[v], acc[j][v]);
      Vec::store(to, relu ? Vec::relu(sum) : sum);
    }
  }
}

// A tile of a^T * b: its sums are of any number of parts.
template <int N, int V>
void transposed_tile(const Product& p, const float* a, const float* b, float* c) {
  const int64_t b_next = next_register(p.b_panel), c_next = next_register(p.c_panel);
  T acc[N][V], whole[N][V];
  FURROW_UNROLL
  for (int j = 0; j < N; ++j) {
    FURROW_UNROLL
    for (int v = 0; v < V; ++v) acc[j][v] = whole[j][v] = Vec::zero();
  }
  for (int64_t k0 = 0; k0 < p.depth; k0 += p.part) {
    if (k0 > 0) {
      FURROW_UNROLL
      for (int j = 0; j < N; ++j) {
        FURROW_UNROLL
        for (int v = 0; v < V; ++v) whole[j][v] = Vec::add(whole[j][v], acc[j][v]), acc[j][v] = Vec::zero();
      }
    }
    const int64_t part = p.depth - k0 < p.part ? p.depth - k0 : p.part;
    for (int64_t k = 0; k < part; ++k, a += kBlock, b += kBlock) add_products<N, V>(acc, a, 1, b, b_next);
  }
  FURROW_UNROLL
  for (int j = 0; j < N; ++j) {
    FURROW_UNROLL
    for (int v = 0; v < V; ++v) {
      float* to = c + j * kBlock + v * c_next;
      const T sum = Vec::add(whole[j][v], acc[j][v]);
      Vec::store(to, p.accumulate ? Vec::add(Vec::load(to), sum) : sum);
    }
  }
}

// Rows [m, end) of c, of one panel of a where a is transposed, in tiles of N rows, then of fewer.
template <int N, int V, bool kTransposed>
void product_rows(const Product& p, const float* a, const float* b, float* c, int64_t m, int64_t end) {
  for (; m + N <= end; m += N) {
    if constexpr (kTransposed)
      transposed_tile<N, V>(p, a + m, b, c + m * kBlock);
    else
      product_tile<N, V>(p, a + m * kBlock, b, c + m * kBlock);
  }
  if constexpr (N > 1)
    if (m < end) product_rows<(N > 8 ? 8 : N > 4 ? 4 : N / 2), V, kTransposed>(p, a, b, c, m, end);
}

template <int V, bool kTransposed>
void product_columns(const Product& p) {
  if constexpr (!kTransposed) {
    // Part by part over all rows, so that the part of b stays in the first-level cache: c adds up the same parts in the
    // same order as a register would.
    Product part = p;
    int64_t k = 0;
    do {  // an empty sum is one part too
      part.depth = p.depth - k < p.part ? p.depth - k : p.part;
      part.accumulate = p.accumulate || k > 0;
      part.relu = p.relu && k + p.part >= p.depth;
      product_rows<Vec::kRows, V, false>(part, p.a + k / kBlock * p.a_panel, p.b + k * kBlock, p.c, 0, p.rows);
      k += p.part;
    } while (k < p.depth);
  } else {
    for (int64_t m = 0; m < p.rows; m += kBlock)
      product_rows<Vec::kRows, V, true>(p, p.a + m / kBlock * p.a_panel, p.b, p.c + m * kBlock, 0,
                                        p.rows - m < kBlock ? p.rows - m : kBlock);
  }
}

template <bool kTransposed>
void product(const Product& p) {
  Product columns = p;
  const auto begin = [&](int64_t panel, int64_t lane) {
    columns.b = p.b + panel * p.b_panel + lane;
    columns.c = p.c + panel * p.c_panel + lane;
    if (p.bias != nullptr) columns.bias = p.bias + panel * kBlock + lane;
  };
  if constexpr (Vec::kLanes == kBlock) {
    int64_t panel = 0;
    for (; panel + 2 <= p.panels; panel += 2) begin(panel, 0), product_columns<2, kTransposed>(columns);
    if (panel < p.panels) begin(panel, 0), product_columns<1, kTransposed>(columns);
  } else {
    for (int64_t panel = 0; panel < p.panels; ++panel)
      for (int64_t lane = 0; lane < kBlock; lane += 2 * Vec::kLanes)
        begin(panel, lane), product_columns<2, kTransposed>(columns);
  }
}

void multiply(const Product& p) { product<false>(p); }
void multiply_transposed(const Product& p) { product<true>(p); }

// B^T d: four values of a column or row.
FURROW_INLINE void source_line(T d0, T d1, T d2, T d3, T (&t)[4]) {
  t[0] = Vec::sub(d0, d2);
  t[1] = Vec::add(d1, d2);
  t[2] = Vec::sub(d2, d1);
  t[3] = Vec::sub(d1, d3);
}

void winograd_source(const float* x, int64_t pixel, int64_t row, float* v, int64_t matrix) {
  for (int64_t lane = 0; lane < kBlock; lane += Vec::kLanes) {
    T t[4][4];  // [column][row]
    FURROW_UNROLL
    for (int j = 0; j < 4; ++j) {
      const float* d = x + j * pixel + lane;
      source_line(Vec::load(d), Vec::load(d + row), Vec::load(d + 2 * row), Vec::load(d + 3 * row), t[j]);
    }
    FURROW_UNROLL
    for (int i = 0; i < 4; ++i) {
      T u[4];
      source_line(t[0][i], t[1][i], t[2][i], t[3][i], u);
      FURROW_UNROLL
      for (int j = 0; j < 4; ++j) Vec::store(v + (4 * i + j) * matrix + lane, u[j]);
    }
  }
}

void winograd_gradient(const float* dy, int64_t pixel, int64_t row, float* v, int64_t matrix) {
  for (int64_t lane = 0; lane < kBlock; lane += Vec::kLanes) {
    T t[2][4];  // [column][row]
    FURROW_UNROLL
    for (int j = 0; j < 2; ++j) {
      const T d0 = Vec::load(dy + j * pixel + lane), d1 = Vec::load(dy + row + j * pixel + lane);
      t[j][0] = d0, t[j][1] = Vec::add(d0, d1), t[j][2] = Vec::sub(d0, d1), t[j][3] = Vec::sub(Vec::zero(), d1);
    }
    FURROW_UNROLL
    for (int i = 0; i < 4; ++i) {
      float* to = v + 4 * i * matrix + lane;
      Vec::store(to, t[0][i]);
      Vec::store(to + matrix, Vec::add(t[0][i], t[1][i]));
      Vec::store(to + 2 * matrix, Vec::sub(t[0][i], t[1][i]));
      Vec::store(to + 3 * matrix, Vec::sub(Vec::zero(), t[1][i]));
    }
  }
}

void winograd_result(const float* m, int64_t matrix, const WinogradResult& to) {
  for (int64_t lane = 0; lane < kBlock; lane += Vec::kLanes) {
    T s[4][2];  // [column][row]
    FURROW_UNROLL
    for (int j = 0; j < 4; ++j) {
      const float* from = m + j * matrix + lane;
      const T m1 = Vec::load(from + 4 * matrix), m2 = Vec::load(from + 8 * matrix);
      s[j][0] = Vec::add(Vec::load(from), Vec::add(m1, m2));
      s[j][1] = Vec::sub(Vec::sub(m1, m2), Vec::load(from + 12 * matrix));
    }
    const T bias = to.bias != nullptr ? Vec::load(to.bias + lane) : Vec::zero();
    for (int i = 0; i < to.height; ++i) {
      const T left = Vec::add(s[0][i], Vec::add(s[1][i], s[2][i]));
      const T right = Vec::sub(Vec::sub(s[1][i], s[2][i]), s[3][i]);
      for (int j = 0; j < to.width; ++j) {
        float* y = to.y + i * to.row + j * to.pixel + lane;
        T value = Vec::add(j == 0 ? left : right, bias);
        if (to.relu) value = Vec::relu(value);
        Vec::store(y, to.accumulate ? Vec::add(Vec::load(y), value) : value);
      }
    }
  }
}

}  // namespace
}  // namespace furrow::cpu
