#include "data/augment.h"

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <utility>

#include "kernels/error.h"
#include "kernels/random.h"

namespace furrow::data {
namespace {

constexpr uint64_t kNumbersPerStep = 64;
constexpr int kFieldBits = 40;  // indices per field: more than the values of the largest picture
constexpr size_t kMostSteps = 255;

// A step's own numbers, one after another.
class Numbers {
 public:
  Numbers(const DrawKey& key, size_t step) : philox_(key.seed), stream_(key.stream()), index_(step * kNumbersPerStep) {}
  double uniform() { return philox_.uniform(stream_, index_++); }
  double within(DrawRange range) { return range.low + (range.high - range.low) * uniform(); }
  // 0 .. count - 1.
  int64_t below(int64_t count) {
    return std::min(static_cast<int64_t>(uniform() * static_cast<double>(count)), count - 1);
  }

 private:
  Philox philox_;
  uint64_t stream_, index_;
};

// Values of N(0, deviation^2), four to a counter: Box and Muller's transform of pairs, in double, then float.
void draw_normal(const DrawKey& key, uint64_t first_index, float deviation, std::span<float> values) {
  constexpr double kTurn = 2 * 3.14159265358979323846;
  const Philox philox(key.seed);
  const uint64_t stream = key.stream();
  for (size_t i = 0; i < values.size(); i += 4) {
    const uint64_t block = (first_index + i) / 4;
    const Philox::Block words = philox({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32),
                                        static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)});
    float four[4];
    for (size_t pair = 0; pair < 4; pair += 2) {
      const double radius = std::sqrt(-2 * std::log((words[pair] + 0.5) * 0x1p-32));  // never log(0)
      const double angle = kTurn * 0x1p-32 * words[pair + 1];
      four[pair] = static_cast<float>(radius * std::cos(angle));
      four[pair + 1] = static_cast<float>(radius * std::sin(angle));
    }
    for (size_t k = 0; k < 4 && i + k < values.size(); ++k) values[i + k] = four[k] * deviation;
  }
}

// A.RandomResizedCrop: ten tries at a size that fits, then the largest part from the middle with an allowed ratio.
CropBox draw_crop(const AugmentStep& step, Numbers& numbers, int64_t width, int64_t height) {
  const double area = static_cast<double>(width) * static_cast<double>(height);
  const auto whole = [](double side) { return static_cast<int64_t>(std::nearbyint(side)); };  // Python's round()
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double target = numbers.within(step.scale) * area;
    const double ratio = std::exp(numbers.within({std::log(step.ratio.low), std::log(step.ratio.high)}));
    const int64_t w = whole(std::sqrt(target * ratio)), h = whole(std::sqrt(target / ratio));
    if (w >= 1 && h >= 1 && w <= width && h <= height) {
      const int64_t y = numbers.below(height - h + 1), x = numbers.below(width - w + 1);
      return {x, y, w, h};
    }
  }
  const double ratio = static_cast<double>(width) / static_cast<double>(height);
  int64_t w = width, h = height;
  if (ratio < step.ratio.low) h = whole(static_cast<double>(width) / step.ratio.low);
  if (ratio > step.ratio.high) w = whole(static_cast<double>(height) * step.ratio.high);
  w = std::clamp<int64_t>(w, 1, width), h = std::clamp<int64_t>(h, 1, height);
  return {(width - w) / 2, (height - h) / 2, w, h};
}

AugmentDraw draw_step(const AugmentStep& step, size_t index, Numbers& numbers, int64_t width, int64_t height) {
  AugmentDraw d;
  d.op = step.op;
  d.step = index;
  switch (step.op) {
    case AugmentOp::flip: break;
    case AugmentOp::affine:
      d.affine.translate_x = std::trunc(numbers.within(step.shift) * static_cast<double>(width));
      d.affine.translate_y = std::trunc(numbers.within(step.shift) * static_cast<double>(height));
      d.affine.scale_x = numbers.within(step.scale);
      d.affine.scale_y = numbers.within(step.scale);
      d.affine.rotate = numbers.within(step.angle);
      break;
    case AugmentOp::rotate: d.affine.rotate = numbers.within(step.angle); break;
    case AugmentOp::elastic: d.alpha = step.alpha, d.sigma = step.sigma; break;
    case AugmentOp::crop: d.crop = draw_crop(step, numbers, width, height); break;
    case AugmentOp::clahe: d.clip = numbers.within(step.clip); break;
    case AugmentOp::jitter:
      d.jitter.brightness = numbers.within(step.brightness);
      d.jitter.contrast = numbers.within(step.contrast);
      d.jitter.saturation = numbers.within(step.saturation);
      d.jitter.hue = numbers.within(step.hue);
      for (int64_t i = 3; i > 0; --i) {
        std::swap(d.jitter.order[static_cast<size_t>(i)], d.jitter.order[static_cast<size_t>(numbers.below(i + 1))]);
      }
      break;
    case AugmentOp::blur:
      d.size = step.smallest + 2 * static_cast<int>(numbers.below((step.largest - step.smallest) / 2 + 1));
      break;
    case AugmentOp::noise:
      d.deviation = std::sqrt(
          numbers.within({step.deviation.low * step.deviation.low, step.deviation.high * step.deviation.high}));
      break;
  }
  return d;
}

std::string text(const char* format, ...) {
  char buffer[200];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(buffer, sizeof buffer, format, arguments);
  va_end(arguments);
  return buffer;
}

