#include "segment/compute.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "kernels/cpu/isa.h"
#include "kernels/trace.h"
#include "nn/network.h"
#include "segment/preprocess.h"
#include "segment/tuning.h"

namespace furrow {
namespace {

constexpr const char* kInt8 = "int8";

BackendOptions backend_options(const Device& device, const ComputeOptions& compute, Precision precision) {
  const std::optional<KernelChoice> kernels = kernel_choice_of(compute.kernels);
  if (!kernels)
    throw Error(ErrorCode::usage, "kernels " + printable(compute.kernels) + ": unknown")
        .hint("it takes own, vendor, auto");
  const std::optional<MemoryClass> memory = memory_class_of(compute.memory);
  if (!memory)
    throw Error(ErrorCode::usage, "memory " + printable(compute.memory) + ": unknown").hint("it takes normal, low");
  BackendOptions options{.precision = precision, .kernels = *kernels, .memory = *memory};
  if (device.kind != DeviceKind::cuda || *kernels != KernelChoice::automatic) return options;
  std::string file = compute.tuning;
  if (file.empty()) file = default_tuning_file();
  if (!compute.tuning.empty() || (!file.empty() && std::filesystem::exists(file))) options.tuning = read_tuning(file);
  return options;
}

// True where every value of `t` (f32 or f64) is a number and none is infinite.
bool all_finite(const Tensor& t) {
  const auto finite = [](const auto& values) {
    return std::ranges::all_of(values, [](auto value) { return std::isfinite(value); });
  };
  return t.dtype() == DType::f64 ? finite(t.values<double>()) : finite(t.values<float>());
}

}  // namespace

void check_bytes(const Plan& plan, const Quantisation& quantisation) {
  if (!quantisation.empty() && !computes_in_bytes(plan))
    throw Error(ErrorCode::malformed, "the values that furrow.int8 names are not this network's: nothing is in 8 bits")
        .hint("--precision fp32, or furrow model quantize");
}

bool computes_in_bytes(const Plan& plan) { return std::ranges::any_of(plan.steps(), &Plan::StepInfo::in_bytes); }

std::optional<Precision> parse_precision(const std::optional<std::string>& word) {
  if (!word || *word == kInt8) return std::nullopt;
  if (const std::optional<Precision> precision = precision_of(*word)) return precision;
  throw Error(ErrorCode::usage, "precision " + printable(*word) + ": unknown")
      .hint("it takes fp16, bf16, tf32, fp32, int8");
}

Quantisation quantisation_on(const Device& device, const std::optional<std::string>& precision,
                             const Quantisation& of_model) {
  const bool asked = precision == kInt8;
  if (asked && device.kind != DeviceKind::cpu)
    throw Error(ErrorCode::usage, "precision int8: only device cpu computes in it");
  if (asked && of_model.empty())
    throw Error(ErrorCode::usage, "precision int8: the model does not say how its values become bytes")
        .hint("furrow model quantize makes a file that does");
  const bool fits = device.kind == DeviceKind::cpu && (asked || (!precision && cpu::bytes_are_fast()));
  return fits ? of_model : Quantisation{};
}

BackendOptions backend_options(const Device& device, const ComputeOptions& compute) {
  return backend_options(device, compute, precision_on(device, parse_precision(compute.precision)));
}

Plan& PlannedNetwork::plan(const Network& network, int64_t side) {
  std::unique_ptr<Plan>& entry = plans_[side];
  if (entry == nullptr) {
    PlanOptions options;
    options.weights = packed_;
    options.quantisation = quantisation_;
    const int64_t channels = network.architecture().in_channels;
    options.pixel_values = pixel_values(info_, channels, backend_->dtype());
    entry = std::make_unique<Plan>(network, *backend_, Shape{1, side, side, channels}, options);
    check_bytes(*entry, quantisation_);
  }
  return *entry;
}

NetworkRunner::NetworkRunner(const ComputeOptions& compute, const ModelInfo& info)
    : pool_(compute.threads),
      chosen_(choose_device(compute.device)),
      precision_(precision_on(chosen_.device, parse_precision(compute.precision))),
      info_(info),
      options_(backend_options(chosen_.device, compute, precision_)),
      main_(make_backend(chosen_.device, &pool_, options_), info,
            quantisation_on(chosen_.device, compute.precision, info.quantisation)) {}

// run(plan): its logits.
template <class Run>
NetworkRunner::Outcome NetworkRunner::by_precision(const Network& network, int64_t side, const Run& run,
                                                   double& planning, double& running) {
  const auto by = [&](PlannedNetwork& planned) {
    const Stopwatch plan_time;
    Plan& plan = planned.plan(network, side);
    planning += plan_time.milliseconds();
    const Stopwatch run_time;
    Tensor logits = run(plan);
    running += run_time.milliseconds();
    return logits;
  };
  Tensor logits = by(main_);
  if (precision_ != Precision::fp16 || all_finite(logits)) return {std::move(logits), &main_, false};
  if (!wide_) {
    BackendOptions in_bf16 = options_;
    in_bf16.precision = Precision::bf16;
    wide_.emplace(make_backend(chosen_.device, &pool_, in_bf16), info_);
  }
  return {by(*wide_), &*wide_, true};
}

NetworkRunner::Outcome NetworkRunner::run(const Network& network, const Tensor& input, double& planning,
                                          double& running) {
  return by_precision(network, input.shape().h, [&](Plan& plan) { return plan.run(input); }, planning, running);
}

NetworkRunner::Outcome NetworkRunner::run(const Network& network, int64_t side,
                                          const std::function<void(std::span<uint8_t> pixels)>& fill, double& planning,
                                          double& running) {
  const auto of_pixels = [&](Plan& plan) {
    fill(plan.pixels());
    return plan.run_pixels();
  };
  return by_precision(network, side, of_pixels, planning, running);
}

NetworkRunner::Outcome NetworkRunner::run_small(const Network& network, int64_t side,
                                                const std::function<void(std::span<uint8_t> pixels)>& fill,
                                                double& planning, double& running) {
  const auto of_pixels = [&](Plan& plan) {
    fill(plan.pixels());
    return plan.run_small_pixels().logits;
  };
  return by_precision(network, side, of_pixels, planning, running);
}

}  // namespace furrow
