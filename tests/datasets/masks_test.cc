// What mask values mean: every rule, every contradiction in a rule, and the two operations taken from other libraries.
#include "data/masks.h"

#include <gtest/gtest.h>

#include <sstream>

#include "kernels/error.h"
#include "made_files.h"

namespace furrow::data {
namespace {

using namespace test;  // NOLINT

std::vector<uint8_t> targets(const MaskRule& rule, std::vector<uint8_t> values) {
  io::Image mask = gray(static_cast<int64_t>(values.size()), 1, values);
  to_target(mask, MaskTable(rule));
  return mask.pixels;
}

template <class Body>
std::string refusal(ErrorCode code, Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.line();
    return error.line();
  }
  ADD_FAILURE() << "accepted";
  return "";
}

std::string strange(const MaskRule& rule, const std::vector<uint8_t>& values) {
  return refusal(ErrorCode::malformed, [&] { targets(rule, values); });
}

TEST(Masks, BinaryKnows0And255Alone) {
  EXPECT_EQ(targets({}, {0, 255, 0}), (std::vector<uint8_t>{0, 255, 0}));
  // Case 328: the seed's loss takes 254 for background without a word.
  EXPECT_NE(strange({}, {0, 254, 254, 7, 255}).find("value 7 (1 pixels), 254 (2)"), std::string::npos);
}

TEST(Masks, ThresholdIsTheSeedsRule) {
  EXPECT_EQ(targets({MaskKind::threshold}, {0, 127, 128, 254, 255}), (std::vector<uint8_t>{0, 0, 255, 255, 255}));
}

TEST(Masks, UnitKnows0And1Alone) {
  EXPECT_EQ(targets({MaskKind::unit}, {0, 1}), (std::vector<uint8_t>{0, 255}));
  EXPECT_NE(strange({MaskKind::unit}, {0, 255}).find("255 (1 pixels)"), std::string::npos);
}

TEST(Masks, ChosenValuesWithAndWithoutABackground) {
  MaskRule rule{MaskKind::values, {3}, {1, 2}, {}};
  EXPECT_EQ(targets(rule, {1, 2, 3}), (std::vector<uint8_t>{0, 0, 255}));
  EXPECT_NE(strange(rule, {1, 0, 3}).find("value 0"), std::string::npos);
  rule.background.clear();
  EXPECT_EQ(targets(rule, {0, 2, 3, 255}), (std::vector<uint8_t>{0, 0, 255, 0}));
}

TEST(Masks, ClassMapGivesClassNumbers) {
  const MaskRule rule{MaskKind::classes, {}, {}, {{2, 0}, {0, 0}, {1, 1}, {3, 2}}};
  EXPECT_EQ(MaskTable(rule).classes(), 3);
  EXPECT_EQ(targets(rule, {0, 1, 2, 3}), (std::vector<uint8_t>{0, 1, 0, 2}));
  EXPECT_NE(strange(rule, {4}).find("value 4"), std::string::npos);
}

TEST(Masks, WeakKeepsEveryValue) {
  std::vector<uint8_t> all(256);
  for (size_t v = 0; v < 256; ++v) all[v] = static_cast<uint8_t>(v);
  EXPECT_EQ(targets({MaskKind::weak}, all), all);
  EXPECT_EQ(MaskTable(MaskRule{MaskKind::weak}).classes(), 0);
}

TEST(Masks, ManyStrangeValuesAreOneShortLine) {
  std::vector<uint8_t> all(256);
  for (size_t v = 0; v < 256; ++v) all[v] = static_cast<uint8_t>(v);
  EXPECT_NE(strange({}, all).find("8 (1) and 246 more (246)"), std::string::npos);
}

TEST(Masks, ContradictoryRulesAreConfigurationErrors) {
  const auto wrong = [](const MaskRule& rule) { return refusal(ErrorCode::configuration, [&] { MaskTable{rule}; }); };
  EXPECT_NE(wrong({MaskKind::values}).find("no value is wrinkle"), std::string::npos);
  EXPECT_NE(wrong({MaskKind::values, {3}, {3}}).find("value 3 is listed twice"), std::string::npos);
  EXPECT_NE(wrong({MaskKind::binary, {3}}).find("no use for them"), std::string::npos);
  EXPECT_NE(wrong({MaskKind::weak, {}, {}, {{0, 0}, {1, 1}}}).find("no use for it"), std::string::npos);
  EXPECT_NE(wrong({MaskKind::classes, {}, {}, {{0, 0}}}).find("at least"), std::string::npos);
  EXPECT_NE(wrong({MaskKind::classes, {}, {}, {{0, 0}, {1, 2}}}).find("no value is class 1"), std::string::npos);
  EXPECT_NE(wrong({MaskKind::classes, {}, {}, {{0, 0}, {1, 255}}}).find("254"), std::string::npos);
  EXPECT_NE(wrong({MaskKind::weak, {}, {}, {}, false, true}).find("dilated"), std::string::npos);
}

TEST(Masks, LumaIsPillows) {
  for (const std::string& line : golden("luma")) {
    std::istringstream in(line);
    int64_t width = 0, height = 0;
    uint64_t seed = 0;
    std::string expected;
    in >> width >> height >> seed >> expected;
    EXPECT_EQ(digest(luma(photo(width, height, seed)).pixels), expected) << line;
  }
}

TEST(Masks, DilationIsOpencvs) {
  for (const std::string& line : golden("dilate")) {
    std::istringstream in(line);
    int64_t width = 0, height = 0;
    uint64_t seed = 0;
    std::string expected;
    in >> width >> height >> seed >> expected;
    io::Image mask = sparse(width, height, seed);
    dilate3(mask);
    EXPECT_EQ(digest(mask.pixels), expected) << line;
  }
}

TEST(Masks, ColourIsReadWhereLumaIsAskedForAlone) {
  const TempFolder folder;
  io::Image rgb(2, 1, 3);
  rgb.pixels = {255, 255, 255, 0, 200, 0};
  folder.write("m.png", rgb);
  EXPECT_NE(refusal(ErrorCode::unsupported, [&] { read_mask(folder.path("m.png"), {}); }).find("m.png"),
            std::string::npos);
  MaskRule seed{MaskKind::threshold};
  seed.luma = true;
  EXPECT_EQ(read_mask(folder.path("m.png"), seed).pixels, (std::vector<uint8_t>{255, 117}));  // .587 * 200
}

// An index says which class; its colour says nothing, unless luma is asked for.
TEST(Masks, PaletteMasksGiveIndices) {
  const TempFolder folder;
  const std::vector<uint8_t> labels = {0, 1, 2, 1};
  folder.write("m.png", io::encode_png_palette(4, 1, labels, {{255, 255, 255}, {0, 0, 0}, {128, 128, 128}}));
  EXPECT_EQ(read_mask(folder.path("m.png"), {}).pixels, labels);
  MaskRule seed{MaskKind::threshold};
  seed.luma = true;
  EXPECT_EQ(read_mask(folder.path("m.png"), seed).pixels, (std::vector<uint8_t>{255, 0, 128, 0}));
}

}  // namespace
}  // namespace furrow::data
