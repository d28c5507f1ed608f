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

// One shape: `sets` inputs, in every precision or (tiny, of other networks than the U-Net) in fp32 and fp16, against
// device `reference`: "ref", which computes in float64, or "cpu", in float32, which is 1e-6 off and quick enough for
// whole photos.
struct Case {
  Shape shape;
  int sets;
  DeviceKind reference;
};

// What the reference takes, at a low guess: devices ref and cpu multiply and add some 2 G and 30 G a second and core.
double seconds_of(const Case& c, const Architecture& a, double cores) {
  const double width = static_cast<double>(a.base) / 64,
               pixels = static_cast<double>(c.shape.n * c.shape.h * c.shape.w);
  const double products = 192e9 / (512 * 512) * width * width * pixels * c.sets;
  return 2 + products / cores / (c.reference == DeviceKind::ref ? 1.5e9 : 15e9);
}

void add_case(Session& session, const Network& network, const std::vector<LogitBound>& bounds, const Case& c) {
  const bool exact = c.reference == DeviceKind::ref, plain = network.architecture().family == "unet";
  const std::string name = short_name(network.architecture()) + " " + std::to_string(c.shape.w) + "x" +
                           std::to_string(c.shape.h) + " b" + std::to_string(c.shape.n);
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  if (!session.tiny() && !session.time_for("correctness " + name, seconds_of(c, network.architecture(), cores))) return;
  const std::vector<Tensor> inputs = structured_inputs(c.shape, c.sets);
  ThreadPool pool(static_cast<int>(cores));
  const std::unique_ptr<Backend> reference = make_backend({c.reference, 0}, &pool);
  Plan on_reference(network, *reference, c.shape);
  std::vector<Tensor> wanted;
  for (const Tensor& x : inputs) wanted.push_back(on_reference.run(x.to(reference->dtype())).to(DType::f64));
  for (const LogitBound& b : bounds) {
    if (session.tiny() && !plain && b.precision != Precision::fp32 && b.precision != Precision::fp16) continue;
    const std::unique_ptr<BenchBackend> backend = session.backend(b.precision);
    Plan plan(network, *backend, c.shape);
    Logits worst;
    // One runs, one records, the others replay; the emulator does not record.
    const size_t runs = session.tiny() && !plain ? inputs.size() : std::max<size_t>(inputs.size(), 3);
    for (size_t run = 0; run < runs; ++run) {
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

void add_family(Session& session, const Architecture& a, const std::vector<Case>& cases) {
  const std::unique_ptr<Network> network = random_network(a);
  const std::vector<LogitBound> bounds = logit_bounds(a);
  for (const Case& c : cases)
    session.where_memory_allows("correctness " + short_name(a), [&] { add_case(session, *network, bounds, c); });
}

}  // namespace

void add_correctness(Session& session) {
  const int64_t base = session.tiny() ? 4 : 64;
  const std::vector<Case> tiny = {{{1, 21, 27, 3}, kInputSets, DeviceKind::ref},
                                  {{3, 19, 25, 3}, 2, DeviceKind::ref},
                                  {{3, 17, 23, 3}, 1, DeviceKind::cpu}};
  // In float64 as much as takes seconds on 16 cores; batch 3 of whole photos in float32.
  const std::vector<Case> full = {{{1, 94, 125, 3}, kInputSets, DeviceKind::ref},
                                  {{3, 47, 63, 3}, 3, DeviceKind::ref},
                                  {{1, 376, 500, 3}, 1, DeviceKind::ref},
                                  {{3, 376, 500, 3}, 3, DeviceKind::cpu}};
  add_family(session, {.base = base}, session.tiny() ? tiny : full);
}

void add_other_correctness(Session& session) {
  const int64_t base = session.tiny() ? 4 : 64;
  for (const char* family : {"resnet50-unet", "attention-unet", "resnet50-attention-unet"}) {
    if (!session.tiny() && !session.time_for(std::string("correctness ") + family, 8)) continue;
    if (session.tiny())
      add_family(session, {family, base}, {{{1, 33, 39, 3}, 1, DeviceKind::ref}});
    else
      add_family(session, {family, base},
                 {{{1, 94, 125, 3}, 2, DeviceKind::ref}, {{3, 47, 63, 3}, 1, DeviceKind::ref}});
  }
}

}  // namespace furrow::bench
