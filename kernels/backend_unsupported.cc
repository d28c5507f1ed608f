// What a back-end answers for gates, 3x3 maxima, nearest pixels, means, dropout, losses and optimiser steps that it does
// not have.
#include "kernels/backend.h"

namespace furrow {
namespace {

[[noreturn]] void refuse(const Backend& backend, const char* what) {
  throw Error(ErrorCode::unsupported, "device " + backend.name() + " has no " + what);
}

}  // namespace

void Backend::batch_norm_grad_shared(const Shared&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                     const Tensor&, Tensor*, Tensor*, Tensor*, Grad) {
  refuse(*this, "batch normalisation over several processes");
}
void Backend::gate(const Tensor&, const Tensor&, Tensor&) { refuse(*this, "attention gates"); }
void Backend::gate_grad(const Tensor&, const Tensor&, const Tensor&, Tensor*, Tensor*, Grad) {
  refuse(*this, "attention gates");
}
void Backend::channel_gate(const Tensor&, const Tensor&, Tensor&) { refuse(*this, "channel attention"); }
void Backend::channel_gate_grad(const Tensor&, const Tensor&, const Tensor&, Tensor*, Tensor*, Grad) {
  refuse(*this, "channel attention");
}
void Backend::upsample_nearest(const Tensor&, Tensor&) { refuse(*this, "nearest upsampling"); }
void Backend::upsample_nearest_grad(const Tensor&, Tensor&, Grad) { refuse(*this, "nearest upsampling"); }
void Backend::global_mean(const Tensor&, Tensor&) { refuse(*this, "global means"); }
void Backend::global_mean_grad(const Tensor&, Tensor&, Grad) { refuse(*this, "global means"); }
void Backend::max_pool3x3(const Tensor&, Tensor&) { refuse(*this, "3x3 maxima"); }
void Backend::max_pool3x3_grad(const Tensor&, const Tensor&, Tensor&, Grad) { refuse(*this, "3x3 maxima"); }
void Backend::dropout(const Tensor&, const Dropout&, Tensor&, Grad) { refuse(*this, "dropout"); }
DiceFocalValue Backend::dice_focal(const DiceFocal&, const Tensor&, const Tensor&, Tensor*) {
  refuse(*this, "Dice and Focal loss");
}
CrossEntropyValue Backend::cross_entropy(const CrossEntropy&, const Tensor&, const Tensor&, Tensor*) {
  refuse(*this, "cross-entropy");
}
SoftDiceValue Backend::soft_dice(const SoftDice&, const Tensor&, const Tensor&, Tensor*) {
  refuse(*this, "soft Dice loss");
}
double Backend::squared_error(const Tensor&, const Tensor&, Tensor*) { refuse(*this, "squared error"); }
void Backend::optim_prepare(const Tensor&, double, const LossScaling&, OptimState&) {
  refuse(*this, "optimiser steps");
}
void Backend::adamw(const AdamW&, double, std::span<const OptimSegment>, const OptimState&, const Tensor&, Tensor&,
                    Tensor&, Tensor&) {
  refuse(*this, "AdamW");
}
void Backend::sgd(const Sgd&, double, std::span<const OptimSegment>, const OptimState&, const Tensor&, Tensor&,
                  Tensor&) {
  refuse(*this, "SGD");
}

}  // namespace furrow
