// What each word gives, written from the PTX ISA ("Matrix Fragments for mma", "ldmatrix", "cp.async", "shfl.sync") and
// the CUDA C++ Programming Guide, on doubles and plain loops. Knows nothing of kernels/emu or kernels/half.h.
#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "tests/cuda/conformance/cases.h"

namespace furrow::gpu {

double decode_float(uint32_t bits) { return static_cast<double>(std::bit_cast<float>(bits)); }
double decode_brain(uint16_t bits) { return decode_float(static_cast<uint32_t>(bits) << 16); }
double decode_half(uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double sign = bits & 0x8000 ? -1 : 1;
  if (exponent == 31)
    return fraction ? std::numeric_limits<double>::quiet_NaN() : sign * std::numeric_limits<double>::infinity();
  return sign * (exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25));
}

namespace {

uint32_t bits_of(float value) { return std::bit_cast<uint32_t>(value); }

// The number in `value` that has `fraction` bits after the leading one and no exponent below `lowest`; ties to even, or
// away from zero. Infinite from 2^(largest+1) on.
double rounded(double value, int fraction, int lowest, int largest, bool away) {
  if (value == 0 || !std::isfinite(value)) return value;
  const int exponent = std::max(std::ilogb(value), lowest);
  const double unit = std::ldexp(1, exponent - fraction), scaled = std::fabs(value) / unit, down = std::floor(scaled),
               rest = scaled - down;
  const bool up = rest > 0.5 || (rest == 0.5 && (away || std::fmod(down, 2) == 1));
  const double result = (down + (up ? 1 : 0)) * unit;
  return std::copysign(result >= std::ldexp(1, largest + 1) ? std::numeric_limits<double>::infinity() : result, value);
}
uint32_t encode_half(double value) {
  const uint32_t sign = std::signbit(value) ? 0x8000 : 0;
  value = std::fabs(value);
  if (std::isnan(value)) return 0x7FFF;
  if (std::isinf(value)) return sign | 0x7C00;
  if (value < 0x1p-14) return sign | static_cast<uint32_t>(std::ldexp(value, 24));
  const int exponent = std::ilogb(value);
  return sign | static_cast<uint32_t>(exponent + 15) << 10 |
         (static_cast<uint32_t>(std::ldexp(value, 10 - exponent)) & 1023);
}

// Element (row, column) of A and (row, column) of B, C, D by the tables of "Matrix Fragments": which lane and register
// hold it, and which part of the register.
struct Place {
  int lane, word, part;
};
// Registers step first over rows +8, then over the upper half of K.
Place place_a(int row, int k, int per_word, int k_size) {
  const int half = k / (k_size / 2), inside = k % (k_size / 2);
  return {(row % 8) * 4 + inside / per_word, row / 8 + 2 * half, inside % per_word};
}
Place place_b(int k, int column, int per_word, int k_size) {
  const int half = k / (k_size / 2), inside = k % (k_size / 2);
  return {column * 4 + inside / per_word, 4 + half, inside % per_word};
}
Place place_d(int row, int column) { return {(row % 8) * 4 + column / 2, 6 + column % 2 + 2 * (row / 8), 0}; }

Modelled multiply(Word word, const uint32_t* in) {
  const bool bytes = word == Word::mma_s8 || word == Word::mma_u8s8;
  const int k_size = word == Word::mma_tf32 ? 8
                     : bytes                ? 32
                                            : 16,
            per_word = word == Word::mma_tf32 ? 1
                       : bytes                ? 4
                                              : 2;
  const auto number = [&](Place p, bool left) -> double {
    const uint32_t register_word = in[p.lane * 10 + p.word];
    if (word == Word::mma_tf32) return decode_float(register_word);
    if (bytes) {
      const int byte = static_cast<int>(register_word >> 8 * p.part & 255);
      return left && word == Word::mma_u8s8 ? byte : byte < 128 ? byte : byte - 256;
    }
    const auto half = static_cast<uint16_t>(register_word >> 16 * p.part);
    return word == Word::mma_f16 ? decode_half(half) : decode_brain(half);
  };
  Modelled out{std::vector<uint32_t>(128), std::vector<double>(128)};
  for (int row = 0; row < 16; ++row)
    for (int column = 0; column < 8; ++column) {
      const Place d = place_d(row, column);
      const uint32_t before = in[d.lane * 10 + d.word];
      double sum = bytes ? static_cast<int32_t>(before) : decode_float(before), magnitude = std::fabs(sum);
      for (int k = 0; k < k_size; ++k) {
        const double product =
            number(place_a(row, k, per_word, k_size), true) * number(place_b(k, column, per_word, k_size), false);
        sum += product;
        magnitude += std::fabs(product);
      }
      const int at = d.lane * 4 + d.word - 6;
      out.words[at] = bytes ? static_cast<uint32_t>(static_cast<int32_t>(sum)) : bits_of(static_cast<float>(sum));
      out.magnitudes[at] = magnitude;
    }
  return out;
}

// Lane 8m + r names row r of matrix m; lane l receives elements 2(l%4), 2(l%4)+1 of row l/4, transposed of column l/4.
void load_matrices(Word word, const uint32_t* in, uint32_t* out) {
  const int matrices = word == Word::ldmatrix_x2 ? 2 : 4;
  const auto element = [&](int matrix, int row, int column) {
    const uint32_t named = in[128 + 8 * matrix + row];
    return in[named * 4 + column / 2] >> 16 * (column % 2) & 0xFFFF;
  };
  for (int lane = 0; lane < 32; ++lane)
    for (int m = 0; m < matrices; ++m) {
      const int line = lane / 4, first = 2 * (lane % 4);
      const bool trans = word == Word::ldmatrix_x4_trans;
      out[lane * matrices + m] = trans ? element(m, first, line) | element(m, first + 1, line) << 16
                                       : element(m, line, first) | element(m, line, first + 1) << 16;
    }
}

void copy_pieces(int piece, const uint32_t* in, uint32_t* out) {
  for (int i = 0; i < 64 * piece; ++i) out[32 * piece + i] = in[64 * piece + i / piece] ? in[i] : 0;
  std::copy_n(out + 32 * piece, 32 * piece, out);
}

void shuffle(Word word, const uint32_t* in, uint32_t* out) {
  for (const int width : kShuffleWidths)
    for (int by = 0; by < width; ++by, out += 32)
      for (int lane = 0; lane < 32; ++lane) {
        const int first = lane / width * width, place = lane % width;
        int from = place;   // out of the segment: the lane's own value
        if (word == Word::shuffle_index)
          from = static_cast<int>((in[32 + lane] + static_cast<uint32_t>(by)) % static_cast<uint32_t>(width));
        if (word == Word::shuffle_up && place >= by) from = place - by;
        if (word == Word::shuffle_down && place + by < width) from = place + by;
        if (word == Word::shuffle_xor) from = place ^ by;
        out[lane] = in[first + from];
      }
}

double exact_function(Word word, const uint32_t* in, int i) {
  if (word == Word::powf) return std::pow(decode_float(in[2 * i]), decode_float(in[2 * i + 1]));
  const double x = decode_float(in[i]);
  return word == Word::expf ? std::exp(x) : word == Word::logf ? std::log(x) : std::log1p(x);
}

void exact_math(const uint32_t* in, uint32_t* out) {
  for (int i = 0; i < 64; ++i, in += 3, out += 6) {
    const float x = std::bit_cast<float>(in[0]), y = std::bit_cast<float>(in[1]), z = std::bit_cast<float>(in[2]);
    // A NaN is missing data to fmin and fmax.
    const bool x_first = std::isnan(y) || x < y, x_last = std::isnan(y) || x > y;
    out[0] = bits_of(std::fma(x, y, z));
    out[1] = bits_of(static_cast<float>(std::sqrt(std::fabs(static_cast<double>(x)))));
    out[2] = bits_of(std::isnan(x) || !x_first ? y : x);
    out[3] = bits_of(std::isnan(x) || !x_last ? y : x);
    out[4] = bits_of(static_cast<float>(std::floor(static_cast<double>(x))));
    out[5] = (std::isnan(x) ? 1u : 0u) | (std::isfinite(x) ? 2u : 0u) | (x < y ? 4u : 0u);
  }
}

void atomics(const uint32_t* in, uint32_t* out) {
  uint32_t sum = 0, most = 0;
  int64_t signed_sum = 0;
  int32_t signed_most = std::numeric_limits<int32_t>::min();
  uint64_t wide = 0;
  for (int i = 0; i < 64; ++i) {
    sum += in[i];
    signed_sum += static_cast<int32_t>(in[i]) >> 8;
    wide += static_cast<uint64_t>(in[i]) << 7;
    most = std::max(most, in[i]);
    signed_most = std::max(signed_most, static_cast<int32_t>(in[i]));
  }
  const uint32_t all[] = {
      sum,  static_cast<uint32_t>(signed_sum), static_cast<uint32_t>(wide), static_cast<uint32_t>(wide >> 32),
      most, static_cast<uint32_t>(signed_most)};
  std::copy(std::begin(all), std::end(all), out);
}

}  // namespace

