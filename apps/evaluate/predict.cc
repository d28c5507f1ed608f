#include "apps/evaluate/predict.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "apps/evaluate/network.h"
#include "io/file_format.h"
#include "io/mapped_file.h"
#include "io/png_rows.h"
#include "segment/crop.h"
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
      : job_(job), network_(std::move(model), job), side_(network_.side()) {}

  Compared run(const EvaluateInput& input) override {
    const io::LabelMap* labels = input.labels ? &*input.labels : nullptr;
    const KeptPixels kept(labels, job_.kept_labels.value_or(network_.model().info().kept_labels), input.photo.width,
                          input.photo.height);
    Prepared picture = network_.prepare(input.photo, kept, labels);
    std::vector<float> plane = probabilities(picture);
    return job_.at == CompareAt::photo ? at_photo(input, kept, picture.grid, plane)
                                       : at_model(input, kept, picture.grid, std::move(plane), std::move(picture.rgb));
  }

  double cut(double threshold) const override {
    return effective_threshold(network_.model().info(), network_.model().classes(), threshold);
  }
  double default_threshold() const override { return network_.model().info().threshold; }
  std::string device() const override { return network_.device(); }

 private:
  std::vector<float> probabilities(const Prepared& picture) {
    std::vector<float> plane(static_cast<size_t>(side_ * side_));
    for (const bool mirrored : {false, true}) {
      if (mirrored && !job_.flip) continue;
      add_probability(network_.logits(picture, mirrored), mirrored, job_.flip ? 0.5f : 1.0f, plane);
    }
    if (std::ranges::any_of(plane, [](float p) { return std::isnan(p); })) network_.refuse_output();
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

  EvaluateJob job_;
  NetworkRunner network_;
  int64_t side_;
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
