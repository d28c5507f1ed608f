// Weights for instruction sets that multiply pairs of 16 bits, included by them before byte_rows.h: [channels 0 and 2,
// then 1 and 3][16 channels of y][2].
#pragma once

#include "kernels/cpu/byte_kernels.h"

namespace furrow::cpu {
namespace {

void pack_pairs(const int8_t (&w)[16][kByteGroup], std::byte* to) {
  int16_t pairs[2][16][2];
  for (int lane = 0; lane < 16; ++lane)
    for (int c = 0; c < kByteGroup; ++c) pairs[c % 2][lane][c / 2] = w[lane][c];
  __builtin_memcpy(to, pairs, sizeof pairs);
}

}  // namespace
}  // namespace furrow::cpu
