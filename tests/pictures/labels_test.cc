// Label maps and masks (cases 327 to 329; the numbers are fixed names, kept so that a case is never lost): numbers as
// stored, everything else refused. Case 326 is in tests/segment/labels_test.cc, 330 in tests/apps/inputs_test.cc.
#include <gtest/gtest.h>

#include "io/picture.h"
#include "io/png_write.h"
#include "kernels/error.h"
#include "picture_files.h"

namespace furrow::io {
namespace {

using namespace test;  // NOLINT

void expect_unsupported(const Bytes& file, const char* words) {
  try {
    decode_labels(file);
    ADD_FAILURE() << "accepted: " << words;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported) << error.line();
    EXPECT_NE(error.line().find(words), std::string::npos) << error.line();
  }
}

TEST(Labels, PaletteOfEveryDepthGivesIndices) {
  for (const char* name : {"c3d1", "c3d2", "c3d4", "c3d8", "c3d1i", "c3d2i", "c3d4i", "c3d8i", "c3d4t"}) {
    const LabelMap map = read_labels(data_path(std::string(name) + ".png"));
    const Picture picture = read_picture(data_path(std::string(name) + ".png"));
    ASSERT_EQ(map.labels.size(), 13u * 11u);
    for (size_t i = 0; i < map.labels.size(); ++i) {
      ASSERT_LT(map.labels[i], map.palette.size());
      for (size_t c = 0; c < 3; ++c) ASSERT_EQ(map.palette[map.labels[i]][c], picture.image.pixels[3 * i + c]) << name;
    }
  }
}

TEST(Labels, Case328_EveryGrayValueIsKept) {
  Image gray(256, 1, 1);
  for (int x = 0; x < 256; ++x) gray.pixels[static_cast<size_t>(x)] = static_cast<uint8_t>(x);
  const LabelMap map = decode_labels(encode_png(gray));
  EXPECT_EQ(map.labels, gray.pixels);  // 254 stays 254: whoever needs 0 and 255 thresholds in the open
  EXPECT_TRUE(map.palette.empty());
}

TEST(Labels, Case327_ColourIsRefused) {
  expect_unsupported(read_bytes(data_path("c2d8.png")), "a colour picture says nothing");
  expect_unsupported(read_bytes(data_path("c6d8.png")), "a colour picture says nothing");
  expect_unsupported(read_bytes(data_path("c4d8.png")), "alpha");
}

TEST(Labels, AmbiguousKindsAreRefused) {
  expect_unsupported(read_bytes(data_path("c0d16.png")), "16 bits is ambiguous");
  expect_unsupported(read_bytes(data_path("c0d2.png")), "2 bits is ambiguous");
  expect_unsupported(read_bytes(data_path("gray.jpg")), "a JPEG invents values");
  expect_unsupported(bytes_of("GIF89a"), "GIF is not read");
  expect_unsupported(bytes_of("\x01\x02"), "unknown kind");
}

TEST(Labels, Case329_ExifRotationIsRefused) {
  const std::string exif("II*\0\x8\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0", 26);
  const std::string row(3, '\0');
  const auto gray = [&](const std::string& block) {
    return png_of({png_chunk("IHDR", png_header(2, 1, 8, 0)), png_chunk("eXIf", block),
                   png_chunk("IDAT", deflated(row)), png_chunk("IEND", "")});
  };
  expect_unsupported(gray(exif), "EXIF rotates");
  std::string upright = exif;
  upright[18] = 1;
  EXPECT_EQ(decode_labels(gray(upright)).labels.size(), 2u);
}

TEST(Labels, BrokenFilesAreMalformed) {
  for (const Bytes& file : {Bytes{}, bytes_of("\x89PNG\n\x1a\n....."), png_of({})}) {
    try {
      decode_labels(file);
      ADD_FAILURE() << "accepted";
    } catch (const Error& error) { EXPECT_EQ(error.code(), ErrorCode::malformed) << error.line(); }
  }
  EXPECT_THROW(read_labels(data_path("no-such-file.png")), Error);
}

}  // namespace
}  // namespace furrow::io
