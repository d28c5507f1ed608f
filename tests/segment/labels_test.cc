// Face-parsing labels: what counts, what is refused, and models trained on masked photos.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "io/resize.h"
#include "tests/segment/pass_through.h"

namespace furrow {
namespace {

using test::pass_through;
using test::pattern;

constexpr int kLevel = 100;

SegmentOptions whole_frame() {
  SegmentOptions options;
  options.crop = CropMode::none;
  return options;
}

// Labels 0..19 in patches.
io::LabelMap patches(int64_t w, int64_t h) {
  io::LabelMap map;
  map.width = w;
  map.height = h;
  for (int64_t y = 0; y < h; ++y) {
    for (int64_t x = 0; x < w; ++x) map.labels.push_back(static_cast<uint8_t>((x / 11 + 3 * (y / 8)) % 20));
  }
  return map;
}

bool kept(const io::LabelMap& map, int64_t x, int64_t y, const std::vector<int>& labels) {
  return std::ranges::find(labels, map.labels[static_cast<size_t>(y * map.width + x)]) != labels.end();
}

TEST(Labels, MaskAndPercentsAreRestrictedToKeptLabels) {
  const io::Image photo = pattern(64, 64);  // of the model's size: nothing is resized
  const io::LabelMap map = patches(64, 64);
  SegmentOptions options = whole_frame();
  for (const std::vector<int>& labels :
       {std::vector<int>{1, 10}, std::vector<int>{0, 3, 19}, std::vector<int>{}, std::vector<int>{200}}) {
    if (labels != std::vector<int>{1, 10}) options.kept_labels = labels;  // {1,10} is the model's own
    Segmenter segmenter(pass_through(), {"ref", 1}, options);
    const SegmentResult result = segmenter.run(photo, &map);
    int64_t marked = 0, region = 0;
    for (int64_t y = 0; y < 64; ++y) {
      for (int64_t x = 0; x < 64; ++x) {
        const bool in = kept(map, x, y, labels), mark = in && photo.row(y)[3 * x] > kLevel;
        ASSERT_EQ(result.mask.row(y)[x] != 0, mark);
        region += in;
        marked += mark;
      }
    }
    EXPECT_DOUBLE_EQ(result.faces[0].percent_of_crop, 100.0 * static_cast<double>(marked) / 4096);
    EXPECT_EQ(result.faces[0].percent_of_frame, percent_as_seed(marked, 4096));
    ASSERT_TRUE(result.faces[0].percent_of_region.has_value());
    if (region == 0)
      EXPECT_TRUE(std::isnan(*result.faces[0].percent_of_region));
    else
      EXPECT_DOUBLE_EQ(*result.faces[0].percent_of_region,
                       100.0 * static_cast<double>(marked) / static_cast<double>(region));
  }
}

TEST(Labels, OfTheParsersSizeServeASquarePhotoByReplication) {
  const io::LabelMap small = patches(512, 512);
  for (const int64_t side : {1024, 256, 700}) {
    // Pillow's NEAREST: the label under the pixel's centre.
    io::Image gray(512, 512, 1);
    gray.pixels = small.labels;
    io::LabelMap same;
    same.width = same.height = side;
    same.labels = io::resize(gray, side, side, io::Filter::nearest).pixels;
    SegmentOptions options = whole_frame();
    options.measures = false;
    Segmenter segmenter(pass_through(), {"ref", 1}, options);
    const io::Image photo = pattern(side, side);
    const SegmentResult a = segmenter.run(photo, &small), b = segmenter.run(photo, &same);
    EXPECT_EQ(a.mask.pixels, b.mask.pixels) << side;
    EXPECT_EQ(a.faces[0].percent_of_region, b.faces[0].percent_of_region);
  }
}

TEST(Labels, Case326_OfAnotherSizeAreRefusedNamingBoth) {
  Segmenter segmenter(pass_through(), {"ref", 1}, whole_frame());
  const io::Image photo = pattern(100, 80);
  const std::pair<int64_t, int64_t> wrong[] = {{80, 100}, {512, 512}, {99, 80}, {200, 160}, {0, 0}};
  for (const auto& [w, h] : wrong) {
    const io::LabelMap map = patches(w, h);
    try {
      segmenter.run(photo, &map);
      ADD_FAILURE() << w << "x" << h << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::malformed);
      EXPECT_NE(error.line().find(std::to_string(w) + "x" + std::to_string(h)), std::string::npos) << error.line();
      EXPECT_NE(error.line().find("100x80"), std::string::npos) << error.line();
    }
  }
  io::LabelMap cut = patches(100, 80);
  cut.labels.pop_back();
  EXPECT_THROW(segmenter.run(photo, &cut), Error);
}

TEST(Labels, AModelForMaskedPhotosSeesBlackElsewhere) {
  test::PassThrough p;
  p.info.masked_input = true;
  const std::vector<int> labels = p.info.kept_labels;
  p.gain = -40;  // dark pixels are marks, so that black would be one
  SegmentOptions options = whole_frame();
  options.probability = ProbabilityDepth::gray8;
  const io::Image photo = pattern(64, 64);
  const io::LabelMap map = patches(64, 64);
  Segmenter segmenter(pass_through(p), {"ref", 1}, options);
  const SegmentResult masked = segmenter.run(photo, &map);
  EXPECT_TRUE(masked.notes.empty());
  for (int64_t y = 0; y < 64; ++y) {
    for (int64_t x = 0; x < 64; ++x) {
      if (!kept(map, x, y, labels)) {
        ASSERT_EQ(masked.probability.row(y)[x], 255);  // the network saw black
        ASSERT_EQ(masked.mask.row(y)[x], 0);           // but it does not count
      } else {
        ASSERT_EQ(masked.mask.row(y)[x] != 0, photo.row(y)[3 * x] <= kLevel);
      }
    }
  }
  const SegmentResult unmasked = segmenter.run(photo);
  ASSERT_EQ(unmasked.notes.size(), 1u);
  EXPECT_NE(unmasked.notes[0].find("no labels were given"), std::string::npos);
}

}  // namespace
}  // namespace furrow
