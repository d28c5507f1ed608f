// The pipeline on photos with faces: crops, what lies outside them, several faces, none.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

#include "io/resize.h"
#include "tests/segment/mini_info.h"
#include "tests/segment/pass_through.h"

namespace furrow {
namespace {

using test::pass_through;

const io::Image& astronaut() {
  static const io::Image image = io::read_picture(FURROW_SOURCE_DIR "/examples/astronaut.png").image;
  return image;
}

// Two pictures beside each other, filled up with gray.
io::Image beside(const io::Image& a, const io::Image& b) {
  io::Image out(a.width + b.width, std::max(a.height, b.height), 3);
  std::ranges::fill(out.pixels, uint8_t{128});
  paste(a, {0, 0, a.width, a.height}, out);
  paste(b, {a.width, 0, b.width, b.height}, out);
  return out;
}

bool contains(const Crop& crop, int64_t x, int64_t y) {
  return x >= crop.x && x < crop.x + crop.side_w && y >= crop.y && y < crop.y + crop.side_h;
}

// The seed-like count over the crop, cut, squashed and thresholded by loops; `in` counts model pixels of the photo.
struct Count {
  int64_t marked = 0, in = 0;
};
Count count(const io::Image& photo, const Crop& crop, int64_t size) {
  const io::Image model_sized = io::resize(cut(photo, crop), size, size, io::Filter::lanczos);
  Count c;
  for (int64_t j = 0; j < size; ++j) {
    for (int64_t i = 0; i < size; ++i) {
      const double x = static_cast<double>(crop.x) +
                       (static_cast<double>(i) + 0.5) * static_cast<double>(crop.side_w) / static_cast<double>(size);
      const double y = static_cast<double>(crop.y) +
                       (static_cast<double>(j) + 0.5) * static_cast<double>(crop.side_h) / static_cast<double>(size);
      if (x < 0 || x >= static_cast<double>(photo.width) || y < 0 || y >= static_cast<double>(photo.height)) continue;
      ++c.in;
      c.marked += model_sized.row(j)[3 * i] > 100;
    }
  }
  return c;
}

void expect_consistent(const io::Image& photo, const SegmentResult& result) {
  ASSERT_EQ(result.mask.pixels.size(), static_cast<size_t>(photo.width * photo.height));
  for (int64_t y = 0; y < photo.height; ++y) {
    for (int64_t x = 0; x < photo.width; ++x) {
      bool inside_any = false;
      for (const FaceResult& face : result.faces) inside_any |= contains(face.crop, x, y);
      if (!inside_any) {
        ASSERT_EQ(result.mask.row(y)[x], 0) << x << " " << y;
        ASSERT_EQ(result.probability.row(y)[x], 0) << x << " " << y;
      }
    }
  }
  double sum = 0;
  for (const FaceResult& face : result.faces) {
    const Count want = count(photo, face.crop, result.size);
    EXPECT_DOUBLE_EQ(face.percent_of_crop, 100.0 * static_cast<double>(want.marked) / static_cast<double>(want.in));
    const Crop visible = inside(face.crop, photo.width, photo.height);
    EXPECT_DOUBLE_EQ(face.percent_of_frame, face.percent_of_crop *
                                                static_cast<double>(visible.side_w * visible.side_h) /
                                                static_cast<double>(photo.width * photo.height));
    sum += face.percent_of_frame;
  }
  EXPECT_DOUBLE_EQ(result.percent_of_frame, sum);
}

TEST(FacesRun, TheCropIsCutSegmentedAndMappedBack) {
  Segmenter segmenter(pass_through(), {"ref", 1});
  const SegmentResult result = segmenter.run(astronaut());
  ASSERT_EQ(result.status, SegmentResult::Status::ok);
  ASSERT_EQ(result.faces.size(), 1u);
  const FaceResult& face = result.faces[0];
  ASSERT_TRUE(face.face.has_value());
  EXPECT_EQ(face.crop, face_crop(*face.face, 512, 512));
  EXPECT_GT(face.percent_of_crop, 1);
  EXPECT_LT(face.percent_of_crop, 99);
  expect_consistent(astronaut(), result);
  EXPECT_DOUBLE_EQ(*face.length_per_face_width, face.measures->length / face.face->w);
  EXPECT_DOUBLE_EQ(*face.width_per_face_width, face.measures->mean_width / face.face->w);
  int64_t mask_pixels = 0;
  for (uint8_t m : result.mask.pixels) mask_pixels += m != 0;
  EXPECT_EQ(face.measures->mask_pixels, mask_pixels);
  EXPECT_GT(result.timings.total, 0);
}

TEST(FacesRun, AFaceAtTheBorderCountsOnlyWhatThePhotoShows) {
  const std::vector<Face> found = find_faces(astronaut());
  ASSERT_FALSE(found.empty());
  const Face& f = found[0];
  const Crop tight{static_cast<int64_t>(f.x) - 8, static_cast<int64_t>(f.y) - 8, static_cast<int64_t>(f.w) + 16,
                   static_cast<int64_t>(f.h) + 16};
  const io::Image photo = cut(astronaut(), tight);
  SegmentOptions options;
  options.size = 96;
  Segmenter segmenter(pass_through(), {"ref", 1}, options);
  const SegmentResult result = segmenter.run(photo);
  ASSERT_EQ(result.faces.size(), 1u);
  const Crop& crop = result.faces[0].crop;
  EXPECT_LT(crop.x, 0);
  EXPECT_LT(crop.y, 0);
  EXPECT_GT(crop.x + crop.side_w, photo.width);
  expect_consistent(photo, result);
}

TEST(FacesRun, LargestOrAll) {
  const io::Image small = io::resize(astronaut(), 300, 300, io::Filter::lanczos);
  const io::Image photo = beside(small, astronaut());
  SegmentOptions options;
  Segmenter segmenter(pass_through(), {"ref", 1}, options);
  const SegmentResult one = segmenter.run(photo);
  ASSERT_EQ(one.faces.size(), 1u);
  EXPECT_GT(one.faces[0].face->x, 300);
  expect_consistent(photo, one);
  options.faces = FaceChoice::all;
  segmenter.set_options(options);
  const SegmentResult all = segmenter.run(photo);
  ASSERT_GE(all.faces.size(), 2u);
  EXPECT_GE(all.faces[0].face->w, all.faces[1].face->w);
  expect_consistent(photo, all);
  // The largest face's part is the same either way.
  EXPECT_EQ(all.faces[0].percent_of_crop, one.faces[0].percent_of_crop);
}

TEST(FacesRun, NoFaceIsAStatusWithAnEmptyMask) {
  io::Image noise(400, 300, 3);
  uint32_t state = 5;
  for (uint8_t& v : noise.pixels) v = static_cast<uint8_t>((state = state * 1664525u + 1013904223u) >> 24);
  for (const bool tile : {false, true}) {
    SegmentOptions options;
    options.tile = tile;
    Segmenter segmenter(pass_through(), {"ref", 1}, options);
    const SegmentResult result = segmenter.run(noise);
    EXPECT_EQ(result.status, SegmentResult::Status::no_face);
    EXPECT_TRUE(result.faces.empty());
    EXPECT_EQ(result.percent_of_frame, 0);
    EXPECT_EQ(result.mask.pixels, std::vector<uint8_t>(400 * 300));
    EXPECT_EQ(result.width, 400);
  }
}

TEST(FacesRun, TilesKeepSmallFacesAtTheirSizeAndBringLargeOnesToTheModels) {
  SegmentOptions options;
  options.tile = true;
  options.size = 48;  // windows smaller than the model's 64: the crop takes several
  Segmenter segmenter(pass_through(), {"ref", 1}, options);
  const SegmentResult large = segmenter.run(astronaut());
  ASSERT_EQ(large.faces.size(), 1u);
  const Crop crop = large.faces[0].crop;
  ASSERT_GT(crop.side_w, 64);
  // Counted on the crop reduced to 64 x 64, whatever the windows: boxes are resized apart, so a gray level may differ.
  const Count want = count(astronaut(), crop, 64);
  EXPECT_NEAR(large.faces[0].percent_of_crop, 100.0 * static_cast<double>(want.marked) / static_cast<double>(want.in),
              0.5);

  test::PassThrough p;
  p.info.size = 512;  // larger than the crop: not enlarged, so the mask is the threshold of the photo itself
  Segmenter whole(pass_through(p), {"cpu", 1}, [&] {
    SegmentOptions o;
    o.tile = true;
    return o;
  }());
  const SegmentResult small = whole.run(astronaut());
  ASSERT_LT(crop.side_w, 512);
  for (int64_t y = crop.y; y < crop.y + crop.side_h; ++y) {
    for (int64_t x = crop.x; x < crop.x + crop.side_w; ++x) {
      if (x < 0 || y < 0 || x >= 512 || y >= 512) continue;
      ASSERT_EQ(small.mask.row(y)[x] != 0, astronaut().row(y)[3 * x] > 100);
    }
  }
}

TEST(FacesRun, TheDefaultModelMarksTheFaceAndNothingElse) {
  Segmenter segmenter(std::make_shared<Model>(Model::load(test::kMiniNative)), {"cpu", 0});
  const SegmentResult result = segmenter.run(astronaut());
  ASSERT_EQ(result.faces.size(), 1u);
  const FaceResult& face = result.faces[0];
  EXPECT_GT(face.percent_of_crop, 0.05);
  EXPECT_LT(face.percent_of_crop, 10);
  EXPECT_GT(face.measures->count, 0);
  for (int64_t y = 0; y < 512; ++y) {
    for (int64_t x = 0; x < 512; ++x) {
      if (result.mask.row(y)[x] != 0) { ASSERT_TRUE(contains(face.crop, x, y)); }
    }
  }
}

TEST(FacesRun, PortraitsHaveAFaceAndMarksOnlyInItsCrop) {
  const std::filesystem::path folder = FURROW_SHARED "/data/portraits";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "the portraits are not here";
  SegmentOptions options;
  options.measures = false;
  Segmenter segmenter(std::make_shared<Model>(Model::load(test::kMiniNative)), {"cpu", 0}, options);
  int portraits = 0, faces = 0, marked = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(folder)) {
    if (file.path().extension() != ".jpg" && file.path().extension() != ".png") continue;
    ++portraits;
    const SegmentResult result = segmenter.run(io::read_picture(file.path().string()));
    if (result.status != SegmentResult::Status::ok) continue;
    ++faces;
    bool any = false;
    for (int64_t y = 0; y < result.height; ++y) {
      for (int64_t x = 0; x < result.width; ++x) {
        if (result.mask.row(y)[x] == 0) continue;
        any = true;
        ASSERT_TRUE(contains(result.faces[0].crop, x, y)) << file.path();
      }
    }
    marked += any;
  }
  EXPECT_EQ(portraits, 43);
  EXPECT_GE(faces, 42);
  EXPECT_GE(marked, 38);  // members of congress have wrinkles; a few photos are small or smooth
}

}  // namespace
}  // namespace furrow
