#include "apps/evaluate/network.h"

#include <algorithm>
#include <utility>

#include "kernels/error.h"
#include "nn/network.h"
#include "segment/compute.h"
#include "segment/crop.h"
#include "segment/faces.h"
#include "segment/network_picture.h"
#include "segment/preprocess.h"

namespace furrow::apps {
namespace {

constexpr int64_t kSmallestSize = 32, kLargestSize = 4096;

}  // namespace

NetworkRunner::NetworkRunner(std::shared_ptr<const Model> model, const EvaluateJob& job)
    : model_(std::move(model)),
      crop_(job.crop),
      pool_(job.compute.threads),
      chosen_(choose_device(job.compute.device)),
      precision_(precision_on(chosen_.device, parse_precision(job.compute.precision))),
      backend_(make_backend(chosen_.device, &pool_, {.precision = precision_})),
      side_(job.size.value_or(model_->info().size)) {
  if (side_ < kSmallestSize || side_ > kLargestSize)
    throw Error(ErrorCode::usage, "size " + std::to_string(side_) + " is outside 32..4096");
  const Shape shape{1, side_, side_, model_->in_channels()};
  PlanOptions options;
  options.quantisation = quantisation_on(chosen_.device, job.compute.precision, model_->info().quantisation);
  plan_ = std::make_unique<Plan>(model_->network(), *backend_, shape, options);
  check_bytes(*plan_, options.quantisation);
  input_ = Tensor(shape, backend_->dtype());
}

std::string NetworkRunner::device() const { return device_name(*backend_, computes_in_bytes(*plan_)); }

Prepared NetworkRunner::prepare(const io::Image& photo, const KeptPixels& kept, const io::LabelMap* labels) {
  Crop crop = whole_photo(photo.width, photo.height);
  if (crop_ == CropMode::face) {
    const std::vector<Face> faces = find_faces(photo, {}, &pool_);
    if (faces.empty())
      throw Error(ErrorCode::no_face, "no face found").hint("--crop none, if the photos are face crops already");
    crop = face_crop(faces.front(), photo.width, photo.height);
  }
  Prepared out{{crop, side_, side_}, {side_, side_, 3}, {0, 0, 1}};
  const NetworkPicture picture(photo, out.grid, *model_, kept, labels, std::max(crop.side_w, crop.side_h), &pool_);
  picture.window(0, 0, out.rgb, out.texture);
  return out;
}

Tensor NetworkRunner::logits(const Prepared& picture, bool mirrored) {
  normalise(picture.rgb, model_->takes_texture() ? &picture.texture : nullptr, model_->info(), mirrored, input_);
  return plan_->run(input_);
}

void NetworkRunner::refuse_output() const {
  throw Error(ErrorCode::malformed, "the network's output is not finite somewhere")
      .hint(precision_ == Precision::fp16 ? "try --precision bf16" : "its weights may be broken: furrow model show");
}

}  // namespace furrow::apps