Modelled model(const ConformanceCase& c, const uint32_t* in) {
  Modelled result{std::vector<uint32_t>(static_cast<size_t>(c.out_words)), {}};
  uint32_t* out = result.words.data();
  switch (c.word) {
    case Word::mma_f16:
    case Word::mma_bf16:
    case Word::mma_tf32:
    case Word::mma_s8:
    case Word::mma_u8s8: return multiply(c.word, in);
    case Word::ldmatrix_x4: case Word::ldmatrix_x4_trans: case Word::ldmatrix_x2: load_matrices(c.word, in, out); break;
    case Word::cp_async_16: copy_pieces(4, in, out); break;
    case Word::cp_async_4: copy_pieces(1, in, out); break;
    case Word::shuffle_index:
    case Word::shuffle_up:
    case Word::shuffle_down:
    case Word::shuffle_xor: shuffle(c.word, in, out); break;
    case Word::shuffle_64:
      for (int lane = 0; lane < 32; ++lane, out += 3) {
        out[0] = in[2 * (lane ^ 1)];
        out[1] = in[2 * (lane ^ 1) + 1];
        out[2] = in[2 * (lane ^ 2)];
      }
      break;
    case Word::ballot: {
      uint32_t all = 0;
      for (int lane = 0; lane < 32; ++lane) all |= (in[lane] & 1) << lane;
      for (int lane = 0; lane < 32; ++lane, out += 3) {
        out[0] = all;
        out[1] = all & (lane < 16 ? 0xFFFFu : 0xFFFF0000u);
        for (int bit = 0; bit < 32; ++bit) out[2] += in[lane] >> bit & 1;
      }
      break;
    }
    case Word::barrier_count: {
      uint32_t odd = 0, others = 0;
      for (int i = 0; i < 96; ++i) odd += in[i] & 1, others += (in[i] & 6) != 0;
      for (int i = 0; i < 96; ++i, out += 2) out[0] = odd, out[1] = others;
      break;
    }
    case Word::to_tf32:
      for (int i = 0; i < 128; ++i)
        out[i] = bits_of(static_cast<float>(rounded(decode_float(in[i]), 10, -126, 127, true)));
      break;
    case Word::from_f16:
      for (int i = 0; i < 128; ++i) out[i] = bits_of(static_cast<float>(decode_half(static_cast<uint16_t>(in[i]))));
      break;
    case Word::from_bf16:
      for (int i = 0; i < 128; ++i) out[i] = in[i] << 16;
      break;
    case Word::to_f16:
      for (int i = 0; i < 128; ++i) out[i] = encode_half(rounded(decode_float(in[i]), 10, -14, 15, false));
      break;
    case Word::to_bf16:
      for (int i = 0; i < 128; ++i)
        out[i] = bits_of(static_cast<float>(rounded(decode_float(in[i]), 7, -126, 127, false))) >> 16;
      break;
    case Word::expf: case Word::logf: case Word::log1pf: case Word::powf:
      for (int i = 0; i < 128; ++i) out[i] = bits_of(static_cast<float>(exact_function(c.word, in, i)));
      break;
    case Word::exact_math: exact_math(in, out); break;
    case Word::atomics: atomics(in, out); break;
  }
  return result;
}

}  // namespace furrow::gpu
