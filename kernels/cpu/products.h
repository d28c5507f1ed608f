// 1x1, strided and transposed convolutions as products of panel matrices (tile_kernels.h).
//
// A blocked buffer is such a matrix as it lies: pixels are rows, the zero pixels between lines among them, and blocks
// of channels are panels. So a 1x1 convolution of stride 1 multiplies its input in place; others copy the pixels that
// their taps read, 16 channels at a time, which the product then uses for every result channel. Results of a
// convolution go straight into y, where what was written over zero pixels becomes zero again; those of a transposed one
// go to every second pixel.
#pragma once

#include "kernels/cpu/steps.h"

namespace furrow::cpu {

// Whether a step is computed so: at least 16 result channels, and a convolution of 1x1, or of stride 2 or more, of 49
// terms or more over one source of more than 4 channels that leaves nothing but y; or a transposed one of 256 terms or
// more that fills y. A function of one image's shape.
bool product_fits(const ConvStep& step);
bool product_fits(const UpconvStep& step);

// The same functions as of direct convolutions (steps.h); they throw what those throw.
std::unique_ptr<PackedWeights> pack_product(const Machine& m, const ConvStep& step, const StepWeights& weights);
size_t product_workspace(const Machine& m, const ConvStep& step);
void run_product(const Machine& m, const ConvStep& step, const PackedWeights& packed, const StepBuffers& buffers);
std::unique_ptr<PackedWeights> pack_product(const Machine& m, const UpconvStep& step, const StepWeights& weights);
size_t product_workspace(const Machine& m, const UpconvStep& step);
void run_product(const Machine& m, const UpconvStep& step, const PackedWeights& packed, const StepBuffers& buffers);
// "product avx512 nChw16c 12x32": the register tile in pixels x channels.
std::string product_algorithm(const Machine& m, const ConvStep& step);
std::string product_algorithm(const Machine& m, const UpconvStep& step);

}  // namespace furrow::cpu
