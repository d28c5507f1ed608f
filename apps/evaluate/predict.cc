#include "apps/evaluate/predict.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "io/file_format.h"
#include "io/mapped_file.h"
#include "io/png_rows.h"
#include "io/resize.h"
#include "kernels/device.h"
#include "kernels/threads.h"
#include "nn/network.h"
#include "nn/plan.h"
#include "segment/crop.h"
#include "segment/faces.h"
#include "segment/map_back.h"
#include "segment/preprocess.h"
#include "segment/region.h"

namespace furrow::apps {
namespace {

std::string size_text(int64_t w, int64_t h) { return std::to_string(w) + "x" + std::to_string(h); }

// The photo's own pixels with the truth and the region on them.
Compared on_photo(const EvaluateInput& input, const KeptPixels& kept) {
  const int64_t w = input.photo.width, h = input.photo.height;
  Compared out{
      .width = w, .height = h, .scores = {}, .target = input.target.pixels, .region = {}, .shown = input.photo};
  if (kept.limited()) {
    out.region.resize(static_cast<size_t>(w * h));
    for (int64_t y = 0; y < h; ++y)
      for (int64_t x = 0; x < w; ++x) out.region[static_cast<size_t>(y * w + x)] = kept(x, y) ? 1 : 0;
  }
  return out;
}

class ModelPredictor : public Predictor {
 public:
  ModelPredictor(std::shared_ptr<const Model> model, const EvaluateJob& job)
      : model_(std::move(model)),
        job_(job),
        pool_(job.compute.threads),
        chosen_(choose_device(job.compute.device)),
        precision_(precision_on(chosen_.device, parse_precision(job.compute.precision))),
        backend_(make_backend(chosen_.device, &pool_, {.precision = precision_})),
        side_(job.size.value_or(model_->info().size)) {
    if (side_ < kSmallestSize || side_ > kLargestSize)
      throw Error(ErrorCode::usage, "size " + std::to_string(side_) + " is outside 32..4096");
    plan_ = std::make_unique<Plan>(model_->network(), *backend_, Shape{1, side_, side_, 3});
    input_ = Tensor(Shape{1, side_, side_, 3}, backend_->dtype());
  }

  Compared run(const EvaluateInput& input) override {
    const io::Image& photo = input.photo;
    const ModelInfo& info = model_->info();
    const KeptPixels kept(input.labels ? &*input.labels : nullptr, job_.kept_labels.value_or(info.kept_labels),
                          photo.width, photo.height);
    const Grid grid{crop_of(photo), side_, side_};
    io::Image cropped;
    if (grid.crop != whole_photo(photo.width, photo.height)) cropped = cut_out(photo, grid.crop);
    io::Image rgb = io::resize(cropped.pixels.empty() ? photo : cropped, side_, side_, filter_of(info.resize));
    if (info.masked_input && kept.limited()) blacken(rgb, grid, 0, 0, kept, photo.width, photo.height);
    std::vector<float> plane = probabilities(rgb);
    return job_.at == CompareAt::photo ? at_photo(input, kept, grid, plane)
                                       : at_model(input, kept, grid, std::move(plane), std::move(rgb));
  }

  double cut(double threshold) const override {
    return effective_threshold(model_->info(), model_->classes(), threshold);
  }
  double default_threshold() const override { return model_->info().threshold; }
  std::string device() const override { return backend_->name(); }

 private:
  static io::Image cut_out(const io::Image& photo, const Crop& crop) { return furrow::cut(photo, crop); }

  Crop crop_of(const io::Image& photo) {
    if (job_.crop == CropMode::none) return whole_photo(photo.width, photo.height);
    const std::vector<Face> faces = find_faces(photo, {}, &pool_);
    if (faces.empty())
      throw Error(ErrorCode::no_face, "no face found").hint("--crop none, if the photos are face crops already");
    return face_crop(faces.front(), photo.width, photo.height);
  }

  std::vector<float> probabilities(const io::Image& rgb) {
    std::vector<float> plane(static_cast<size_t>(side_ * side_));
    for (const bool mirrored : {false, true}) {
      if (mirrored && !job_.flip) continue;
      normalise(rgb, model_->info(), mirrored, input_);
      add_probability(plan_->run(input_), mirrored, job_.flip ? 0.5f : 1.0f, plane);
    }
    if (std::ranges::any_of(plane, [](float p) { return std::isnan(p); }))
      throw Error(ErrorCode::malformed, "the network's output is not a number somewhere")
          .hint(precision_ == Precision::fp16 ? "try --precision bf16"
                                              : "its weights may be broken: furrow model show");
    // The mean of two roundings may pass 1 by one step.
    for (float& p : plane) p = std::clamp(p, 0.0f, 1.0f);
    return plane;
  }

