// What a Segmenter computes its network with, for who wants to run its plans otherwise (segment/audit.h).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>

#include "kernels/device.h"
#include "kernels/threads.h"
#include "nn/plan.h"
#include "segment/segmenter.h"

namespace furrow {

// What a Segmenter with `compute` gives make_backend(). Throws ErrorCode::usage for a word that is none; errors of
// precision_on() and read_tuning().
BackendOptions backend_options(const Device& device, const ComputeOptions& compute);
// The floating-point precision a word asks for; none where there is no word, and for int8. Throws ErrorCode::usage for
// others.
std::optional<Precision> parse_precision(const std::optional<std::string>& word);
// What is computed in 8 bits: what the model says, on device cpu, where int8 was asked for, or nothing was and it is
// faster there (cpu::bytes_are_fast()). Throws ErrorCode::usage where int8 was, and the model or the device has none.
Quantisation quantisation_on(const Device& device, const std::optional<std::string>& precision,
                             const Quantisation& of_model);

// Whether a step of the plan is in 8 bits.
bool computes_in_bytes(const Plan& plan);
// Throws ErrorCode::malformed where the model asks for 8 bits and none is.
void check_bytes(const Plan& plan, const Quantisation& quantisation);
// "cpu (avx512) int8"
inline std::string device_name(const Backend& backend, bool quantised) {
  return backend.name() + (quantised ? " int8" : "");
}

// A back-end and the plans it has made, one per side of the square.
class PlannedNetwork {
 public:
  // `info`: the model's, for the values of its pixels.
  PlannedNetwork(std::unique_ptr<Backend> backend, const ModelInfo& info, Quantisation quantisation = {})
      : backend_(std::move(backend)), info_(info), quantisation_(std::move(quantisation)) {}
  Backend& backend() { return *backend_; }
  bool quantised() const { return !quantisation_.empty(); }
  // Takes pixels (segment/preprocess.h). Always given the same network. Errors: those of Plan.
  Plan& plan(const Network& network, int64_t side);

 private:
  std::unique_ptr<Backend> backend_;
  ModelInfo info_;
  Quantisation quantisation_;
  std::shared_ptr<PackedWeights> packed_ = std::make_shared<PackedWeights>();  // shared by the plans
  std::map<int64_t, std::unique_ptr<Plan>> plans_;
};

// The part of a Segmenter that runs one network: its threads, its back-end, its plans, and the same in bf16 for outputs
// beyond the range of fp16. Not for use by two threads at once.
class NetworkRunner {
 public:
  // `info`: the model's. Errors: those of choose_device(), backend_options(), quantisation_on() and make_backend().
  NetworkRunner(const ComputeOptions& compute, const ModelInfo& info);

  ThreadPool& pool() { return pool_; }
  PlannedNetwork& planned() { return main_; }
  Backend& backend() { return main_.backend(); }  // of the precision that was asked for
  const ChosenDevice& chosen() const { return chosen_; }
  Precision precision() const { return precision_; }
  bool quantised() const { return main_.quantised(); }

  // Logits of `input` {1,side,side,in_channels} of the back-end's element type, valid until the next call, and what
  // they were computed by: the plan as asked for, or, where its output in fp16 is not finite, that in bf16
  // (kAgainInBf16). The milliseconds of planning and of running are added to the sums.
  struct Outcome {
    Tensor logits;
    PlannedNetwork* by;
    bool in_bf16;
  };
  Outcome run(const Network& network, const Tensor& input, double& planning, double& running);
  // The same of the pixels that `fill` writes ({side,side,in_channels}, interleave()): on a device those cross over.
  Outcome run(const Network& network, int64_t side, const std::function<void(std::span<uint8_t> pixels)>& fill,
              double& planning, double& running);
  // As the second, Plan::run_small_pixels().
  Outcome run_small(const Network& network, int64_t side, const std::function<void(std::span<uint8_t> pixels)>& fill,
                    double& planning, double& running);

 private:
  template <class Run>
  Outcome by_precision(const Network& network, int64_t side, const Run& run, double& planning, double& running);

  ThreadPool pool_;
  ChosenDevice chosen_;
  Precision precision_;
  ModelInfo info_;
  BackendOptions options_;
  PlannedNetwork main_;
  std::optional<PlannedNetwork> wide_;  // bf16; made when first needed
};

// What a result says then.
inline constexpr const char* kAgainInBf16 =
    "the network's output left the range of fp16 and was computed again in bf16";

}  // namespace furrow
