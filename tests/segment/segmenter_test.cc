// The pipeline without faces: every number of a pass-through network recomputed by loops.
#include "segment/segmenter.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "io/resize.h"
#include "segment/preprocess.h"
#include "tests/segment/pass_through.h"

namespace furrow {
namespace {

using test::pass_through;
using test::PassThrough;
using test::pattern;

constexpr int kLevel = 100;  // red above it is a mark

SegmentOptions whole_frame() {
  SegmentOptions options;
  options.crop = CropMode::none;
  return options;
}

float probability_of(double red) { return static_cast<float>(1 / (1 + std::exp(-40.0 * (red / 255 - 100.5 / 255)))); }

// The plane a pass-through network gives for a picture of its own size.
std::vector<float> plane_of(const io::Image& rgb) {
  std::vector<float> plane;
  for (size_t i = 0; i < rgb.pixels.size(); i += 3) plane.push_back(probability_of(rgb.pixels[i]));
  return plane;
}

class OnDevice : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Devices, OnDevice, testing::Values("ref", "cpu"));

// Every map has its parts in one place: no face is looked for, and regions are those of the layout.
TEST_P(OnDevice, TextureMapsAreMeasuredByTheRegionsOfTheirLayout) {
  io::Image map(256, 256, 3);
  std::ranges::fill(map.pixels, uint8_t{20});
  const auto outlines = region_outlines(ffhq_uv_points(256));
  const auto line = [&](double x0, double x1, double y) {  // bright, three pixels high
    for (int64_t x = std::lround(x0); x < std::lround(x1); ++x)
      for (int64_t i = -1; i <= 1; ++i) map.pixels[static_cast<size_t>(3 * ((std::lround(y) + i) * 256 + x))] = 250;
  };
  line(100, 155, 50);  // of the forehead
  SegmentOptions options;
  options.crop = CropMode::ffhq_uv, options.size = 256;
  Segmenter segmenter(pass_through(), {GetParam(), 1}, options);
  const SegmentResult result = segmenter.run(map);
  ASSERT_EQ(result.faces.size(), 1u);
  const FaceResult& face = result.faces[0];
  EXPECT_FALSE(face.face.has_value() || face.quality.has_value() || face.percent_of_region.has_value());
  ASSERT_EQ(face.regions.size(), kFaceRegions.size());
  int64_t marked = 0;
  for (size_t i = 0; i < kFaceRegions.size(); ++i) {
    const FaceRegionResult& region = face.regions[i];
    EXPECT_EQ(region.name, kFaceRegions[i]);
    EXPECT_GT(region.pixels, 0) << region.name;
    ASSERT_EQ(region.outline.size(), outlines[i].size());
    EXPECT_EQ(region.outline[0].x, outlines[i][0].x);
    EXPECT_EQ(region.measures.count, region.name == "forehead" ? 1 : 0) << region.name;
    marked += region.measures.mask_pixels;
  }
  EXPECT_EQ(marked, face.measures->mask_pixels);
  EXPECT_GT(marked, 100);
  EXPECT_THROW(segmenter.run(io::Image(256, 255, 3)), Error);
}

TEST_P(OnDevice, WholeFrameIsSquashedAndCountedAsTheSeedDoes) {
  const io::Image photo = pattern(150, 97);
  const io::Image squashed = io::resize(photo, 64, 64, io::Filter::lanczos);
  int64_t marked = 0;
  for (size_t i = 0; i < squashed.pixels.size(); i += 3) marked += squashed.pixels[i] > kLevel;
  ASSERT_GT(marked, 100);
  std::vector<float> back(150 * 97);
  io::resize_probability(plane_of(squashed), 64, 64, back, 150, 97);

  Segmenter segmenter(pass_through(), {GetParam(), 1}, whole_frame());
  const SegmentResult result = segmenter.run(photo);
  EXPECT_EQ(result.status, SegmentResult::Status::ok);
  ASSERT_EQ(result.faces.size(), 1u);
  const FaceResult& face = result.faces[0];
  EXPECT_FALSE(face.face.has_value());
  EXPECT_EQ(face.crop, whole_photo(150, 97));
  EXPECT_EQ(face.percent_of_frame, std::round(100.0 * static_cast<double>(marked) / 4096 * 100) / 100);
  EXPECT_EQ(result.percent_of_frame, face.percent_of_frame);
  EXPECT_DOUBLE_EQ(face.percent_of_crop, 100.0 * static_cast<double>(marked) / 4096);
  EXPECT_FALSE(face.percent_of_region.has_value());

  ASSERT_EQ(result.mask.pixels.size(), back.size());
  ASSERT_EQ(result.probability.pixels.size(), back.size());
  int64_t mask_pixels = 0;
  for (size_t i = 0; i < back.size(); ++i) {
    // Both sides round: float32 network against double here, and the resize's sums.
    if (std::abs(back[i] - 0.5f) > 1e-5f) { ASSERT_EQ(result.mask.pixels[i], back[i] > 0.5f ? 255 : 0) << i; }
    ASSERT_NEAR(result.probability.pixels[i], 255 * back[i], 0.51) << i;
    mask_pixels += result.mask.pixels[i] != 0;
  }
  EXPECT_EQ(face.measures->mask_pixels, mask_pixels);
  EXPECT_EQ(face.measures->pixels, 150 * 97);
}

TEST_P(OnDevice, ThresholdAndSizeAreTheModelsUnlessAsked) {
  PassThrough p;
  p.info.threshold = 0.75;
  p.info.size = 48;
  p.info.resize = "pillow-bilinear";
  const io::Image photo = pattern(48, 48);
  Segmenter segmenter(pass_through(p), {GetParam(), 1}, whole_frame());
  const auto marks = [&](double threshold) {
    int64_t count = 0;
    for (float probability : plane_of(photo)) count += probability > threshold;
    return 100.0 * static_cast<double>(count) / (48 * 48);
  };
  SegmentResult result = segmenter.run(photo);
  EXPECT_EQ(result.threshold, 0.75);
  EXPECT_EQ(result.size, 48);
  EXPECT_DOUBLE_EQ(result.faces[0].percent_of_crop, marks(0.75));
  SegmentOptions options = whole_frame();
  options.threshold = 0.25;
  segmenter.set_options(options);
  result = segmenter.run(photo);
  EXPECT_DOUBLE_EQ(result.faces[0].percent_of_crop, marks(0.25));
  options.size = 96;
  segmenter.set_options(options);
  result = segmenter.run(photo);
  EXPECT_EQ(result.size, 96);
  int64_t marked = 0;
  const io::Image enlarged = io::resize(photo, 96, 96, io::Filter::bilinear);
  for (float probability : plane_of(enlarged)) marked += probability > 0.25f;
  EXPECT_DOUBLE_EQ(result.faces[0].percent_of_crop, 100.0 * static_cast<double>(marked) / (96 * 96));
}

TEST_P(OnDevice, FlipAveragesWithTheMirrorImage) {
  PassThrough p;
  p.tap = 0;  // the logit of a pixel is that of its left neighbour; zero padding stands left of the first
  const io::Image photo = pattern(64, 64);
  SegmentOptions options = whole_frame();
  options.flip = true;
  options.probability = ProbabilityDepth::gray16;
  Segmenter segmenter(pass_through(p), {GetParam(), 1}, options);
  const SegmentResult result = segmenter.run(photo);
  const auto at = [&](int64_t x, int64_t y) {
    return x < 0 || x > 63 ? probability_of(0) : probability_of(photo.row(y)[3 * x]);
  };
  for (int64_t y = 0; y < 64; ++y) {
    for (int64_t x = 0; x < 64; ++x) {
      const float want = 0.5f * (at(x - 1, y) + at(x + 1, y));
      ASSERT_NEAR(result.probability16[static_cast<size_t>(y * 64 + x)], 65535 * want, 1) << x << " " << y;
    }
  }
}

TEST_P(OnDevice, TwoClassesMarkWhereTheSecondWins) {
  PassThrough p;
  p.classes = 2;
  const io::Image photo = pattern(64, 64);
  Segmenter segmenter(pass_through(p), {GetParam(), 1}, whole_frame());
  const SegmentResult result = segmenter.run(photo);
  for (int64_t y = 0; y < 64; ++y) {
    for (int64_t x = 0; x < 64; ++x) ASSERT_EQ(result.mask.row(y)[x] != 0, photo.row(y)[3 * x] > kLevel);
  }
}

TEST_P(OnDevice, OneSegmenterServesPhotosOfAnySizeInTurn) {
  Segmenter segmenter(pass_through(), {GetParam(), 1}, whole_frame());
  const SegmentResult first = segmenter.run(pattern(70, 50));
  const std::pair<int64_t, int64_t> sizes[] = {{1, 1}, {3, 200}, {64, 64}, {129, 2}};
  for (const auto& [w, h] : sizes) {
    const SegmentResult result = segmenter.run(pattern(w, h));
    EXPECT_EQ(result.mask.width, w);
    EXPECT_EQ(result.mask.height, h);
  }
  EXPECT_EQ(segmenter.run(pattern(70, 50)).mask.pixels, first.mask.pixels);
}

TEST_P(OnDevice, TheSameBytesForAnyNumberOfThreads) {
  SegmentOptions options = whole_frame();
  options.flip = true;
  std::optional<SegmentResult> first;
  for (const int threads : {1, 2, 3}) {
    Segmenter segmenter(pass_through(), {GetParam(), threads}, options);
    SegmentResult result = segmenter.run(pattern(133, 90));
    if (!first)
      first = std::move(result);
    else {
      EXPECT_EQ(result.mask.pixels, first->mask.pixels);
      EXPECT_EQ(result.probability.pixels, first->probability.pixels);
      EXPECT_EQ(result.percent_of_frame, first->percent_of_frame);
    }
  }
}

TEST(Segmenter, ProbabilityComesInEightOrSixteenBitsOrNotAtAll) {
  SegmentOptions options = whole_frame();
  Segmenter segmenter(pass_through(), {"ref", 1}, options);
  const io::Image photo = pattern(40, 30);
  const SegmentResult eight = segmenter.run(photo);
  EXPECT_EQ(eight.probability.pixels.size(), 1200u);
  EXPECT_TRUE(eight.probability16.empty());
  options.probability = ProbabilityDepth::gray16;
  options.measures = false;
  segmenter.set_options(options);
  const SegmentResult sixteen = segmenter.run(photo);
  EXPECT_TRUE(sixteen.probability.pixels.empty());
  EXPECT_FALSE(sixteen.faces[0].measures.has_value());
  ASSERT_EQ(sixteen.probability16.size(), 1200u);
  for (size_t i = 0; i < 1200; ++i) ASSERT_NEAR(sixteen.probability16[i] / 257.0, eight.probability.pixels[i], 0.51);
  options.probability = ProbabilityDepth::none;
  segmenter.set_options(options);
  const SegmentResult none = segmenter.run(photo);
  EXPECT_TRUE(none.probability.pixels.empty());
  EXPECT_TRUE(none.probability16.empty());
  EXPECT_EQ(none.mask.pixels, eight.mask.pixels);
}

TEST(Segmenter, ANetworkThatGivesNoNumbersSaysSo) {
  PassThrough p;
  p.gain = std::numeric_limits<float>::infinity();  // inf - inf
  Segmenter segmenter(pass_through(p), {"ref", 1}, whole_frame());
  const SegmentResult result = segmenter.run(pattern(64, 64));
  ASSERT_EQ(result.notes.size(), 1u);
  EXPECT_NE(result.notes[0].find("not a number in 4096 pixels"), std::string::npos) << result.notes[0];
  EXPECT_EQ(result.percent_of_frame, 0);
}

TEST(Segmenter, OptionsOutOfRangeAreRefused) {
  const std::shared_ptr<const Model> model = pass_through();
  const auto refused = [&](auto change) {
    SegmentOptions options;
    change(options);
    try {
      Segmenter segmenter(model, {"ref", 1}, options);
    } catch (const Error& error) { return error.code() == ErrorCode::usage; }
    return false;
  };
  EXPECT_TRUE(refused([](SegmentOptions& o) { o.size = 31; }));
  EXPECT_TRUE(refused([](SegmentOptions& o) { o.size = 4097; }));
  EXPECT_TRUE(refused([](SegmentOptions& o) { o.size = -512; }));
  EXPECT_TRUE(refused([](SegmentOptions& o) { o.threshold = 0.0; }));
  EXPECT_TRUE(refused([](SegmentOptions& o) { o.threshold = 1.0; }));
  EXPECT_TRUE(refused([](SegmentOptions& o) { o.threshold = std::numeric_limits<double>::quiet_NaN(); }));
  EXPECT_TRUE(refused([](SegmentOptions& o) { o.kept_labels = {256}; }));
  EXPECT_TRUE(refused([](SegmentOptions& o) { o.kept_labels = {-1}; }));
  EXPECT_FALSE(refused([](SegmentOptions& o) { o.size = 32; }));
}

}  // namespace
}  // namespace furrow
