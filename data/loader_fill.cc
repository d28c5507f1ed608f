#include "data/loader_fill.h"

#include <string>

#include "kernels/error.h"

namespace furrow::data {
namespace {

constexpr std::array<double, 3> kMean = {0.485, 0.456, 0.406}, kStd = {0.229, 0.224, 0.225};

double scaled(double x, Scaling scaling, size_t channel) {
  if (scaling == Scaling::half) return 2 * x - 1;
  if (scaling == Scaling::imagenet && channel < 3) return (x - kMean[channel]) / kStd[channel];
  return x;
}

}  // namespace

BatchFiller::BatchFiller(const LoaderOptions& options, bool labels) : labels_(labels) {
  for (size_t c = 0; c < 4; ++c)
    for (size_t v = 0; v < 256; ++v)
      tables_[c][v] =
          static_cast<float>(scaled(static_cast<double>(v) / (options.raw_scale ? 1.0 : 255.0), options.scaling, c));
}

Shape BatchFiller::shape_of(const Sample& sample) {
  const bool textured = sample.texture.width != 0;
  const auto fits = [&](const io::Image& image, int channels) {
    return image.width == sample.image.width && image.height == sample.image.height && image.channels == channels;
  };
  if (!fits(sample.image, 3) || !fits(sample.target, 1) || (textured && !fits(sample.texture, 1))) {
    throw Error(ErrorCode::malformed,
                "sample " + printable(sample.id) + ": photo, target and texture map differ in size");
  }
  return {1, sample.image.height, sample.image.width, textured ? 4 : 3};
}

void BatchFiller::allocate(const Shape& shape, int64_t count, Batch& batch) const {
  batch.image = Tensor({count, shape.h, shape.w, shape.c});
  batch.target = Tensor({count, shape.h, shape.w, 1}, labels_ ? DType::i32 : DType::f32);
}

void BatchFiller::fill(const Sample& sample, int64_t at, Batch& batch) const {
  const Shape& shape = batch.image.shape();
  const auto pixels = static_cast<size_t>(shape.h * shape.w), channels = static_cast<size_t>(shape.c);
  float* to = batch.image.values<float>().data() + static_cast<size_t>(at) * pixels * channels;
  const uint8_t *rgb = sample.image.pixels.data(), *texture = sample.texture.pixels.data();
  for (size_t i = 0; i < pixels; ++i, rgb += 3) {
    for (size_t c = 0; c < 3; ++c) *to++ = tables_[c][rgb[c]];
    if (channels == 4) *to++ = tables_[3][texture[i]];
  }
  const size_t first = static_cast<size_t>(at) * pixels;
  if (labels_) {
    int32_t* label = batch.target.values<int32_t>().data() + first;
    for (size_t i = 0; i < pixels; ++i) label[i] = sample.target.pixels[i];
  } else {
    float* target = batch.target.values<float>().data() + first;
    for (size_t i = 0; i < pixels; ++i) target[i] = static_cast<float>(sample.target.pixels[i]) / 255.f;
  }
}

}  // namespace furrow::data
