// The emulator's ldmatrix and mma against a plain matrix product, with where each element lies written out a second
// time, from the other end: the PTX ISA gives rows and columns of a lane's registers, here an element finds its lane.
#include <cmath>
#include <random>
#include <vector>

#include "kernels/cuda/simt.h"
#include "tests/cuda/emulator_support.h"

namespace furrow::emulated {
namespace {

struct Place { int lane, reg, shift; };   // shift: bits within the register

// Elements per register: 2 of 16 bits, 1 of 32, 4 of 8; `depth` is the K of one mma.
Place place_a(int row, int k, int per, int depth) {
  return {row % 8 * 4 + k % (depth / 2) / per, row / 8 + 2 * (k / (depth / 2)), k % per * (32 / per)};
}
Place place_b(int k, int column, int per, int depth) {
  return {column * 4 + k % (depth / 2) / per, k / (depth / 2), k % per * (32 / per)};
}
Place place_d(int row, int column) { return {row % 8 * 4 + column / 2, row / 8 * 2 + column % 2, 0}; }

struct Registers { uint32_t a[32][4] = {}, b[32][2] = {}, d[32][4] = {}; };

template <emu::MmaType kType> __global__ void multiply(Registers* r) {
  const unsigned t = threadIdx.x;
  uint32_t a[4], b[2];
  for (int i = 0; i < 4; ++i) a[i] = r->a[t][i];
  for (int i = 0; i < 2; ++i) b[i] = r->b[t][i];
  if constexpr (kType == emu::MmaType::s8 || kType == emu::MmaType::u8s8) {
    int32_t d[4];
    for (int i = 0; i < 4; ++i) d[i] = static_cast<int32_t>(r->d[t][i]);
    if constexpr (kType == emu::MmaType::s8) mma_m16n8k32_s8(d, a, b);
    else mma_m16n8k32_u8s8(d, a, b);
    for (int i = 0; i < 4; ++i) r->d[t][i] = static_cast<uint32_t>(d[i]);
  } else {
    float d[4];
    for (int i = 0; i < 4; ++i) d[i] = std::bit_cast<float>(r->d[t][i]);
    if constexpr (kType == emu::MmaType::f16) mma_m16n8k16_f16(d, a, b);
    else if constexpr (kType == emu::MmaType::bf16) mma_m16n8k16_bf16(d, a, b);
    else mma_m16n8k8_tf32(d, a, b);
    for (int i = 0; i < 4; ++i) r->d[t][i] = std::bit_cast<uint32_t>(d[i]);
  }
}

// bits(value) is the element as it stands in a register, value(bits) its number.
template <emu::MmaType kType, class Number> struct Format;
template <> struct Format<emu::MmaType::f16, float> {
  static constexpr int per = 2, depth = 16;
  static uint32_t a(float x) { return f32_to_f16(x); }
  static uint32_t b(float x) { return f32_to_f16(x); }
  static float value_a(uint32_t u) { return f16_to_f32(static_cast<uint16_t>(u)); }
  static float value_b(uint32_t u) { return value_a(u); }
};
template <> struct Format<emu::MmaType::bf16, float> {
  static constexpr int per = 2, depth = 16;
  static uint32_t a(float x) { return f32_to_bf16(x); }
  static uint32_t b(float x) { return f32_to_bf16(x); }
  static float value_a(uint32_t u) { return bf16_to_f32(static_cast<uint16_t>(u)); }
  static float value_b(uint32_t u) { return value_a(u); }
};
template <> struct Format<emu::MmaType::tf32, float> {
  static constexpr int per = 1, depth = 8;
  static uint32_t a(float x) { return to_tf32(x); }
  static uint32_t b(float x) { return to_tf32(x); }
  static float value_a(uint32_t u) { return std::bit_cast<float>(u); }
  static float value_b(uint32_t u) { return value_a(u); }
};
template <> struct Format<emu::MmaType::s8, int32_t> {
  static constexpr int per = 4, depth = 32;
  static uint32_t a(int32_t x) { return static_cast<uint8_t>(x); }
  static uint32_t b(int32_t x) { return static_cast<uint8_t>(x); }
  static int32_t value_a(uint32_t u) { return u < 128 ? static_cast<int32_t>(u) : static_cast<int32_t>(u) - 256; }
  static int32_t value_b(uint32_t u) { return value_a(u); }
};
template <> struct Format<emu::MmaType::u8s8, int32_t> : Format<emu::MmaType::s8, int32_t> {
  static int32_t value_a(uint32_t u) { return static_cast<int32_t>(u); }
};

template <emu::MmaType kType, class Number> void expect_product() {
  using F = Format<kType, Number>;
  constexpr int kDepth = F::depth;
  std::mt19937 random(20240611);
  const auto draw = [&]() -> Number {
    if constexpr (std::is_same_v<Number, float>) return std::uniform_real_distribution<float>(-2, 2)(random);
    else return std::uniform_int_distribution<int32_t>(-128, 255)(random);
  };
  for (int round = 0; round < 20; ++round) {
    Registers r;
    Number a[16][kDepth], b[kDepth][8], want[16][8];
    for (int i = 0; i < 16; ++i)
      for (int k = 0; k < kDepth; ++k) {
        const uint32_t bits = F::a(draw());
        const Place p = place_a(i, k, F::per, kDepth);
        r.a[p.lane][p.reg] |= bits << p.shift;
        a[i][k] = F::value_a(bits);
      }
    for (int k = 0; k < kDepth; ++k)
      for (int j = 0; j < 8; ++j) {
        const uint32_t bits = F::b(draw());
        const Place p = place_b(k, j, F::per, kDepth);
        r.b[p.lane][p.reg] |= bits << p.shift;
        b[k][j] = F::value_b(bits);
      }
    for (int i = 0; i < 16; ++i)
      for (int j = 0; j < 8; ++j) {
        Number sum = draw();
        const Place p = place_d(i, j);
        r.d[p.lane][p.reg] = std::bit_cast<uint32_t>(sum);
        for (int k = 0; k < kDepth; ++k) sum += a[i][k] * b[k][j];
        want[i][j] = sum;
      }
    LAUNCH({}, dim3(1), dim3(32), 0, multiply<kType>, &r);
    for (int i = 0; i < 16; ++i)
      for (int j = 0; j < 8; ++j) {
        const Place p = place_d(i, j);
        // Bit for bit: the emulator promises products in fp32 (or int32), in order of k.
        ASSERT_EQ(r.d[p.lane][p.reg], std::bit_cast<uint32_t>(want[i][j])) << "row " << i << ", column " << j;
      }
  }
}

TEST(Mma, IsTheMatrixProductInF16) { expect_product<emu::MmaType::f16, float>(); }
TEST(Mma, IsTheMatrixProductInBf16) { expect_product<emu::MmaType::bf16, float>(); }
TEST(Mma, IsTheMatrixProductInTf32) { expect_product<emu::MmaType::tf32, float>(); }
TEST(Mma, IsTheMatrixProductInS8) { expect_product<emu::MmaType::s8, int32_t>(); }
TEST(Mma, IsTheMatrixProductInU8TimesS8) { expect_product<emu::MmaType::u8s8, int32_t>(); }

// With cut_mma: what is below 2^-23 of the largest term is gone, down to its last bit; with no such term nothing is.
TEST(Mma, CutsTermsWhereAskedTo) {
  const emu::KeepOptions keep;
  const auto product = [](float sum, float a, float b) {   // element (0,0): sum + 16 a b
    Registers r;
    for (int k = 0; k < 16; ++k) {
      const Place at_a = place_a(0, k, 2, 16), at_b = place_b(k, 0, 2, 16);
      r.a[at_a.lane][at_a.reg] |= static_cast<uint32_t>(f32_to_f16(a)) << at_a.shift;
      r.b[at_b.lane][at_b.reg] |= static_cast<uint32_t>(f32_to_f16(b)) << at_b.shift;
    }
    r.d[0][0] = std::bit_cast<uint32_t>(sum);
    LAUNCH({}, dim3(1), dim3(32), 0, multiply<emu::MmaType::f16>, &r);
    return std::bit_cast<float>(r.d[0][0]);
  };
  constexpr float kBelow = 0x1.ffcp-12f, kAt = 0x1p-11f, kOther = 0x1p-12f;
  EXPECT_GT(product(1, kBelow, kOther), 1);
  emu::options().cut_mma = true;
  EXPECT_EQ(product(1, kBelow, kOther), 1);
  EXPECT_EQ(product(-1, kBelow, kOther), -1);
  EXPECT_EQ(product(1, kAt, kOther), 1 + 0x1p-19f);
  EXPECT_EQ(product(0, kBelow, kOther), 0x1.ffcp-20f);
  EXPECT_EQ(product(0.5f, 1.5f, -2), -47.5f);
  EXPECT_EQ(product(0, 0, 1), 0);
  EXPECT_EQ(product(INFINITY, 1, 1), INFINITY);
  EXPECT_TRUE(std::isnan(product(INFINITY, -INFINITY, 1)));
}

TEST(Mma, KnowsEveryF16) {
  for (uint32_t first = 0; first < 65536; first += 16) {
    Registers r;
    for (int row = 0; row < 16; ++row) {
      const Place p = place_a(row, 0, 2, 16);
      r.a[p.lane][p.reg] |= (first + static_cast<uint32_t>(row)) << p.shift;
    }
    r.b[0][0] = 0x3C00;   // B[0][0] = 1, all else 0
    LAUNCH({}, dim3(1), dim3(32), 0, multiply<emu::MmaType::f16>, &r);
    for (int row = 0; row < 16; ++row) {
      const float want = f16_to_f32(static_cast<uint16_t>(first + static_cast<uint32_t>(row)));
      const Place p = place_d(row, 0);
      const float got = std::bit_cast<float>(r.d[p.lane][p.reg]);
      ASSERT_TRUE(got == want || (std::isnan(got) && std::isnan(want))) << first + static_cast<uint32_t>(row);
    }
  }
}

TEST(Mma, IgnoresTheLowBitsOfTf32) {
  Registers r;
  r.a[0][0] = 0x3F801FFFu;   // A[0][0]: 1 and 13 low bits
  r.b[0][0] = 0x3F801FFFu;
  LAUNCH({}, dim3(1), dim3(32), 0, multiply<emu::MmaType::tf32>, &r);
  EXPECT_EQ(r.d[0][0], 0x3F800000u);
}

TEST(Mma, WrapsInInt32) {
  Registers r;
  r.a[0][0] = 127;
  r.b[0][0] = 127;
  r.d[0][0] = 0x7FFFFFFFu;
  LAUNCH({}, dim3(1), dim3(32), 0, multiply<emu::MmaType::s8>, &r);
  EXPECT_EQ(r.d[0][0], 0x7FFFFFFFu + 127u * 127u);
}

// ---- ldmatrix. Shared rows of eight 16-bit elements, `pitch` elements apart; element (m, row, column) is numbered.
template <int kMatrices, bool kTransposed> __global__ void load(uint32_t* out, int pitch) {
  DYNAMIC_SHARED(uint16_t, s);
  const int lane = static_cast<int>(threadIdx.x);
  for (int c = 0; c < 8; ++c) s[lane * pitch + c] = static_cast<uint16_t>(lane * 8 + c);
  __syncwarp();
  if constexpr (kMatrices == 2) {
    uint32_t r[2];
    ldmatrix_x2(r, &s[lane % 16 * pitch]);
    for (int i = 0; i < 2; ++i) out[lane * kMatrices + i] = r[i];
  } else {
    uint32_t r[4];
    if constexpr (kTransposed) ldmatrix_x4_trans(r, &s[lane * pitch]);
    else ldmatrix_x4(r, &s[lane * pitch]);
    for (int i = 0; i < 4; ++i) out[lane * kMatrices + i] = r[i];
  }
}

template <int kMatrices, bool kTransposed> void expect_fragments() {
  std::vector<uint32_t> out(32 * kMatrices);
  LAUNCH({}, dim3(1), dim3(32), 32 * 40 * 2, (load<kMatrices, kTransposed>), out.data(), 40);
  for (int m = 0; m < kMatrices; ++m)
    for (int row = 0; row < 8; ++row)
      for (int column = 0; column < 8; ++column) {
        // Element (row, column) is the half column % 2 of register m in lane 4 row + column / 2; transposed, (column,
        // row).
        const int i = kTransposed ? column : row, j = kTransposed ? row : column;
        const uint32_t reg = out[static_cast<size_t>((4 * i + j / 2) * kMatrices + m)];
        ASSERT_EQ(reg >> (16 * (j % 2)) & 0xFFFFu, static_cast<uint32_t>((8 * m + row) * 8 + column))
            << "matrix " << m << ", row " << row << ", column " << column;
      }
}
TEST(Ldmatrix, SpreadsFourMatrices) { expect_fragments<4, false>(); }
TEST(Ldmatrix, SpreadsFourTransposed) { expect_fragments<4, true>(); }
TEST(Ldmatrix, SpreadsTwoMatrices) { expect_fragments<2, false>(); }

TEST(Ldmatrix, CountsBankConflicts) {
  const auto conflicts = [](int pitch) {
    std::vector<uint32_t> out(128);
    emu::reset_counters();
    LAUNCH({}, dim3(1), dim3(32), static_cast<size_t>(pitch) * 64, (load<4, false>), out.data(), pitch);
    return emu::counters().ldmatrix_conflicts;
  };
  EXPECT_EQ(conflicts(8), 0u);        // 16-byte rows: eight fill the 128 bytes of all banks
  EXPECT_EQ(conflicts(40), 0u);       // 80 bytes
  EXPECT_EQ(conflicts(16), 4u * 1);   // 32 bytes: rows 0 and 4 share banks
  EXPECT_EQ(conflicts(32), 4u * 3);   // 64 bytes: every other row
  EXPECT_EQ(conflicts(64), 4u * 7);   // 128 bytes: all eight
}

}  // namespace
}  // namespace furrow::emulated
