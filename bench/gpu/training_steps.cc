// Training steps of the U-Net: the course of the loss against float64, then what a step takes.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <thread>

#include "bench/gpu/session.h"
#include "bench/gpu/training_run.h"
#include "tests/kernels/cases.h"

namespace furrow::bench {
namespace {

using Course = std::vector<double>;   // the loss of each step

struct CurveSize {
  int64_t base, side, batch;
  size_t steps;
};

Course course_of(Backend& backend, const CurveSize& size, const std::vector<MicroBatch>& batches, float loss_scale,
                 TrainingRun::Noise noise = {0, 0}) {
  TrainingRun run(backend, size.base, batches, loss_scale, noise);
  Course out;
  for (size_t step = 0; step < size.steps; ++step) {
    const StepResult result = run.step();
    out.push_back(result.skipped ? NAN : result.loss.total);   // a step that was left out is no step
  }
  return out;
}

double largest(double a, double b) { return std::isnan(a) || b <= a ? a : b; }   // NaN stays

// Largest |got - want| / want of the first `steps`. NaN where any is NaN.
double departure(const Course& got, const Course& want, size_t steps) {
  double worst = 0;
  for (size_t i = 0; i < std::min(steps, got.size()); ++i) {
    const double by = std::abs(got[i] - want[i]) / want[i];
    worst = largest(worst, by);
  }
  return worst;
}

// Two trainings of nearly equal parameters part: rounding moves some maximum or ReLU to its other side, and AdamW makes
// a whole step of the difference. How far they part is a property of the problem and hardly of the first difference
// (docs/gpu.md), so it is measured: device cpu from parameters off by half a unit of the type, kRuns times. A course
// may be off by kAllowed times the farthest of those. In fp32 nothing has parted after kTogether steps.
constexpr int kRuns = 4;
constexpr double kAllowed = 4, kFirst = 1e-6;
constexpr size_t kTogether = 3;

void add_curve(Session& session) {
  const CurveSize size = session.tiny() ? CurveSize{4, 16, 4, 20} : CurveSize{32, 64, 4, 20};
  const std::string name = "training curve unet" + std::to_string(size.base) + " " + std::to_string(size.side) + " b" +
                           std::to_string(size.batch) + " ";
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  // Measured on one core: 90 s in float64, 8 s for each of 8 courses on device cpu.
  if (!session.tiny() && !session.time_for(name, 5 + 160.0 / cores)) return;
  const std::vector<MicroBatch> batches = training_batches({size.batch, size.side, size.side, 3}, 2);
  ThreadPool pool(static_cast<int>(cores));
  const std::unique_ptr<Backend> ref = make_backend({DeviceKind::ref, 0}, &pool),
                                 cpu = make_backend({DeviceKind::cpu, 0}, &pool);
  const Course want = course_of(*ref, size, batches, 1);
  const auto response = [&](double unit) {
    double most = 0;
    for (uint64_t seed = 1; seed <= kRuns; ++seed)
      most = std::max(most, departure(course_of(*cpu, size, batches, 1, {unit, 1000 * seed}), want, size.steps));
    return most;
  };
  const double fine = response(0x1p-11), coarse = session.tiny() ? fine : response(0x1p-8);
  for (const Precision precision : {Precision::fp32, Precision::tf32, Precision::bf16, Precision::fp16}) {
    if (session.tiny() && precision != Precision::fp32) continue;   // the emulator takes seconds
    const std::unique_ptr<BenchBackend> backend = session.backend(precision);
    const Course got = course_of(*backend, size, batches, loss_scale_of(precision));
    const double answer = precision == Precision::bf16 ? coarse : fine;
    char note[160];
    std::snprintf(note, sizeof note, "%zu steps, from %.4f to %.4f; %d courses of device cpu parted by %.2g",
                  size.steps, got.front(), got.back(), kRuns, answer);
    session.report.checks.push_back({name + std::string(furrow::name(precision)),
                                     {"loss of every step against float64, relative", departure(got, want, size.steps),
                                      kAllowed * answer, note}});
    if (precision == Precision::fp32)
      session.report.checks.push_back({name + "fp32, first steps",
                                       {"loss of the first 3 steps against float64, relative",
                                        departure(got, want, kTogether), kFirst, ""}});
  }
}

// First step against fp32's on the same device, by other kernels: its loss and the length of its gradient, relative.
struct StepError {
  double loss, norm;
};
StepError difference(const StepResult& got, const StepResult& want) {
  return {got.skipped ? NAN : std::abs(got.loss.total - want.loss.total) / want.loss.total,
          std::abs(got.gradient_norm - want.gradient_norm) / want.gradient_norm};
}
// `response`: what parameters off by 2^-11 make of both, in fp32. A first step answers in proportion.
Check check_step(const StepError& got, const StepError& response, Precision precision) {
  const double allowed = kAllowed * (precision == Precision::bf16 ? 8 : 1), loss = allowed * response.loss,
               norm = allowed * response.norm;
  char note[120];
  std::snprintf(note, sizeof note, "loss off by %.2g, allowed %.2g; gradient's length by %.2g, allowed %.2g", got.loss,
                loss, got.norm, norm);
  return {"first step against fp32, share of what is allowed", largest(got.loss / loss, got.norm / norm), 1, note};
}

// Operations: forward, gradients of inputs, gradients of weights; the first layer has no gradient of inputs.
double operations(int64_t base, int64_t side, int64_t batch) {
  const std::vector<Step> steps = cases::unet_steps(base, side);
  double sum = -static_cast<double>(flops(steps[0]));
  for (const Step& step : steps) sum += 3 * static_cast<double>(flops(step));
  return sum * static_cast<double>(batch);
}

void add_steps(Session& session) {
  const int64_t base = session.tiny() ? 4 : 64, side = session.tiny() ? 16 : 512, batch = session.tiny() ? 4 : 8;
  const std::string name = "unet" + std::to_string(base) + " " + std::to_string(side) + " b" + std::to_string(batch);
  if (!session.time_for("training " + name, session.tiny() ? 1 : 40)) return;
  const std::vector<MicroBatch> batches = training_batches({batch, side, side, 3}, session.tiny() ? 2 : 8);
  const auto first_step = [&](BenchBackend& backend, TrainingRun::Noise noise = {0, 0}) {
    return TrainingRun(backend, base, {batches[0]}, loss_scale_of(backend.precision()), noise).step();
  };
  std::unique_ptr<BenchBackend> exact = session.backend(Precision::fp32);
  const StepResult want = first_step(*exact);
  StepError response{0, 0};
  for (uint64_t seed = 1; seed <= kRuns; ++seed) {
    const StepError e = difference(first_step(*exact, {0x1p-11, 1000 * seed}), want);
    response = {largest(response.loss, e.loss), largest(response.norm, e.norm)};
  }
  exact.reset();   // its memory
  std::vector<std::unique_ptr<BenchBackend>> backends;
  std::vector<std::unique_ptr<TrainingRun>> runs;
  std::vector<Subject> subjects;
  std::vector<Precision> precisions;
  std::vector<Check> checks;
  for (const Precision precision : {Precision::tf32, Precision::bf16, Precision::fp16}) {
    if (session.tiny() && precision != Precision::fp16) continue;
    backends.push_back(session.backend(precision));
    checks.push_back(check_step(difference(first_step(*backends.back()), want), response, precision));
    runs.push_back(std::make_unique<TrainingRun>(*backends.back(), base, batches, loss_scale_of(precision)));
    BenchBackend* backend = backends.back().get();
    subjects.push_back(
        {[run = runs.back().get()] { run->step(); }, [backend] { backend->finish(); }, 1, backend->stream()});
    precisions.push_back(precision);
  }
  const std::vector<Timing> timings = session.time(subjects, 20);
  for (size_t i = 0; i < runs.size(); ++i)
    session.add({.group = "training",
                 .name = name + " " + std::string(furrow::name(precisions[i])) + " step",
                 .cost = {operations(base, side, batch), 0},
                 .timed = "wall",
                 .note = "forward, loss, backward, clip, AdamW; pictures lie on the device; " +
                         std::to_string(runs[i]->memory_bytes() >> 20) + " MiB of activations and gradients",
                 .check = checks[i]},
                timings[i], session.peak_tflops(precisions[i]));
}

}  // namespace

void add_training_steps(Session& session) {
  session.where_memory_allows("training curve", [&] { add_curve(session); });
  session.where_memory_allows("training step", [&] { add_steps(session); });
}

}  // namespace furrow::bench
