// Regions of a drawn face: where they lie, and lines drawn into them are counted and measured there.
#include "segment/face_regions.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "segment/face_classes.h"
#include "segment/region.h"

namespace furrow {
namespace {

constexpr int64_t kSide = 1024;
constexpr Crop kAll{0, 0, kSide, kSide};

uint8_t number_of(std::string_view name) {
  return static_cast<uint8_t>(std::ranges::find(kFaceClasses, name) - kFaceClasses.begin());
}

// A frontal face: parts are ellipses in units of 240 pixels around the middle between the eyes, turned by `angle`.
struct DrawnFace {
  double angle = 0;
  FaceFrame frame() const { return {{512, 430}, 240, std::cos(angle), std::sin(angle)}; }

  io::LabelMap labels(const std::vector<std::string>& without = {}, int64_t side = kSide) const {
    struct Part {
      const char* name;
      double a, b, half_w, half_h;
    };
    constexpr Part kParts[] = {{"skin", 0, 0.35, 1.25, 1.6},      {"r_brow", -0.5, -0.35, 0.3, 0.06},
                               {"l_brow", 0.5, -0.35, 0.3, 0.06}, {"r_eye", -0.5, 0, 0.22, 0.1},
                               {"l_eye", 0.5, 0, 0.22, 0.1},      {"nose", 0, 0.45, 0.3, 0.35},
                               {"u_lip", 0, 1.1, 0.4, 0.08},      {"l_lip", 0, 1.24, 0.35, 0.09}};
    io::LabelMap map;
    map.width = map.height = side;
    map.labels.assign(static_cast<size_t>(side * side), 0);
    const double scale = static_cast<double>(kSide) / static_cast<double>(side);
    for (const Part& part : kParts) {
      if (std::ranges::find(without, part.name) != without.end()) continue;
      for (int64_t y = 0; y < side; ++y)
        for (int64_t x = 0; x < side; ++x) {
          const Point at = frame().face((static_cast<double>(x) + 0.5) * scale, (static_cast<double>(y) + 0.5) * scale);
          if (std::hypot((at.x - part.a) / part.half_w, (at.y - part.b) / part.half_h) <= 1)
            map.labels[static_cast<size_t>(y * side + x)] = number_of(part.name);
        }
    }
    return map;
  }

