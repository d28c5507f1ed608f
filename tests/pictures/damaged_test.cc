// Good pictures, damaged: every bit of a PNG flipped, every file cut at every length.
#include <gtest/gtest.h>

#include <random>

#include "io/jpeg_walk.h"
#include "kernels/error.h"
#include "picture_files.h"

namespace furrow::io {
namespace {

using namespace test;  // NOLINT: builders

// No flip of one bit may change a pixel unnoticed. Bits that say nothing about the pixels may be flipped only where no
// checksum covers them, and every byte of a PNG but its signature and lengths is covered.
TEST(DamagedPng, EveryBitFlipIsRefused) {
  for (const char* name : {"size5x5i.png", "c3d2t.png", "c6d8.png"}) {
    Bytes file = read_bytes(data_path(name));
    for (size_t bit = 0; bit < 8 * file.size(); ++bit) {
      file[bit / 8] ^= std::byte{1} << (bit % 8);
      EXPECT_THROW(decode_picture(file), Error) << name << ", bit " << bit;
      file[bit / 8] ^= std::byte{1} << (bit % 8);
    }
  }
}

TEST(DamagedPng, EveryTruncationIsRefused) {
  for (const char* name : {"size5x5i.png", "c3d2t.png", "split.png", "exif6.png"}) {
    const Bytes file = read_bytes(data_path(name));
    for (size_t size = 0; size < file.size(); ++size) {
      EXPECT_THROW(decode_picture({file.data(), size}), Error) << name << ", " << size << " bytes";
    }
  }
}

TEST(DamagedJpeg, EveryTruncationIsRefused) {
  for (const char* name : {"s420.jpg", "s420p.jpg", "gray.jpg", "restart.jpg", "exif6.jpg"}) {
    const Bytes file = read_bytes(data_path(name));
    for (size_t size = 0; size < file.size(); ++size) {
      EXPECT_THROW(decode_picture({file.data(), size}), Error) << name << ", " << size << " bytes";
    }
  }
}

// A cut file that ends in an end of image again, as download tools and old cameras leave them. (The last two bytes and
// half of them give the whole file.) Of a progressive picture whole scans may be gone: it is coarse, but complete, and
// a note says so.
TEST(DamagedJpeg, ClosedTruncationsAreRefusedOrNoted) {
  for (const char* name : {"s420.jpg", "gray.jpg", "restart.jpg", "s420p.jpg", "grayp.jpg"}) {
    const Bytes file = read_bytes(data_path(name));
    const JpegFile walked = walk_jpeg(file, Limits{});
    int accepted = 0;
    for (size_t size = 2; size + 2 < file.size(); ++size) {
      const Bytes closed = Bytes(file.begin(), file.begin() + static_cast<ptrdiff_t>(size)) + bytes_of("\xff\xd9");
      try {
        EXPECT_EQ(decode_picture(closed).info.notes.size(), 1u) << name << ", closed after " << size << " bytes";
        ++accepted;
      } catch (const Error&) {}
    }
    // Twice per scan but the last: in front of the segments between two scans, whose first 0xFF may also be fill; and
    // behind each of these segments.
    EXPECT_LE(accepted, walked.frame.progressive ? 6 * walked.scans : 0) << name;
  }
}

// JPEG has no checksum: a flipped bit may change pixels unnoticed, but never crash the decoder or read stale memory.
TEST(DamagedJpeg, BitFlipsEndInAnErrorOrAPicture) {
  for (const char* name : {"s420.jpg", "s420p.jpg", "cmyk.jpg", "restart1p.jpg"}) {
    Bytes file = read_bytes(data_path(name));
    std::mt19937 random(5);
    int refused = 0;
    for (int i = 0; i < 1500; ++i) {
      const size_t bit = random() % (8 * file.size());
      file[bit / 8] ^= std::byte{1} << (bit % 8);
      try {
        const Picture picture = decode_picture(file);
        EXPECT_EQ(picture.image.pixels.size(), static_cast<size_t>(3 * picture.info.width * picture.info.height));
      } catch (const Error& error) {
        ++refused;
        EXPECT_NE(error.code(), ErrorCode::internal);
        EXPECT_EQ(error.line().find("the decoder refuses"), std::string::npos)
            << "the walk let pass what the decoder refused: " << error.line();
      }
      file[bit / 8] ^= std::byte{1} << (bit % 8);
    }
    EXPECT_GT(refused, 100) << name;
  }
}

}  // namespace
}  // namespace furrow::io
