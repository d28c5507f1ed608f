// Where a backward pass starts: the gradients that it is given.
#include <algorithm>

#include "nn/tape.h"

namespace furrow {

VarId Tape::start(std::span<const Root> roots) {
  grads_.assign(nodes_.size(), Tensor());
  VarId last = -1;
  for (const auto& [y, dy] : roots) {
    require(y.tape == this && backend_ != nullptr, "Tape::backward: a value of this tape, and a tape that computes");
    require(dy.shape() == y.shape() && dy.dtype() == backend_->dtype(), "Tape::backward: dy is not like y");
    require(grads_[static_cast<size_t>(y.id)].empty(), "Tape::backward: the same value twice");
    grads_[static_cast<size_t>(y.id)] = dy;
    last = std::max(last, y.id);
  }
  return last;
}

void Tape::backward(Var y, const Tensor& dy) {
  const Root root{y, dy};
  backward({&root, 1});
}

void Tape::backward(Var y) {
  require(backend_ != nullptr && y.shape().elements() == 1, "Tape::backward: y is not a single number");
  Tensor one(y.shape(), backend_->dtype());
  if (one.dtype() == DType::f64)
    one.values<double>()[0] = 1;
  else
    one.values<float>()[0] = 1;
  backward(y, one);
}

}  // namespace furrow
