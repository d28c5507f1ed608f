// Every kind of PNG and JPEG that is read, with the pixels that are in it (tests/data/make_picture_golden.py).
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "io/jpeg_walk.h"
#include "io/png_pixels.h"
#include "io/png_walk.h"
#include "io/sha256.h"
#include "io/stb_decode.h"
#include "kernels/error.h"
#include "picture_files.h"

namespace furrow::io {
namespace {

using test::data_path;
using test::read_bytes;

std::string hash(const std::vector<uint8_t>& pixels) {
  return sha256_hex({reinterpret_cast<const std::byte*>(pixels.data()), pixels.size()});
}

constexpr Background kBackgrounds[] = {Background::drop, Background::black, Background::white};

TEST(AcceptedPng, EveryKindHasItsPixelsByBothRoutes) {
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
      for (PngRoute route : {PngRoute::stb, PngRoute::rows}) {
        EXPECT_EQ(hash(png_pixels(file, kBackgrounds[i], picture.info.orientation, route, 0xa5).pixels), want[i]);
      }
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

// Two correct decoders differ in the rounding of IDCT, upsampling and colour conversion: at most 3 levels, on average
// of a picture of some size less than 0.2. stb_image 2.27 also weighs the last two chroma samples of a row of 4:2:2 the
// wrong way round (stbi__resample_row_h_2), so the last two columns are held to the difference that this makes here.
void expect_close(const std::string& name) {
  SCOPED_TRACE(name);
  const Picture seen = read_picture(data_path(name + ".jpg"));
  const Image want = read_picture(data_path(name + ".jpg.png")).image;
  ASSERT_EQ(seen.image.width, want.width);
  ASSERT_EQ(seen.image.height, want.height);
  EXPECT_EQ(seen.info.format, "JPEG");
  int inside = 0, edge = 0;
  double sum = 0;
  const int64_t edge_from = name.substr(0, 4) == "s422" ? want.width - 2 : want.width;
  for (int64_t y = 0; y < want.height; ++y) {
    for (int64_t i = 0; i < 3 * want.width; ++i) {
      const int difference = std::abs(seen.image.row(y)[i] - want.row(y)[i]);
      int& largest = i < 3 * edge_from ? inside : edge;
      largest = std::max(largest, difference);
      if (i < 3 * edge_from) sum += difference;
    }
  }
  EXPECT_LE(inside, 3);
  EXPECT_LE(edge, 4);
  if (want.pixels.size() >= 3000) { EXPECT_LT(sum / static_cast<double>(3 * edge_from * want.height), 0.2); }
}

TEST(AcceptedJpeg, EveryKindIsWithinThreeLevelsOfPillow) {
  for (const char* name :
       {"s444",  "s422",    "s420",    "s444p",   "s422p",   "s420p",     "q1",        "q10",     "q30",
        "q50",   "q75",     "q95",     "q100",    "gray",    "grayp",     "optimized", "rgb",     "trailing",
        "exif1", "exif2",   "exif3",   "exif4",   "exif5",   "exif6",     "exif7",     "exif8",   "cmyk",
        "ycck",  "size1x1", "size7x1", "size1x9", "size8x8", "size16x16", "size17x33", "restart", "restart1p"}) {
    expect_close(name);
  }
}

TEST(AcceptedJpeg, PixelsDoNotDependOnStaleMemory) {
  for (const char* name :
       {"s444.jpg", "s420.jpg", "s422p.jpg", "s420p.jpg", "gray.jpg", "cmyk.jpg", "size17x33.jpg", "restart.jpg"}) {
    const auto bytes = read_bytes(data_path(name));
    const JpegFile file = walk_jpeg(bytes, Limits{});
    const StbPixels a = stb_decode_jpeg(bytes, file, 0), b = stb_decode_jpeg(bytes, file, 0xa5);
    EXPECT_TRUE(std::equal(a.data, a.data + 3 * a.width * a.height, b.data)) << name;
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

}  // namespace
}  // namespace furrow::io
