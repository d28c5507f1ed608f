// Weights of a step that is computed from bytes.
#pragma once

#include <vector>

#include "kernels/cpu/steps.h"

namespace furrow::cpu {

// By output block, as ByteRow says; `w` of the base is empty, `b` and the head are as ever.
class ByteWeights : public PackedWeights {
 public:
  ByteWeights(PackedWeights epilogue, int64_t blocks, int64_t rows, int64_t bytes);
  size_t bytes() const override;
  const std::byte* block(int64_t index) const {
    return reinterpret_cast<const std::byte*>(w8.values<uint8_t>().data()) + index * block_bytes;
  }
  std::byte* block(int64_t index) {
    return reinterpret_cast<std::byte*>(w8.values<uint8_t>().data()) + index * block_bytes;
  }
  // Of block and kernel row: sum of zero point times weight, for each of 16 channels.
  const int32_t* row_sums(int64_t index, int64_t row) const { return sums.data() + (index * rows + row) * 16; }

  Tensor w8;
  Tensor scale;               // f32: one per lane of every block
  std::vector<int32_t> sums;  // [block][row][16]
  int64_t block_bytes, rows;
};

// One source of a step, as its weights see it: channels [first, first + channels) of W.
struct WeightSource {
  int64_t first, channels;
  Quantised quantised;
};

// w {OC,ROWS,TAPS,IC}, float64, of one block of 16 channels of y: -> [source][block of 16 channels][row][group of
// 4][tap]. A convolution has its kernel rows and columns; a transposed one four rows of one tap.
void pack_byte_block(const ByteKernels& kernels, const double* w, int64_t oc, int64_t taps, int64_t ic,
                     std::span<const WeightSource> sources, int64_t index, ByteWeights& to);
// Bytes of such a block.
int64_t byte_block_bytes(const ByteKernels& kernels, int64_t rows, int64_t taps, std::span<const WeightSource> sources);

}  // namespace furrow::cpu
