// ConvStep and UpconvStep from bytes (StepBytes in kernels/planned.h).
#pragma once

#include "kernels/cpu/steps.h"

namespace furrow::cpu {

// The functions of steps.h, for steps with bytes.x[0]. W', which is w with each source's scale in it, is rounded to
// multiples of its largest over 127, channel by channel of y; sums of bytes less their zero points times those are
// exact in 32 bits, and real after a multiplication and an addition in float32. Errors: ErrorCode::internal where
// fits_bytes() is false, ErrorCode::malformed where a weight is not finite.
std::unique_ptr<PackedWeights> pack_byte_conv(const Machine& m, const ConvStep& step, const StepWeights& weights);
size_t byte_conv_workspace(const Machine& m, const ConvStep& step);
void run_byte_conv(const Machine& m, const ConvStep& step, const PackedWeights& packed, const StepBuffers& buffers);
// "direct int8 avx512vnni nChw16c 24x16"
std::string byte_conv_algorithm(const Machine& m, const ConvStep& step);

std::unique_ptr<PackedWeights> pack_byte_upconv(const Machine& m, const UpconvStep& step, const StepWeights& weights);
size_t byte_upconv_workspace(const Machine& m, const UpconvStep& step);
void run_byte_upconv(const Machine& m, const UpconvStep& step, const PackedWeights& packed, const StepBuffers& buffers);
std::string byte_upconv_algorithm(const Machine& m, const UpconvStep& step);

// The zero point around row h of a buffer, `row` its first pixel.
void close_byte_row(const BlockedLayout& layout, int64_t h, const Quantised& how, uint8_t* row);
// Pixels {N,H,W,C <= 16} as the bytes of values[c][p], values {C,256}.
void place_pixel_bytes(const Machine& m, const uint8_t* pixels, const float* values, const Placed& to);
// A dense tensor of floats as bytes.
void place_bytes(const Machine& m, const float* dense, const Placed& to);
// A whole buffer between the back-end's own type and bytes, both in the layout of bytes.
void quantise(const Machine& m, const float* from, const Placed& to);
void dequantise(ThreadPool* pool, const Placed& from, float* to);

}  // namespace furrow::cpu
