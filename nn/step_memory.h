// StepMemory: the memory of a training step. What one step needed is reserved for the next ones in one block, in which
// tensors are placed by first fit as they come and go; a step that does what the one before did allocates nothing.
#pragma once

#include <vector>

#include "kernels/arena.h"
#include "nn/flat_parameters.h"

namespace furrow {

class StepMemory : public TapeMemory {
 public:
  // Gradients of parameters go into `parameters`, which must outlive this.
  explicit StepMemory(FlatParameters& parameters) : parameters_(&parameters) {}

  Tensor take(const Shape& shape, DType type) override;
  void give_back(Tensor& t) override;
  Target gradient_of(const Parameter& parameter) override { return parameters_->gradient_of(parameter); }

  // Everything is free, and the block as large as any step before had use for. Tensors taken before must not be used
  // any more. Throws ErrorCode::limit where the system has not that much memory.
  void reset();

  size_t peak_bytes() const { return peak_; }  // most in use at once, gaps included

 private:
  struct Range {
    size_t first, end;
  };
  struct Outside {
    const std::byte* data;
    Range range;
  };
  size_t place(size_t bytes);
  void release(Range range);

  FlatParameters* parameters_;
  Arena arena_;
  std::vector<Range> free_{{0, SIZE_MAX}};  // sorted, apart; the last has no end
  std::vector<Outside> outside_;            // tensors for which the block was too small
  size_t peak_ = 0;
};

}  // namespace furrow
