// Properties of the finder that need no reference: small and empty pictures, channels, threads, instruction sets, size.
#include "segment/faces.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>

#include "kernels/error.h"
#include "segment/cascade.h"
#include "segment/cascade_pyramid.h"
#include "segment/cascade_scan.h"
#include "segment/gray.h"
#include "support.h"

namespace furrow::faces_test {
namespace {

TEST(Cascade, TableIsWhole) {
  const Cascade& cascade = frontal_face_cascade();
  EXPECT_EQ(cascade.window, 24);
  ASSERT_EQ(cascade.stages.size(), 25u);
  ASSERT_EQ(cascade.stumps.size(), 2913u);
  EXPECT_EQ(cascade.stages[0].count, 9);
  EXPECT_EQ(cascade.stages[24].first + cascade.stages[24].count, 2913);
  EXPECT_FLOAT_EQ(cascade.stages[0].threshold, -5.0425500869750977f - 1e-5f);
  EXPECT_EQ(cascade.stumps[0].left, 2.0875380039215088f);
  EXPECT_EQ(cascade.stumps[0].rect[0].w, 12);
  EXPECT_EQ(cascade.stumps[2912].rect[2].y, 12);
  for (const CascadeStump& s : cascade.stumps) {
    // A feature is blind to brightness: its weights times areas add up to 0.
    float sum = 0;
    for (int r = 0; r < 3; ++r) sum += static_cast<float>(s.weight[r]) * static_cast<float>(s.rect[r].w * s.rect[r].h);
    ASSERT_EQ(sum, 0);
  }
  EXPECT_NE(frontal_face_cascade_notice().find("Intel License Agreement"), std::string_view::npos);
}

TEST(Faces, TinyPicturesHaveNone) {
  for (int64_t side : {0, 1, 2, 23, 24, 29, 30, 31, 32, 33})
    EXPECT_TRUE(find_faces(noise_picture(side, side, 3)).empty()) << side;
  EXPECT_TRUE(find_faces(noise_picture(4000, 1, 3)).empty());
  EXPECT_TRUE(find_faces(noise_picture(1, 4000, 3)).empty());
}

TEST(Faces, FlatPicturesHaveNone) {
  for (uint8_t value : {0, 128, 255}) {
    io::Image flat(300, 200, 3);
    std::fill(flat.pixels.begin(), flat.pixels.end(), value);
    EXPECT_TRUE(find_faces(flat).empty());
  }
}

TEST(Faces, GrayAndRgbAgree) {
  const std::vector<Face> rgb = find_faces(astronaut()), gray = find_faces(gray_of(astronaut()));
  ASSERT_EQ(rgb.size(), 1u);
  EXPECT_EQ(as_golden(rgb), as_golden(gray));
  EXPECT_EQ(rgb[0].score, gray[0].score);
}

TEST(Faces, ScoreIsAboveTheLastThreshold) {
  const Cascade& cascade = frontal_face_cascade();
  for (const Face& face : find_faces(made_picture("tiles:3"))) EXPECT_GE(face.score, cascade.stages.back().threshold);
}

TEST(Faces, LargestFirstAndInsideThePhoto) {
  const io::Image picture = made_picture("tiles:2");
  const std::vector<Face> faces = find_faces(picture);
  ASSERT_GE(faces.size(), 4u);
  for (size_t i = 0; i < faces.size(); ++i) {
    if (i > 0) { EXPECT_GE(faces[i - 1].w * faces[i - 1].h, faces[i].w * faces[i].h); }
    EXPECT_GE(faces[i].x, 0);
    EXPECT_GE(faces[i].y, 0);
    EXPECT_LE(faces[i].x + faces[i].w, 512);
    EXPECT_LE(faces[i].y + faces[i].h, 512);
  }
}

TEST(Faces, ThreadsDoNotShow) {
  const io::Image picture = made_picture("tiles:3");
  const std::vector<Face> alone = find_faces(picture);
  ASSERT_FALSE(alone.empty());
  for (int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    const std::vector<Face> faces = find_faces(picture, {}, &pool);
    EXPECT_EQ(as_golden(faces), as_golden(alone)) << threads;
    for (size_t i = 0; i < faces.size(); ++i) EXPECT_EQ(faces[i].score, alone[i].score);
  }
}

TEST(Faces, BadOptionsAreRefused) {
  EXPECT_THROW(find_faces(astronaut(), {.scale = 1.0}), Error);
  EXPECT_THROW(find_faces(astronaut(), {.min_side = 0}), Error);
  EXPECT_THROW(find_faces(astronaut(), {.neighbours = -1}), Error);
}

// Every instruction set finds the same windows with the same scores.
TEST(Scan, InstructionSetsAgree) {
  if (best_scan_isa() == ScanIsa::portable) GTEST_SKIP() << "only the portable loops run here";
  const GrayPicture picture = to_gray(astronaut());
  int hits_seen = 0;
  for (const PyramidLevel& level : pyramid_levels(512, 512, 24, 1.1, 30)) {
    IntegralBand band;
    band.stride = (level.width + 2) / 2 * 2;
    band.step = level.step;
    BandScratch scratch;
    integrate_band(picture, level, linear_axis(512, level.width), linear_axis(512, level.height), 0, level.height,
                   scratch, band);
    const CascadeTable table(frontal_face_cascade(), band.stride, band.step);
    ScanScratch scan;
    std::vector<CascadeHit> hits[2];
    scan_band(table, band, level.end_y, level.columns, scan, hits[0], ScanIsa::portable);
    scan_band(table, band, level.end_y, level.columns, scan, hits[1], ScanIsa::avx2);
    ASSERT_EQ(hits[0].size(), hits[1].size()) << level.scale;
    for (size_t i = 0; i < hits[0].size(); ++i) {
      EXPECT_EQ(hits[0][i].row, hits[1][i].row);
      EXPECT_EQ(hits[0][i].column, hits[1][i].column);
      EXPECT_EQ(hits[0][i].score, hits[1][i].score);
    }
    hits_seen += static_cast<int>(hits[0].size());
  }
  EXPECT_GT(hits_seen, 30);
}

// The fixed-point sums of the vector loops stay within the doubt of the exact ones, on windows of real pixels and
// noise.
TEST(Scan, FixedPointErrorStaysWithinTheDoubt) {
  for (const io::Image& photo : {gray_of(astronaut()), noise_picture(200, 100, 5)}) {
    const GrayPicture picture = to_gray(photo);
    PyramidLevel level;
    level.width = picture.width, level.height = 60;
    IntegralBand band;
    band.stride = (level.width + 2) / 2 * 2;
    BandScratch scratch;
    integrate_band(picture, level, linear_axis(picture.width, level.width), linear_axis(60, 60), 0, 60, scratch, band);
    const CascadeTable table(frontal_face_cascade(), band.stride, 1);
    const CascadeLoops& loops = cascade_loops(best_scan_isa());
    const size_t columns = static_cast<size_t>(level.width - 23);
    std::vector<float> norm(columns);
    std::vector<int32_t> votes(columns);
    loops.normalise(band.sum_row(30), band.square_row(30), table.inner(), table.inner_area(), static_cast<int>(columns),
                    norm.data());
    for (const CascadeTable::Stage& stage : table.stages()) {
      loops.vote_row(table.stumps(stage), stage.count, band.sum_row(30), norm.data(), static_cast<int>(columns),
                     votes.data());
      for (size_t x = 0; x < columns; ++x) {
        if (norm[x] < 0) continue;
        const double exact =
            (exact_votes(table, stage, band.sum_row(30) + x, norm[x]) - static_cast<double>(stage.threshold)) *
            kVoteOne;
        ASSERT_LE(std::fabs(votes[x] - stage.fixed_threshold - exact), stage.doubt) << x;
      }
    }
  }
}

TEST(Gray, ReductionFactorIsTheSmallestThatFits) {
  EXPECT_EQ(reduction_factor(0, 0), 1);
  EXPECT_EQ(reduction_factor(1500, 1500), 1);
  EXPECT_EQ(reduction_factor(970, 2204), 1);
  EXPECT_EQ(reduction_factor(1501, 1500), 2);
  EXPECT_EQ(reduction_factor(4000, 3000), 3);
  EXPECT_EQ(reduction_factor(16384, 16384), 11);
  EXPECT_EQ(reduction_factor(5, 5, 9), 2);
}

TEST(Gray, ReducedPixelsAreRoundedMeans) {
  io::Image photo(5, 3, 1);
  photo.pixels = {0, 1, 10, 20, 7, 1, 1, 30, 41, 8, 100, 101, 200, 201, 9};
  const GrayPicture gray = to_gray(photo, 2);
  EXPECT_EQ(gray.width, 3);
  EXPECT_EQ(gray.height, 2);
  // (0+1+1+1)/4 = 0.75, (10+20+30+41)/4 = 25.25, (7+8)/2 = 7.5 up; below: one row is left.
  EXPECT_EQ(gray.pixels, (std::vector<uint8_t>{1, 25, 8, 101, 201, 9}));
}

// A large photo is searched on a reduced picture: the box comes back in its own pixels, and memory stays small.
TEST(Faces, LargePhotosAreReduced) {
  const io::Image whole = made_picture("whole");
  const int64_t factor = 12;
  io::Image photo(whole.width * factor, whole.height * factor, 1);  // 38 MB
  for (int64_t y = 0; y < photo.height; ++y)
    for (int64_t x = 0; x < photo.width; ++x) photo.row(y)[x] = whole.row(y / factor)[x / factor];
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  const std::vector<Face> faces = find_faces(photo);
  getrusage(RUSAGE_SELF, &after);
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 40 * 1024);  // KiB; the pixels are there already
  const Face reference = find_faces(whole).front();
  ASSERT_FALSE(faces.empty());
  // Searched at 5 pixels to 1, so at another size than the reference: within a tenth of the box.
  const double room = 0.1 * static_cast<double>(factor) * reference.w;
  EXPECT_NEAR(faces[0].x, reference.x * static_cast<double>(factor), room);
  EXPECT_NEAR(faces[0].y, reference.y * static_cast<double>(factor), room);
  EXPECT_NEAR(faces[0].w, reference.w * static_cast<double>(factor), room);
}

}  // namespace
}  // namespace furrow::faces_test