std::string describe(const AugmentDraw& d) {
  const ColourJitter& j = d.jitter;
  switch (d.op) {
    case AugmentOp::flip: return "flip";
    case AugmentOp::affine:
      return text("affine scale %.3f %.3f, shift %.0f %.0f px, rotate %.2f", d.affine.scale_x, d.affine.scale_y,
                  d.affine.translate_x, d.affine.translate_y, d.affine.rotate);
    case AugmentOp::rotate: return text("rotate %.2f", d.affine.rotate);
    case AugmentOp::elastic: return text("elastic %g sigma %g", d.alpha, d.sigma);
    case AugmentOp::crop:
      return text("crop %lldx%lld at %lld %lld", static_cast<long long>(d.crop.width),
                  static_cast<long long>(d.crop.height), static_cast<long long>(d.crop.x),
                  static_cast<long long>(d.crop.y));
    case AugmentOp::clahe: return text("clahe %.3f", d.clip);
    case AugmentOp::jitter:
      return text("jitter brightness %.3f, contrast %.3f, saturation %.3f, hue %+.3f, order %d%d%d%d", j.brightness,
                  j.contrast, j.saturation, j.hue, j.order[0], j.order[1], j.order[2], j.order[3]);
    case AugmentOp::blur: return text("blur %d", d.size);
    case AugmentOp::noise: return text("noise %.2f", d.deviation);
  }
  return {};
}

// The same change of geometry for everything that describes the same pixels.
template <class Change>
void change_geometry(Sample& sample, Change&& change) {
  sample.image = change(sample.image, Sampling::linear);
  sample.target = change(sample.target, Sampling::nearest);
  if (sample.texture.width > 0) sample.texture = change(sample.texture, Sampling::linear);
}

void apply(Sample& sample, const AugmentDraw& d, const DrawKey& key) {
  const int64_t width = sample.image.width, height = sample.image.height;
  const uint64_t field = (d.step + 1) << kFieldBits;
  switch (d.op) {
    case AugmentOp::flip:
      change_geometry(sample, [](const io::Image& image, Sampling) { return flip_horizontal(image); });
      break;
    case AugmentOp::affine:
    case AugmentOp::rotate: {
      const AffineMatrix matrix = affine_matrix(width, height, d.affine);
      const Outside outside = d.op == AugmentOp::rotate ? Outside::reflect : Outside::black;
      change_geometry(sample,
                      [&](const io::Image& image, Sampling s) { return warp_affine(image, matrix, s, outside); });
      break;
    }
    case AugmentOp::elastic: {
      std::vector<float> dx(static_cast<size_t>(width * height)), dy(dx.size());
      draw_normal(key, field, 1, dx);
      draw_normal(key, field + (uint64_t{1} << (kFieldBits - 1)), 1, dy);
      smooth_displacement(dx, width, height, d.sigma, d.alpha);
      smooth_displacement(dy, width, height, d.sigma, d.alpha);
      change_geometry(sample, [&](const io::Image& image, Sampling s) { return displace(image, dx, dy, s); });
      break;
    }
    case AugmentOp::crop:
      change_geometry(sample, [&](const io::Image& image, Sampling s) { return crop_resized(image, d.crop, s); });
      break;
    case AugmentOp::clahe: equalise_locally(sample.image, d.clip); break;
    case AugmentOp::jitter: jitter_colours(sample.image, d.jitter); break;
    case AugmentOp::blur: blur(sample.image, d.size); break;
    case AugmentOp::noise: {
      std::vector<float> values(sample.image.pixels.size());
      draw_normal(key, field, static_cast<float>(d.deviation), values);
      add_noise(sample.image, values);
      break;
    }
  }
}

bool as_large(const io::Image& a, const io::Image& b) { return a.width == b.width && a.height == b.height; }

}  // namespace

std::vector<AugmentDraw> draw_augmentation(const AugmentRecipe& recipe, const DrawKey& key, int64_t width,
                                           int64_t height) {
  require(recipe.steps.size() <= kMostSteps, "a recipe of at most 255 steps");
  require(width >= 1 && height >= 1, "a picture that is not empty");
  std::vector<AugmentDraw> drawn;
  for (size_t i = 0; i < recipe.steps.size(); ++i) {
    Numbers numbers(key, i);
    if (numbers.uniform() < recipe.steps[i].p) drawn.push_back(draw_step(recipe.steps[i], i, numbers, width, height));
  }
  return drawn;
}

std::string describe(const AugmentRecipe& recipe, const DrawKey& key, int64_t width, int64_t height) {
  std::string line;
  for (const AugmentDraw& d : draw_augmentation(recipe, key, width, height))
    line += (line.empty() ? "" : "; ") + describe(d);
  return line.empty() ? "unchanged" : line;
}

void augment(Sample& sample, const AugmentRecipe& recipe, const DrawKey& key) {
  require(sample.image.channels == 3, "an RGB image");
  require(sample.target.channels == 1 && as_large(sample.target, sample.image), "a target as large as the image");
  require(sample.texture.width == 0 || (sample.texture.channels == 1 && as_large(sample.texture, sample.image)),
          "a texture as large as the image");
  for (const AugmentDraw& d : draw_augmentation(recipe, key, sample.image.width, sample.image.height))
    apply(sample, d, key);
}

}  // namespace furrow::data
