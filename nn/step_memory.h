// StepMemory: the memory of a training step. What one step needed is reserved for the next ones in one block, in which
// tensors are placed by first fit as they come and go; a step that does what the one before did allocates nothing.
#pragma once

#include <vector>

#include "kernels/arena.h"
#include "nn/flat_parameters.h"

namespace furrow {

class StepMemory : public TapeMemory {
 public:
  // In the back-end's memory. Parameters are those of `parameters`, and so are their gradients. Both outlive this.
  StepMemory(Backend& backend, FlatParameters& parameters) : backend_(&backend), parameters_(&parameters) {}

  Tensor take(const Shape& shape, DType type) override;
  void give_back(Tensor& t) override;
  Tensor value_of(const Parameter& parameter) override { return parameters_->value_of(parameter); }
  Target gradient_of(const Parameter& parameter) override { return parameters_->gradient_of(parameter); }

  // Everything is free, and the block as large as any step before had use for. Tensors taken before must not be used
  // any more. Throws ErrorCode::limit or ErrorCode::device where there is not that much memory.
  void reset();

  // The block goes back to where it came from until the next reset(). Tensors taken before must not be used any more.
  void release();

  // The next reset() reserves `bytes` at least: what a first step will need, so that it is not left to the heap, which
  // would keep it beside the block.
  void expect(size_t bytes) { expected_ = bytes; }

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

  Backend* backend_;
  FlatParameters* parameters_;
  Arena arena_;
  std::vector<Range> free_{{0, SIZE_MAX}};  // sorted, apart; the last has no end
  std::vector<Outside> outside_;            // tensors for which the block was too small
  size_t peak_ = 0, expected_ = 0;
};

}  // namespace furrow
