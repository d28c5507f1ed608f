#include "segment/segmenter.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "kernels/trace.h"
#include "nn/network.h"
#include "segment/compute.h"
#include "segment/face_parser.h"
#include "segment/network_picture.h"
#include "segment/preprocess.h"
#include "segment/region.h"
#include "segment/tile.h"

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

}  // namespace

struct Segmenter::State {
  State(std::shared_ptr<const Model> m, const ComputeOptions& compute, SegmentOptions o)
      : model(std::move(m)), options(std::move(o)), runner(compute, model->info()) {}
  io::LabelMap parse(const io::Image& photo, const std::vector<Face>& faces, SegmentTimings& timings);

  std::shared_ptr<const Model> model;
  SegmentOptions options;
  NetworkRunner runner;
  std::optional<FaceParser> parser;

  int64_t size() const { return options.size.value_or(model->info().size); }
  double threshold() const { return options.threshold.value_or(model->info().threshold); }

  void stop_if_asked() const {
    if (options.stop && options.stop()) throw Stopped{};
  }
  Tensor logits(const io::Image& rgb, const io::Image* texture, bool mirrored, SegmentResult& result);
  void probabilities(const io::Image& rgb, const io::Image* texture, std::span<float> plane, SegmentResult& result);
  void run_region(const io::Image& photo, const Grid& grid, const KeptPixels& kept, const io::LabelMap* labels,
                  SegmentResult& result, RegionResult& region);
  void add_region(const io::Image& photo, const std::optional<Face>& face, const KeptPixels& kept,
                  const io::LabelMap* labels, SegmentResult& result);
};

// Valid until the next call.
Tensor Segmenter::State::logits(const io::Image& rgb, const io::Image* texture, bool mirrored, SegmentResult& result) {
  SegmentTimings& timings = result.timings;
  const auto fill = [&](std::span<uint8_t> pixels) { interleave(rgb, texture, mirrored, pixels); };
  NetworkRunner::Outcome outcome = runner.run(model->network(), rgb.height, fill, timings.plan, timings.network);
  if (outcome.in_bf16 && std::ranges::find(result.notes, kAgainInBf16) == result.notes.end())
    result.notes.emplace_back(kAgainInBf16);
  return outcome.logits;
}

// The network once, or twice with `flip`, on a square picture.
void Segmenter::State::probabilities(const io::Image& rgb, const io::Image* texture, std::span<float> plane,
                                     SegmentResult& result) {
  std::ranges::fill(plane, 0.0f);
  for (const bool mirrored : {false, true}) {
    if (mirrored && !options.flip) continue;
    stop_if_asked();
    const Tensor z = logits(rgb, texture, mirrored, result);
    const Timed time(result.timings.network);
    add_probability(z, mirrored, options.flip ? 0.5f : 1.0f, plane);
  }
  stop_if_asked();
}

