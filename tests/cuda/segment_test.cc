// `segment` end to end on the CUDA kernels: the default model's marks on the bundled portrait against the cpu's.
#include <gtest/gtest.h>

#include <cmath>

#include "io/picture.h"
#include "segment/segmenter.h"
#include "tests/cuda/device_under_test.h"
#include "tests/segment/mini_info.h"

namespace furrow {
namespace {

std::string device() { return gpu::testing_on_gpu() ? "cuda" : "cpu-emulated"; }

SegmentResult segment(const std::string& on, std::optional<std::string> precision, int64_t size) {
  static const io::Picture photo = io::read_picture(FURROW_SOURCE_DIR "/examples/astronaut.png");
  static const auto model = std::make_shared<Model>(Model::load(test::kMiniNative));
  SegmentOptions options;
  options.size = size;
  options.crop = CropMode::none;
  options.probability = ProbabilityDepth::gray16;
  options.measures = false;
  Segmenter segmenter(model, {.device = on, .precision = std::move(precision)}, options);
  return segmenter.run(photo);
}

// Marks are equal wherever |logit| > 1e-3, counted from the threshold: there the probability differs from it by more than
// 1e-3 * t * (1-t).
TEST(CudaSegment, InFp32MarksWhatTheCpuMarks) {
  const SegmentResult want = segment("cpu", {}, 96), got = segment(device(), "fp32", 96);
  ASSERT_EQ(got.mask.pixels.size(), want.mask.pixels.size());
  const double t = want.threshold, margin = 65535 * 1e-3 * t * (1 - t) + 1;
  size_t marked = 0, differing = 0;
  for (size_t i = 0; i < want.mask.pixels.size(); ++i) {
    marked += want.mask.pixels[i] != 0;
    if (got.mask.pixels[i] == want.mask.pixels[i]) continue;
    ++differing;
    EXPECT_LE(std::abs(want.probability16[i] - 65535 * t), margin) << "pixel " << i;
  }
  EXPECT_GT(marked, 100u) << "nothing was compared";
  RecordProperty("differing", static_cast<int>(differing));
}

// Intersection over union with the fp32 marks.
double overlap(const SegmentResult& a, const SegmentResult& b) {
  size_t both = 0, either = 0;
  for (size_t i = 0; i < a.mask.pixels.size(); ++i) {
    both += a.mask.pixels[i] != 0 && b.mask.pixels[i] != 0;
    either += a.mask.pixels[i] != 0 || b.mask.pixels[i] != 0;
  }
  return either > 0 ? static_cast<double>(both) / static_cast<double>(either) : 0;
}

TEST(CudaSegment, InFp16OverlapsTheFp32MarksBy999Thousandths) {
  const SegmentResult want = segment("cpu", {}, 256), got = segment(device(), {}, 256);
  EXPECT_TRUE(got.notes.empty());
  EXPECT_GE(overlap(got, want), 0.999);
}

}  // namespace
}  // namespace furrow
