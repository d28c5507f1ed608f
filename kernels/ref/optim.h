// The optimiser steps of kernels/optim_ops.h in float64.
#pragma once

#include <span>

#include "kernels/optim_ops.h"

namespace furrow::ref {

// Norm, factor, skip, step and loss scale. max_norm 0: no clipping.
void optim_prepare(std::span<const double> gradient, double max_norm, const LossScaling& scaling, OptimState& state);

// The update that `state` was prepared for; nothing where it says skip. Segments begin at 0 and are sorted.
void adamw(const AdamW& options, double lr, std::span<const OptimSegment> segments, const OptimState& state,
           std::span<const double> gradient, std::span<double> m, std::span<double> v, std::span<double> p);
void sgd(const Sgd& options, double lr, std::span<const OptimSegment> segments, const OptimState& state,
         std::span<const double> gradient, std::span<double> buffer, std::span<double> p);

}  // namespace furrow::ref
