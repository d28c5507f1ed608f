#include "segment/segmenter.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "kernels/device.h"
#include "kernels/threads.h"
#include "kernels/trace.h"
#include "nn/network.h"
#include "nn/plan.h"
#include "segment/compute.h"
#include "segment/network_picture.h"
#include "segment/preprocess.h"
#include "segment/region.h"
#include "segment/tile.h"
#include "segment/tuning.h"

namespace furrow {
namespace {

void check(const SegmentOptions& options) {
  if (options.size && (*options.size < kSmallestSize || *options.size > kLargestSize)) {
    throw Error(ErrorCode::usage, "size " + std::to_string(*options.size) + " is outside 32..4096");
  }
  if (options.threshold && !(*options.threshold > 0 && *options.threshold < 1)) {
    throw Error(ErrorCode::usage, "threshold " + std::to_string(*options.threshold) + " is outside (0, 1)");
  }
  for (int label : options.kept_labels.value_or(std::vector<int>{})) {
    if (label < 0 || label > 255)
      throw Error(ErrorCode::usage, "label " + std::to_string(label) + " is outside 0..255");
  }
}

// Adds the time of a scope to a sum.
class Timed {
 public:
  explicit Timed(double& sum) : sum_(sum) {}
  ~Timed() { sum_ += watch_.milliseconds(); }
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

 private:
  double& sum_;
  Stopwatch watch_;
};

// A back-end and the plans it has made, one per side of the square.
struct PlannedNetwork {
  explicit PlannedNetwork(std::unique_ptr<Backend> b) : backend(std::move(b)) {}
  std::unique_ptr<Backend> backend;
  std::shared_ptr<PackedWeights> packed = std::make_shared<PackedWeights>();  // shared by the plans
  std::map<int64_t, std::unique_ptr<Plan>> plans;

