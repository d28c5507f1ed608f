// The finder against OpenCV 4.6's answers in tests/data/faces/golden.json (made by tests/data/make_faces_golden.py).
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "segment/cascade_group.h"
#include "segment/cascade_pyramid.h"
#include "segment/faces.h"
#include "support.h"

namespace furrow::faces_test {
namespace {

const nlohmann::json& golden() {
  static const nlohmann::json json = nlohmann::json::parse(std::ifstream(FURROW_TEST_DATA "/faces/golden.json"));
  return json;
}

std::vector<Golden> boxes(const nlohmann::json& faces) { return faces.get<std::vector<Golden>>(); }

TEST(OpenCv, GrayIsEqual) {
  io::Image colours(500, 100, 3);
  colours.pixels = noise(3 * 50000, 1);
  EXPECT_EQ(crc(gray_of(colours)), golden()["gray_crc32"].get<uint32_t>());
}

// The level's pixels are second differences of the band's sums; both memory layouts.
TEST(OpenCv, PyramidLevelsAreEqual) {
  for (const auto& entry : golden()["resize"]) {
    const int w = entry["from"][0], h = entry["from"][1];
    PyramidLevel level;
    level.width = entry["to"][0], level.height = entry["to"][1];
    GrayPicture picture;
    picture.width = w, picture.height = h;
    picture.pixels = noise(int64_t{w} * h, entry["seed"]);
    for (level.step = 1; level.step <= 2; ++level.step) {
      IntegralBand band;
      band.step = level.step;
      band.stride = (level.width + 3) / 2 * 2;
      BandScratch scratch;
      integrate_band(picture, level, linear_axis(w, level.width), linear_axis(h, level.height), 0, level.height,
                     scratch, band);
      io::Image shrunk(level.width, level.height, 1);
      for (int y = 0; y < level.height; ++y) {
        for (int x = 0; x < level.width; ++x) {
          const int a = band.column(x), b = band.column(x + 1);
          const auto pixel = [&](const uint32_t* above, const uint32_t* below) {
            return below[b] - below[a] - above[b] + above[a];
          };
          const uint32_t value = pixel(band.sum_row(y), band.sum_row(y + 1));
          ASSERT_LT(value, 256u);
          ASSERT_EQ(pixel(band.square_row(y), band.square_row(y + 1)), value * value);
          shrunk.row(y)[x] = static_cast<uint8_t>(value);
        }
      }
      EXPECT_EQ(crc(shrunk), entry["crc32"].get<uint32_t>()) << entry << " step " << level.step;
    }
  }
}

TEST(OpenCv, GroupsAreEqual) {
  for (const auto& entry : golden()["group"]) {
    std::vector<Candidate> candidates;
    for (const auto& r : entry["rects"]) candidates.push_back({r[0], r[1], r[2], r[3], 0.0f});
    std::vector<Golden> groups;
    for (const CandidateGroup& g : group_candidates(candidates, entry["threshold"]))
      groups.push_back({g.x, g.y, g.w, g.h, g.members});
    std::sort(groups.begin(), groups.end());
    EXPECT_EQ(groups, boxes(entry["groups"])) << entry["threshold"];
  }
}

TEST(OpenCv, FacesOfMadePicturesAreEqual) {
  ThreadPool pool(2);
  for (const auto& entry : golden()["made"]) {
    const io::Image picture = made_picture(entry["picture"]);
    ASSERT_EQ(crc(picture), entry["crc32"].get<uint32_t>()) << entry["picture"];
    EXPECT_EQ(as_golden(find_faces(picture, {}, &pool)), boxes(entry["faces"])) << entry["picture"];
  }
}

TEST(OpenCv, FacesAreEqualUnderOtherOptions) {
  for (const auto& entry : golden()["options"]) {
    FaceFinderOptions options;
    options.scale = entry["scale"], options.neighbours = entry["neighbours"], options.min_side = entry["side"];
    EXPECT_EQ(as_golden(find_faces(astronaut(), options)), boxes(entry["faces"])) << entry;
  }
}

// 43 portraits and 100 photos, decoded by each program itself: the same pixels, boxes and neighbours.
TEST(OpenCv, FacesOfRealPhotosAreEqual) {
  if (!std::filesystem::exists(FURROW_SHARED "/data/portraits")) GTEST_SKIP() << "the photos are not there";
  ThreadPool pool;
  int compared = 0, portraits = 0, portraits_with_face = 0;
  for (const auto& entry : golden()["shared"]) {
    const std::string name = entry["file"];
    const io::Image photo = load(std::string(FURROW_SHARED "/") + name);
    if (photo.width == 0) continue;
    ++compared;
    const std::vector<Golden> found = as_golden(find_faces(photo, {}, &pool));
    if (name.find("portraits/") != std::string::npos) ++portraits, portraits_with_face += !found.empty();
    EXPECT_EQ(crc(gray_of(photo)), entry["crc32"].get<uint32_t>()) << name;
    EXPECT_EQ(found, boxes(entry["faces"])) << name;
  }
  EXPECT_EQ(compared, 143);
  EXPECT_EQ(portraits, 43);
  EXPECT_EQ(portraits_with_face, 43);
  std::cout << compared << " photos compared, " << portraits_with_face << " of " << portraits
            << " portraits with a face\n";
}

}  // namespace
}  // namespace furrow::faces_test
