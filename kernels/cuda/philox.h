// Philox4x32-10 for kernels: the numbers of kernels/random.h (Salmon, Moraes, Dror and Shaw, SC 2011), bit for bit.
#pragma once

#include <cstdint>

#include "kernels/cuda/simt.h"

namespace furrow::SIMT_NS {

struct PhiloxWords {
  uint32_t x, y, z, w;
};

// The four numbers of counter {block, stream} under `key`.
SIMT_BOTH PhiloxWords philox(uint64_t key, uint64_t stream, uint64_t block) {
  PhiloxWords c{static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), static_cast<uint32_t>(stream),
                static_cast<uint32_t>(stream >> 32)};
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  SIMT_UNROLL for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * c.x, p1 = uint64_t{0xCD9E8D57} * c.z;
    c = {static_cast<uint32_t>(p1 >> 32) ^ c.y ^ k0, static_cast<uint32_t>(p1),
         static_cast<uint32_t>(p0 >> 32) ^ c.w ^ k1, static_cast<uint32_t>(p0)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c;
}

// The 24 high bits of number `index` of a sequence: uniform() of kernels/random.h times 2^24. Keeps the block it drew last,
// as neighbouring numbers share one.
struct PhiloxSequence {
  uint64_t key, stream, block;
  PhiloxWords words;
  SIMT_BOTH PhiloxSequence(uint64_t seed, uint64_t sequence)
      : key(seed), stream(sequence), block(~uint64_t{0}), words{0, 0, 0, 0} {}
  SIMT_BOTH uint32_t bits24(uint64_t index) {
    if (index / 4 != block) words = philox(key, stream, block = index / 4);
    const uint32_t word = index % 4 == 0 ? words.x : index % 4 == 1 ? words.y : index % 4 == 2 ? words.z : words.w;
    return word >> 8;
  }
};

}  // namespace furrow::SIMT_NS
