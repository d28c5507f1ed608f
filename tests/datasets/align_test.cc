// FFHQ's face crop: landmark files, and the pixels of tests/data/make_align_golden.py.
#include "data/align.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>

#include "data/landmarks.h"
#include "io/picture.h"
#include "io/quad.h"
#include "kernels/error.h"
#include "landmark_cases.h"
#include "made_files.h"

namespace furrow::data {
namespace {

using namespace test;  // NOLINT

const std::string kData = FURROW_TEST_DATA "/align/";

std::string photo_path(const std::string& stem) {
  return kData + "in-the-wild-images/" + stem.substr(0, 2) + "000/" + stem + ".png";
}

io::Image aligned(const std::string& stem, double mouth, const AlignOptions& options) {
  const FaceSquares faces = read_landmarks(kData + "ffhq.json", mouth);
  const size_t i = static_cast<size_t>(faces.index.at(stem)) - 1;
  return align_face(io::read_picture(photo_path(stem)).image, faces.squares[i], options);
}

// What Pillow, NumPy and SciPy make of it; not one value may differ.
void expect_golden(const std::string& folder, const std::string& stem, double mouth, bool padding) {
  SCOPED_TRACE(folder + "/" + stem);
  const io::Image ours = aligned(stem, mouth, {.size = 64, .transform = 256, .padding = padding});
  const io::Image expected = io::read_picture(kData + "expected/" + folder + "/" + stem + ".png").image;
  ASSERT_EQ(ours.pixels.size(), expected.pixels.size());
  int64_t different = 0;
  for (size_t i = 0; i < ours.pixels.size(); ++i) different += ours.pixels[i] != expected.pixels[i];
  EXPECT_EQ(different, 0);
}

TEST(Align, EqualsTheOriginal) {
  for (const char* stem : {"00000", "00001", "00002", "00003", "01003"}) expect_golden("ffhq", stem, kFfhqMouth, true);
  for (const char* stem : {"00002", "01003"}) expect_golden("ffhq-aging", stem, kFfhqAgingMouth, true);
  expect_golden("ffhq-bare", "00001", kFfhqMouth, false);
}

TEST(Align, EqualsTheOriginalAtFourTimesTheSize) {
  std::ifstream file(kData + "expected/ffhq256.json");
  const std::string hashes{std::istreambuf_iterator<char>(file), {}};
  for (const std::string stem : {"00000", "00001", "00002", "00003", "01003"}) {
    const io::Image ours = aligned(stem, kFfhqMouth, {.size = 256, .transform = 1024});
    EXPECT_NE(hashes.find("\"" + stem + "\": \"" + io::sha256_hex(std::as_bytes(std::span(ours.pixels)))),
              std::string::npos) << stem;
  }
}

std::string refusal(const io::Image& image, const FaceSquare& square,
                    const AlignOptions& options = {.size = 64, .transform = 64}) {
  try {
    align_face(image, square, options);
  } catch (const Error& error) { return error.line(); }
  return "";
}

TEST(Align, RefusesWhatIsNoFaceOfThePhoto) {
  const io::Image image = photo(40, 30, 2);
  EXPECT_EQ(refusal(image, {{20, 15}, {8, 3}}), "");
  EXPECT_NE(refusal(image, {{20, 15}, {NAN, 3}}).find("malformed]: the landmarks make no face"), std::string::npos);
  EXPECT_NE(refusal(image, {{NAN, 15}, {8, 3}}).find("make no face"), std::string::npos);
  EXPECT_NE(refusal(image, {{20, 15}, {0.5, 0.5}}).find("make no face"), std::string::npos);
  for (const double x : {-1e6, -25.0, 66.0, 1e6})
    EXPECT_NE(refusal(image, {{x, 15}, {8, 3}}).find("outside the photo"), std::string::npos) << x;
  EXPECT_NE(refusal(image, {{20, 15}, {1e6, 0}}).find("far larger"), std::string::npos);
  AlignOptions small{.size = 64, .transform = 64};
  small.limits.picture_pixels = 1200;
  EXPECT_NE(refusal(image, {{20, 15}, {8, 3}}, small).find("of the padded photo; limit 1200"), std::string::npos);
  // All points in one place.
  const std::vector<double> one(2 * kLandmarks, 5);
  EXPECT_NE(refusal(image, face_square(one)).find("make no face"), std::string::npos);
}

TEST(Align, TheSmallestPhotosArePadded) {
  for (const int64_t w : {1, 2}) {
    for (const int64_t h : {1, 3}) {
      io::Image image(w, h, 3);
      for (uint8_t& value : image.pixels) value = 77;
      const io::Image out = align_face(image, {{0.5, 0.5}, {9, 1}}, {.size = 16, .transform = 32});
      for (const uint8_t value : out.pixels) ASSERT_NEAR(value, 77, 1) << w << "x" << h;  // blurring rounds
    }
  }
}

TEST(Align, SquareOfAnUprightFace) {
  std::vector<double> points(2 * kLandmarks, 0);
  const auto set = [&](size_t i, double x, double y) { points[2 * i] = x, points[2 * i + 1] = y; };
  for (size_t i = 36; i < 42; ++i) set(i, 150, 150), set(i + 6, 250, 150);
  set(48, 160, 260), set(54, 240, 260);
  const FaceSquare square = face_square(points);  // E = (100, 0), M = (0, 110): max(200, 198)
  EXPECT_DOUBLE_EQ(square.centre[0], 200);
  EXPECT_DOUBLE_EQ(square.centre[1], 161);
  EXPECT_DOUBLE_EQ(square.half[0], 200);
  EXPECT_DOUBLE_EQ(square.half[1], 0);
  EXPECT_DOUBLE_EQ(face_square(points, kFfhqAgingMouth).side(), 2 * 2.2 * 110);
}

TEST(Quad, WholePictureIsACopyAndOutsideIsBlack) {
  const io::Image image = photo(7, 5, 4);
  const io::Image same = io::pull_quad(image, {0, 0, 0, 5, 7, 5, 7, 0}, 7, 5);
  EXPECT_EQ(same.pixels, image.pixels);
  const io::Image beside = io::pull_quad(image, {7, 0, 7, 5, 14, 5, 14, 0}, 7, 5);
  EXPECT_EQ(beside.pixels, std::vector<uint8_t>(7 * 5 * 3, 0));
  const io::Image swapped = io::pull_quad(image, {0, 0, 7, 0, 7, 5, 0, 5}, 5, 7);  // corners of a mirror image
  for (int64_t y = 0; y < 7; ++y)
    for (int64_t x = 0; x < 5; ++x) EXPECT_EQ(swapped.row(y)[3 * x], image.row(x)[3 * y]);
}

TEST(Landmarks, EveryCase) {
  const char* seeds = std::getenv("FURROW_SEEDS");
  for (const LandmarkCase& test : landmark_cases()) {
    SCOPED_TRACE(test.name);
    if (seeds != nullptr) std::ofstream(std::string(seeds) + "/" + test.name, std::ios::binary) << test.text;
    try {
      const FaceSquares faces = parse_landmarks(test.text);
      EXPECT_EQ(test.refused, "") << "accepted";
      EXPECT_EQ(faces.ffhq, test.name.starts_with("Ffhq"));
      EXPECT_EQ(faces.index.size(), faces.squares.size());
    } catch (const Error& error) {
      EXPECT_FALSE(test.refused.empty()) << error.line();
      EXPECT_EQ(error.code(), ErrorCode::malformed);
      EXPECT_NE(error.line().find(test.refused), std::string::npos) << error.line();
    }
  }
}

TEST(Landmarks, StemsOfNames) {
  const auto index = parse_landmarks("{\"a/b.c/7.png\": " + points_json() + ", \".x\": " + points_json() + ", \"d\": " +
                                     points_json() + ", \"e.f.jpg\": " + points_json() + "}").index;
  EXPECT_EQ(index, (std::map<std::string, int>{{"7", 1}, {".x", 2}, {"d", 3}, {"e.f", 4}}));
}

TEST(Landmarks, BothLayoutsOfTheSameFaces) {
  const FaceSquares ffhq = read_landmarks(kData + "ffhq.json"), plain = read_landmarks(kData + "plain.json");
  EXPECT_EQ(ffhq.index, plain.index);
  ASSERT_EQ(ffhq.squares.size(), 5U);
  for (size_t i = 0; i < 5; ++i)
    for (size_t k = 0; k < 2; ++k) {
      EXPECT_EQ(ffhq.squares[i].centre[k], plain.squares[i].centre[k]);
      EXPECT_EQ(ffhq.squares[i].half[k], plain.squares[i].half[k]);
    }
}

}  // namespace
}  // namespace furrow::data
