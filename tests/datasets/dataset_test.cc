// Samples of one size from files: the seed's path against the libraries it used, the plain path, textures, the cache.
#include "data/dataset.h"

#include <gtest/gtest.h>

#include <sstream>
#include <thread>

#include "io/resize.h"
#include "kernels/error.h"
#include "made_files.h"

namespace furrow::data {
namespace {

using namespace test;  // NOLINT

struct Files {
  TempFolder folder;
  std::vector<PairFiles> pairs;
  void add(const std::string& id, const io::Image& image, const io::Image& mask) {
    folder.write("images/" + id + ".png", image);
    folder.write("masks/" + id + ".png", mask);
    pairs.push_back({id, folder.path("images/" + id + ".png"), folder.path("masks/" + id + ".png"), ""});
  }
};

DatasetOptions sized(int64_t width, int64_t height, ResizePath path = ResizePath::plain) {
  DatasetOptions o;
  o.width = width;
  o.height = height;
  o.path = path;
  return o;
}

TEST(Dataset, SeedsPathIsPillowThenOpencv) {
  for (const std::string& line : golden("seed")) {
    std::istringstream in(line);
    int64_t iw = 0, ih = 0, mw = 0, mh = 0, width = 0, height = 0;
    uint64_t seed = 0;
    bool dilate = false;
    std::string image, mask;
    in >> iw >> ih >> mw >> mh >> width >> height >> seed >> dilate >> image >> mask;
    ASSERT_TRUE(static_cast<bool>(in)) << line;
    Files files;
    files.add("1", photo(iw, ih, seed), sparse(mw, mh, 7));
    DatasetOptions o = sized(width, height, ResizePath::seed);
    o.rule.dilate = dilate;
    const Sample sample = Dataset(files.pairs, o).load(0);
    EXPECT_EQ(sample.image.width, width);
    EXPECT_EQ(digest(sample.image.pixels), image) << line;
    EXPECT_EQ(digest(sample.target.pixels), mask) << line;
  }
}

TEST(Dataset, PlainPathIsPillows) {
  Files files;
  files.add("1", photo(60, 40, 4), sparse(120, 80, 1));
  const Sample sample = Dataset(files.pairs, sized(32, 32)).load(0);
  EXPECT_EQ(sample.id, "1");
  EXPECT_EQ(sample.image.pixels, io::resize(photo(60, 40, 4), 32, 32, io::Filter::lanczos).pixels);
  EXPECT_EQ(sample.target.pixels, io::resize(sparse(120, 80, 1), 32, 32, io::Filter::nearest).pixels);
  EXPECT_EQ(sample.texture.width, 0);
}

TEST(Dataset, WeakTargetsAreSmoothed) {
  Files files;
  io::Image weak(64, 64, 1);
  weak.pixels = noise(weak.pixels.size(), 4);
  files.add("1", photo(64, 64, 4), weak);
  DatasetOptions o = sized(32, 32);
  o.rule.kind = MaskKind::weak;
  o.filter = io::Filter::bilinear;
  EXPECT_EQ(Dataset(files.pairs, o).load(0).target.pixels, io::resize(weak, 32, 32, io::Filter::bilinear).pixels);
}

TEST(Dataset, TexturesGoTheImagesWay) {
  Files files;
  files.add("1", photo(40, 40, 4), sparse(40, 40, 1));
  files.folder.write("t.png", sparse(40, 40, 9));
  files.pairs[0].texture = files.folder.path("t.png");
  const Dataset dataset(files.pairs, sized(20, 20));
  EXPECT_TRUE(dataset.has_textures());
  EXPECT_EQ(dataset.load(0).texture.pixels, io::resize(sparse(40, 40, 9), 20, 20, io::Filter::lanczos).pixels);
}

// Computed of the photo as stored, with the Gaussian in proportion to it, and resized like one from a file.
TEST(Dataset, TexturesAreComputedAsTheFourthChannel) {
  for (const io::TextureRecipe recipe : {io::TextureRecipe::authors, io::TextureRecipe::closest}) {
    Files files;
    files.add("1", photo(256, 192, 4), sparse(256, 192, 1));
    DatasetOptions o = sized(20, 20);
    o.texture = io::TextureOptions{.recipe = recipe, .sigma = 5};
    const Dataset dataset(files.pairs, o);
    EXPECT_TRUE(dataset.has_textures());
    const Sample sample = dataset.load(0);
    const io::Image map = io::texture_map(photo(256, 192, 4), {.recipe = recipe, .sigma = 1.25});
    EXPECT_EQ(sample.texture.pixels, io::resize(map, 20, 20, io::Filter::lanczos).pixels);
    EXPECT_EQ(sample.target.pixels, io::resize(sparse(256, 192, 1), 20, 20, io::Filter::nearest).pixels);
  }
}

// Outside skin and nose the map is 0, and the blur has seen what is there: texture first, mask after (H.2).
TEST(Dataset, ComputedTexturesKeepToTheLabels) {
  Files files;
  files.folder.write("p.png", photo(128, 128, 4));
  std::vector<uint8_t> numbers(64 * 64, 17);
  for (size_t i = 0; i < 1000; ++i) numbers[i] = i % 2 ? 1 : 10;
  files.folder.write("l.png", gray(64, 64, numbers));
  files.pairs.push_back({"p", files.folder.path("p.png"), "", files.folder.path("l.png")});
  DatasetOptions o = sized(128, 128);
  o.rule.kind = MaskKind::weak;
  o.texture = io::TextureOptions{.sigma = 8};
  o.texture_is_target = true;
  const Dataset dataset(files.pairs, o);
  EXPECT_FALSE(dataset.has_textures());
  const Sample sample = dataset.load(0);
  EXPECT_EQ(sample.texture.width, 0);
  const io::Image map = io::texture_map(photo(128, 128, 4), {.sigma = 1});
  for (int64_t y = 0; y < 128; ++y)
    for (int64_t x = 0; x < 128; ++x)
      ASSERT_EQ(sample.target.row(y)[x], y / 2 * 64 + x / 2 < 1000 ? map.row(y)[x] : 0) << x << " " << y;
  files.folder.write("l.png", gray(64, 32, std::vector<uint8_t>(64 * 32, 1)));
  try {
    Dataset(files.pairs, o).load(0);
    ADD_FAILURE() << "a label map of other proportions";
  } catch (const Error& error) {
    EXPECT_NE(error.line().find("l.png: the label map is 64x32, its photo 128x128"), std::string::npos) << error.line();
  }
}

TEST(Dataset, ErrorsNameTheFile) {
  Files files;
  files.add("size", photo(20, 20, 4), sparse(40, 20, 1));
  files.add("value", photo(20, 20, 4), gray(20, 20, std::vector<uint8_t>(400, 9)));
  files.add("scale", photo(20, 20, 4), sparse(40, 40, 1));
  const auto refusal = [&](int64_t i, ResizePath path) {
    try {
      Dataset(files.pairs, sized(20, 20, path)).load(i);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::malformed);
      return error.line();
    }
    ADD_FAILURE() << "accepted";
    return std::string();
  };
  EXPECT_NE(refusal(0, ResizePath::plain).find("size.png: the mask is 40x20, its photo 20x20"), std::string::npos);
  EXPECT_NE(refusal(1, ResizePath::plain).find("value.png"), std::string::npos);
  EXPECT_NE(refusal(2, ResizePath::none).find("scale.png"), std::string::npos);
  files.folder.write("images/scale.png", std::string("BM"));
  EXPECT_THROW(Dataset(files.pairs, sized(20, 20)).load(2), Error);
  EXPECT_THROW(Dataset(files.pairs, sized(20, 20)).load(3), Error);
  DatasetOptions wrong = sized(20, 20);
  wrong.rule.kind = MaskKind::values;
  EXPECT_THROW(Dataset(files.pairs, wrong), Error);
}

TEST(Dataset, CacheStaysWithinItsBytesAndChangesNothing) {
  Files files;
  for (int i = 0; i < 6; ++i) files.add(std::to_string(i), photo(16, 16, static_cast<uint64_t>(i)), sparse(16, 16, 1));
  DatasetOptions o = sized(16, 16);
  o.cache_bytes = 4000;  // each sample has 1024 bytes of pixels
  const Dataset dataset(files.pairs, o);
  for (int round = 0; round < 3; ++round)
    for (int i = 0; i < 6; ++i) EXPECT_EQ(dataset.load(i).image.pixels, photo(16, 16, static_cast<uint64_t>(i)).pixels);
  EXPECT_LE(dataset.cached_bytes(), 4000u);
  EXPECT_GT(dataset.cached_bytes(), 2048u);
  EXPECT_GT(dataset.cache_hits(), 3);
  Sample first = dataset.load(0);
  first.image.pixels.assign(first.image.pixels.size(), 7);  // a copy: what is kept stays as it was
  EXPECT_EQ(dataset.load(0).image.pixels, photo(16, 16, 0).pixels);
}

TEST(Dataset, ManyThreadsMayLoad) {
  Files files;
  for (int i = 0; i < 8; ++i) files.add(std::to_string(i), photo(16, 16, static_cast<uint64_t>(i)), sparse(16, 16, 1));
  const Dataset dataset(files.pairs, sized(16, 16));
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (size_t t = 0; t < wrong.size(); ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 64; ++i)
        wrong[t] += dataset.load(i % 8).image.pixels != photo(16, 16, static_cast<uint64_t>(i % 8)).pixels;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4));
}

TEST(Dataset, PositionsOfIds) {
  Files files;
  files.add("a", photo(4, 4, 2), sparse(4, 4, 1));
  files.add("b", photo(4, 4, 2), sparse(4, 4, 1));
  const Dataset dataset(files.pairs, sized(4, 4));
  EXPECT_EQ(dataset.positions({"b", "a"}), (std::vector<int64_t>{1, 0}));
  EXPECT_THROW(dataset.positions({"c"}), Error);
}

}  // namespace
}  // namespace furrow::data
