#include "segment/quality.h"

#include <algorithm>
#include <cmath>

#include "io/resize.h"
#include "segment/gray.h"

namespace furrow {
namespace {

constexpr int kSide = 256, kBorder = 8;

// Sums for a standard deviation. Whole numbers, so exact.
struct Spread {
  int64_t count = 0, sum = 0, squares = 0;
  void add(int64_t value) {
    ++count;
    sum += value;
    squares += value * value;
  }
  double deviation() const {
    const double n = static_cast<double>(count), mean = static_cast<double>(sum) / n;
    return std::sqrt(std::max(0.0, static_cast<double>(squares) / n - mean * mean));
  }
};

}  // namespace

const char* name_of(FaceStatus status) {
  switch (status) {
    case FaceStatus::ok: return "ok";
    case FaceStatus::too_small: return "too_small";
    case FaceStatus::too_dark: return "too_dark";
    case FaceStatus::blurred: break;
  }
  return "blurred";
}

FaceStatus FaceQuality::status() const {
  if (scale < kSmallestScale) return FaceStatus::too_small;
  if (brightness < kLeastBrightness) return FaceStatus::too_dark;
  return sharpness < kLeastSharpness ? FaceStatus::blurred : FaceStatus::ok;
}

FaceQuality face_quality(const io::Image& photo, const Face& face, int64_t crop_side, int64_t model_side) {
  const auto width = static_cast<double>(photo.width), height = static_cast<double>(photo.height);
  const io::Box box{std::max(face.x, 0.0), std::max(face.y, 0.0), std::min(face.x + face.w, width),
                    std::min(face.y + face.h, height)};
  const GrayPicture gray = to_gray(io::resize(photo, box, kSide, kSide, io::Filter::bilinear));
  Spread light, laplacian;
  int64_t middle = 0;
  constexpr int kFrom = kSide / 5, kTo = kSide - kFrom;
  for (int y = 0; y < kSide; ++y)
    for (int x = 0; x < kSide; ++x) {
      const uint8_t* at = gray.row(y) + x;
      light.add(*at);
      if (y >= kFrom && y < kTo && x >= kFrom && x < kTo) middle += *at;
      if (y < kBorder || x < kBorder || y >= kSide - kBorder || x >= kSide - kBorder) continue;
      laplacian.add(at[-kSide] + at[kSide] + at[-1] + at[1] - 4 * *at);
    }
  FaceQuality out;
  out.scale = static_cast<double>(crop_side) / static_cast<double>(model_side);
  out.brightness = static_cast<double>(middle) / ((kTo - kFrom) * (kTo - kFrom));
  const double contrast = light.deviation();
  out.sharpness = contrast > 0 ? laplacian.deviation() / contrast : 0;
  return out;
}

}  // namespace furrow
