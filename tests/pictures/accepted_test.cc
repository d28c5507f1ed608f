// Every kind of PNG and JPEG that is read, with the pixels that are in it (tests/data/make_picture_golden.py and
// make_jpeg_golden.py).
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "io/jpeg_colour.h"
#include "io/jpeg_pixels.h"
#include "io/jpeg_walk.h"
#include "io/png_pixels.h"
#include "io/png_walk.h"
#include "io/sha256.h"
#include "kernels/error.h"
#include "picture_files.h"
#include "tests/pictures/stb_png.h"

namespace furrow::io {
namespace {

using test::data_path;
using test::read_bytes;

std::string hash(const std::vector<uint8_t>& pixels) {
  return sha256_hex({reinterpret_cast<const std::byte*>(pixels.data()), pixels.size()});
}

constexpr Background kBackgrounds[] = {Background::drop, Background::black, Background::white};

TEST(AcceptedPng, EveryKindHasItsPixelsAndStbImageAgrees) {
  std::ifstream list(data_path("golden.txt"));
  int files = 0;
  for (std::string line; std::getline(list, line); ++files) {
    std::istringstream in(line);
    std::string name, want[3];
    int64_t width = 0, height = 0;
    in >> name >> width >> height >> want[0] >> want[1] >> want[2];
    SCOPED_TRACE(name);
    const auto bytes = read_bytes(data_path(name));
    const PngFile file = walk_png(bytes, Limits{});
    for (int i = 0; i < 3; ++i) {
      const Picture picture = decode_picture(bytes, kBackgrounds[i]);
      EXPECT_EQ(picture.image.width, width);
      EXPECT_EQ(picture.info.height, height);
      EXPECT_EQ(picture.image.channels, 3);
      EXPECT_EQ(picture.info.format, "PNG");
      EXPECT_EQ(hash(picture.image.pixels), want[i]);
      EXPECT_EQ(hash(stb_png_pixels(file, kBackgrounds[i], picture.info.orientation, 0xa5).pixels), want[i]);
    }
  }
  EXPECT_GE(files, 60);
}

TEST(AcceptedPng, InfoTellsWhatWasStored) {
  const auto info = [](const char* name) { return read_picture(data_path(name)).info; };
  EXPECT_EQ(info("c6d16.png").source_channels, 4);
  EXPECT_EQ(info("c6d16.png").source_depth, 16);
  EXPECT_EQ(info("c3d4t.png").source_channels, 4);
  EXPECT_EQ(info("c0d1.png").source_depth, 1);
  EXPECT_EQ(info("exif6.png").orientation, 6);
  EXPECT_EQ(info("apng.png").notes.size(), 1u);  // case 299: the default image, and a note
  EXPECT_EQ(info("trailing.png").notes.size(), 1u);
  EXPECT_TRUE(info("exif1.png").notes.empty());
}

// Every sampling, size, quality, order of scans and kind of colours (tests/data/make_jpeg_golden.py): Pillow's bytes.
TEST(AcceptedJpeg, EveryKindHasPillowsPixels) {
  const auto together = read_bytes(data_path("jpegs.bin"));
  std::ifstream list(data_path("jpegs.txt"));
  int files = 0;
  std::string name, want;
  size_t first = 0, length = 0;
  int64_t width = 0, height = 0;
  while (list >> name >> first >> length >> width >> height >> want) {
    SCOPED_TRACE(name);
    ASSERT_LE(first + length, together.size());
    const Picture seen = decode_picture(std::span(together).subspan(first, length));
    EXPECT_EQ(seen.image.width, width);
    EXPECT_EQ(seen.image.height, height);
    EXPECT_EQ(seen.info.format, "JPEG");
    EXPECT_EQ(hash(seen.image.pixels), want);
    ++files;
  }
  EXPECT_GE(files, 279);
}

TEST(AcceptedJpeg, EveryFileHasThePixelsOfItsPng) {
  for (const char* name :
       {"s444",  "s422",    "s420",    "s444p",   "s422p",   "s420p",     "q1",        "q10",     "q30",
        "q50",   "q75",     "q95",     "q100",    "gray",    "grayp",     "optimized", "rgb",     "trailing",
        "exif1", "exif2",   "exif3",   "exif4",   "exif5",   "exif6",     "exif7",     "exif8",   "cmyk",
        "ycck",  "size1x1", "size7x1", "size1x9", "size8x8", "size16x16", "size17x33", "restart", "restart1p"}) {
    const std::string path = data_path(std::string(name) + ".jpg");
    const Image seen = read_picture(path).image, want = read_picture(path + ".png").image;
    EXPECT_EQ(seen.width, want.width) << name;
    EXPECT_EQ(seen.pixels, want.pixels) << name;
  }
}

// 742 photos.
TEST(AcceptedJpeg, RealPhotosHavePillowsPixels) {
  if (!std::filesystem::exists(FURROW_SHARED "/data/portraits")) GTEST_SKIP() << "the photos are not there";
  std::ifstream list(data_path("shared_jpegs.txt"));
  int files = 0;
  std::string name, want;
  int64_t width = 0, height = 0;
  while (list >> name >> width >> height >> want) {
    const std::string path = FURROW_SHARED "/" + name;
    if (!std::filesystem::exists(path)) continue;
    const Image seen = read_picture(path).image;
    EXPECT_EQ(seen.width, width) << name;
    EXPECT_EQ(hash(seen.pixels), want) << name;
    ++files;
  }
  EXPECT_GT(files, 0);
  std::cout << files << " photos compared\n";
}

TEST(AcceptedJpeg, PixelsDoNotDependOnStaleMemory) {
  for (const char* name :
       {"s444.jpg", "s420.jpg", "s422p.jpg", "s420p.jpg", "gray.jpg", "cmyk.jpg", "size17x33.jpg", "restart.jpg"}) {
    const auto bytes = read_bytes(data_path(name));
    const JpegFile file = walk_jpeg(bytes, Limits{});
    EXPECT_EQ(jpeg_pixels(bytes, file, {}, 1, 0).pixels, jpeg_pixels(bytes, file, {}, 1, 0xa5).pixels) << name;
  }
}

TEST(AcceptedJpeg, ExifOrientationIsReportedAndApplied) {
  for (int value = 1; value <= 8; ++value) {
    const Picture picture = read_picture(data_path("exif" + std::to_string(value) + ".jpg"));
    EXPECT_EQ(picture.info.orientation, value);
    EXPECT_EQ(picture.info.width, value >= 5 ? 34 : 45);
    EXPECT_TRUE(picture.info.notes.empty());
  }
}

TEST(ReadPicture, NamesTheFileInErrors) {
  try {
    read_picture(data_path("no-such-picture.png"));
    FAIL() << "a missing file was read";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::io);
    EXPECT_NE(error.file_name().find("no-such-picture.png"), std::string::npos);
  }
  try {
    read_picture(data_path("golden.txt"));
    FAIL() << "a text was read as a picture";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported);
    EXPECT_NE(error.line().find("golden.txt"), std::string::npos);
  }
}