void Segmenter::State::run_region(const io::Image& photo, const Grid& grid, const KeptPixels& kept,
                                  const io::LabelMap* labels, SegmentResult& result, RegionResult& region) {
  SegmentTimings& timings = result.timings;
  std::optional<NetworkPicture> picture;
  {
    const Timed time(timings.crop);
    picture.emplace(photo, grid, *model, kept, labels, texture_side(grid, options, model->info()), &runner.pool());
  }
  io::Image texture(0, 0, 1);
  const auto source = [&](int64_t x, int64_t y, io::Image& rgb) {
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
  const Crop crop = face ? face_crop(*face, photo.width, photo.height) : whole_photo(photo.width, photo.height);
  const Grid grid = grid_of(crop, options, model->info());
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
                                                       : std::numeric_limits<double>::quiet_NaN();
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
  if (face && labels != nullptr) {
    Timed time(result.timings.measure);
    std::string why_not;
    if (const auto points = find_face_points(*labels, photo.width, photo.height, crop, why_not))
      found.regions = measure_regions(*points, mask, visible, kept, options.measures);
    else
      result.notes.push_back("no regions: " + why_not);
  }
  if (options.crop == CropMode::ffhq_uv) {
    Timed time(result.timings.measure);
    found.regions = measure_regions(ffhq_uv_points(photo.width), mask, visible, kept, options.measures);
  }
  if (face) {
    Timed time(result.timings.measure);
    found.quality = face_quality(photo, *face, crop.side_w, size());
  }
  if (face)
    paste_max(mask, visible, result.mask);
  else
    result.mask = std::move(mask);
  result.percent_of_frame += found.percent_of_frame;
  result.faces.push_back(std::move(found));
}

io::LabelMap Segmenter::State::parse(const io::Image& photo, const std::vector<Face>& faces, SegmentTimings& timings) {
  stop_if_asked();
  const Timed time(timings.parse);
  std::vector<Crop> crops;
  for (const Face& face : faces) crops.push_back(face_crop(face, photo.width, photo.height));
  if (options.crop != CropMode::face) crops.push_back(whole_photo(photo.width, photo.height));
  return parser->parse(photo, crops);
}

Segmenter::Segmenter(std::shared_ptr<const Model> model, const ComputeOptions& compute, SegmentOptions options,
                     std::shared_ptr<const Model> parser) {
  require(model != nullptr, "Segmenter: a model");
  model->require_wrinkles();
  check(options);
  state_ = std::make_unique<State>(std::move(model), compute, std::move(options));
  if (parser == nullptr) return;
  ComputeOptions of_parser = compute;
  if (of_parser.precision == "int8") of_parser.precision = "fp32";  // which says something of the model
  state_->parser.emplace(std::move(parser), of_parser);
}
Segmenter::~Segmenter() = default;
Segmenter::Segmenter(Segmenter&&) noexcept = default;
Segmenter& Segmenter::operator=(Segmenter&&) noexcept = default;

SegmentResult Segmenter::run(const io::Picture& photo, const io::LabelMap* labels) { return run(photo.image, labels); }

SegmentResult Segmenter::run(const io::Image& photo, const io::LabelMap* labels) {
  require(photo.channels == 3 && photo.width > 0 && photo.height > 0, "Segmenter::run: an RGB photo");
  const SegmentOptions& options = state_->options;
  const ModelInfo& info = state_->model->info();
  if (options.crop == CropMode::ffhq_uv && photo.width != photo.height)
    throw Error(ErrorCode::malformed, "a texture map in FFHQ-UV's layout is square; this picture is " +
                                          std::to_string(photo.width) + "x" + std::to_string(photo.height));
  SegmentResult result;
  result.width = photo.width;
  result.height = photo.height;
  result.threshold = state_->threshold();
  result.size = state_->size();
  const Stopwatch total;
  const bool parsed = labels == nullptr && state_->parser;
  if (const std::string note = missing_labels_note(*state_->model); labels == nullptr && !parsed && !note.empty())
    result.notes.push_back(note);
  std::vector<Face> faces;
  if (options.crop == CropMode::face) {
    Timed time(result.timings.find_faces);
    faces = find_faces(photo, {}, &state_->runner.pool());
    if (options.faces == FaceChoice::largest && faces.size() > 1) faces.resize(1);
    if (faces.empty()) result.status = SegmentResult::Status::no_face;
  }
  io::LabelMap found;
  if (parsed) found = state_->parse(photo, faces, result.timings), labels = &found;
  const KeptPixels kept(labels, options.kept_labels.value_or(info.kept_labels), photo.width, photo.height);
  if (options.probability == ProbabilityDepth::gray8) result.probability = io::Image(photo.width, photo.height, 1);
  if (options.probability == ProbabilityDepth::gray16)
    result.probability16.resize(static_cast<size_t>(photo.width * photo.height));
  if (options.crop == CropMode::face) result.mask = io::Image(photo.width, photo.height, 1);
  for (const Face& face : faces) state_->add_region(photo, face, kept, labels, result);
  if (options.crop != CropMode::face) state_->add_region(photo, std::nullopt, kept, labels, result);
  result.timings.total = total.milliseconds();
  return result;
}

const SegmentOptions& Segmenter::options() const { return state_->options; }
void Segmenter::set_options(SegmentOptions options) {
  check(options);
  state_->options = std::move(options);
}
const Model& Segmenter::model() const { return *state_->model; }
std::string Segmenter::device() const { return device_name(state_->runner.backend(), state_->runner.quantised()); }
const std::string& Segmenter::device_reason() const { return state_->runner.chosen().reason; }
bool Segmenter::runs_cuda_kernels() const {
  const DeviceKind kind = state_->runner.chosen().device.kind;
  return kind == DeviceKind::cuda || kind == DeviceKind::cpu_emulated;
}

}  // namespace furrow
