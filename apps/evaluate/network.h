// The model of an evaluation at work: from a photo to what the network says of its pixels.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "apps/evaluate/options.h"
#include "kernels/device.h"
#include "kernels/threads.h"
#include "nn/plan.h"
#include "segment/model.h"
#include "segment/region.h"

namespace furrow::apps {

// A crop of a photo at the network's size.
struct Prepared {
  Grid grid;
  io::Image rgb;      // side x side x 3
  io::Image texture;  // side x side x 1 where the network takes a map, else 0 x 0
};

// The preparation and the plan of `furrow segment` (segment/network_picture.h), one square a photo.
class NetworkRunner {
 public:
  // Errors: those of the device; ErrorCode::usage for a size or a precision that there is not.
  NetworkRunner(std::shared_ptr<const Model> model, const EvaluateJob& job);

  // CropMode::none: the photo is a face crop. CropMode::face: the square of its largest face, or ErrorCode::no_face.
  // `labels`, of the photo, may be null; `kept` belongs to them.
  Prepared prepare(const io::Image& photo, const KeptPixels& kept, const io::LabelMap* labels);
  // {1, side, side, classes}; of the mirrored picture, columns as the network gave them. Valid until the next call.
  Tensor logits(const Prepared& picture, bool mirrored);

  // For an output that is not a number: ErrorCode::malformed.
  [[noreturn]] void refuse_output() const;

  const Model& model() const { return *model_; }
  int64_t side() const { return side_; }
  std::string device() const;

 private:
  std::shared_ptr<const Model> model_;
  CropMode crop_;
  ThreadPool pool_;
  ChosenDevice chosen_;
  Precision precision_;
  std::unique_ptr<Backend> backend_;
  int64_t side_;
  std::unique_ptr<Plan> plan_;
  Tensor input_;
};

}  // namespace furrow::apps
