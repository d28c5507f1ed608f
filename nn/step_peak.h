// How much memory a training step will need, from shapes alone.
#pragma once

#include <cstdint>

#include "nn/network.h"

namespace furrow {

// Bytes that a step of `network` on a micro-batch of images `input` {n,H,W,C} takes from its StepMemory at most, by the
// same rules: first fit, every value of the tape until its gradient has been computed. Exact, but for the small tensors
// that a frozen part does not need: 2 % at most on the networks of the tests. Nothing is allocated. Errors: those of
// forward(). shared: of a process that shares its batch norms with others, where no ReLU is forgotten.
uint64_t step_peak(const Network& network, const Shape& input, DType type, bool shared = false);

// Bytes that `backend` will keep for its operations to work in (Backend::scratch_bytes()) after such a step, by any of
// the losses: packed weights, gathered inputs and partial sums of the largest convolution.
uint64_t step_scratch(const Network& network, const Shape& input, const Backend& backend);

}  // namespace furrow
