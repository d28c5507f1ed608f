#include "nn/step_peak.h"

#include <algorithm>
#include <array>
#include <vector>

#include "kernels/arena.h"
#include "nn/tape.h"

namespace furrow {
namespace {

// StepMemory without the memory.
class Placement {
 public:
  struct Block {
    uint64_t at = 0, bytes = 0;
  };
  Block take(uint64_t bytes) {
    const uint64_t step = Arena::kAlignment;
    bytes = std::max<uint64_t>(1, (bytes + step - 1) / step) * step;
    const auto gap = std::ranges::find_if(free_, [&](const Block& b) { return b.bytes >= bytes; });
    const Block out{gap->at, bytes};
    *gap = {gap->at + bytes, gap->bytes - bytes};
    if (gap->bytes == 0) free_.erase(gap);
    peak_ = std::max(peak_, out.at + out.bytes);
    return out;
  }
  void give_back(Block& block) {
    if (block.bytes == 0) return;
    auto after = std::ranges::find_if(free_, [&](const Block& b) { return b.at > block.at; });
    after = free_.insert(after, block);
    if (const auto next = std::next(after); next != free_.end() && after->at + after->bytes == next->at) {
      after->bytes += next->bytes;
      after = std::prev(free_.erase(next));
    }
    if (after != free_.begin() && std::prev(after)->at + std::prev(after)->bytes == after->at) {
      std::prev(after)->bytes += after->bytes;
      free_.erase(after);
    }
    block = {};
  }
  uint64_t peak() const { return peak_; }

 private:
  std::vector<Block> free_{{0, UINT64_MAX}};  // sorted, apart
  uint64_t peak_ = 0;
};

uint64_t bytes_of(const Shape& shape, DType type) { return static_cast<uint64_t>(shape.elements()) * size_of(type); }

// A tape of shapes is one of inference and records no dropout: the value that a dropout adds after `node`, or none.
bool dropout_follows(const Node& node, double p) {
  return p > 0 && node.op == OpKind::relu && node.where != nullptr && node.where->name() == "5";
}

}  // namespace

uint64_t step_peak(const Network& network, const Shape& input, DType type, bool shared) {
  Tape tape;
  const VarId last = network.forward(tape, tape.input(input)).id;
  const double dropout = network.architecture().dropout;
  const std::vector<Node>& nodes = tape.nodes();
  Placement memory;
  std::vector<Placement::Block> values(nodes.size()), dropped(nodes.size()), grads(nodes.size());
  std::vector<std::array<Placement::Block, 2>> saved(nodes.size());  // mean and 1/sqrt(var + eps)
  std::vector<bool> has_grad(nodes.size());
  // As Tape::forget() and backward() do it. A dropout's result is not computed again, and its ReLU stays with it.
  const auto forgets = [&](const Node& node) {
    return !shared && node.forgotten_at >= 0 && !dropout_follows(node, dropout);
  };
  const auto remember = [&](size_t k) {
    if (forgets(nodes[k]) && values[k].bytes == 0) values[k] = memory.take(bytes_of(nodes[k].shape, type));
  };
  for (size_t i = 0; i < nodes.size(); ++i) {
    const Node& node = nodes[i];
    for (size_t k = 0; k < i; ++k)
      if (forgets(nodes[k]) && nodes[k].forgotten_at == static_cast<VarId>(i)) memory.give_back(values[k]);
    if (node.op == OpKind::leaf) continue;
    if (std::holds_alternative<InPlaceAttrs>(node.attrs))
      std::swap(values[i], values[static_cast<size_t>(node.in[0])]);
    else
      values[i] = memory.take(bytes_of(node.shape, type));
    if (node.op == OpKind::batch_norm)
      for (Placement::Block& vector : saved[i]) vector = memory.take(bytes_of({1, 1, 1, node.shape.c}, type));
    if (dropout_follows(node, dropout)) dropped[i] = memory.take(bytes_of(node.shape, type));
  }
  const auto top = static_cast<size_t>(last);
  Placement::Block dz = memory.take(bytes_of(nodes[top].shape, type));
  has_grad[top] = true;
  for (size_t i = top + 1; i-- > 0;) {
    const Node& node = nodes[i];
    if (node.op == OpKind::leaf) continue;
    if (node.wants_grad && has_grad[i]) {
      remember(i);
      for (const VarId in : node.in) remember(static_cast<size_t>(in));
      for (const VarId in : node.in) {
        const auto source = static_cast<size_t>(in);
        if (!nodes[source].wants_grad || has_grad[source]) continue;
        has_grad[source] = true;
        if (nodes[source].parameter == nullptr) grads[source] = memory.take(bytes_of(nodes[source].shape, type));
      }
      size_t next = i - 1;
      while (next > 0 && nodes[next].op == OpKind::leaf) --next;
      for (const VarId in : node.in)
        if (const auto source = static_cast<size_t>(in); forgets(nodes[source]) && source != next)
          memory.give_back(values[source]);
    }
    if (dropout_follows(node, dropout)) memory.give_back(dropped[i]);
    if (i != top) memory.give_back(grads[i]);
    memory.give_back(values[i]);
    for (Placement::Block& vector : saved[i]) memory.give_back(vector);
  }
  memory.give_back(dz);
  return memory.peak();
}

}  // namespace furrow
