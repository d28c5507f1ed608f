// --tile through the Segmenter: own scale, blended windows, and the memory it takes.
#include <gtest/gtest.h>

#include <fstream>

#include "io/resize.h"
#include "tests/segment/pass_through.h"

namespace furrow {
namespace {

using test::pass_through;
using test::pattern;

SegmentOptions tiled() {
  SegmentOptions options;
  options.crop = CropMode::none;
  options.tile = true;
  return options;
}

TEST(TiledRun, AWholePhotoKeepsItsScaleAndShowsNoSeams) {
  for (const auto& [w, h] : {std::pair<int64_t, int64_t>{200, 131}, {64, 300}, {40, 150}, {30, 20}}) {
    const io::Image photo = pattern(w, h);
    Segmenter segmenter(pass_through(), {"ref", 1}, tiled());
    const SegmentResult result = segmenter.run(photo);
    int64_t marked = 0;
    for (int64_t y = 0; y < h; ++y) {
      for (int64_t x = 0; x < w; ++x) {
        const bool mark = photo.row(y)[3 * x] > 100;
        ASSERT_EQ(result.mask.row(y)[x] != 0, mark) << x << " " << y;
        marked += mark;
      }
    }
    EXPECT_DOUBLE_EQ(result.faces[0].percent_of_crop, 100.0 * static_cast<double>(marked) / static_cast<double>(w * h));
  }
}

TEST(TiledRun, APhotoOfOneWindowEqualsThePlainRun) {
  const io::Image photo = pattern(64, 64);
  SegmentOptions options = tiled();
  options.flip = true;
  Segmenter segmenter(pass_through(), {"ref", 1}, options);
  const SegmentResult windows = segmenter.run(photo);
  options.tile = false;
  segmenter.set_options(options);
  const SegmentResult plain = segmenter.run(photo);
  EXPECT_EQ(windows.mask.pixels, plain.mask.pixels);
  EXPECT_EQ(windows.probability.pixels, plain.probability.pixels);
  EXPECT_EQ(windows.percent_of_frame, plain.percent_of_frame);
}

TEST(TiledRun, TheSameBytesForAnyNumberOfThreads) {
  const io::Image photo = pattern(200, 150);
  const SegmentResult one = Segmenter(pass_through(), {"ref", 1}, tiled()).run(photo);
  for (const int threads : {2, 3}) {
    const SegmentResult more = Segmenter(pass_through(), {"ref", threads}, tiled()).run(photo);
    EXPECT_EQ(one.probability.pixels, more.probability.pixels);
    EXPECT_EQ(one.mask.pixels, more.mask.pixels);
  }
}

// Most memory this process has held since the last reset, bytes; 0 where the system does not tell.
int64_t peak_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return 1024 * std::stoll(line.substr(6));
  }
  return 0;
}

bool reset_peak() {
  std::ofstream reset("/proc/self/clear_refs");
  reset << "5";
  return static_cast<bool>(reset.flush());
}

TEST(TiledRun, HoldsABandOfProbabilitiesNeverAPlane) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers keep memory of their own";
#endif
  if (!reset_peak() || peak_bytes() == 0) GTEST_SKIP() << "this system does not report peak memory";
  const int64_t w = 1500, h = 4000;
  SegmentOptions options = tiled();
  options.measures = false;
  options.size = 256;
  Segmenter segmenter(pass_through(), {"cpu", 1}, options);
  segmenter.run(pattern(300, 300));  // plans, packed weights and scratch are there before counting
  const io::Image photo = pattern(w, h);
  ASSERT_TRUE(reset_peak());
  const int64_t before = peak_bytes();
  const SegmentResult result = segmenter.run(photo);
  const int64_t results = 2 * w * h, band = 256 * w * 4, slack = 4 << 20;
  EXPECT_LE(peak_bytes() - before, results + band + slack);  // one float plane would be 24 MB more
  EXPECT_EQ(result.mask.pixels.size(), static_cast<size_t>(w * h));
}

}  // namespace
}  // namespace furrow
