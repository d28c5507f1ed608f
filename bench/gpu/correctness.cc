// Networks on pictures with structure, of odd sizes and batches, against the same network in float64.
#include <algorithm>
#include <thread>

#include "bench/gpu/inputs.h"
#include "bench/gpu/samples.h"
#include "bench/gpu/session.h"
#include "kernels/backend.h"
#include "nn/plan.h"

namespace furrow::bench {
namespace {

// One shape: `sets` inputs, on every precision, against device `reference`: "ref", which computes in float64, or "cpu",
// in float32, which is 1e-6 off and quick enough for whole photos.
struct Case {
  Shape shape;
  int sets;
  DeviceKind reference;
};

// What the reference takes, at a low guess: devices ref and cpu multiply and add some 2 G and 30 G a second and core.
double seconds_of(const Case& c, int64_t base, double cores) {
  const double width = static_cast<double>(base) / 64, pixels = static_cast<double>(c.shape.n * c.shape.h * c.shape.w);
  const double products = 192e9 / (512 * 512) * width * width * pixels * c.sets;
  return 2 + products / cores / (c.reference == DeviceKind::ref ? 1.5e9 : 15e9);
}

void add_case(Session& session, const Network& network, int64_t base, const std::vector<LogitBound>& bounds,
              const Case& c) {
  const bool exact = c.reference == DeviceKind::ref;
  const std::string name = "unet" + std::to_string(base) + " " + std::to_string(c.shape.w) + "x" +
                           std::to_string(c.shape.h) + " b" + std::to_string(c.shape.n);
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  if (!session.tiny() && !session.time_for("correctness " + name, seconds_of(c, base, cores))) return;
  const std::vector<Tensor> inputs = structured_inputs(c.shape, c.sets);
  ThreadPool pool(static_cast<int>(cores));
  const std::unique_ptr<Backend> reference = make_backend({c.reference, 0}, &pool);
  Plan on_reference(network, *reference, c.shape);
  std::vector<Tensor> wanted;
  for (const Tensor& x : inputs) wanted.push_back(on_reference.run(x.to(reference->dtype())).to(DType::f64));
  for (const LogitBound& b : bounds) {
    const std::unique_ptr<BenchBackend> backend = session.backend(b.precision);
    Plan plan(network, *backend, c.shape);
    Logits worst;
    for (size_t run = 0; run < std::max<size_t>(inputs.size(), 3); ++run) {  // one runs, one records, the others replay
      const size_t i = run % inputs.size();
      backend->poison();
      worst.add(plan.run(inputs[i]).values<float>(), wanted[i].values<double>());
    }
    session.report.checks.push_back(
        {"correctness " + name + " " + std::string(furrow::name(b.precision)),
         {exact ? "logits against float64, norm of the difference over the norm"
                : "logits against device cpu, norm of the difference over the norm",
          worst.error, b.error, std::to_string(c.sets) + " sets, " + worst.text() + b.note()}});
  }
}

}  // namespace

void add_correctness(Session& session) {
  const int64_t base = session.tiny() ? 4 : 64;
  const std::unique_ptr<Network> network = random_unet(base);
  const std::vector<LogitBound> bounds = logit_bounds(base);
  const std::vector<Case> tiny = {{{1, 21, 27, 3}, kInputSets, DeviceKind::ref},
                                  {{3, 19, 25, 3}, 2, DeviceKind::ref},
                                  {{3, 17, 23, 3}, 1, DeviceKind::cpu}};
  // In float64 as much as takes seconds on 16 cores; batch 3 of whole photos in float32.
  const std::vector<Case> full = {{{1, 94, 125, 3}, kInputSets, DeviceKind::ref},
                                  {{3, 47, 63, 3}, 3, DeviceKind::ref},
                                  {{1, 376, 500, 3}, 1, DeviceKind::ref},
                                  {{3, 376, 500, 3}, 3, DeviceKind::cpu}};
  for (const Case& c : session.tiny() ? tiny : full) add_case(session, *network, base, bounds, c);
}

}  // namespace furrow::bench
