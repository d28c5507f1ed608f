// From a photo and its mask to what is compared: scores, truth and region of equal size.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/evaluate/options.h"
#include "io/image.h"
#include "io/picture.h"
#include "segment/model.h"

namespace furrow::apps {

// One picture, decoded.
struct EvaluateInput {
  std::string id;
  io::Image photo;   // RGB
  io::Image target;  // 1 channel, the photo's size: 0, 255
  std::optional<io::LabelMap> labels;
  std::vector<float> prediction;  // of the photo's size, where predictions are read and not computed
};

// What is compared, row-major, width x height.
struct Compared {
  int64_t width = 0, height = 0;
  std::vector<float> scores;    // probabilities
  std::vector<uint8_t> target;  // 0 or 255
  std::vector<uint8_t> region;  // 0: not compared; empty: everything is
  io::Image shown;              // the photo on these pixels, RGB
};

class Predictor {
 public:
  virtual ~Predictor() = default;
  // Errors: of one picture (ErrorCode::malformed, no_face ...), or DeviceLost.
  virtual Compared run(const EvaluateInput& input) = 0;
  // The score that a mark must exceed for a threshold in (0, 1) to mean what it means to the model.
  virtual double cut(double threshold) const = 0;
  virtual double default_threshold() const = 0;
  virtual std::string device() const = 0;  // "" where nothing is computed
};

// Computes with the plan and the preprocessing of `furrow segment` (segment/segmenter.h); float32 probabilities.
// CropMode::none: the photo is a face crop. CropMode::face: the largest face, or ErrorCode::no_face; with
// CompareAt::photo scores outside the crop are 0, with CompareAt::model pixels outside the photo are not compared.
std::unique_ptr<Predictor> model_predictor(std::shared_ptr<const Model> model, const EvaluateJob& job);
// Takes EvaluateInput::prediction; compares on the photo's pixels.
std::unique_ptr<Predictor> file_predictor(const EvaluateJob& job);

// A mask or probability picture as scores in [0, 1]: gray PNG of 1, 8 or 16 bits, value / largest. Errors:
// ErrorCode::unsupported for another kind, and those of io::read_labels; they name the file.
std::vector<float> read_scores(const std::string& path, int64_t width, int64_t height, const io::Limits& limits);

}  // namespace furrow::apps
