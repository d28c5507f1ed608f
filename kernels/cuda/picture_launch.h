// The launch functions of the picture family, for the files that define them and the one that lists them.
#pragma once

#include "kernels/cuda/simt.h"
#include "kernels/image_ops.h"

namespace furrow::SIMT_NS {

void picture_resize(gpu::Stream stream, const gpu::PictureResizeArgs& args);
void picture_normalise(gpu::Stream stream, const gpu::NormaliseArgs& args);
void picture_threshold(gpu::Stream stream, const gpu::ThresholdArgs& args);
void picture_probability(gpu::Stream stream, const gpu::ProbabilityArgs& args);
void picture_argmax(gpu::Stream stream, const gpu::ArgmaxArgs& args);
void picture_upsample_argmax(gpu::Stream stream, const gpu::UpsampleArgmaxArgs& args);
void picture_overlay(gpu::Stream stream, const gpu::OverlayArgs& args);

// Blocks along x for `count` threads in blocks of `block`, and along y for rows that kernels loop over.
inline unsigned picture_blocks(int64_t count, int block) { return static_cast<unsigned>((count + block - 1) / block); }
inline unsigned picture_row_blocks(int64_t rows, int block) {
  const int64_t blocks = (rows + block - 1) / block;
  return static_cast<unsigned>(blocks < 65535 ? blocks : 65535);
}

}  // namespace furrow::SIMT_NS
