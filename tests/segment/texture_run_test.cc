// Networks of four channels: a pass-through network that reads the texture map alone, so that every mask is a function
// of the map that the formula of io/texture.h gives for the right pixels.
#include <gtest/gtest.h>

#include <algorithm>

#include "io/resize.h"
#include "io/texture.h"
#include "segment/crop.h"
#include "tests/segment/pass_through.h"

namespace furrow {
namespace {

using test::pass_through;
using test::PassThrough;
using test::pattern;

constexpr int kLevel = 20;  // a map above it is a mark

PassThrough reads_the_map(std::optional<TextureInput> texture) {
  PassThrough p;
  p.in_channels = 4;
  p.channel = 3;
  p.gain = 200;
  p.level = (kLevel + 0.5f) / 255;
  p.info.texture = texture;
  return p;
}

SegmentOptions whole_frame(bool tile = false) {
  SegmentOptions options;
  options.crop = CropMode::none;
  options.tile = tile;
  return options;
}

io::Image map_of(const io::Image& photo, io::TextureRecipe recipe, double sigma, const io::Image* keep = nullptr) {
  return io::texture_map(photo, {.recipe = recipe, .sigma = sigma}, keep);
}

double percent_above(const io::Image& map) {
  const auto marked = std::ranges::count_if(map.pixels, [](uint8_t v) { return v > kLevel; });
  return 100.0 * static_cast<double>(marked) / static_cast<double>(map.pixels.size());
}

void expect_marks(const io::Image& mask, const io::Image& map) {
  ASSERT_EQ(mask.pixels.size(), map.pixels.size());
  size_t marked = 0;
  for (size_t i = 0; i < map.pixels.size(); ++i) {
    ASSERT_EQ(mask.pixels[i] != 0, map.pixels[i] > kLevel) << i << ": " << int{map.pixels[i]};
    marked += map.pixels[i] > kLevel;
  }
  ASSERT_GT(marked, map.pixels.size() / 50);
  ASSERT_LT(marked, map.pixels.size() / 2);
}

class TextureOn : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Devices, TextureOn, testing::Values("ref", "cpu"));

// A photo of the model's size is not resized, so the mask is the map above the level. Sigma is for 1024 pixels.
TEST_P(TextureOn, TheFourthChannelIsTheMapOfTheRecipeThatTheFileNames) {
  const io::Image photo = pattern(64, 64);
  const TextureInput inputs[] = {{io::TextureRecipe::closest, 40, false},
                                 {io::TextureRecipe::authors, 40, false},
                                 {io::TextureRecipe::authors_inverse, 16, false},
                                 {io::TextureRecipe::closest, 1, false}};
  const double sigmas[] = {2.5, 2.5, 1, 0.5};
  for (size_t i = 0; i < std::size(inputs); ++i) {
    Segmenter segmenter(pass_through(reads_the_map(inputs[i])), {GetParam(), 1}, whole_frame());
    const SegmentResult result = segmenter.run(photo);
    const io::Image map = map_of(photo, inputs[i].recipe, sigmas[i]);
    EXPECT_TRUE(result.notes.empty());
    ASSERT_EQ(result.mask.pixels.size(), map.pixels.size());
    for (size_t at = 0; at < map.pixels.size(); ++at) ASSERT_EQ(result.mask.pixels[at] != 0, map.pixels[at] > kLevel);
    EXPECT_GT(percent_above(map), 2);
    EXPECT_LT(percent_above(map), 98);
  }
}

// Map first, then resizing, as in training: of a map of the resized photo the marks would be others.
TEST_P(TextureOn, TheMapIsMadeBeforeThePhotoIsResized) {
  const io::Image photo = pattern(150, 97);
  const double sigma = 20.0 * 150 / 1024;
  const io::Image map = io::resize(map_of(photo, io::TextureRecipe::closest, sigma), 64, 64, io::Filter::lanczos);
  const io::Image other = map_of(io::resize(photo, 64, 64, io::Filter::lanczos), io::TextureRecipe::closest, 1.25);
  const TextureInput input{io::TextureRecipe::closest, 20, false};
  const SegmentResult result = Segmenter(pass_through(reads_the_map(input)), {GetParam(), 1}, whole_frame()).run(photo);
  EXPECT_DOUBLE_EQ(result.faces[0].percent_of_crop, percent_above(map));
  EXPECT_GT(std::abs(percent_above(map) - percent_above(other)), 0.5);
}

TEST(TextureRun, MirroringTakesTheMapWithIt) {
  PassThrough p = reads_the_map(TextureInput{io::TextureRecipe::closest, 40, false});
  const io::Image photo = pattern(64, 64);
  SegmentOptions options = whole_frame();
  options.flip = true;  // of a network that looks at the pixel itself, both directions agree
  const SegmentResult result = Segmenter(pass_through(p), {"ref", 1}, options).run(photo);
  expect_marks(result.mask, map_of(photo, io::TextureRecipe::closest, 2.5));
}

// Outside skin and nose the map is 0 after the blur, where the file says so and labels are given.
TEST(TextureRun, LabelsMaskTheMapOnlyWhereTrainingDid) {
  const io::Image photo = pattern(64, 64);
  io::LabelMap labels;
  labels.width = labels.height = 64;
  io::Image keep(64, 64, 1);
  for (int64_t y = 0; y < 64; ++y)
    for (int64_t x = 0; x < 64; ++x) {
      labels.labels.push_back(static_cast<uint8_t>((x / 11 + 3 * (y / 8)) % 20));
      keep.row(y)[x] = labels.labels.back() == 1 || labels.labels.back() == 10 ? 255 : 0;
    }
  SegmentOptions options = whole_frame();
  std::vector<int> every(20);
  for (int i = 0; i < 20; ++i) every[static_cast<size_t>(i)] = i;
  options.kept_labels = every;  // the mask keeps all, so what is missing is missing from the map
  const io::TextureRecipe recipe = io::TextureRecipe::closest;
  for (const bool masked : {false, true}) {
    Segmenter segmenter(pass_through(reads_the_map(TextureInput{recipe, 40, masked})), {"ref", 1}, options);
    const SegmentResult result = segmenter.run(photo, &labels);
    EXPECT_TRUE(result.notes.empty());
    const io::Image map = map_of(photo, recipe, 2.5, masked ? &keep : nullptr);
    for (size_t i = 0; i < map.pixels.size(); ++i) ASSERT_EQ(result.mask.pixels[i] != 0, map.pixels[i] > kLevel);
    const SegmentResult without = segmenter.run(photo);
    EXPECT_EQ(without.notes.size(), masked ? 1u : 0u);
    expect_marks(without.mask, map_of(photo, recipe, 2.5));
  }
}

// Tiles of a photo: its pixels are the model's, so sigma is that of a photo of the model's size, and windows share the
// map: no seams.
TEST(TextureRun, TilesShareOneMapAtTheScaleOfTraining) {
  const TextureInput input{io::TextureRecipe::closest, 40, false};
  for (const auto& [w, h] : {std::pair<int64_t, int64_t>{200, 131}, {40, 150}}) {
    const io::Image photo = pattern(w, h);
    const SegmentResult result =
        Segmenter(pass_through(reads_the_map(input)), {"ref", 1}, whole_frame(true)).run(photo);
    expect_marks(result.mask, map_of(photo, io::TextureRecipe::closest, 2.5));
  }
}

// The crop of a face stands for a photo of training: its map is that of the crop, edge pixels repeated outside.
TEST(TextureRun, TheMapOfAFaceIsThatOfItsCrop) {
  const io::Image photo = io::read_picture(FURROW_SOURCE_DIR "/examples/astronaut.png").image;
  const TextureInput input{io::TextureRecipe::closest, 5, false};
  SegmentOptions options;
  options.measures = false;
  const SegmentResult result = Segmenter(pass_through(reads_the_map(input)), {"cpu", 1}, options).run(photo);
  ASSERT_EQ(result.faces.size(), 1u);
  const Crop crop = result.faces[0].crop;
  const io::Image face = cut(photo, crop);
  const double sigma = 5.0 * static_cast<double>(crop.side_w) / 1024;
  const io::Image map = io::resize(map_of(face, io::TextureRecipe::closest, sigma), 64, 64, io::Filter::lanczos);
  ASSERT_EQ(inside(crop, photo.width, photo.height), crop);
  EXPECT_DOUBLE_EQ(result.faces[0].percent_of_crop, percent_above(map));
  EXPECT_GT(percent_above(map), 1);
  options.tile = true;  // reduced to the model's size in both cases
  const SegmentResult tiled = Segmenter(pass_through(reads_the_map(input)), {"cpu", 1}, options).run(photo);
  EXPECT_EQ(tiled.mask.pixels, result.mask.pixels);
}

// What is black in the photos of training has relief at its border: the map is that of the blackened photo.
TEST(TextureRun, ModelsOfMaskedPhotosGetMapsOfMaskedPhotos) {
  PassThrough p = reads_the_map(TextureInput{io::TextureRecipe::closest, 40, false});
  p.info.masked_input = true;
  const io::Image photo = pattern(64, 64);
  io::Image black = photo;
  io::LabelMap labels;
  labels.width = labels.height = 64;
  for (int64_t y = 0; y < 64; ++y)
    for (int64_t x = 0; x < 64; ++x) {
      labels.labels.push_back(x < 40 ? 1 : 0);
      if (x >= 40) std::fill_n(black.row(y) + 3 * x, 3, uint8_t{0});
    }
  SegmentOptions options = whole_frame();
  const SegmentResult result = Segmenter(pass_through(p), {"ref", 1}, options).run(photo, &labels);
  const io::Image map = map_of(black, io::TextureRecipe::closest, 2.5);
  for (int64_t y = 0; y < 64; ++y)
    for (int64_t x = 0; x < 64; ++x) ASSERT_EQ(result.mask.row(y)[x] != 0, x < 40 && map.row(y)[x] > kLevel);
  EXPECT_NE(map.pixels, map_of(photo, io::TextureRecipe::closest, 2.5).pixels);
}

TEST(TextureRun, WeightsThatDoNotSayGetTheDefaultAndSayThat) {
  const auto silent = pass_through(reads_the_map(std::nullopt));
  EXPECT_FALSE(silent->info().texture.has_value());
  ASSERT_EQ(silent->info().notes.size(), 1u);
  EXPECT_NE(silent->info().notes[0].find("closest"), std::string::npos);
  const io::Image photo = pattern(64, 64);
  const SegmentResult result = Segmenter(silent, {"ref", 1}, whole_frame()).run(photo);
  expect_marks(result.mask, map_of(photo, io::TextureRecipe::closest, 0.5));  // 5 * 64 / 1024, at least 0.5

  Model told = *silent;
  ModelInfo info = told.info();
  info.texture = TextureInput{};
  told.set_info(info);
  EXPECT_TRUE(told.info().notes.empty());
  EXPECT_TRUE(pass_through(reads_the_map(TextureInput{}))->info().notes.empty());
}

}  // namespace
}  // namespace furrow
