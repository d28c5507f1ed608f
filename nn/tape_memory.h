// TapeMemory: where a tape's tensors come from and where it puts gradients of parameters, if not on the heap.
#pragma once

#include "kernels/backend.h"

namespace furrow {

struct Parameter;

class TapeMemory {
 public:
  virtual ~TapeMemory() = default;

  // A tensor with undefined values.
  virtual Tensor take(const Shape& shape, DType type) = 0;
  // Nobody reads `t` any more; it becomes empty. Tensors that take() never gave are merely emptied.
  virtual void give_back(Tensor& t) = 0;

  // The value of a parameter where the back-end computes best with it.
  virtual Tensor value_of(const Parameter& parameter) = 0;
  // Where the gradient of a parameter goes, and whether the first writer of a backward() stores there or adds (to what
  // earlier micro-batches left). An empty window: to a tensor of the tape's.
  struct Target {
    Tensor window;
    Grad mode = Grad::overwrite;
  };
  virtual Target gradient_of(const Parameter& parameter) = 0;
};

}  // namespace furrow
