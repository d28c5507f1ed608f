#include "segment/face_points.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "segment/face_classes.h"

namespace furrow {
namespace {

constexpr uint8_t number_of(std::string_view name) {
  for (size_t i = 0; i < kFaceClasses.size(); ++i)
    if (kFaceClasses[i] == name) return static_cast<uint8_t>(i);
  return 255;
}
constexpr uint8_t kSkin = number_of("skin"), kNose = number_of("nose"), kGlasses = number_of("eye_g"),
                  kMouth = number_of("mouth"), kUpperLip = number_of("u_lip"), kLowerLip = number_of("l_lip");
constexpr uint8_t kEye[2] = {number_of("r_eye"), number_of("l_eye")},
                  kBrow[2] = {number_of("r_brow"), number_of("l_brow")};

// Proportions of a frontal face where a part cannot be seen, in units.
constexpr double kEyeInner = 0.28, kEyeOuter = 0.72, kEyeBottom = 0.12, kBrowInner = 0.22, kBrowTop = -0.42;
constexpr int64_t kFewest = 6;  // label pixels that make a part; fewer are specks

// The labels inside a crop, with the places of their centres in the photo.
class LabelPlaces {
 public:
  LabelPlaces(const io::LabelMap& labels, int64_t photo_w, int64_t photo_h, const Crop& crop)
      : labels_(labels),
        step_x_(static_cast<double>(photo_w) / static_cast<double>(labels.width)),
        step_y_(static_cast<double>(photo_h) / static_cast<double>(labels.height)) {
    const Crop seen = inside(crop, photo_w, photo_h);
    x0_ = static_cast<int64_t>(std::floor(static_cast<double>(seen.x) / step_x_));
    y0_ = static_cast<int64_t>(std::floor(static_cast<double>(seen.y) / step_y_));
    x1_ = std::min(labels.width, static_cast<int64_t>(std::ceil(static_cast<double>(seen.x + seen.side_w) / step_x_)));
    y1_ = std::min(labels.height, static_cast<int64_t>(std::ceil(static_cast<double>(seen.y + seen.side_h) / step_y_)));
  }
  template <class Body>
  void each(const Body& body) const {
    for (int64_t y = y0_; y < y1_; ++y)
      for (int64_t x = x0_; x < x1_; ++x)
        body(labels_.labels[static_cast<size_t>(y * labels_.width + x)], (static_cast<double>(x) + 0.5) * step_x_,
             (static_cast<double>(y) + 0.5) * step_y_);
  }

 private:
  const io::LabelMap& labels_;
  double step_x_, step_y_;
  int64_t x0_, y0_, x1_, y1_;
};

struct Mean {
  int64_t count = 0;
  double x = 0, y = 0;
  void add(double at_x, double at_y) { ++count, x += at_x, y += at_y; }
  Point point() const { return {x / static_cast<double>(count), y / static_cast<double>(count)}; }
};

// Coordinates of a part, of which a hundredth at either end may be specks.
struct Extent {
  std::vector<float> values;
  void add(double value) { values.push_back(static_cast<float>(value)); }
  bool seen() const { return static_cast<int64_t>(values.size()) >= kFewest; }
  double at(double share) {
    const auto place =
        values.begin() + static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1) + 0.5);
    std::nth_element(values.begin(), place, values.end());
    return static_cast<double>(*place);
  }
  double low() { return at(0.01); }
  double high() { return at(0.99); }
  double or_usual(double value, double usual) const { return seen() ? value : usual; }
};

// Centres of the eyes: [0] the subject's right. Nothing where one is hidden, but for glasses.
std::optional<std::array<Point, 2>> eye_centres(const LabelPlaces& places) {
  Mean eye[2], nose;
  places.each([&](uint8_t label, double x, double y) {
    for (const int side : {0, 1})
      if (label == kEye[side]) eye[side].add(x, y);
    if (label == kNose) nose.add(x, y);
  });
  if (eye[0].count >= kFewest && eye[1].count >= kFewest) return {{eye[0].point(), eye[1].point()}};
  if (nose.count < kFewest) return std::nullopt;
  Mean glass[2];
  places.each([&](uint8_t label, double x, double y) {
    if (label == kGlasses) glass[x > nose.point().x].add(x, y);
  });
  std::array<Point, 2> out;
  for (const int side : {0, 1}) {
    if (eye[side].count < kFewest && glass[side].count < kFewest) return std::nullopt;
    out[static_cast<size_t>(side)] = eye[side].count >= kFewest ? eye[side].point() : glass[side].point();
  }
  return out;
}

}  // namespace

