#include "io/md5.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace furrow::io {
namespace {

using State = std::array<uint32_t, 4>;

// T[i] = floor(2^32 |sin(i + 1)|), as the RFC defines it; no value is near enough to a whole number for rounding to
// tell.
std::array<uint32_t, 64> make_table() {
  std::array<uint32_t, 64> table;
  for (size_t i = 0; i < 64; ++i)
    table[i] = static_cast<uint32_t>(4294967296.0 * std::fabs(std::sin(static_cast<double>(i + 1))));
  return table;
}

void md5_block(State& state, const std::byte* block) {
  static const std::array<uint32_t, 64> kTable = make_table();
  constexpr int kTurns[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
  static_assert(std::endian::native == std::endian::little);
  uint32_t words[16];
  std::memcpy(words, block, sizeof words);
  auto [a, b, c, d] = state;
  for (uint32_t i = 0; i < 64; ++i) {
    uint32_t f = 0, at = 0;
    switch (i / 16) {
      case 0: f = (b & c) | (~b & d), at = i; break;
      case 1: f = (d & b) | (~d & c), at = 5 * i + 1; break;
      case 2: f = b ^ c ^ d, at = 3 * i + 5; break;
      default: f = c ^ (b | ~d), at = 7 * i; break;
    }
    const uint32_t sum = a + f + kTable[i] + words[at % 16];
    a = d, d = c, c = b;
    b += std::rotl(sum, kTurns[i / 16][i % 4]);
  }
  state = {state[0] + a, state[1] + b, state[2] + c, state[3] + d};
}

}  // namespace

std::string md5_hex(std::span<const std::byte> bytes) {
  State state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  const size_t whole = bytes.size() / 64, rest = bytes.size() % 64;
  for (size_t i = 0; i < whole; ++i) md5_block(state, bytes.data() + 64 * i);
  // What is left, a bit of 1, zeros, and the number of bits.
  std::array<std::byte, 128> tail{};
  if (rest > 0) std::memcpy(tail.data(), bytes.data() + 64 * whole, rest);
  tail[rest] = std::byte{0x80};
  const size_t blocks = rest < 56 ? 1 : 2;
  const uint64_t bits = uint64_t{bytes.size()} * 8;
  std::memcpy(tail.data() + 64 * blocks - 8, &bits, 8);
  for (size_t i = 0; i < blocks; ++i) md5_block(state, tail.data() + 64 * i);
  std::string text;
  for (const uint32_t word : state)
    for (int shift = 0; shift < 32; shift += 8)
      for (const int half : {4, 0}) text += "0123456789abcdef"[word >> (shift + half) & 15];
  return text;
}

}  // namespace furrow::io
