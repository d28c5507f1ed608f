// Whether a face is fit: the measures against formulas written out, and what blurring, darkening and reducing do.
#include "segment/quality.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

namespace furrow {
namespace {

constexpr Face kWhole{0, 0, 256, 256, 0, 0};

// 256 x 256, so that nothing is resized.
io::Image picture(const std::function<double(int, int)>& gray) {
  io::Image out(256, 256, 3);
  for (int y = 0; y < 256; ++y)
    for (int x = 0; x < 256; ++x)
      for (int c = 0; c < 3; ++c) out.row(y)[3 * x + c] = static_cast<uint8_t>(std::lround(gray(x, y)));
  return out;
}

// Columns of period `p` pixels around 128.
io::Image stripes(double p, double height = 100) {
  return picture([=](int x, int) { return 128 + height * std::sin(2 * M_PI * (x + 0.25) / p); });
}

// The Laplacian of a wave of w radians per pixel is 2 (cos w - 1) times the wave: that is the ratio of the deviations,
// but for the rounding to whole grays (0.29 of deviation, 4.5 times that in the Laplacian) and the border.
TEST(FaceQuality, SharpnessOfAWave) {
  for (const double period : {4.0, 8.0, 16.0, 32.0}) {
    const FaceQuality q = face_quality(stripes(period), kWhole, 512, 512);
    EXPECT_NEAR(q.sharpness, 2 * (1 - std::cos(2 * M_PI / period)), 0.03) << period;
    EXPECT_NEAR(q.brightness, 128, 0.5);
  }
}

TEST(FaceQuality, SharpnessDoesNotDependOnContrast) {
  EXPECT_NEAR(face_quality(stripes(8, 20), kWhole, 512, 512).sharpness,
              face_quality(stripes(8, 120), kWhole, 512, 512).sharpness, 0.02);
  EXPECT_EQ(face_quality(picture([](int, int) { return 90; }), kWhole, 512, 512).sharpness, 0);
}

TEST(FaceQuality, BrightnessIsThatOfTheMiddle) {
  const auto bright_middle = [](int x, int y) { return x >= 51 && x < 205 && y >= 51 && y < 205 ? 200.0 : 10.0; };
  EXPECT_EQ(face_quality(picture(bright_middle), kWhole, 512, 512).brightness, 200);
}

TEST(FaceQuality, ABoxBeyondThePhotoIsCut) {
  const FaceQuality q = face_quality(stripes(8), {-20, 30, 400, 400, 0, 0}, 512, 512);
  EXPECT_GT(q.sharpness, 0.4);
  EXPECT_NEAR(q.brightness, 128, 2);
}

TEST(FaceQuality, FirstOfTheStatesThatHolds) {
  const FaceQuality fit{.scale = 1, .brightness = 120, .sharpness = 0.3};
  const auto with = [&](double scale, double brightness, double sharpness) {
    return FaceQuality{scale, brightness, sharpness}.status();
  };
  EXPECT_EQ(fit.status(), FaceStatus::ok);
  EXPECT_EQ(with(kSmallestScale, kLeastBrightness, kLeastSharpness), FaceStatus::ok);
  EXPECT_EQ(with(0.39, 10, 0.01), FaceStatus::too_small);
  EXPECT_EQ(with(1, 39.9, 0.01), FaceStatus::too_dark);
  EXPECT_EQ(with(1, 40, 0.0899), FaceStatus::blurred);
  EXPECT_EQ(face_quality(stripes(8), kWhole, 204, 512).status(), FaceStatus::too_small);
  EXPECT_EQ(face_quality(stripes(8), kWhole, 205, 512).status(), FaceStatus::ok);
  EXPECT_EQ(face_quality(stripes(40), kWhole, 512, 512).status(), FaceStatus::blurred);
}

}  // namespace
}  // namespace furrow