  Plan& plan(const Network& network, int64_t side) {
    std::unique_ptr<Plan>& entry = plans[side];
    if (entry == nullptr) {
      PlanOptions plan_options;
      plan_options.weights = packed;
      entry = std::make_unique<Plan>(network, *backend, Shape{1, side, side, network.architecture().in_channels},
                                     plan_options);
    }
    return *entry;
  }
};

std::optional<Precision> parse_precision(const std::optional<std::string>& word) {
  if (!word) return std::nullopt;
  if (const std::optional<Precision> precision = precision_of(*word)) return precision;
  throw Error(ErrorCode::usage, "precision " + printable(*word) + ": unknown").hint("it takes fp16, bf16, tf32, fp32");
}

BackendOptions backend_options(const Device& device, const ComputeOptions& compute, Precision precision) {
  const std::optional<KernelChoice> kernels = kernel_choice_of(compute.kernels);
  if (!kernels)
    throw Error(ErrorCode::usage, "kernels " + printable(compute.kernels) + ": unknown")
        .hint("it takes own, vendor, auto");
  BackendOptions options{.precision = precision, .kernels = *kernels};
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

BackendOptions backend_options(const Device& device, const ComputeOptions& compute) {
  return backend_options(device, compute, precision_on(device, parse_precision(compute.precision)));
}

struct Segmenter::State {
  State(std::shared_ptr<const Model> m, const ComputeOptions& compute, SegmentOptions o)
      : model(std::move(m)),
        options(std::move(o)),
        pool(compute.threads),
        chosen(choose_device(compute.device)),
        precision(precision_on(chosen.device, parse_precision(compute.precision))),
        backend(backend_options(chosen.device, compute, precision)),
        main(make_backend(chosen.device, &pool, backend)) {}

  std::shared_ptr<const Model> model;
  SegmentOptions options;
  ThreadPool pool;
  ChosenDevice chosen;
  Precision precision;
  BackendOptions backend;
  PlannedNetwork main;
  std::optional<PlannedNetwork> wide;  // bf16, for outputs beyond the range of fp16; made when first needed
  Tensor input;

  int64_t size() const { return options.size.value_or(model->info().size); }
  double threshold() const { return options.threshold.value_or(model->info().threshold); }

  Tensor logits(SegmentResult& result);
  void probabilities(const io::Image& rgb, const io::Image* texture, std::span<float> plane, SegmentResult& result);
  Grid grid_of(const Crop& crop) const;
  int64_t texture_side(const Grid& grid) const;
  void run_region(const io::Image& photo, const Grid& grid, const KeptPixels& kept, const io::LabelMap* labels,
                  SegmentResult& result, RegionResult& region);
  void add_region(const io::Image& photo, const std::optional<Face>& face, const KeptPixels& kept,
                  const io::LabelMap* labels, SegmentResult& result);
};

// The network on `input`; valid until the next call.
Tensor Segmenter::State::logits(SegmentResult& result) {
  const auto run = [&](PlannedNetwork& network) {
    const Stopwatch planning;
    Plan& plan = network.plan(model->network(), input.shape().h);
    result.timings.plan += planning.milliseconds();
    const Timed time(result.timings.network);
    return plan.run(input);
  };
  const Tensor z = run(main);
  if (precision != Precision::fp16 || all_finite(z)) return z;
  constexpr const char* kNote = "the network's output left the range of fp16 and was computed again in bf16";
  if (std::ranges::find(result.notes, kNote) == result.notes.end()) result.notes.emplace_back(kNote);
  if (!wide) {
    BackendOptions in_bf16 = backend;
    in_bf16.precision = Precision::bf16;
    wide.emplace(make_backend(chosen.device, &pool, in_bf16));
  }
  return run(*wide);
}

// The network once, or twice with `flip`, on a square picture.
void Segmenter::State::probabilities(const io::Image& rgb, const io::Image* texture, std::span<float> plane,
                                     SegmentResult& result) {
  const Shape shape{1, rgb.height, rgb.width, model->in_channels()};
  if (input.shape() != shape) input = Tensor(shape, main.backend->dtype());
  std::ranges::fill(plane, 0.0f);
  for (const bool mirrored : {false, true}) {
    if (mirrored && !options.flip) continue;
    const Stopwatch preparing;
    normalise(rgb, texture, model->info(), mirrored, input);
    result.timings.network += preparing.milliseconds();
    const Tensor z = logits(result);
    const Timed time(result.timings.network);
    add_probability(z, mirrored, options.flip ? 0.5f : 1.0f, plane);
  }
}

// Without tiles size x size. With tiles the crop itself, reduced so that a face has the size the model was trained at
// (a face crop: the model's own size, whatever the windows'), never enlarged; a photo without a found face stays as it
// is.
Grid Segmenter::State::grid_of(const Crop& crop) const {
  if (!options.tile) return {crop, size(), size()};
  if (options.crop == CropMode::none) return {crop, crop.side_w, crop.side_h};
  const int64_t trained = model->info().size;
  return {crop, std::min(crop.side_w, trained), std::min(crop.side_h, trained)};
}

// A texture map is made for the scale at which the network sees a face. A crop stands for the photo that training made
// its maps of. Where a photo's own pixels are the model's (tiles of a photo without a found face), a pixel is what one
// of the squares of training was, and those had the model's size.
int64_t Segmenter::State::texture_side(const Grid& grid) const {
  if (options.tile && options.crop == CropMode::none) return model->info().size;
  return std::max(grid.crop.side_w, grid.crop.side_h);
}

void Segmenter::State::run_region(const io::Image& photo, const Grid& grid, const KeptPixels& kept,
                                  const io::LabelMap* labels, SegmentResult& result, RegionResult& region) {
  SegmentTimings& timings = result.timings;
  std::optional<NetworkPicture> picture;
  {
    const Timed time(timings.crop);
    picture.emplace(photo, grid, *model, kept, labels, texture_side(grid), &pool);
  }
  io::Image texture(0, 0, 1);
  const auto source = [&](int64_t x, int64_t y, io::Image& rgb) {
    if (options.stop && options.stop()) throw Stopped{};
    const Timed time(timings.resize);
    picture->window(x, y, rgb, texture);
  };
  const auto compute = [&](const io::Image& rgb, std::span<float> plane) {
    probabilities(rgb, model->takes_texture() ? &texture : nullptr, plane, result);
  };
  const auto sink = [&](int64_t y, std::span<const float> row) {
    const Timed time(timings.map_back);
    region.add(y, row);
  };
  run_tiled(grid.columns, grid.rows, size(), source, compute, sink);
}

void Segmenter::State::add_region(const io::Image& photo, const std::optional<Face>& face, const KeptPixels& kept,
                                  const io::LabelMap* labels, SegmentResult& result) {
  const Grid grid =
      grid_of(face ? face_crop(*face, photo.width, photo.height) : whole_photo(photo.width, photo.height));
  RegionResult region(grid, kept, effective_threshold(model->info(), model->classes(), result.threshold), result);
  run_region(photo, grid, kept, labels, result, region);

  if (region.nan_pixels() > 0) {
    result.notes.push_back("the network's output is not a number in " + std::to_string(region.nan_pixels()) +
                           " pixels; they count as unmarked");
  }
  FaceResult found;
  found.face = face;
  found.crop = grid.crop;
  const auto marked = static_cast<double>(region.marked());
  found.percent_of_crop = region.model_pixels() > 0 ? 100.0 * marked / static_cast<double>(region.model_pixels()) : 0.0;
  const Crop& visible = region.visible();
  found.percent_of_frame = face ? found.percent_of_crop * static_cast<double>(visible.side_w * visible.side_h) /
                                      static_cast<double>(photo.width * photo.height)
                                : percent_as_seed(region.marked(), grid.columns * grid.rows);
  if (kept.limited()) {
    found.percent_of_region = region.kept_pixels() > 0 ? 100.0 * static_cast<double>(region.mask_pixels()) /
                                                             static_cast<double>(region.kept_pixels())
                                                       : 0.0;
  }
  io::Image mask = region.take_mask();
  if (options.measures) {
    Timed time(result.timings.measure);
    found.measures = measure(mask);
    if (face) {
      found.length_per_face_width = found.measures->length / face->w;
      found.width_per_face_width = found.measures->mean_width / face->w;
    }
  }
  if (face)
    paste_max(mask, visible, result.mask);
  else
    result.mask = std::move(mask);
  result.percent_of_frame += found.percent_of_frame;
  result.faces.push_back(std::move(found));
}

Segmenter::Segmenter(std::shared_ptr<const Model> model, const ComputeOptions& compute, SegmentOptions options) {
  require(model != nullptr, "Segmenter: a model");
  check(options);
  state_ = std::make_unique<State>(std::move(model), compute, std::move(options));
}
Segmenter::~Segmenter() = default;
Segmenter::Segmenter(Segmenter&&) noexcept = default;
Segmenter& Segmenter::operator=(Segmenter&&) noexcept = default;

SegmentResult Segmenter::run(const io::Picture& photo, const io::LabelMap* labels) { return run(photo.image, labels); }

SegmentResult Segmenter::run(const io::Image& photo, const io::LabelMap* labels) {
  require(photo.channels == 3 && photo.width > 0 && photo.height > 0, "Segmenter::run: an RGB photo");
  const SegmentOptions& options = state_->options;
  const ModelInfo& info = state_->model->info();
  SegmentResult result;
  result.width = photo.width;
  result.height = photo.height;
  result.threshold = state_->threshold();
  result.size = state_->size();
  const Stopwatch total;
  const KeptPixels kept(labels, options.kept_labels.value_or(info.kept_labels), photo.width, photo.height);
  if (const std::string note = missing_labels_note(*state_->model); labels == nullptr && !note.empty())
    result.notes.push_back(note);
  std::vector<Face> faces;
  if (options.crop == CropMode::face) {
    Timed time(result.timings.find_faces);
    faces = find_faces(photo, {}, &state_->pool);
    if (options.faces == FaceChoice::largest && faces.size() > 1) faces.resize(1);
    if (faces.empty()) result.status = SegmentResult::Status::no_face;
  }
  if (options.probability == ProbabilityDepth::gray8) result.probability = io::Image(photo.width, photo.height, 1);
  if (options.probability == ProbabilityDepth::gray16)
    result.probability16.resize(static_cast<size_t>(photo.width * photo.height));
  if (options.crop == CropMode::face) result.mask = io::Image(photo.width, photo.height, 1);
  for (const Face& face : faces) state_->add_region(photo, face, kept, labels, result);
  if (options.crop == CropMode::none) state_->add_region(photo, std::nullopt, kept, labels, result);
  result.timings.total = total.milliseconds();
  return result;
}

const SegmentOptions& Segmenter::options() const { return state_->options; }
void Segmenter::set_options(SegmentOptions options) {
  check(options);
  state_->options = std::move(options);
}
const Model& Segmenter::model() const { return *state_->model; }
std::string Segmenter::device() const { return state_->main.backend->name(); }
const std::string& Segmenter::device_reason() const { return state_->chosen.reason; }
bool Segmenter::runs_cuda_kernels() const {
  const DeviceKind kind = state_->chosen.device.kind;
  return kind == DeviceKind::cuda || kind == DeviceKind::cpu_emulated;
}

}  // namespace furrow