std::optional<FacePoints> find_face_points(const io::LabelMap& labels, int64_t photo_w, int64_t photo_h,
                                           const Crop& crop, std::string& why_not) {
  const LabelPlaces places(labels, photo_w, photo_h, crop);
  const auto eyes = eye_centres(places);
  if (!eyes) return why_not = "not both eyes are among the labels", std::nullopt;
  const Point right = (*eyes)[0], left = (*eyes)[1];
  FacePoints p{};
  p.frame.origin = {(right.x + left.x) / 2, (right.y + left.y) / 2};
  p.frame.unit = std::hypot(left.x - right.x, left.y - right.y);
  if (p.frame.unit < 4) return why_not = "the eyes are less than 4 pixels apart", std::nullopt;
  p.frame.along_x = (left.x - right.x) / p.frame.unit;
  p.frame.along_y = (left.y - right.y) / p.frame.unit;

  Extent eye_a[2], eye_b[2], brow_a[2], brow_b[2], nose_a, nose_b, mouth_a, mouth_b, skin_b;
  places.each([&](uint8_t label, double x, double y) {
    const Point at = p.frame.face(x, y);
    for (const int side : {0, 1}) {
      const double outwards = side == 0 ? -at.x : at.x;
      if (label == kEye[side]) eye_a[side].add(outwards), eye_b[side].add(at.y);
      if (label == kBrow[side]) brow_a[side].add(outwards), brow_b[side].add(at.y);
    }
    if (label == kNose) nose_a.add(at.x), nose_b.add(at.y);
    if (label == kMouth || label == kUpperLip || label == kLowerLip) mouth_a.add(at.x), mouth_b.add(at.y);
    if (label == kSkin && std::fabs(at.x) < 0.25 && at.y > 0.5) skin_b.add(at.y);
  });
  if (!nose_a.seen()) return why_not = "no nose is among the labels", std::nullopt;
  if (!mouth_a.seen()) return why_not = "no mouth is among the labels", std::nullopt;
  for (const int side : {0, 1}) {
    p.eye_inner[side] = eye_a[side].seen() ? eye_a[side].low() : kEyeInner;
    p.eye_outer[side] = eye_a[side].seen() ? eye_a[side].high() : kEyeOuter;
    p.eye_bottom[side] = eye_b[side].seen() ? eye_b[side].high() : kEyeBottom;
    p.brow_inner[side] = brow_a[side].seen() ? brow_a[side].low() : kBrowInner;
    p.brow_top[side] = brow_b[side].seen() ? brow_b[side].low() : kBrowTop;
  }
  p.nose_side[0] = -nose_a.low(), p.nose_side[1] = nose_a.high(), p.nose_bottom = nose_b.high();
  p.mouth_corner[0] = -mouth_a.low(), p.mouth_corner[1] = mouth_a.high();
  p.mouth_height = mouth_b.at(0.5), p.lip_bottom = mouth_b.high();
  p.chin = skin_b.seen() ? skin_b.high() : 0;
  if (!(p.eye_bottom[0] < p.nose_bottom && p.eye_bottom[1] < p.nose_bottom && p.nose_bottom < p.lip_bottom))
    return why_not = "the labels do not lie as in an upright face", std::nullopt;
  if (p.chin <= p.lip_bottom) return why_not = "no chin is among the labels", std::nullopt;
  return p;
}

FacePoints ffhq_uv_points(int64_t side) {
  // At 1024 x 1024: eyes 310..460 and 560..710 by 330..400, nose 440..585 down to 525, mouth 410..610 by 555..620.
  FacePoints p{};
  const double scale = static_cast<double>(side) / 1024, middle = 510, unit = 250;
  p.frame.origin = {middle * scale, 365 * scale};
  p.frame.unit = unit * scale;
  for (const int i : {0, 1}) {
    p.eye_inner[i] = (560 - middle) / unit, p.eye_outer[i] = (710 - middle) / unit, p.eye_bottom[i] = 35 / unit;
    p.brow_inner[i] = kBrowInner, p.brow_top[i] = kBrowTop;
    p.nose_side[i] = 72.5 / unit, p.mouth_corner[i] = 100 / unit;
  }
  p.nose_bottom = (525 - 365) / unit, p.mouth_height = (587.5 - 365) / unit, p.lip_bottom = (620 - 365) / unit;
  p.chin = (760 - 365) / unit;
  return p;
}

}  // namespace furrow
