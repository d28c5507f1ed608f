// FlatParameters: what is trained of a network, in one buffer, and its gradients in a second of the same layout: the
// buffers that the optimisers of the Backend page work on, in the back-end's memory. A tape reads parameters through
// windows onto the first and writes gradients through windows onto the second, so that a step copies nothing. Where
// that memory is not the host's, running statistics that training moves and frozen weights have copies there as well.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "kernels/backend.h"
#include "nn/module.h"
#include "nn/tape_memory.h"

namespace furrow {

// all: every tensor, as the published checkpoints were trained. weights: not biases and normalisations (every parameter
// of one dimension).
enum class Decayed : uint8_t { all, weights };

class FlatParameters {
 public:
  struct Entry {
    std::string key;
    Parameter* parameter;
    int64_t first, count;  // elements of the buffers, in the memory order of Parameter::value
  };

  // Moves the values of the module's trainable parameters, in the order of their keys, into a buffer, and makes
  // Parameter::value windows onto it. Each starts on a multiple of 16 elements; what lies between is zero in every
  // buffer. Where the back-end's memory is not the host's, that buffer has a twin there, which is what is trained. The
  // module is loaded, in the back-end's type; it and the back-end outlive this. It is not loaded or initialised again
  // without rebind(). shared: batch norms are computed together with other processes, by way of the host, which keeps
  // the running statistics then.
  FlatParameters(const Module& module, Backend& backend, bool shared = false);
  // After Module::load() or initialise(): the same parameters, with their new values.
  void rebind();
  // Brings what was trained, and the statistics that moved, into the network's own tensors, for whoever reads those:
  // evaluation, export. Nothing to do where the back-end's memory is the host's.
  void publish();

  const std::vector<Entry>& entries() const { return entries_; }
  int64_t count() const { return count_; }  // elements of each buffer
  Tensor& values() { return values_; }
  const Tensor& values() const { return values_; }
  Tensor& gradients() { return gradients_; }
  const Tensor& gradients() const { return gradients_; }
  // A buffer of the same layout, type and memory, zeros: for moments.
  Tensor zeros() const;
  // Such a buffer where the host can read it: itself, or a copy.
  Tensor on_host(const Tensor& buffer) const;
  // The part of such a buffer that belongs to an entry, in the parameter's shape.
  static Tensor window(const Tensor& buffer, const Entry& entry);

  // For the optimisers of the page: neighbours with the same decay share a segment.
  std::vector<OptimSegment> segments(double weight_decay, Decayed decayed) const;

  // As TapeMemory::value_of.
  Tensor value_of(const Parameter& parameter) const;

  // -- one step's gradients: begin; as many tapes as there are micro-batches; complete.
  void begin_gradients();
  // As TapeMemory::gradient_of: the first to ask in a step stores, later ones add. An empty window for a parameter that
  // is none of these.
  TapeMemory::Target gradient_of(const Parameter& parameter);
  // Zeros where nobody asked: parameters that the loss does not depend on.
  void complete_gradients();

  // A buffer of this layout (moments, say) as named arrays and back, for checkpoints: PREFIX + key, in memory order,
  // without what lies between entries. take() throws ErrorCode::unsupported naming the first array that is missing or
  // unlike.
  // Both cross over where the buffer is not in the host's memory.
  NamedTensors named(const Tensor& buffer, const std::string& prefix) const;
  void take(const NamedTensors& from, const std::string& prefix, Tensor& buffer) const;

 private:
  void keep_on_device(const Module& module, bool shared);

  Backend* backend_;
  std::vector<Entry> entries_;
  std::vector<Tensor> value_windows_, windows_;  // parallel to entries_: onto values_, gradients_
  std::vector<uint8_t> written_;                 // parallel to entries_: this step's gradient has begun
  std::unordered_map<const Parameter*, size_t> index_;
  int64_t count_ = 0;
  Tensor values_, gradients_;
  Tensor own_;  // the network's: values_, or its twin in the host's memory

  // On a device: what is not trained, with places in two further buffers. Statistics have a twin with the host, like
  // values_; frozen weights never come back.
  std::vector<Entry> statistics_, frozen_;
  std::unordered_map<const Parameter*, Tensor> kept_;  // their windows
  Tensor statistic_values_, own_statistics_, frozen_values_;
};
// The key of the first parameter, in their order, whose gradient holds an infinity or NaN, and how many such elements
// it has; empty where there is none. For saying why OptimState::skip was set. `began`: the key of the last such
// parameter, whose gradient the backward pass, which goes from the end of the network to its beginning, computed before
// the others: where a half-precision gradient overflows, the layers before it are all NaN.
struct NonFinite {
  std::string key;
  int64_t elements = 0, of = 0;
  std::string began;
};
NonFinite first_non_finite(const FlatParameters& parameters);

}  // namespace furrow
