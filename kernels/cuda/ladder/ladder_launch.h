// What the five steps share: their names, and how their arguments are checked.
#pragma once

#include "kernels/cuda/ladder.h"
#include "kernels/cuda/simt.h"

namespace furrow::SIMT_NS {

void ladder_naive(gpu::Stream stream, const gpu::LadderArgs& args);
void ladder_shared_tile(gpu::Stream stream, const gpu::LadderArgs& args);
void ladder_register_tile(gpu::Stream stream, const gpu::LadderArgs& args);
void ladder_mma(gpu::Stream stream, const gpu::LadderArgs& args);
void ladder_pipelined_halo(gpu::Stream stream, const gpu::LadderArgs& args);
void ladder_pipelined_halo_unswizzled(gpu::Stream stream, const gpu::LadderArgs& args);

inline void check_ladder(const gpu::LadderArgs& a, DType type) {
  require(a.x.type == type && a.y.type == type, "ladder: this step has another element type");
  require(a.x.n > 0 && a.x.h > 0 && a.x.w > 0 && a.x.c > 0 && a.y.c > 0, "ladder: an empty image");
  require(a.y.n == a.x.n && a.y.h == a.x.h && a.y.w == a.x.w, "ladder: y has another size than x");
  require(a.x.pitch >= a.x.c && a.y.pitch >= a.y.c, "ladder: a pitch below the channel count");
  require(type != DType::f16 || a.x.pitch % 16 == 0, "ladder: tensor cores take 16 channels at a time");
}

SIMT_BOTH int64_t ladder_tiles(int64_t size, int tile) { return (size + tile - 1) / tile; }

SIMT_DEVICE float ladder_relu(float v) { return v < 0.0f ? 0.0f : v; }   // NaN stays NaN

}  // namespace furrow::SIMT_NS