// What io/jpeg_colour.h says, case by case: segments first, then the components' numbers.
TEST(AcceptedJpeg, ColoursAreThoseOfTheSegmentsAndTheNumbers) {
  const auto colours = [](std::initializer_list<int> numbers, int adobe = -1, bool jfif = false) {
    JpegFile file;
    for (const int id : numbers) file.frame.components.push_back({.id = id});
    file.adobe_transform = adobe;
    file.jfif = jfif;
    return jpeg_colours(file);
  };
  EXPECT_EQ(colours({1}), JpegColours::gray);
  EXPECT_EQ(colours({1, 2, 3, 4}, 0), JpegColours::cmyk);
  EXPECT_EQ(colours({1, 2, 3, 4}, 2), JpegColours::ycck);
  EXPECT_EQ(colours({1, 2, 3}), JpegColours::ycc);
  EXPECT_EQ(colours({'R', 'G', 'B'}), JpegColours::rgb);
  EXPECT_EQ(colours({'R', 'G', 3}), JpegColours::ycc);
  EXPECT_EQ(colours({'R', 2, 'B'}), JpegColours::ycc);
  EXPECT_EQ(colours({'R', 'G', 'B'}, 1), JpegColours::ycc);
  EXPECT_EQ(colours({1, 2, 3}, 0), JpegColours::rgb);
  EXPECT_EQ(colours({'R', 'G', 'B'}, 0, true), JpegColours::ycc);
}

}  // namespace
}  // namespace furrow::io
