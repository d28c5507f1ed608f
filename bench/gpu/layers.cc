// The U-Net's layers, one planned step at a time, in every precision.
#include <cmath>

#include "bench/gpu/samples.h"
#include "bench/gpu/session.h"
#include "tests/kernels/cases.h"

namespace furrow::bench {
namespace {

constexpr Precision kPrecisions[] = {Precision::fp32, Precision::tf32, Precision::bf16, Precision::fp16};

// Names of cases::unet_steps, in its order.
constexpr const char* kNames[] = {"inc.1",   "inc.2",   "down1.1", "down1.2",   "down2.1", "down2.2",
                                  "down3.1", "down3.2", "down4.1", "down4.2",   "up1.T",   "up1.1",
                                  "up1.2",   "up2.T",   "up2.1",   "up2.2",     "up3.T",   "up3.1",
                                  "up3.2",   "up4.T",   "up4.1",   "up4.2+outc"};

const ConvStep* conv_of(const Step& step) { return std::get_if<ConvStep>(&step); }

// One step on one back-end: its buffers, its weights, and what it wrote.
class LayerRun {
 public:
  LayerRun(const Session& session, const Step& step, const StepInputs& in, Precision precision)
      : step_(step),
        backend_(session.backend(precision)),
        element_(precision == Precision::fp32 || precision == Precision::tf32 ? 4 : 2) {
    const ConvStep* conv = conv_of(step);
    const Shape y = output_shape(step), pooled{y.n, y.h / 2, y.w / 2, y.c},
                head{y.n, y.h, y.w, conv != nullptr ? conv->head : 0};
    size_t bytes =
        backend_->workspace_bytes(step) + 6 * Arena::kAlignment + static_cast<size_t>(head.elements()) * sizeof(float);
    for (const Shape& s : {in.x[0].shape(), in.x[1].empty() ? Shape{1, 1, 1, 1} : in.x[1].shape(), y, pooled})
      bytes += backend_->placed_bytes(s);
    arena_ = backend_->reserve(bytes);
    backend_->poison();
    for (int i = 0; i < 2; ++i)
      if (!in.x[i].empty()) {
        buffers_.x[i] = take(in.x[i].shape());
        backend_->place(in.x[i], buffers_.x[i]);
      }
    if (conv == nullptr || conv->store_y) buffers_.y = take(y);
    if (conv != nullptr && conv->pool) buffers_.pooled = take(pooled);
    if (head.c > 0) buffers_.head = arena_.take(head, DType::f32);
    buffers_.workspace = arena_.take(backend_->workspace_bytes(step));
    packed_ = backend_->prepare(step, in.weights);
    run();
    backend_->finish();
    recorded_ = backend_->record([&] {
      for (int i = 0; i < kRuns; ++i) run();
    });
  }

  Subject subject() {
    const auto finish = [this] { backend_->finish(); };
    if (recorded_ != nullptr) return {[this] { recorded_->replay(); }, finish, kRuns, backend_->stream()};
    return {[this] { run(); }, finish, 1, backend_->stream()};
  }
  StepResults results() {
    StepResults out;
    for (const auto& [placed, tensor] : {std::pair{buffers_.y, &out.y}, {buffers_.pooled, &out.pooled}})
      if (placed.data != nullptr) {
        *tensor = Tensor(placed.shape);
        backend_->unplace(placed, *tensor);
        backend_->finish();   // one staging buffer serves all
      }
    if (!buffers_.head.empty()) {
      out.head = Tensor(buffers_.head.shape());
      backend_->fetch(buffers_.head, out.head);
      backend_->finish();
    }
    return out;
  }
  std::string algorithm() const { return backend_->algorithm(step_); }
  double element() const { return element_; }

 private:
  static constexpr int kRuns = 8;
  void run() { backend_->run(step_, packed_.get(), buffers_); }
  Placed take(const Shape& shape) { return {arena_.take(backend_->placed_bytes(shape)), shape}; }
  Step step_;
  std::unique_ptr<BenchBackend> backend_;
  double element_;
  Arena arena_;
  StepBuffers buffers_;
  std::unique_ptr<Packed> packed_;
  std::unique_ptr<Recorded> recorded_;
};

// Products in one sum, of a step with its head.
int64_t sum_length(const Step& step) {
  const ConvStep* conv = conv_of(step);
  return conv == nullptr ? std::get<UpconvStep>(step).x.c
                         : conv->geometry.kernel_h * conv->geometry.kernel_w * cases::input_channels(*conv) +
                               (conv->head > 0 ? conv->oc : 0);
}

double largest_difference(const StepResults& got, const StepResults& want) {
  double worst = 0;
  for (const auto& [a, b] : {std::pair{&got.y, &want.y}, {&got.pooled, &want.pooled}, {&got.head, &want.head}})
    if (!b->empty()) {
      const double by = relative_difference(a->values<float>(), b->values<float>());
      worst = std::isnan(worst) || by <= worst ? worst : by;
    }
  return worst;
}

void add_layer(Session& session, const std::string& name, const Step& step) {
  StepInputs in{.x = {}, .weights = cases::random_weights(step, 1)};
  const ConvStep* conv = conv_of(step);
  in.x[0] = cases::random_values(conv != nullptr ? conv->x[0] : std::get<UpconvStep>(step).x, 2, DType::f32);
  if (conv != nullptr && conv->x[1].c > 0) in.x[1] = cases::random_values(conv->x[1], 3, DType::f32);
  std::vector<std::unique_ptr<LayerRun>> runs;
  std::vector<Subject> subjects;
  for (const Precision precision : kPrecisions) {
    runs.push_back(std::make_unique<LayerRun>(session, step, in, precision));
    subjects.push_back(runs.back()->subject());
  }
  const std::vector<Timing> timings = session.time(subjects, 5);
  StepResults exact;   // of fp32, which is held against float64; the others against fp32
  for (size_t i = 0; i < runs.size(); ++i) {
    const std::string p(furrow::name(kPrecisions[i]));
    const double bound = rounding_bound(p.c_str(), sum_length(step));
    const StepResults got = runs[i]->results();
    Row row{.group = "layer", .name = name + " " + p, .timed = "device", .note = runs[i]->algorithm()};
    row.cost = {static_cast<double>(flops(step)),
                static_cast<double>(min_bytes(step, static_cast<size_t>(runs[i]->element())))};
    if (i == 0) {
      row.check = {"samples against float64, of the largest", sampled_error(step, in, got, session.tiny() ? 16 : 48),
                   bound};
      exact = got;
    } else {
      row.check = {"everything against fp32, of the largest", largest_difference(got, exact), bound};
    }
    session.add(std::move(row), timings[i], session.peak_tflops(kPrecisions[i]));
  }
}

}  // namespace

void add_layers(Session& session) {
  const int64_t base = session.tiny() ? 4 : 64, size = session.tiny() ? 32 : 512;
  const std::vector<Step> steps = cases::unet_steps(base, size);
  static_assert(std::size(kNames) == 22);
  require(steps.size() == std::size(kNames), "add_layers: names and steps differ");
  for (size_t i = 0; i < steps.size(); ++i) {
    const std::string name = std::string(kNames[i]) + " " + problem(steps[i]);
    if (session.time_for("layer " + name, session.tiny() ? 0.2 : 6)) add_layer(session, name, steps[i]);
  }
}

}  // namespace furrow::bench
