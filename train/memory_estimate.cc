#include "train/memory_estimate.h"

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "kernels/arena.h"
#include "losses/metrics_curve.h"
#include "nn/tape.h"

namespace furrow::train {
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

uint64_t step_peak(const Tape& tape, VarId last, DType type, double dropout) {
  const std::vector<Node>& nodes = tape.nodes();
  Placement memory;
  std::vector<Placement::Block> values(nodes.size()), saved(nodes.size()), dropped(nodes.size()), grads(nodes.size());
  std::vector<bool> has_grad(nodes.size());
  for (size_t i = 0; i < nodes.size(); ++i) {
    const Node& node = nodes[i];
    if (node.op == OpKind::leaf) continue;
    if (std::holds_alternative<InPlaceAttrs>(node.attrs))
      std::swap(values[i], values[static_cast<size_t>(node.in[0])]);
    else
      values[i] = memory.take(bytes_of(node.shape, type));
    if (node.op == OpKind::batch_norm) saved[i] = memory.take(2 * bytes_of({1, 1, 1, node.shape.c}, type));
    if (dropout_follows(node, dropout)) dropped[i] = memory.take(bytes_of(node.shape, type));
  }
  const auto top = static_cast<size_t>(last);
  Placement::Block dz = memory.take(bytes_of(nodes[top].shape, type));
  has_grad[top] = true;
  for (size_t i = top + 1; i-- > 0;) {
    const Node& node = nodes[i];
    if (node.op == OpKind::leaf) continue;
    if (node.wants_grad && has_grad[i]) {
      for (const VarId in : node.in) {
        const auto source = static_cast<size_t>(in);
        if (!nodes[source].wants_grad || has_grad[source]) continue;
        has_grad[source] = true;
        if (nodes[source].parameter == nullptr) grads[source] = memory.take(bytes_of(nodes[source].shape, type));
      }
    }
    if (dropout_follows(node, dropout)) memory.give_back(dropped[i]);
    if (i != top) memory.give_back(grads[i]);
    memory.give_back(values[i]);
    memory.give_back(saved[i]);
  }
  memory.give_back(dz);
  return memory.peak();
}

// Inference by a plan: values live until their last reader.
uint64_t inference_peak(const Tape& tape, DType type) {
  const std::vector<Node>& nodes = tape.nodes();
  std::vector<size_t> last_reader(nodes.size(), 0);
  for (size_t i = 0; i < nodes.size(); ++i)
    for (const VarId in : nodes[i].in) last_reader[static_cast<size_t>(in)] = i;
  // Batch norms and ReLUs are folded into the convolution before them.
  uint64_t live = 0, peak = 0;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].op == OpKind::leaf) continue;
    const bool folded = nodes[i].op == OpKind::batch_norm || nodes[i].op == OpKind::relu;
    if (!folded) live += bytes_of(nodes[i].shape, type);
    peak = std::max(peak, live);
    if (folded) continue;
    for (const VarId in : nodes[i].in) {
      const Node& source = nodes[static_cast<size_t>(in)];
      if (source.op != OpKind::leaf && last_reader[static_cast<size_t>(in)] == i) live -= bytes_of(source.shape, type);
    }
  }
  return peak;
}

uint64_t number_in(const std::string& path, const std::string& key) {
  std::ifstream in(path);
  for (std::string word; in >> word;) {
    uint64_t value = 0;
    if (key.empty()) return word.find_first_not_of("0123456789") == std::string::npos ? std::stoull(word) : UINT64_MAX;
    if (word == key && in >> value) return value;
  }
  return UINT64_MAX;
}

}  // namespace

MemoryEstimate estimate_memory(const Network& network, const MemoryQuestion& q) {
  Tape tape;
  const Var z = network.forward(tape, tape.input(q.input));
  uint64_t elements = 0;  // of a flat buffer: each parameter begins on a multiple of 16 elements
  for (const Module::Keyed& keyed : network.parameters())
    if (keyed.parameter->trainable)
      elements += (static_cast<uint64_t>(keyed.parameter->shape().elements()) + 15) / 16 * 16;
  const uint64_t flat = elements * size_of(q.type);
  MemoryEstimate out;
  out.activations = step_peak(tape, z.id, q.type, network.architecture().dropout);
  out.parameters = flat * static_cast<uint64_t>(2 + q.moments);
  const uint64_t checkpoint = flat * static_cast<uint64_t>(1 + q.moments);
  // Weights are packed for the fastest convolution there is: 16 products of Winograd for 9 weights.
  out.extra = checkpoint;
  if (q.validated) {
    Tape shapes;
    network.forward(shapes, shapes.input(*q.validated));
    const uint64_t plan =
        inference_peak(shapes, q.type) + flat * 16 / 9 + ScoreHistogram::kBins * sizeof(ScoreHistogram::Bin);
    out.extra = std::max(checkpoint, plan);
  }
  out.data = q.loader_bytes + q.cache_bytes;
  return out;
}

uint64_t resident_memory() {
  const uint64_t kib = number_in("/proc/self/status", "VmRSS:");
  return kib == UINT64_MAX ? 0 : kib * 1024;
}

uint64_t available_memory() {
  const uint64_t kib = number_in("/proc/meminfo", "MemAvailable:");
  uint64_t out = kib == UINT64_MAX ? kib : kib * 1024;
  const uint64_t most = number_in("/sys/fs/cgroup/memory.max", ""),
                 used = number_in("/sys/fs/cgroup/memory.current", "");
  if (most != UINT64_MAX && used != UINT64_MAX) {
    // Pages of files can be given up: they are no obstacle.
    const uint64_t files = number_in("/sys/fs/cgroup/memory.stat", "inactive_file");
    const uint64_t held = used - std::min(used, files == UINT64_MAX ? 0 : files);
    out = std::min(out, most - std::min(most, held));
  }
  return out;
}

}  // namespace furrow::train
