// Whole networks through Plan, in every precision: from host to host, and the device's part alone.
#include <cmath>
#include <thread>

#include "bench/gpu/samples.h"
#include "bench/gpu/session.h"
#include "kernels/cpu/cpu_backend.h"
#include "nn/plan.h"
#include "tests/kernels/cases.h"

namespace furrow::bench {
namespace {

// A bound of the logits' error, of the largest logit (tests/cuda/network_test.cc, which says why).
struct Bound {
  Precision precision;
  double error;
};
constexpr Bound kBounds[] = {
    {Precision::fp32, 2e-5}, {Precision::tf32, 5e-3}, {Precision::bf16, 4e-2}, {Precision::fp16, 5e-3}};

// Values drawn from a seed, under batch norms that keep activations of one size through all layers: the default
// initialisation shrinks them six-fold in variance per convolution, until only the last bias is left to compare.
std::unique_ptr<Network> network_of(int64_t base) {
  auto network = build({.base = base});
  network->initialise(1);
  uint64_t seed = 1;
  for (const Module::Keyed& k : network->parameters()) {
    if (k.parameter->kind != ParameterKind::vector) continue;
    const bool scale = k.key.ends_with(".weight"), variance = k.key.ends_with("running_var");
    const Tensor random = cases::random_values(k.parameter->shape(), ++seed, DType::f32);
    for (size_t i = 0; i < random.values<float>().size(); ++i) {
      const float r = random.values<float>()[i];
      k.parameter->value.values<float>()[i] = scale ? 2 + 0.5f * r : variance ? 1 + 0.3f * r : 0.3f * r;
    }
  }
  return network;
}

// One picture of a batch.
std::span<const float> picture(const Tensor& batch, int64_t n) {
  const auto each = static_cast<size_t>(batch.shape().elements() / batch.shape().n);
  return batch.values<float>().subspan(static_cast<size_t>(n) * each, each);
}

struct Running {
  std::unique_ptr<BenchBackend> backend;
  std::unique_ptr<Plan> plan;
};

void add_network(Session& session, const Network& network, const std::string& name, const Shape& shape) {
  const Tensor x = cases::random_values(shape, 2, DType::f32);
  std::vector<Running> running;
  std::vector<Subject> host_to_host, device;
  for (const Bound& b : kBounds) {
    Running r{session.backend(b.precision), nullptr};
    r.plan = std::make_unique<Plan>(network, *r.backend, shape);
    r.plan->run(x), r.plan->run(x);   // runs, then records
    Plan* plan = r.plan.get();
    BenchBackend* backend = r.backend.get();
    host_to_host.push_back({[plan, &x] { plan->run(x); }, [] {}});
    if (Recorded* recorded = backend->last_recorded(); recorded != nullptr)
      device.push_back({[recorded] { recorded->replay(); }, [backend] { backend->finish(); }});
    running.push_back(std::move(r));
  }
  const std::vector<Timing> wall = session.time(host_to_host, 20);
  const std::vector<Timing> alone = device.empty() ? std::vector<Timing>{} : session.time(device, 20);
  if (alone.empty())
    session.report.not_run.push_back("network " + name + " on the device alone: this device does not record");

  // The first picture of fp32 against device cpu, then everything else against fp32.
  ThreadPool pool(static_cast<int>(std::thread::hardware_concurrency()));
  cpu::CpuBackend cpu(&pool);
  Plan on_cpu(network, cpu, {1, shape.h, shape.w, shape.c});
  Tensor first({1, shape.h, shape.w, shape.c});
  std::copy_n(picture(x, 0).begin(), picture(x, 0).size(), first.values<float>().begin());
  const Tensor want_first = on_cpu.run(first);
  const Tensor exact = running[0].plan->run(x);
  const double fp32_error = relative_difference(picture(exact, 0), want_first.values<float>());
  for (size_t i = 0; i < running.size(); ++i) {
    const std::string p(furrow::name(kBounds[i].precision));
    const Plan& plan = *running[i].plan;
    Cost cost;
    for (const Plan::StepInfo& step : plan.steps())
      cost.flops += static_cast<double>(step.flops), cost.bytes += static_cast<double>(step.bytes);
    if (kBounds[i].precision == Precision::bf16 || kBounds[i].precision == Precision::fp16)
      cost.bytes /= 2;  // steps count float32
    Check check{"first picture against device cpu, of the largest logit", fp32_error, kBounds[i].error};
    if (i > 0) {
      const Tensor got = running[i].plan->run(x);
      check = {"everything against fp32, of the largest logit",
               relative_difference(got.values<float>(), exact.values<float>()), kBounds[i].error};
    }
    const std::string note = std::to_string(plan.steps().size()) + " steps, " +
                             std::to_string(plan.peak_bytes() >> 20) + " MiB of activations, " +
                             std::to_string(plan.weights().bytes() >> 20) + " MiB of weights";
    const double peak = session.peak_tflops(kBounds[i].precision);
    session.add({.group = "network",
                 .name = name + " " + p + " host to host",
                 .cost = cost,
                 .timed = "wall",
                 .note = note,
                 .check = check},
                wall[i], peak);
    if (!alone.empty())
      session.add(
          {.group = "network", .name = name + " " + p, .cost = cost, .timed = "device", .note = note, .check = check},
          alone[i], peak);
  }
}

}  // namespace

void add_networks(Session& session) {
  const int64_t base = session.tiny() ? 4 : 64, size = session.tiny() ? 32 : 512;
  const std::unique_ptr<Network> network = network_of(base);
  for (const int64_t batch : session.tiny() ? std::vector<int64_t>{1, 2} : std::vector<int64_t>{1, 8}) {
    const std::string name = "unet" + std::to_string(base) + " " + std::to_string(size) + " b" + std::to_string(batch);
    if (session.time_for("network " + name, session.tiny() ? 1 : batch > 1 ? 45 : 20))
      add_network(session, *network, name, {batch, size, size, 3});
  }
}

}  // namespace furrow::bench