  // A line of a round pen 4 pixels wide, from and to in units.
  double draw(Point from, Point to, io::Image& mask) const {
    const Point a = frame().photo(from.x, from.y), b = frame().photo(to.x, to.y);
    const double dx = b.x - a.x, dy = b.y - a.y, length = std::hypot(dx, dy);
    for (int64_t y = 0; y < kSide; ++y)
      for (int64_t x = 0; x < kSide; ++x) {
        const double px = static_cast<double>(x) + 0.5 - a.x, py = static_cast<double>(y) + 0.5 - a.y;
        const double t = std::clamp((px * dx + py * dy) / (length * length), 0.0, 1.0);
        if (std::hypot(px - t * dx, py - t * dy) <= 2) mask.row(y)[x] = 255;
      }
    return length;
  }
};

// Lines per region, in units; each lies within its region. None is shorter than 60 pixels, below which what a raster
// leaves open is more than 2 % (segment/measure.h).
struct Line {
  const char* region;
  Point from, to;
};
const Line kLines[] = {
    {"forehead", {-0.6, -0.6}, {0.6, -0.6}},        {"forehead", {-0.5, -0.75}, {0.55, -0.8}},
    {"forehead", {-0.4, -0.95}, {0.4, -0.9}},       {"glabella", {-0.08, -0.35}, {-0.06, -0.06}},
    {"glabella", {0.08, -0.36}, {0.07, -0.05}},     {"under_eye_left", {0.3, 0.25}, {0.65, 0.22}},
    {"under_eye_right", {-0.3, 0.3}, {-0.68, 0.2}}, {"crows_feet_left", {0.82, -0.05}, {1.1, -0.15}},
    {"crows_feet_left", {0.82, 0.05}, {1.12, 0.05}}, {"crows_feet_right", {-0.82, 0.0}, {-1.12, 0.02}},
    {"nasolabial_left", {0.42, 0.7}, {0.5, 1.15}},  {"nasolabial_right", {-0.42, 0.7}, {-0.52, 1.2}},
    {"cheek_left", {0.75, 0.7}, {0.85, 1.0}},       {"cheek_right", {-0.8, 0.65}, {-0.8, 1.1}},
    {"chin", {-0.2, 1.5}, {0.2, 1.52}}};

class DrawnFaces : public testing::TestWithParam<double> {};

TEST_P(DrawnFaces, LinesAreCountedAndMeasuredWhereTheyAre) {
  const DrawnFace face{GetParam()};
  const io::LabelMap labels = face.labels();
  std::string why_not;
  const auto points = find_face_points(labels, kSide, kSide, kAll, why_not);
  ASSERT_TRUE(points) << why_not;
  io::Image mask(kSide, kSide, 1);
  std::map<std::string, double> length;
  std::map<std::string, int64_t> count;
  for (const Line& line : kLines) length[line.region] += face.draw(line.from, line.to, mask), ++count[line.region];
  const KeptPixels kept(&labels, {number_of("skin"), number_of("nose")}, kSide, kSide);
  const auto regions = measure_regions(*points, mask, kAll, kept);
  ASSERT_EQ(regions.size(), kFaceRegions.size());
  int64_t marked = 0;
  for (size_t r = 0; r < regions.size(); ++r) {
    const std::string name(regions[r].name);
    EXPECT_EQ(regions[r].name, kFaceRegions[r]);
    EXPECT_EQ(regions[r].measures.count, count[name]) << name;
    EXPECT_NEAR(regions[r].measures.length, length[name], 0.02 * length[name]) << name;
    marked += regions[r].measures.mask_pixels;
  }
  EXPECT_EQ(marked, std::ranges::count(mask.pixels, uint8_t{255}));  // no line leaves its region
}
INSTANTIATE_TEST_SUITE_P(Turned, DrawnFaces, testing::Values(0.0, 0.2, -0.3));

TEST(FacePoints, AreThoseOfTheDrawing) {
  const DrawnFace face{0.2};
  std::string why_not;
  for (const int64_t side : {kSide, int64_t{512}}) {
    const auto p = find_face_points(face.labels({}, side), kSide, kSide, kAll, why_not);
    ASSERT_TRUE(p) << why_not;
    const double pixel = static_cast<double>(kSide / side);
    EXPECT_NEAR(p->frame.origin.x, 512, pixel);
    EXPECT_NEAR(p->frame.origin.y, 430, pixel);
    EXPECT_NEAR(p->frame.unit, 240, pixel);
    EXPECT_NEAR(std::atan2(p->frame.along_y, p->frame.along_x), 0.2, 0.01);
    // A hundredth of an ellipse lies beyond the quantile at either end: at most 0.07 of its half axis.
    for (const int i : {0, 1}) {
      EXPECT_NEAR(p->eye_inner[i], 0.28, 0.03);
      EXPECT_NEAR(p->eye_outer[i], 0.72, 0.03);
      EXPECT_NEAR(p->brow_top[i], -0.41, 0.02);
      EXPECT_NEAR(p->nose_side[i], 0.3, 0.03);
      EXPECT_NEAR(p->mouth_corner[i], 0.4, 0.05);  // the lower lip is narrower and counts too
    }
    EXPECT_NEAR(p->nose_bottom, 0.8, 0.03);
    EXPECT_NEAR(p->lip_bottom, 1.33, 0.03);
    EXPECT_NEAR(p->chin, 1.95, 0.05);
  }
}

TEST(FacePoints, SayWhatIsMissing) {
  const DrawnFace face;
  const auto why = [&](const std::vector<std::string>& without) {
    std::string why_not;
    EXPECT_FALSE(find_face_points(face.labels(without), kSide, kSide, kAll, why_not));
    return why_not;
  };
  EXPECT_EQ(why({"l_eye"}), "not both eyes are among the labels");
  EXPECT_EQ(why({"nose"}), "no nose is among the labels");
  EXPECT_EQ(why({"u_lip", "l_lip"}), "no mouth is among the labels");
  EXPECT_EQ(why({"skin"}), "no chin is among the labels");
  io::LabelMap mirrored = face.labels();  // top to bottom: no turn makes a face of it
  for (int64_t y = 0; y < kSide / 2; ++y)
    std::swap_ranges(mirrored.labels.begin() + y * kSide, mirrored.labels.begin() + (y + 1) * kSide,
                     mirrored.labels.begin() + (kSide - 1 - y) * kSide);
  std::string why_not;
  EXPECT_FALSE(find_face_points(mirrored, kSide, kSide, kAll, why_not));
  EXPECT_EQ(why_not, "the labels do not lie as in an upright face");
  std::string brows;
  const auto browless = find_face_points(face.labels({"l_brow", "r_brow"}), kSide, kSide, kAll, brows);
  ASSERT_TRUE(browless);  // hidden by hair: where they usually are
  EXPECT_NEAR(browless->brow_top[0], -0.42, 1e-9);
}

TEST(FacePoints, OnlyTheFaceInTheCropCounts) {
  const DrawnFace face;
  std::string why_not;
  EXPECT_FALSE(find_face_points(face.labels(), kSide, kSide, {0, 0, 512, kSide}, why_not));  // one eye outside
}

TEST(FaceRegions, LeftIsTheSubjects) {
  std::string why_not;
  const auto points = find_face_points(DrawnFace{}.labels(), kSide, kSide, kAll, why_not);
  const auto outlines = region_outlines(*points);
  for (size_t r = 0; r < kFaceRegions.size(); ++r)
    for (const Point& p : outlines[r]) {
      EXPECT_TRUE(!kFaceRegions[r].ends_with("_left") || p.x > 512) << kFaceRegions[r];
      EXPECT_TRUE(!kFaceRegions[r].ends_with("_right") || p.x < 512) << kFaceRegions[r];
    }
}

TEST(FaceRegions, OnlyKeptPixelsAndEachOnce) {
  const io::LabelMap labels = DrawnFace{}.labels();
  std::string why_not;
  const auto points = find_face_points(labels, kSide, kSide, kAll, why_not);
  io::Image full(kSide, kSide, 1);
  std::ranges::fill(full.pixels, uint8_t{255});
  const KeptPixels skin(&labels, {number_of("skin")}, kSide, kSide), all(nullptr, {}, kSide, kSide);
  int64_t of_skin = 0, of_all = 0;
  for (const auto& region : measure_regions(*points, full, kAll, skin, false)) {
    EXPECT_EQ(region.pixels, region.measures.mask_pixels);
    EXPECT_GT(region.pixels, 0) << region.name;
    of_skin += region.pixels;
  }
  for (const auto& region : measure_regions(*points, full, kAll, all, false)) of_all += region.pixels;
  EXPECT_LE(of_skin, std::ranges::count(labels.labels, number_of("skin")));
  EXPECT_GT(of_skin, std::ranges::count(labels.labels, number_of("skin")) / 2);
  EXPECT_GT(of_all, of_skin);
}

TEST(FaceRegions, OutsideThePhotoHaveNoPixels) {
  const io::LabelMap labels = DrawnFace{}.labels();
  std::string why_not;
  const auto points = find_face_points(labels, kSide, kSide, kAll, why_not);
  const Crop lower{100, 700, 300, 200};  // no forehead, and nothing of the subject's left
  io::Image full(300, 200, 1);
  std::ranges::fill(full.pixels, uint8_t{255});
  const KeptPixels all(nullptr, {}, kSide, kSide);
  for (const auto& region : measure_regions(*points, full, lower, all)) {
    const bool seen = region.name == "chin" || region.name == "cheek_right" || region.name == "nasolabial_right";
    if (!seen) {
      EXPECT_EQ(region.pixels, 0) << region.name;
      EXPECT_EQ(region.measures.count, 0) << region.name;
    } else if (region.name != "chin") {
      EXPECT_GT(region.pixels, 0) << region.name;
      EXPECT_EQ(region.measures.count, 1) << region.name;
    }
  }
}

TEST(FaceRegions, OfATextureMapLieAroundItsParts) {
  const FacePoints uv = ffhq_uv_points(1024);
  EXPECT_NEAR(uv.frame.photo(0.5, 0).x, 635, 1e-9);
  EXPECT_NEAR(uv.frame.photo(-uv.mouth_corner[0], uv.mouth_height).x, 410, 1e-9);
  EXPECT_NEAR(uv.frame.photo(0, uv.nose_bottom).y, 525, 1e-9);
  const FacePoints half = ffhq_uv_points(512);
  EXPECT_NEAR(half.frame.photo(0.5, 0).x, 317.5, 1e-9);
}

}  // namespace
}  // namespace furrow
