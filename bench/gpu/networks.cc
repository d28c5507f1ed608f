// Whole networks through Plan, in every precision: from host to host, and the device's part alone.
#include <thread>

#include "bench/gpu/inputs.h"
#include "bench/gpu/samples.h"
#include "bench/gpu/session.h"
#include "kernels/cpu/cpu_backend.h"
#include "nn/plan.h"

namespace furrow::bench {
namespace {

// One picture of a batch.
std::span<const float> picture(const Tensor& batch, int64_t n) {
  const auto each = static_cast<size_t>(batch.shape().elements() / batch.shape().n);
  return batch.values<float>().subspan(static_cast<size_t>(n) * each, each);
}

struct Running {
  std::unique_ptr<BenchBackend> backend;
  std::unique_ptr<Plan> plan;
};

void add_network(Session& session, const Network& network, const std::vector<LogitBound>& bounds,
                 const std::string& name, const Shape& shape) {
  const std::vector<Tensor> inputs = structured_inputs(shape, session.tiny() ? 2 : kInputSets);
  std::vector<Running> running;
  std::vector<Subject> host_to_host, device;
  for (const LogitBound& b : bounds) {
    Running r{session.backend(b.precision), nullptr};
    r.plan = std::make_unique<Plan>(network, *r.backend, shape);
    r.plan->run(inputs[0]), r.plan->run(inputs[1]);   // runs, then records
    Plan* plan = r.plan.get();
    BenchBackend* backend = r.backend.get();
    host_to_host.push_back({[plan, &inputs, i = size_t{0}]() mutable { plan->run(inputs[i++ % inputs.size()]); },
                            [] {}});
    if (Recorded* recorded = backend->last_recorded(); recorded != nullptr)
      device.push_back({[recorded] { recorded->replay(); }, [backend] { backend->finish(); }});
    running.push_back(std::move(r));
  }
  const std::vector<Timing> wall = session.time(host_to_host, 20);
  const std::vector<Timing> alone = device.empty() ? std::vector<Timing>{} : session.time(device, 20);
  if (alone.empty())
    session.report.not_run.push_back("network " + name + " on the device alone: this device does not record");

  // The first picture of fp32 against device cpu, then everything else against fp32 (correctness.cc has float64).
  ThreadPool pool(static_cast<int>(std::thread::hardware_concurrency()));
  cpu::CpuBackend cpu(&pool);
  Plan on_cpu(network, cpu, {1, shape.h, shape.w, shape.c});
  Tensor first({1, shape.h, shape.w, shape.c});
  std::copy_n(picture(inputs[0], 0).begin(), picture(inputs[0], 0).size(), first.values<float>().begin());
  const Tensor want_first = on_cpu.run(first);
  std::vector<Tensor> exact;
  for (const Tensor& x : inputs) exact.push_back(running[0].plan->run(x).to(DType::f32));
  Logits fp32;
  fp32.add(picture(exact[0], 0), want_first.to(DType::f64).values<double>());
  for (size_t i = 0; i < running.size(); ++i) {
    const std::string p(furrow::name(bounds[i].precision));
    const Plan& plan = *running[i].plan;
    Cost cost;
    for (const Plan::StepInfo& step : plan.steps())
      cost.flops += static_cast<double>(step.flops), cost.bytes += static_cast<double>(step.bytes);
    if (bounds[i].precision == Precision::bf16 || bounds[i].precision == Precision::fp16)
      cost.bytes /= 2;  // steps count float32
    Logits logits = fp32;
    if (i > 0) {
      logits = {};
      for (size_t set = 0; set < inputs.size(); ++set)
        logits.add(running[i].plan->run(inputs[set]).values<float>(), exact[set].to(DType::f64).values<double>());
    }
    const Check check{i == 0 ? "first picture against device cpu, norm of the difference over the norm"
                             : "all input sets against fp32, norm of the difference over the norm",
                      logits.error, bounds[i].error, logits.text() + bounds[i].note()};
    const std::string note = std::to_string(plan.steps().size()) + " steps, " +
                             std::to_string(plan.peak_bytes() >> 20) + " MiB of activations, " +
                             std::to_string(plan.weights().bytes() >> 20) + " MiB of weights";
    const double peak = session.peak_tflops(bounds[i].precision);
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
  const std::unique_ptr<Network> network = random_unet(base);
  const std::vector<LogitBound> bounds = logit_bounds(base);
  for (const int64_t batch : session.tiny() ? std::vector<int64_t>{1, 2} : std::vector<int64_t>{1, 8}) {
    const std::string name = "unet" + std::to_string(base) + " " + std::to_string(size) + " b" + std::to_string(batch);
    if (session.time_for("network " + name, session.tiny() ? 1 : batch > 1 ? 45 : 20))
      add_network(session, *network, bounds, name, {batch, size, size, 3});
  }
}

}  // namespace furrow::bench
