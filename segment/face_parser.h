// FaceParser: which part of a face each pixel is, by a network that parses faces (nn/bisenet.h).
#pragma once

#include <memory>
#include <span>

#include "io/picture.h"
#include "segment/compute.h"
#include "segment/crop.h"
#include "segment/model.h"

namespace furrow {

class FaceParser {
 public:
  // `parser`: a model that parses_faces(), else ErrorCode::unsupported. Errors: those of NetworkRunner.
  FaceParser(std::shared_ptr<const Model> parser, const ComputeOptions& compute);

  // Labels of the part of an RGB photo that is `crop`, side x side, side the model's size: the crop's pixels (edge
  // pixels repeated beyond the photo) resized by the model's rule, for the published parser Pillow's BILINEAR, and each
  // pixel's first class of the largest logit (classes: segment/face_classes.h).
  io::LabelMap parse(const io::Image& photo, const Crop& crop);
  // The same of several crops, laid over the photo: a label map of its size, each pixel that of the label under its
  // centre, background outside; where crops overlap, that of the first.
  io::LabelMap parse(const io::Image& photo, std::span<const Crop> crops);

  const Model& model() const { return *parser_; }
  double milliseconds() const { return milliseconds_; }  // of the last parse(), planning and resizing included

 private:
  std::shared_ptr<const Model> parser_;
  NetworkRunner runner_;
  double milliseconds_ = 0;
};

}  // namespace furrow
