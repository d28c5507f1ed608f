#include "kernels/secret_hash.h"

#include <array>
#include <bit>
#include <cstring>
#include <random>

namespace furrow {
namespace {

struct Secret {
  std::array<uint64_t, 2> text;
  std::array<uint64_t, 3> number;
};

const Secret& secret() {
  static const Secret drawn = [] {
    std::random_device source;  // the operating system's or the processor's
    const auto draw = [&] { return uint64_t{source()} << 32 | source(); };
    return Secret{{draw(), draw()}, {draw(), draw(), draw()}};
  }();
  return drawn;
}

// SipHash (Aumasson and Bernstein, 2012) with one round for each word and three at the end, as in Rust's and Python's
// tables.
class SipHash {
 public:
  explicit SipHash(const std::array<uint64_t, 2>& key)
      : v_{key[0] ^ 0x736f6d6570736575, key[1] ^ 0x646f72616e646f6d, key[0] ^ 0x6c7967656e657261,
           key[1] ^ 0x7465646279746573} {}

  void add(uint64_t word) {
    v_[3] ^= word;
    round();
    v_[0] ^= word;
  }
  uint64_t finish() {
    v_[2] ^= 0xff;
    for (int i = 0; i < 3; ++i) round();
    return v_[0] ^ v_[1] ^ v_[2] ^ v_[3];
  }

 private:
  void round() {
    v_[0] += v_[1], v_[1] = std::rotl(v_[1], 13) ^ v_[0], v_[0] = std::rotl(v_[0], 32);
    v_[2] += v_[3], v_[3] = std::rotl(v_[3], 16) ^ v_[2];
    v_[0] += v_[3], v_[3] = std::rotl(v_[3], 21) ^ v_[0];
    v_[2] += v_[1], v_[1] = std::rotl(v_[1], 17) ^ v_[2], v_[2] = std::rotl(v_[2], 32);
  }

  uint64_t v_[4];
};

}  // namespace

size_t SecretHash::operator()(std::string_view text) const {
  SipHash hash(secret().text);
  size_t at = 0;
  for (; at + 8 <= text.size(); at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, text.data() + at, 8);
    hash.add(word);
  }
  uint64_t last = uint64_t{text.size()} << 56;
  if (at < text.size()) std::memcpy(&last, text.data() + at, text.size() - at);  // 7 bytes at most
  hash.add(last);
  return hash.finish();
}

// Multiply and shift over the two halves (Dietzfelbinger, 1996): any two numbers meet with a chance of 2^-32.
size_t SecretHash::operator()(uint64_t number) const noexcept {
  const auto& [a, b, c] = secret().number;
  return (a * (number & 0xffffffff) + b * (number >> 32) + c) >> 32;
}

}  // namespace furrow
