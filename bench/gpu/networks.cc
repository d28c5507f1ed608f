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

// A row of each precision. `narrow`: the types of 16 bits alone, on the device alone; fp32 for nothing but the check.
struct Case {
  Architecture architecture;
  int64_t side, batch;
  bool narrow;
  double seconds;   // that it takes on a large GPU, at a high guess
};

void add_network(Session& session, const Network& network, const std::vector<LogitBound>& bounds,
                 const std::string& name, const Case& c) {
  const Shape shape{c.batch, c.side, c.side, 3};
  const std::vector<Tensor> inputs = structured_inputs(shape, session.tiny() || c.narrow ? 2 : kInputSets);
  const auto start = [&](Precision precision) {
    Running r{session.backend(precision), nullptr};
    r.plan = std::make_unique<Plan>(network, *r.backend, shape);
    r.plan->run(inputs[0]), r.plan->run(inputs[1]);   // runs, then records
    return r;
  };
  // The first picture of fp32 against device cpu, then everything else against fp32 (correctness.cc has float64).
  Logits fp32;
  std::vector<Tensor> exact;
  std::vector<Running> running(bounds.size());
  running[0] = start(bounds[0].precision);
  for (const Tensor& x : inputs) exact.push_back(running[0].plan->run(x).to(DType::f32));
  {
    ThreadPool pool(static_cast<int>(std::thread::hardware_concurrency()));
    cpu::CpuBackend cpu(&pool);
    Plan on_cpu(network, cpu, {1, shape.h, shape.w, shape.c});
    Tensor first({1, shape.h, shape.w, shape.c});
    std::copy_n(picture(inputs[0], 0).begin(), picture(inputs[0], 0).size(), first.values<float>().begin());
    fp32.add(picture(exact[0], 0), on_cpu.run(first).to(DType::f64).values<double>());
  }
  if (c.narrow) running[0] = {};   // its memory first
  std::vector<Subject> host_to_host, device;
  std::vector<size_t> timed;   // rows
  for (size_t i = 0; i < bounds.size(); ++i) {
    const Precision precision = bounds[i].precision;
    if (c.narrow && precision != Precision::bf16 && precision != Precision::fp16) continue;
    if (session.tiny() && c.narrow && precision != Precision::fp16) continue;   // seconds on the emulator
    if (i > 0) running[i] = start(precision);
    timed.push_back(i);
    Plan* plan = running[i].plan.get();
    BenchBackend* backend = running[i].backend.get();
    if (!c.narrow)
      host_to_host.push_back({[plan, &inputs, k = size_t{0}]() mutable { plan->run(inputs[k++ % inputs.size()]); },
                              [] {}});
    if (Recorded* recorded = backend->last_recorded(); recorded != nullptr)
      device.push_back({[recorded] { recorded->replay(); }, [backend] { backend->finish(); }, 1, backend->stream()});
  }
  const std::vector<Timing> wall = session.time(host_to_host, 20), alone = session.time(device, 20);
  if (alone.empty())
    session.report.not_run.push_back("network " + name + " on the device alone: this device does not record");

  for (size_t row = 0; row < timed.size(); ++row) {
    const size_t i = timed[row];
    const std::string p(furrow::name(bounds[i].precision));
    Plan& plan = *running[i].plan;
    Cost cost;
    for (const Plan::StepInfo& step : plan.steps())
      cost.flops += static_cast<double>(step.flops), cost.bytes += static_cast<double>(step.bytes);
    if (bounds[i].precision == Precision::bf16 || bounds[i].precision == Precision::fp16)
      cost.bytes /= 2;  // steps count float32
    Logits logits = fp32;
    if (i > 0) {
      logits = {};
      for (size_t set = 0; set < inputs.size(); ++set)
        logits.add(plan.run(inputs[set]).values<float>(), exact[set].to(DType::f64).values<double>());
    }
    const Check check{i == 0 ? "first picture against device cpu, norm of the difference over the norm"
                             : "all input sets against fp32, norm of the difference over the norm",
                      logits.error, bounds[i].error, logits.text() + bounds[i].note()};
    const std::string note = std::to_string(plan.steps().size()) + " steps, " +
                             std::to_string(plan.peak_bytes() >> 20) + " MiB of activations, " +
                             std::to_string(plan.weights().bytes() >> 20) + " MiB of weights";
    const double peak = session.peak_tflops(bounds[i].precision);
    if (!wall.empty())
      session.add({.group = "network",
                   .name = name + " " + p + " host to host",
                   .cost = cost,
                   .timed = "wall",
                   .note = note,
                   .check = check},
                  wall[row], peak);
    if (!alone.empty())
      session.add(
          {.group = "network", .name = name + " " + p, .cost = cost, .timed = "device", .note = note, .check = check},
          alone[row], peak);
    if (wall.empty() && alone.empty()) session.report.checks.push_back({"network " + name + " " + p, check});
  }
  if (c.narrow)
    session.report.checks.push_back({"network " + name + " fp32",
                                     {"first picture against device cpu, norm of the difference over the norm",
                                      fp32.error, bounds[0].error, fp32.text() + bounds[0].note()}});
}

// Cases of one architecture follow one another: its network and its bounds are made once.
void add_cases(Session& session, const std::vector<Case>& cases) {
  std::unique_ptr<Network> network;
  std::vector<LogitBound> bounds;
  Architecture known;
  for (const Case& c : cases) {
    const std::string name =
        short_name(c.architecture) + " " + std::to_string(c.side) + " b" + std::to_string(c.batch);
    if (!session.time_for("network " + name, session.tiny() ? 1 : c.seconds)) continue;
    if (network == nullptr || !(known == c.architecture))
      network = random_network(c.architecture), bounds = logit_bounds(c.architecture), known = c.architecture;
    session.where_memory_allows("network " + name, [&] { add_network(session, *network, bounds, name, c); });
  }
}

}  // namespace

void add_networks(Session& session) {
  if (session.tiny()) return add_cases(session, {{{.base = 4}, 32, 1, false, 1}, {{.base = 4}, 32, 2, false, 1}});
  add_cases(session, {{{.base = 64}, 512, 1, false, 20}, {{.base = 64}, 512, 8, false, 45}});
}

void add_other_networks(Session& session) {
  if (session.tiny()) return add_cases(session, {{{"resnet50-attention-unet", 4}, 32, 1, true, 1}});
  std::vector<Case> cases;
  for (const char* family : {"resnet50-unet", "attention-unet", "resnet50-attention-unet"})
    for (const int64_t batch : {1, 8}) cases.push_back({{family, 64}, 512, batch, true, batch > 1 ? 14.0 : 10.0});
  add_cases(session, cases);
}

void add_large_pictures(Session& session) {
  if (session.tiny()) return;   // sizes are all that is different
  add_cases(session, {{{.base = 64}, 1024, 1, true, 10},
                      {{.base = 64}, 512, 32, true, 15},
                      {{.base = 64}, 1024, 8, true, 18},
                      {{.base = 64}, 1024, 32, true, 45},
                      {{"resnet50-unet", 64}, 512, 32, true, 20},
                      {{"resnet50-unet", 64}, 1024, 1, true, 10},
                      {{"resnet50-unet", 64}, 1024, 8, true, 20}});
}

}  // namespace furrow::bench
