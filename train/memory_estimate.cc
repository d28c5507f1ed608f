#include "train/memory_estimate.h"

#include <algorithm>

#include "losses/metrics_curve.h"
#include "nn/plan.h"
#include "nn/step_peak.h"
#include "parallel/communicator.h"

namespace furrow::train {
namespace {

uint64_t bytes_of(const Shape& shape, size_t element) { return static_cast<uint64_t>(shape.elements()) * element; }

// Pictures and targets of a batch.
uint64_t batch_bytes(const Shape& input, size_t element) {
  return bytes_of(input, element) + bytes_of({input.n, input.h, input.w, 1}, element);
}

// Targets as bytes, and for a loss over classes as numbers of 8 and of 4 bytes.
uint64_t target_bytes(const Shape& input, bool labelled) {
  return static_cast<uint64_t>(input.pixels()) * (labelled ? 13 : 1);
}

uint64_t all_bytes(const Network& network, DType type) {
  uint64_t elements = 0;
  for (const Module::Keyed& keyed : network.parameters())
    elements += static_cast<uint64_t>(keyed.parameter->shape().elements());
  return elements * size_of(type);
}

uint64_t validation_bytes(const Network& network, Backend& backend, const MemoryQuestion& q) {
  const Shape& s = *q.validated;
  const PlanSize plan = plan_size(network, backend, s);
  const size_t element = size_of(backend.dtype());
  uint64_t out = std::max<uint64_t>(plan.packing, plan.packed + Arena::resident_bytes(plan.arena));
  out += ScoreHistogram::kBins * sizeof(ScoreHistogram::Bin);
  out += static_cast<uint64_t>(q.prefetch) * batch_bytes(s, sizeof(float)) + batch_bytes(s, element);
  if (element != sizeof(float)) out += batch_bytes(s, sizeof(float));  // what was converted is still there
  out += target_bytes(s, q.labelled) + static_cast<uint64_t>(s.pixels()) * (sizeof(float) + (q.drawn ? 1 : 0));
  return out;
}

}  // namespace

uint64_t trained_bytes(const Network& network, DType type) {
  uint64_t elements = 0;  // each parameter begins on a multiple of 16 elements
  for (const Module::Keyed& keyed : network.parameters())
    if (keyed.parameter->trainable)
      elements += (static_cast<uint64_t>(keyed.parameter->shape().elements()) + 15) / 16 * 16;
  return elements * size_of(type);
}

MemoryEstimate estimate_memory(const Network& network, Backend& backend, const MemoryQuestion& q) {
  const DType type = backend.dtype();
  const uint64_t flat = trained_bytes(network, type), all = all_bytes(network, type);
  const bool shared = q.processes > 1;
  const auto steps_memory = [&](const Shape& input) {
    return Arena::resident_bytes(step_peak(network, input, type, shared));
  };
  Shape one = q.input;
  one.n = 1;

  MemoryEstimate out;
  out.parameters = flat * static_cast<uint64_t>(2 + q.moments) + (q.averaged ? all : 0);
  if (const uint64_t scratch = step_scratch(network, q.input, backend); scratch > 0)
    out.scratch = Arena::resident_bytes(scratch);
  out.data = q.cache_bytes + q.decoding_bytes + static_cast<uint64_t>(q.prefetch) * batch_bytes(q.input, sizeof(float));
  out.activations = steps_memory(q.input) + target_bytes(q.input, q.labelled) +
                    static_cast<uint64_t>(q.accumulate) * batch_bytes(q.input, size_of(type));
  if (shared) {  // what Communicator::sum() works in: twice a piece of equal parts, and one part
    const auto processes = static_cast<uint64_t>(q.processes), part = parallel::Communicator::kPiece / processes + 1;
    out.activations += (2 * processes + 1) * part * size_of(type);
  }
  if (q.validated) out.validation = validation_bytes(network, backend, q);
  out.checkpoint = q.averaged ? 2 * all : all;
  // A copy of the network is tried while there are neither the run's own buffers nor an average.
  const uint64_t trial = flat + steps_memory(one) + batch_bytes(one, size_of(type));
  out.trial = trial - std::min(trial, q.averaged ? all : 0);
  return out;
}

uint64_t MemoryEstimate::total() const {
  return process + parameters + scratch + std::max(data + std::max({activations, validation, checkpoint}), trial);
}

}  // namespace furrow::train