  Compared at_model(const EvaluateInput& input, const KeptPixels& kept, const Grid& grid, std::vector<float> plane,
                    io::Image rgb) {
    const int64_t w = input.photo.width, h = input.photo.height;
    Compared out{.width = side_,
                 .height = side_,
                 .scores = std::move(plane),
                 .target = {},
                 .region = {},
                 .shown = std::move(rgb)};
    out.target.resize(out.scores.size());
    if (kept.limited() || grid.crop != inside(grid.crop, w, h)) out.region.resize(out.scores.size());
    for (int64_t j = 0; j < side_; ++j) {
      for (int64_t i = 0; i < side_; ++i) {
        const int64_t x = grid.photo_x(i), y = grid.photo_y(j);
        if (x < 0 || x >= w || y < 0 || y >= h) continue;
        const auto at = static_cast<size_t>(j * side_ + i);
        out.target[at] = input.target.row(y)[x];
        if (!out.region.empty()) out.region[at] = kept(x, y) ? 1 : 0;
      }
    }
    return out;
  }

  Compared at_photo(const EvaluateInput& input, const KeptPixels& kept, const Grid& grid,
                    std::span<const float> plane) {
    const int64_t w = input.photo.width, h = input.photo.height;
    std::vector<float> crop;
    crop.reserve(static_cast<size_t>(grid.crop.side_w * grid.crop.side_h));
    PlaneResizer resizer(side_, side_, grid.crop.side_w, grid.crop.side_h,
                         [&](int64_t, std::span<const float> row) { crop.insert(crop.end(), row.begin(), row.end()); });
    for (int64_t j = 0; j < side_; ++j)
      resizer.push(plane.subspan(static_cast<size_t>(j * side_), static_cast<size_t>(side_)));
    // Weights sum to 1 but for rounding.
    for (float& p : crop) p = std::clamp(p, 0.0f, 1.0f);
    Compared out = on_photo(input, kept);
    out.scores.resize(static_cast<size_t>(w * h));
    paste(crop.data(), grid.crop, out.scores.data(), w, h);
    return out;
  }

  std::shared_ptr<const Model> model_;
  EvaluateJob job_;
  ThreadPool pool_;
  ChosenDevice chosen_;
  Precision precision_;
  std::unique_ptr<Backend> backend_;
  int64_t side_;
  std::unique_ptr<Plan> plan_;
  Tensor input_;
};

class FilePredictor : public Predictor {
 public:
  explicit FilePredictor(const EvaluateJob& job) : kept_labels_(job.kept_labels.value_or(ModelInfo{}.kept_labels)) {}

  Compared run(const EvaluateInput& input) override {
    const KeptPixels kept(input.labels ? &*input.labels : nullptr, kept_labels_, input.photo.width, input.photo.height);
    Compared out = on_photo(input, kept);
    out.scores = input.prediction;
    return out;
  }
  double cut(double threshold) const override { return threshold; }
  double default_threshold() const override { return 0.5; }
  std::string device() const override { return ""; }

 private:
  std::vector<int> kept_labels_;
};

}  // namespace

io::Filter filter_of(const std::string& rule) {
  if (rule == "pillow-bilinear") return io::Filter::bilinear;
  if (rule == "pillow-nearest") return io::Filter::nearest;
  return io::Filter::lanczos;
}

std::optional<Precision> parse_precision(const std::optional<std::string>& word) {
  if (!word) return std::nullopt;
  if (const std::optional<Precision> precision = precision_of(*word)) return precision;
  throw Error(ErrorCode::usage, "precision " + printable(*word) + ": unknown").hint("it takes fp16, bf16, tf32, fp32");
}

std::unique_ptr<Predictor> model_predictor(std::shared_ptr<const Model> model, const EvaluateJob& job) {
  return std::make_unique<ModelPredictor>(std::move(model), job);
}

std::unique_ptr<Predictor> file_predictor(const EvaluateJob& job) { return std::make_unique<FilePredictor>(job); }

std::vector<float> read_scores(const std::string& path, int64_t width, int64_t height, const io::Limits& limits) {
  return with_file(path, [&] {
    const auto file = io::MappedFile::open(path, io::MappedFile::Access::copy);
    const auto check_size = [&](int64_t w, int64_t h) {
      if (w != width || h != height)
        throw Error(ErrorCode::malformed,
                    "the prediction is " + size_text(w, h) + ", the photo is " + size_text(width, height));
    };
    std::vector<float> scores(static_cast<size_t>(width * height));
    if (io::file_format(file->bytes()).name == "PNG") {
      const io::PngFile png = io::walk_png(file->bytes(), limits);
      check_size(png.header.width, png.header.height);
      if (png.header.colour == 0 && png.header.depth == 16) {
        io::read_png_rows(png, [&](const io::PngRow& row) {
          for (uint32_t i = 0; i < row.pass.width; ++i) {
            const size_t at = size_t{row.y} * png.header.width + row.pass.x0 + size_t{i} * row.pass.dx;
            scores[at] = static_cast<float>((row.packed[2 * i] << 8 | row.packed[2 * i + 1]) / 65535.0);
          }
        });
        file->check_unchanged();
        return scores;
      }
      if (!png.palette.empty())
        throw Error(ErrorCode::unsupported, "a palette picture is no probability").hint("save it as a gray PNG");
    }
    const io::LabelMap map = io::decode_labels(file->bytes(), limits);
    check_size(map.width, map.height);
    std::ranges::transform(map.labels, scores.begin(), [](uint8_t value) { return static_cast<float>(value / 255.0); });
    file->check_unchanged();
    return scores;
  });
}

}  // namespace furrow::apps
