// What a Segmenter computes with, for who wants to run its plans otherwise (segment/audit.h).
#pragma once

#include "kernels/device.h"
#include "segment/segmenter.h"

namespace furrow {

// What a Segmenter with `compute` gives make_backend(). Throws ErrorCode::usage for a word that is none; errors of
// precision_on() and read_tuning().
BackendOptions backend_options(const Device& device, const ComputeOptions& compute);

}  // namespace furrow
