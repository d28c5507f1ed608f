// The face parser: labels of crops against the network's logits compared pixel by pixel, laid over photos, in the
// pipeline.
#include "segment/face_parser.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "io/resize.h"
#include "nn/plan.h"
#include "tests/segment/pass_through.h"

namespace furrow {
namespace {

using test::pass_through;
using test::pattern;
using test::TemporaryFile;

constexpr int64_t kSize = 64;

// Random weights, at a 32nd of the published width.
std::shared_ptr<const Model> small_parser(uint64_t seed = 5) {
  const TemporaryFile file("parser.safetensors");
  const auto network = build({"bisenet", 2, 3, 19});
  network->initialise(seed);
  io::write_safetensors(file.path(), network->state(),
                        {{"furrow.version", "1"}, {"furrow.resize", "pillow-bilinear " + std::to_string(kSize)}});
  return std::make_shared<const Model>(Model::load(file.path()));
}

ComputeOptions on(const char* device) {
  ComputeOptions options;
  options.device = device;
  options.threads = 2;
  return options;
}

// Full-size logits of `ref`, and of each pixel the first largest; `margin`: how far it is from the next.
std::vector<uint8_t> labels_by_loops(const Model& parser, const io::Image& square, std::vector<double>& margin) {
  constexpr std::array<double, 3> kMean = {0.485, 0.456, 0.406}, kDeviation = {0.229, 0.224, 0.225};
  const auto backend = make_backend({DeviceKind::ref}, nullptr, {});
  Tensor input({1, kSize, kSize, 3}, DType::f64);
  for (size_t i = 0; i < square.pixels.size(); ++i)
    input.values<double>()[i] = (square.pixels[i] / 255.0 - kMean[i % 3]) / kDeviation[i % 3];
  Plan plan(parser.network(), *backend, {1, kSize, kSize, 3});
  const Tensor logits = plan.run(input);
  std::vector<uint8_t> labels;
  for (int64_t p = 0; p < kSize * kSize; ++p) {
    const auto z = logits.values<double>().subspan(static_cast<size_t>(19 * p), 19);
    const auto best = std::ranges::max_element(z);
    labels.push_back(static_cast<uint8_t>(best - z.begin()));
    double next = -1e300;
    for (auto it = z.begin(); it != z.end(); ++it)
      if (it != best) next = std::max(next, *it);
    margin.push_back(*best - next);
  }
  return labels;
}

TEST(FaceParser, LabelsAreTheLargestLogits) {
  const auto parser = small_parser();
  const io::Image photo = pattern(150, 130);
  const Crop crop{20, -10, 100, 120};  // reaches beyond the photo
  const io::Image square = io::resize(cut(photo, crop), kSize, kSize, io::Filter::bilinear);
  std::vector<double> margin;
  const std::vector<uint8_t> expected = labels_by_loops(*parser, square, margin);
  EXPECT_GT(std::ranges::count_if(expected, [&](uint8_t l) { return l != expected[0]; }), 100);  // not all alike
  for (const char* device : {"ref", "cpu"}) {
    const io::LabelMap found = FaceParser(parser, on(device)).parse(photo, crop);
    ASSERT_EQ(found.labels.size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i)
      ASSERT_TRUE(margin[i] <= 1e-4 || found.labels[i] == expected[i]) << device << ' ' << i;
  }
}

TEST(FaceParser, LaysSeveralCropsOverThePhoto) {
  FaceParser parser(small_parser(), on("cpu"));
  const io::Image photo = pattern(200, 150);
  const std::vector<Crop> crops = {{30, 20, 64, 64}, {60, 40, 128, 128}};
  const io::LabelMap whole = parser.parse(photo, crops);
  ASSERT_EQ(whole.width, 200);
  ASSERT_EQ(whole.height, 150);
  const io::LabelMap first = parser.parse(photo, crops[0]), second = parser.parse(photo, crops[1]);
  const auto in = [](const Crop& c, int64_t x, int64_t y) {
    return x >= c.x && x < c.x + c.side_w && y >= c.y && y < c.y + c.side_h;
  };
  for (int64_t y = 0; y < 150; ++y)
    for (int64_t x = 0; x < 200; ++x) {
      uint8_t expected = 0;
      if (in(crops[1], x, y)) expected = second.labels[static_cast<size_t>((y - 40) / 2 * kSize + (x - 60) / 2)];
      if (in(crops[0], x, y)) expected = first.labels[static_cast<size_t>((y - 20) * kSize + (x - 30))];
      ASSERT_EQ(whole.labels[static_cast<size_t>(y * 200 + x)], expected) << x << ' ' << y;
    }
}

TEST(FaceParser, RefusesAModelThatFindsWrinkles) {
  EXPECT_THROW(FaceParser(pass_through(), on("cpu")), Error);
}

TEST(FaceParser, ThePipelineKeepsWhatItFinds) {
  const auto parser = small_parser();
  const io::Image photo = pattern(120, 90);
  SegmentOptions options;
  options.crop = CropMode::none;
  const std::array<Crop, 1> whole = {whole_photo(120, 90)};
  const io::LabelMap labels = FaceParser(parser, on("cpu")).parse(photo, whole);
  options.kept_labels = {labels.labels[0], labels.labels[60 * 120 + 60]};
  Segmenter with_parser(pass_through(), on("cpu"), options, parser), plain(pass_through(), on("cpu"), options);
  const SegmentResult found = with_parser.run(photo), given = plain.run(photo, &labels), without = plain.run(photo);
  EXPECT_EQ(found.mask.pixels, given.mask.pixels);
  EXPECT_EQ(found.faces[0].percent_of_region, given.faces[0].percent_of_region);
  EXPECT_NE(found.mask.pixels, without.mask.pixels);
  EXPECT_FALSE(without.faces[0].percent_of_region);
  EXPECT_GT(found.timings.parse, 0);
  EXPECT_EQ(without.timings.parse, 0);
  // Labels of the photo's own come first.
  const io::LabelMap none{120, 90, std::vector<uint8_t>(size_t{120} * 90, 255), {}};
  EXPECT_EQ(with_parser.run(photo, &none).faces[0].percent_of_region.value_or(1) > 0, false);
}

}  // namespace
}  // namespace furrow
