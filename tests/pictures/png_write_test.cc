// The PNG writer, read back by the strict reader.
#include "io/png_write.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "io/picture.h"
#include "io/png_rows.h"
#include "io/png_walk.h"
#include "kernels/error.h"

namespace furrow::io {
namespace {

std::vector<uint8_t> random_bytes(size_t count, unsigned below = 256) {
  std::mt19937 random(static_cast<unsigned>(count));
  std::vector<uint8_t> values(count);
  for (uint8_t& value : values) value = static_cast<uint8_t>(random() % below);
  return values;
}

// Smooth with a little noise, so that every filter is the best one somewhere.
Image photo_like(int64_t width, int64_t height, int channels) {
  Image image(width, height, channels);
  const auto noise = random_bytes(image.pixels.size(), 7);
  for (size_t i = 0; i < noise.size(); ++i) {
    const auto y = static_cast<int64_t>(i) / (width * channels), x = static_cast<int64_t>(i) / channels % width;
    image.pixels[i] = static_cast<uint8_t>((y < height / 2 ? x * 3 : y * 5) + noise[i]);
  }
  return image;
}

constexpr std::pair<int64_t, int64_t> kSizes[] = {{1, 1}, {7, 1}, {1, 9}, {8, 8}, {33, 17}, {300, 211}};

TEST(PngWrite, RgbAndGrayComeBack) {
  for (auto [width, height] : kSizes) {
    const Image rgb = photo_like(width, height, 3);
    const Picture seen = decode_picture(encode_png(rgb));
    EXPECT_EQ(seen.image.pixels, rgb.pixels);
    EXPECT_EQ(seen.info.source_channels, 3);
    const Image gray = photo_like(width, height, 1);
    const LabelMap labels = decode_labels(encode_png(gray));
    EXPECT_EQ(labels.labels, gray.pixels);
    EXPECT_EQ(labels.width, width);
  }
}

TEST(PngWrite, Gray16KeepsBothBytes) {
  const auto low = random_bytes(40 * 30), high = random_bytes(40 * 30 + 1);
  std::vector<uint16_t> samples;
  for (size_t i = 0; i < low.size(); ++i) samples.push_back(static_cast<uint16_t>(high[i] << 8 | low[i]));
  const auto file = encode_png_gray16(40, 30, samples);
  const PngFile walked = walk_png(file, Limits{});
  EXPECT_EQ(walked.header.depth, 16);
  std::vector<uint16_t> seen;
  read_png_rows(walked, [&](const PngRow& row) {
    for (size_t i = 0; i < row.packed.size(); i += 2)
      seen.push_back(static_cast<uint16_t>(row.packed[i] << 8 | row.packed[i + 1]));
  });
  EXPECT_EQ(seen, samples);
}

TEST(PngWrite, OneBitIsBlackAndWhite) {
  for (auto [width, height] : kSizes) {
    const auto samples = random_bytes(static_cast<size_t>(width * height), 2);
    const auto file = encode_png_gray1(width, height, samples);
    EXPECT_EQ(walk_png(file, Limits{}).header.depth, 1);
    std::vector<uint8_t> want = samples;
    for (uint8_t& value : want) value = value == 0 ? 0 : 255;
    EXPECT_EQ(decode_labels(file).labels, want);
  }
}

TEST(PngWrite, PaletteKeepsIndicesAndColours) {
  const Palette palette = {{0, 0, 0}, {255, 0, 0}, {12, 34, 56}};
  const auto labels = random_bytes(50 * 20, 3);
  const LabelMap seen = decode_labels(encode_png_palette(50, 20, labels, palette));
  EXPECT_EQ(seen.labels, labels);
  EXPECT_EQ(seen.palette, palette);
}

TEST(PngWrite, StreamsInChunksWithoutHoldingThePicture) {
  constexpr int64_t kWidth = 3000, kHeight = 2000;
  size_t largest = 0, chunks = 0;
  std::vector<std::byte> file;
  PngWriter writer(
      [&](std::span<const std::byte> bytes) {
        largest = std::max(largest, bytes.size());
        ++chunks;
        file.insert(file.end(), bytes.begin(), bytes.end());
      },
      kWidth, kHeight, PngType::gray8);
  std::vector<uint8_t> want;
  for (int64_t y = 0; y < kHeight; ++y) {
    auto row = random_bytes(kWidth, static_cast<unsigned>(y % 255 + 1));
    writer.row(row);
    want.insert(want.end(), row.begin(), row.end());
  }
  writer.finish();
  EXPECT_LE(largest, size_t{64} * 1024 + 12);
  EXPECT_GT(chunks, 20u);
  EXPECT_EQ(decode_labels(file).labels, want);
}

TEST(PngWrite, MasksAreSmall) {
  Image mask(1024, 1024, 1);
  for (int64_t y = 300; y < 320; ++y) std::fill(mask.row(y) + 200, mask.row(y) + 800, uint8_t{255});
  EXPECT_LT(encode_png(mask).size(), 6000u);
  EXPECT_LT(encode_png_gray1(1024, 1024, mask.pixels).size(), 2000u);
}

TEST(PngWrite, MisuseIsAProgrammingError) {
  const auto nowhere = [](std::span<const std::byte>) {};
  EXPECT_THROW(PngWriter(nowhere, 0, 1, PngType::gray8), Error);
  EXPECT_THROW(PngWriter(nowhere, 1, 1, PngType::palette8), Error);
  EXPECT_THROW(PngWriter(nowhere, 1, 1, PngType::gray8, {{0, 0, 0}}), Error);
  EXPECT_THROW(encode_png(Image(2, 2, 2)), Error);
  EXPECT_THROW(encode_png_palette(1, 1, std::vector<uint8_t>{1}, {{0, 0, 0}}), Error);
  PngWriter writer(nowhere, 2, 1, PngType::gray8);
  const std::vector<uint8_t> two(2), three(3);
  const std::vector<uint16_t> wide(2);
  EXPECT_THROW(writer.row(three), Error);
  EXPECT_THROW(writer.row16(wide), Error);
  EXPECT_THROW(writer.finish(), Error);
  writer.row(two);
  EXPECT_THROW(writer.row(two), Error);
}

TEST(PngWrite, WhatTheSinkThrowsPassesThrough) {
  PngWriter writer(
      [calls = 0](std::span<const std::byte>) mutable {
        if (++calls == 4) throw Error(ErrorCode::io, "disk full");
      },
      1, 1, PngType::gray8);
  writer.row(std::vector<uint8_t>{1});
  EXPECT_THROW(writer.finish(), Error);
}

}  // namespace
}  // namespace furrow::io
