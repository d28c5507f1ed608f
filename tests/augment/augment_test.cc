// What recipes draw, how often, and that a key alone decides it.
#include "data/augment.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "kernels/error.h"
#include "kernels/threads.h"
#include "made_pictures.h"

namespace furrow::data {
namespace {

constexpr int kKeys = 10000;
DrawKey key_of(int i) { return {7, static_cast<uint32_t>(i / 800), static_cast<uint32_t>(i % 800)}; }

// A count of `n` trials at probability p strays by more than 4.5 standard deviations once in 150,000 tests. Keys are
// fixed, so a test that passes passes always.
void expect_binomial(int count, int n, double p, const std::string& what) {
  EXPECT_LE(std::abs(count - n * p), 4.5 * std::sqrt(n * p * (1 - p))) << what << ": " << count << " of " << n;
}

Sample sample_of(int64_t width, int64_t height, uint64_t seed) {
  Sample s;
  s.id = "made";
  s.image = made_picture(width, height, seed, 3);
  s.target = made_picture(width, height, seed + 1, 1);
  s.texture = io::Image(width, height, 1);
  for (size_t i = 0; i < s.texture.pixels.size(); ++i) s.texture.pixels[i] = s.image.pixels[3 * i];
  return s;
}

TEST(Augment, EveryStepFiresWithItsProbabilityAndAlone) {
  for (const AugmentFlavour flavour : {AugmentFlavour::intended, AugmentFlavour::as_pinned}) {
    for (const std::string& name : augment_recipe_names()) {
      const AugmentRecipe recipe = augment_recipe(name, flavour);
      const size_t steps = recipe.steps.size();
      std::vector<int> fired(steps), with_next(steps);
      for (int i = 0; i < kKeys; ++i) {
        std::vector<bool> now(steps + 1);
        for (const AugmentDraw& d : draw_augmentation(recipe, key_of(i), 64, 64)) now[d.step] = true;
        for (size_t s = 0; s < steps; ++s) {
          fired[s] += now[s];
          with_next[s] += now[s] && now[s + 1];
        }
      }
      for (size_t s = 0; s < steps; ++s) {
        const double p = recipe.steps[s].p;
        expect_binomial(fired[s], kKeys, p, name + " step " + std::to_string(s));
        if (s + 1 < steps) expect_binomial(with_next[s], kKeys, p * recipe.steps[s + 1].p, name + " with the next");
      }
    }
  }
}

// Smallest and largest of what was drawn.
struct Span {
  double low = INFINITY, high = -INFINITY;
  void add(double v) { low = std::min(low, v), high = std::max(high, v); }
  // Within [from, to], and reaching to within 1 % of both ends: 3,000 even draws miss that once in 10^13.
  void expect(double from, double to, const char* what) const {
    const double slack = 0.01 * (to - from);
    EXPECT_GE(low, from) << what;
    EXPECT_LE(low, from + slack) << what;
    EXPECT_LE(high, to) << what;
    EXPECT_GE(high, to - slack) << what;
  }
};

TEST(Augment, ParametersCoverTheirRanges) {
  for (const bool pinned : {false, true}) {
    const AugmentRecipe recipe =
        augment_recipe("seed-258931e", pinned ? AugmentFlavour::as_pinned : AugmentFlavour::intended);
    Span scale_x, scale_y, shift_x, shift_y, angle, clip, brightness, contrast, saturation, hue, deviation;
    std::set<std::array<int, 4>> orders;
    for (int i = 0; i < kKeys; ++i) {
      for (const AugmentDraw& d : draw_augmentation(recipe, key_of(i), 512, 512)) {
        if (d.op == AugmentOp::affine) {
          scale_x.add(d.affine.scale_x), scale_y.add(d.affine.scale_y), angle.add(d.affine.rotate);
          shift_x.add(d.affine.translate_x), shift_y.add(d.affine.translate_y);
          EXPECT_EQ(d.affine.translate_x, std::trunc(d.affine.translate_x));
        }
        if (d.op == AugmentOp::elastic) { EXPECT_TRUE(d.alpha == 30 && d.sigma == 6); }
        if (d.op == AugmentOp::clahe) clip.add(d.clip);
        if (d.op == AugmentOp::blur) { EXPECT_EQ(d.size, 5); }
        if (d.op == AugmentOp::noise) deviation.add(d.deviation);
        if (d.op == AugmentOp::jitter) {
          brightness.add(d.jitter.brightness), contrast.add(d.jitter.contrast);
          saturation.add(d.jitter.saturation), hue.add(d.jitter.hue);
          orders.insert(d.jitter.order);
        }
      }
    }
    scale_x.expect(0.9, 1.1, "scale x");
    scale_y.expect(0.9, 1.1, "scale y");
    angle.expect(-15, 15, "angle");
    shift_x.expect(pinned ? 25 : -51, 51, "shift x");  // as-pinned: to the right and down only
    shift_y.expect(pinned ? 25 : -51, 51, "shift y");
    clip.expect(1, 2, "clip");
    brightness.expect(0.8, 1.2, "brightness");
    contrast.expect(0.8, 1.2, "contrast");
    saturation.expect(pinned ? 0.8 : 1, pinned ? 1.2 : 1, "saturation");
    hue.expect(pinned ? -0.5 : 0, pinned ? 0.5 : 0, "hue");
    deviation.expect(pinned ? 50.4975 : std::sqrt(50.0), pinned ? 112.9159 : 10, "deviation");
    EXPECT_EQ(orders.size(), 24u);
  }
}

TEST(Augment, BlurSizesAreEvenAndCropsFit) {
  const AugmentRecipe recipe = augment_recipe("seed-c75390e", AugmentFlavour::as_pinned);
  std::map<int, int> sizes;
  Span share, ratio, left, top;
  int blurs = 0;
  for (int i = 0; i < kKeys; ++i) {
    for (const AugmentDraw& d : draw_augmentation(recipe, key_of(i), 512, 512)) {
      if (d.op == AugmentOp::blur) ++sizes[d.size], ++blurs;
      if (d.op == AugmentOp::crop) {
        ASSERT_TRUE(d.crop.x >= 0 && d.crop.y >= 0 && d.crop.x + d.crop.width <= 512 &&
                    d.crop.y + d.crop.height <= 512);
        share.add(static_cast<double>(d.crop.width * d.crop.height) / (512 * 512));
        ratio.add(static_cast<double>(d.crop.width) / static_cast<double>(d.crop.height));
        if (d.crop.width < 512) left.add(static_cast<double>(d.crop.x) / static_cast<double>(512 - d.crop.width));
        if (d.crop.height < 512) top.add(static_cast<double>(d.crop.y) / static_cast<double>(512 - d.crop.height));
      }
    }
  }
  ASSERT_EQ(sizes.size(), 3u);
  for (const auto& [size, count] : sizes) expect_binomial(count, blurs, 1.0 / 3, "blur " + std::to_string(size));
  EXPECT_TRUE(share.low > 0.898 && share.low < 0.905 && share.high > 0.99 && share.high <= 1);  // sides are rounded
  EXPECT_TRUE(ratio.low > 0.895 && ratio.low < 0.91 && ratio.high > 1.09 && ratio.high < 1.105);
  left.expect(0, 1, "left");
  top.expect(0, 1, "top");
  // A strip has no part of an allowed ratio with nine tenths of its area: the largest one from the middle.
  AugmentRecipe strip{
      "strip", AugmentFlavour::intended, {{.op = AugmentOp::crop, .p = 1, .scale = {0.9, 1}, .ratio = {0.9, 1.1}}}};
  const std::vector<AugmentDraw> drawn = draw_augmentation(strip, {}, 100, 20);
  EXPECT_EQ(drawn.at(0).crop.width, 22);
  EXPECT_EQ(drawn.at(0).crop.height, 20);
  EXPECT_EQ(drawn.at(0).crop.x, 39);
}

TEST(Augment, NoiseIsNormalWithTheDrawnDeviation) {
  const AugmentRecipe recipe{
      "noise", AugmentFlavour::intended, {{.op = AugmentOp::noise, .p = 1, .deviation = {20, 20}}}};
  Sample s = sample_of(256, 256, 0);
  std::fill(s.image.pixels.begin(), s.image.pixels.end(), uint8_t{128});
  const std::vector<uint8_t> target = s.target.pixels, texture = s.texture.pixels;
  augment(s, recipe, {3, 1, 4});
  const auto n = static_cast<double>(s.image.pixels.size());
  double sum = 0, squares = 0, tail = 0, neighbours = 0;
  for (size_t i = 0; i < s.image.pixels.size(); ++i) {
    const double v = s.image.pixels[i] - 128.0;
    sum += v, squares += v * v, tail += std::abs(v) >= 40;
    if (i > 0) neighbours += v * (s.image.pixels[i - 1] - 128.0);
  }
  // Cutting off towards zero takes about half a level from each magnitude: the deviation becomes 19.6.
  EXPECT_NEAR(sum / n, 0, 5 * 20 / std::sqrt(n));
  EXPECT_NEAR(std::sqrt(squares / n), 19.6, 0.15);
  EXPECT_NEAR(tail / n, 0.0455, 5 * std::sqrt(0.0455 * 0.9545 / n));  // beyond two deviations
  EXPECT_NEAR(neighbours / squares, 0, 5 / std::sqrt(n));
  EXPECT_EQ(s.target.pixels, target);
  EXPECT_EQ(s.texture.pixels, texture);
}

TEST(Augment, TheKeyAloneDecides) {
  const AugmentRecipe recipe = augment_recipe("seed-c75390e", AugmentFlavour::intended);
  constexpr int64_t kItems = 24;
  std::vector<std::string> alone, shared(kItems);
  const auto run = [&](int64_t item) {
    Sample s = sample_of(64, 48, static_cast<uint64_t>(item % 2));
    augment(s, recipe, {5, 2, static_cast<uint32_t>(item)});
    return digest(s.image) + digest(s.target) + digest(s.texture);
  };
  for (int64_t i = kItems - 1; i >= 0; --i) alone.insert(alone.begin(), run(i));
  ThreadPool pool(4);
  pool.run(kItems, [&](int64_t i, int) { shared[static_cast<size_t>(i)] = run(i); });
  EXPECT_EQ(alone, shared);
  EXPECT_EQ(std::set<std::string>(alone.begin(), alone.end()).size(), alone.size());

  // Seed, epoch and item each matter.
  const AugmentRecipe jitter{
      "jitter", AugmentFlavour::intended, {{.op = AugmentOp::affine, .p = 1, .angle = {-15, 15}}}};
  std::set<double> angles;
  for (const DrawKey key : {DrawKey{1, 1, 1}, DrawKey{2, 1, 1}, DrawKey{1, 2, 1}, DrawKey{1, 1, 2}, DrawKey{1, 0, 0}}) {
    angles.insert(draw_augmentation(jitter, key, 64, 64).at(0).affine.rotate);
  }
  EXPECT_EQ(angles.size(), 5u);
}

TEST(Augment, GeometryChangesImageTextureAndTargetAlike) {
  for (const AugmentStep& step : std::vector<AugmentStep>{
           {.op = AugmentOp::flip, .p = 1},
           {.op = AugmentOp::affine, .p = 1, .scale = {0.8, 1.2}, .shift = {-0.1, 0.1}, .angle = {-20, 20}},
           {.op = AugmentOp::rotate, .p = 1, .angle = {5, 40}},
           {.op = AugmentOp::elastic, .p = 1, .alpha = 80, .sigma = 5},
           {.op = AugmentOp::crop, .p = 1, .scale = {0.5, 0.6}, .ratio = {0.9, 1.1}}}) {
    const AugmentRecipe recipe{"one", AugmentFlavour::intended, {step}};
    Sample s = sample_of(72, 60, 1);
    // The target marks the bright half, so that it can be recognised in the image afterwards.
    for (size_t i = 0; i < s.target.pixels.size(); ++i) {
      const bool right = i % 72 >= 36;
      s.target.pixels[i] = right ? 255 : 0;
      for (size_t c = 0; c < 3; ++c) s.image.pixels[3 * i + c] = right ? 200 : 40;
      s.texture.pixels[i] = s.image.pixels[3 * i];
    }
    const Sample before = s;
    augment(s, recipe, {11, 0, 3});
    EXPECT_NE(s.image.pixels, before.image.pixels) << describe(recipe, {11, 0, 3}, 72, 60);
    int differ = 0;
    for (size_t i = 0; i < s.target.pixels.size(); ++i) {
      ASSERT_EQ(s.texture.pixels[i], s.image.pixels[3 * i]);
      ASSERT_TRUE(s.target.pixels[i] == 0 || s.target.pixels[i] == 255);
      differ += (s.image.pixels[3 * i] >= 120) != (s.target.pixels[i] == 255);
    }
    EXPECT_LE(differ, 72 + 60) << "more than an edge's pixels";  // linear and nearest part along edges only
  }
}

TEST(Augment, ColoursLeaveTargetAndTextureAlone) {
  for (const AugmentStep& step :
       std::vector<AugmentStep>{{.op = AugmentOp::clahe, .p = 1, .clip = {2, 2}},
                                {.op = AugmentOp::jitter, .p = 1, .brightness = {1.2, 1.3}},
                                {.op = AugmentOp::blur, .p = 1, .smallest = 3, .largest = 7}}) {
    Sample s = sample_of(40, 40, 2);
    const Sample before = s;
    augment(s, {"one", AugmentFlavour::intended, {step}}, {1, 1, 1});
    EXPECT_NE(s.image.pixels, before.image.pixels);
    EXPECT_EQ(s.target.pixels, before.target.pixels);
    EXPECT_EQ(s.texture.pixels, before.texture.pixels);
  }
}

TEST(Augment, NamesDescriptionsAndRefusals) {
  Sample s = sample_of(16, 16, 2);
  const Sample before = s;
  const AugmentRecipe none = augment_recipe("none", AugmentFlavour::intended);
  augment(s, none, {1, 2, 3});
  EXPECT_EQ(s.image.pixels, before.image.pixels);
  EXPECT_EQ(describe(none, {1, 2, 3}, 16, 16), "unchanged");

  const AugmentRecipe all{"all",
                          AugmentFlavour::intended,
                          {{.op = AugmentOp::flip, .p = 1},
                           {.op = AugmentOp::blur, .p = 1},
                           {.op = AugmentOp::noise, .p = 0},
                           {.op = AugmentOp::affine, .p = 1},
                           {.op = AugmentOp::elastic, .p = 1, .alpha = 30, .sigma = 6}}};
  EXPECT_EQ(describe(all, {}, 16, 16),
            "flip; blur 3; affine scale 1.000 1.000, shift 0 0 px, rotate 0.00; elastic 30 sigma 6");
  try {
    augment_recipe("sead-head", AugmentFlavour::intended);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::configuration);
    EXPECT_NE(error.line().find("seed-head"), std::string::npos) << error.line();
  }
  s.target = io::Image(8, 16, 1);
  EXPECT_THROW(augment(s, none, {}), Error);

  // Without a texture nothing is invented.
  Sample plain = sample_of(16, 16, 2);
  plain.texture = io::Image(0, 0, 1);
  augment(plain, augment_recipe("seed-head", AugmentFlavour::as_pinned), {1, 2, 3});
  EXPECT_EQ(plain.texture.width, 0);
}

// Recorded once: what version 1 of these draws is. A change here changes every training run of the same seed.
TEST(Augment, DrawsAreRecorded) {
  EXPECT_EQ(describe(augment_recipe("seed-258931e", AugmentFlavour::intended), {42, 3, 17}, 512, 512),
            "affine scale 1.084 0.989, shift -34 -16 px, rotate 3.73; clahe 1.100; jitter brightness 1.072, contrast "
            "0.871, saturation 1.000, hue +0.000, order 3120; blur 5");
}

}  // namespace
}  // namespace furrow::data
