#include "io/jpeg_idct.h"

#include <algorithm>
#include <cstring>

namespace furrow::io {
namespace {

constexpr int kBits = 13;  // of the constants
constexpr int kKept = 2;   // bits of fraction between the passes
constexpr int scaled(double value) { return static_cast<int>(value * (1 << kBits) + 0.5); }
// Named by their value; with c_k = sqrt(2) cos(k pi / 16):
//   0.541 = c6, 0.765 = c2 - c6, 1.847 = c2 + c6, 1.175 = c3, 0.390 = c3 - c5, 1.961 = c3 + c5, 0.899 = c3 - c7,
//   2.562 = c1 + c3, 0.298 = -c1 + c3 + c5 - c7, 2.053 = c1 + c3 - c5 + c7, 3.072 = c1 + c3 + c5 - c7,
//   1.501 = c1 + c3 - c5 - c7
constexpr int k0_298 = scaled(0.298631336), k0_390 = scaled(0.390180644), k0_541 = scaled(0.541196100),
              k0_765 = scaled(0.765366865), k0_899 = scaled(0.899976223), k1_175 = scaled(1.175875602),
              k1_501 = scaled(1.501321110), k1_847 = scaled(1.847759065), k1_961 = scaled(1.961570560),
              k2_053 = scaled(2.053119869), k2_562 = scaled(2.562915447), k3_072 = scaled(3.072711026);

using Block = int16_t[8][8];

int16_t saturated(int32_t value) { return static_cast<int16_t>(std::clamp(value, -32768, 32767)); }

// The transform along the first index, for all eight of the second at once. Factors of the paper that meet in one
// product are added beforehand: the integers are the same. No sum can exceed 31 bits: of 2^28, the even part brings at
// most 2.85 and the odd part 5.03, less than 8 together.
template <int kShift>
void transform(const Block& in, Block& out) {
  for (int i = 0; i < 8; ++i) {
    const int16_t x0 = in[0][i], x1 = in[1][i], x2 = in[2][i], x3 = in[3][i];
    const int16_t x4 = in[4][i], x5 = in[5][i], x6 = in[6][i], x7 = in[7][i];
    constexpr int32_t kHalf = 1 << (kShift - 1);
    const int32_t sum = static_cast<int16_t>(x0 + x4) * (1 << kBits) + kHalf;
    const int32_t difference = static_cast<int16_t>(x0 - x4) * (1 << kBits) + kHalf;
    const int32_t turned_a = x2 * (k0_541 + k0_765) + x6 * k0_541, turned_b = x2 * k0_541 + x6 * (k0_541 - k1_847);
    const int32_t e0 = sum + turned_a, e3 = sum - turned_a, e1 = difference + turned_b, e2 = difference - turned_b;
    const auto z3 = static_cast<int16_t>(x7 + x3), z4 = static_cast<int16_t>(x5 + x1);
    const int32_t s3 = z3 * (k1_175 - k1_961) + z4 * k1_175, s4 = z3 * k1_175 + z4 * (k1_175 - k0_390);
    const int32_t o0 = x7 * (k0_298 - k0_899) - x1 * k0_899 + s3, o1 = x5 * (k2_053 - k2_562) - x3 * k2_562 + s4;
    const int32_t o2 = x3 * (k3_072 - k2_562) - x5 * k2_562 + s3, o3 = x1 * (k1_501 - k0_899) - x7 * k0_899 + s4;
    out[0][i] = saturated((e0 + o3) >> kShift);
    out[7][i] = saturated((e0 - o3) >> kShift);
    out[1][i] = saturated((e1 + o2) >> kShift);
    out[6][i] = saturated((e1 - o2) >> kShift);
    out[2][i] = saturated((e2 + o1) >> kShift);
    out[5][i] = saturated((e2 - o1) >> kShift);
    out[3][i] = saturated((e3 + o0) >> kShift);
    out[4][i] = saturated((e3 - o0) >> kShift);
  }
}

void transpose(const Block& in, Block& out) {
  for (int i = 0; i < 8; ++i)
    for (int k = 0; k < 8; ++k) out[i][k] = in[k][i];
}

uint8_t sample(int value) { return static_cast<uint8_t>(std::clamp(value, -128, 127) + 128); }

// Whether coefficients from..to - 1 are zero; whole fours.
bool zero(const int16_t* coefficients, int from, int to) {
  uint64_t all = 0;
  for (int i = from; i < to; i += 4) {
    uint64_t four;
    std::memcpy(&four, coefficients + i, sizeof four);
    all |= four;
  }
  return all == 0;
}

}  // namespace

void inverse_dct(const int16_t* coefficients, const JpegQuantisation& steps, uint8_t* out, ptrdiff_t stride) {
  Block a, b;
  if (zero(coefficients, 8, 64)) {  // every column is constant
    for (int i = 0; i < 8; ++i) {
      const auto value = static_cast<int16_t>(coefficients[i] * steps[static_cast<size_t>(i)] * (1 << kKept));
      for (auto& row : a) row[i] = value;
    }
    const bool flat = (coefficients[1] | coefficients[2] | coefficients[3]) == 0 && zero(coefficients, 4, 8);
    if (flat) {
      const uint8_t value = sample((a[0][0] + (1 << (kKept + 2))) >> (kKept + 3));
      for (int y = 0; y < 8; ++y) std::memset(out + y * stride, value, 8);
      return;
    }
  } else {
    for (int i = 0; i < 64; ++i) {
      b[i / 8][i % 8] = static_cast<int16_t>(coefficients[i] * steps[static_cast<size_t>(i)]);
    }
    transform<kBits - kKept>(b, a);
  }
  transpose(a, b);
  transform<kBits + kKept + 3>(b, a);
  for (int y = 0; y < 8; ++y)
    for (int x = 0; x < 8; ++x) out[y * stride + x] = sample(a[x][y]);
}

}  // namespace furrow::io
