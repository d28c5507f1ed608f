#include "bench/gpu/inputs.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numbers>

#include "bench/gpu/samples.h"
#include "kernels/cpu/cpu_backend.h"
#include "nn/plan.h"
#include "nn/tape.h"
#include "tests/kernels/cases.h"

namespace furrow::bench {
namespace {

// One picture of `batch`, of a seed of its own.
void draw(Tensor& batch, int64_t n, uint64_t seed) {
  const Shape& s = batch.shape();
  const Tensor choices = cases::random_values({1, 1, s.c + 1, 6}, seed, DType::f32),
               noise = cases::random_values({1, s.h, s.w, s.c}, seed + 1, DType::f32);
  const auto pick = [&](int64_t row, size_t i) { return choices.values<float>()[static_cast<size_t>(row) * 6 + i]; };
  const auto values = batch.values<float>();
  const auto grain = noise.values<float>();
  const float middle_y = 0.5f + 0.3f * pick(0, 0), middle_x = 0.5f + 0.3f * pick(0, 1),
              radius = 0.25f + 0.1f * pick(0, 2);
  size_t i = 0;
  for (int64_t h = 0; h < s.h; ++h)
    for (int64_t w = 0; w < s.w; ++w)
      for (int64_t c = 0; c < s.c; ++c, ++i) {
        const float y = static_cast<float>(h) / static_cast<float>(s.h),
                    x = static_cast<float>(w) / static_cast<float>(s.w);
        const int64_t row = c + 1;
        const float turns = 3 * pick(row, 0) * y + 3 * pick(row, 1) * x + pick(row, 2);
        const float fine = 12 * pick(row, 3) * y + 12 * pick(row, 4) * x + pick(row, 5);
        const float wave = 0.25f * std::cos(2 * std::numbers::pi_v<float> * turns) +
                           0.1f * std::cos(2 * std::numbers::pi_v<float> * fine);
        const bool inside = std::hypot(y - middle_y, x - middle_x) < radius;
        const float level = 0.4f + wave + (inside ? 0.2f : 0.0f) + 0.05f * grain[i];
        values[static_cast<size_t>(n * s.h * s.w * s.c) + i] = (std::clamp(level, 0.0f, 1.0f) - 0.45f) / 0.225f;
      }
}

// To the nearest numbers of `bits` bits.
void round_to(Tensor& t, int bits) {
  for (float& v : t.values<float>()) {
    int exponent = 0;
    const float fraction = std::frexp(v, &exponent);
    v = std::ldexp(std::nearbyint(std::ldexp(fraction, bits)), exponent - bits);
  }
}

}  // namespace

// Weights and batch norms are drawn from a seed; the statistics of the batch norms are near those of two pictures, as
// training leaves them, and the last bias puts the logits about 0. Were the statistics drawn too, each layer would add
// a constant many times what varies, and errors measured against logits that are nearly one number would look small.
std::unique_ptr<Network> random_network(const Architecture& architecture) {
  auto network = build(architecture);
  network->initialise(1);
  const std::vector<Module::Keyed> parameters = network->parameters();
  const auto values = [](const Module::Keyed& k) { return k.parameter->value.values<float>(); };
  const auto is_statistic = [](const Module::Keyed& k) {
    return k.key.ends_with("running_mean") || k.key.ends_with("running_var");
  };
  uint64_t seed = 1;
  for (const Module::Keyed& k : parameters) {
    if (k.parameter->kind != ParameterKind::vector) continue;
    const Tensor random = cases::random_values(k.parameter->shape(), ++seed, DType::f32);
    for (size_t i = 0; i < values(k).size(); ++i) {
      const float r = random.values<float>()[i];
      values(k)[i] = is_statistic(k) ? 0 : k.key.ends_with(".weight") ? 1 + 0.25f * r : 0.3f * r;
    }
  }
  // A training pass moves statistics of 0 to `momentum` times those of its batch.
  cpu::CpuBackend cpu(nullptr);
  Tape tape(cpu, Mode::training);
  const Var logits = network->forward(tape, tape.input(structured_inputs({2, 64, 64, 3}, 1)[0]));
  for (const Module::Keyed& k : parameters) {
    if (!is_statistic(k)) continue;
    const Tensor random = cases::random_values(k.parameter->shape(), ++seed, DType::f32);
    for (size_t i = 0; i < values(k).size(); ++i)
      values(k)[i] *= (1 + 0.1f * random.values<float>()[i]) / static_cast<float>(BatchNormTrain{}.momentum);
  }
  double mean = 0;
  for (const float v : logits.value().values<float>()) mean += static_cast<double>(v);
  mean /= static_cast<double>(logits.shape().elements());
  for (const Module::Keyed& k : parameters)
    if (k.key == "outc.conv.bias") values(k)[0] -= static_cast<float>(mean);
  return network;
}

std::unique_ptr<Network> random_unet(int64_t base) { return random_network({.base = base}); }

std::string LogitBound::note() const {
  if (response == 0) return "";
  char text[64];
  std::snprintf(text, sizeof text, "; rounding weights and input alone: %.2g", response);
  return text;
}

std::vector<LogitBound> logit_bounds(int64_t base) {
  const Shape shape{1, 64, 64, 3};
  const Tensor x = structured_inputs(shape, 1)[0];
  cpu::CpuBackend cpu(nullptr);
  const auto run = [&](int bits) {
    const std::unique_ptr<Network> network = random_unet(base);
    Tensor input = x.to(DType::f32);
    if (bits < 24) {
      round_to(input, bits);
      for (const Module::Keyed& k : network->parameters())
        if (k.parameter->value.dtype() == DType::f32 && k.parameter->kind != ParameterKind::vector)
          round_to(k.parameter->value, bits);
    }
    return Plan(*network, cpu, shape).run(input).to(DType::f64);
  };
  const Tensor exact = run(24);
  const auto bound = [&](Precision precision, int bits, double protocol) -> LogitBound {
    Logits logits;
    logits.add(run(bits).to(DType::f32).values<float>(), exact.values<double>());
    return {precision, std::max(protocol, 2 * logits.error), logits.error};
  };
  return {{Precision::fp32, 2e-6},
          bound(Precision::tf32, 11, 1e-3),
          bound(Precision::bf16, 8, 1e-2),
          bound(Precision::fp16, 11, 2e-3)};
}

std::vector<Tensor> structured_inputs(const Shape& shape, int sets) {
  std::vector<Tensor> out;
  for (int set = 0; set < sets; ++set) {
    out.emplace_back(shape);
    for (int64_t n = 0; n < shape.n; ++n) draw(out.back(), n, 1000 + 2 * static_cast<uint64_t>(set * shape.n + n));
  }
  return out;
}

}  // namespace furrow::bench
