// Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as
// 1, 2, 3" (SC 2011): a bijection of a 128-bit counter under a 64-bit key. No state, so any element can be drawn alone,
// in any order, on any machine, with the same bits.
#pragma once

#include <array>
#include <cstdint>

namespace furrow {

class Philox {
 public:
  using Block = std::array<uint32_t, 4>;
  explicit Philox(uint64_t key) : key_(key) {}

  // The four numbers of one counter, least significant word first.
  Block operator()(Block c) const {
    uint32_t k0 = static_cast<uint32_t>(key_), k1 = static_cast<uint32_t>(key_ >> 32);
    for (int round = 0; round < 10; ++round) {
      const uint64_t p0 = uint64_t{0xD2511F53} * c[0], p1 = uint64_t{0xCD9E8D57} * c[2];
      c = {static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(p1),
           static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(p0)};
      k0 += 0x9E3779B9;
      k1 += 0xBB67AE85;
    }
    return c;
  }

  // Number `index` of sequence `stream`, uniform in [0, 1) in steps of 2^-24: counter {index/4, stream}, word index%4.
  double uniform(uint64_t stream, uint64_t index) const {
    const uint64_t block = index / 4;
    const Block words = (*this)({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32),
                                 static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)});
    return (words[index % 4] >> 8) * 0x1p-24;
  }

 private:
  uint64_t key_;
};

}  // namespace furrow
