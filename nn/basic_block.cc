#include "nn/basic_block.h"

namespace furrow {

BasicBlock::Downsample::Downsample(Module* parent, int64_t in, int64_t out, int64_t stride)
    : sequence(parent, "downsample"),
      conv(&sequence, "0", {.in = in, .out = out, .kernel = 1, .stride = stride, .pad = 0}),
      norm(&sequence, "1", out) {}

BasicBlock::BasicBlock(Module* parent, std::string name, int64_t in, int64_t out, int64_t stride)
    : Module(parent, std::move(name)),
      conv1_(this, "conv1", {.in = in, .out = out, .stride = stride}),
      norm1_(this, "bn1", out),
      conv2_(this, "conv2", {.in = out, .out = out}),
      norm2_(this, "bn2", out),
      downsample_(in != out || stride != 1 ? std::make_unique<Downsample>(this, in, out, stride) : nullptr) {}

Var BasicBlock::forward(Tape& tape, Var x) const {
  // The way around first: a plan adds it in the last convolution of the other.
  const Var around = downsample_ ? downsample_->norm.forward(tape, downsample_->conv.forward(tape, x)) : x;
  const Var middle = relu_.forward_in_place(tape, norm1_.forward(tape, conv1_.forward(tape, x)));
  const Var second = conv2_.forward(tape, middle);
  tape.forget(middle);
  const Var sum = tape.record(OpKind::add, NoAttrs{}, {around, norm2_.forward(tape, second)}, this);
  return relu_.forward_in_place(tape, sum);
}

BasicStage::BasicStage(Module* parent, std::string name, int64_t in, int64_t out, int blocks, int64_t stride)
    : Module(parent, std::move(name)) {
  for (int i = 0; i < blocks; ++i)
    blocks_.push_back(
        std::make_unique<BasicBlock>(this, std::to_string(i), i == 0 ? in : out, out, i == 0 ? stride : 1));
}

Var BasicStage::forward(Tape& tape, Var x) const {
  for (const auto& block : blocks_) x = block->forward(tape, x);
  return x;
}

}  // namespace furrow
