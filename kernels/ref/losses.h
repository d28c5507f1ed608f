// The losses of kernels/losses.h in float64 and naive loops: the meaning that kernels are held against.
#pragma once

#include "kernels/losses.h"
#include "kernels/tensor.h"

namespace furrow::ref {

// z, t, dz: {B,H,W,1} float64; t in [0,1]. dz, where not null, becomes the gradient of `total`.
// Sums run in memory order. Throws ErrorCode::internal for other shapes or types.
DiceFocalValue dice_focal(const DiceFocal& form, const Tensor& z, const Tensor& t, Tensor* dz);

// z, dz: {B,H,W,C} float64; labels {B,H,W,1} int32.
CrossEntropyValue cross_entropy(const CrossEntropy& form, const Tensor& z, const Tensor& labels, Tensor* dz);

// As cross_entropy; first_class below C. dz becomes the gradient of `total`.
SoftDiceValue soft_dice(const SoftDice& form, const Tensor& z, const Tensor& labels, Tensor* dz);

}  // namespace furrow::ref
