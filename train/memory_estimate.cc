#include "train/memory_estimate.h"

#include <algorithm>
#include <fstream>
#include <string>
#include <vector>

#include "losses/metrics_curve.h"
#include "nn/step_peak.h"
#include "nn/tape.h"

namespace furrow::train {
namespace {

uint64_t bytes_of(const Shape& shape, DType type) { return static_cast<uint64_t>(shape.elements()) * size_of(type); }

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
  uint64_t elements = 0;  // of a flat buffer: each parameter begins on a multiple of 16 elements
  for (const Module::Keyed& keyed : network.parameters())
    if (keyed.parameter->trainable)
      elements += (static_cast<uint64_t>(keyed.parameter->shape().elements()) + 15) / 16 * 16;
  const uint64_t flat = elements * size_of(q.type);
  MemoryEstimate out;
  out.activations = step_peak(network, q.input, q.type, q.shared);
  out.parameters = flat * static_cast<uint64_t>(2 + q.moments + (q.averaged ? 1 : 0));
  const uint64_t checkpoint = flat * static_cast<uint64_t>(1 + q.moments + (q.averaged ? 1 : 0));
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
