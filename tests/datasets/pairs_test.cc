// Which files belong together, and every reason why some do not (cases 326 to 330 of the test plan).
#include "data/pairs.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "data/pairs_header.h"
#include "io/picture.h"
#include "kernels/error.h"
#include "made_files.h"

namespace furrow::data {
namespace {

using namespace test;  // NOLINT
namespace fs = std::filesystem;

PairOptions options(const TempFolder& folder, PairCheck check = PairCheck::masks) {
  PairOptions o;
  o.images = folder.path("images");
  o.masks = folder.path("masks");
  o.check = check;
  return o;
}

void add_pair(const TempFolder& folder, const std::string& image, const std::string& mask, int64_t side = 8) {
  folder.write("images/" + image, photo(side, side, 2));
  folder.write("masks/" + mask, sparse(side, side, 1));
}

// The lines of the error that find_pairs() throws.
std::vector<std::string> refusals(const PairOptions& o, ThreadPool* pool = nullptr) {
  try {
    find_pairs(o, pool);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::malformed) << error.line();
    EXPECT_NE(error.line().find(std::to_string(error.detail_lines().size()) + " finding"), std::string::npos);
    return error.detail_lines();
  }
  ADD_FAILURE() << "accepted";
  return {};
}

bool mentions(const std::vector<std::string>& lines, const std::string& a, const std::string& b = "") {
  return std::ranges::any_of(lines, [&](const std::string& line) {
    return line.find(a) != std::string::npos && line.find(b) != std::string::npos;
  });
}

std::vector<std::string> ids(const Pairing& pairing) {
  std::vector<std::string> found;
  for (const PairFiles& pair : pairing.pairs) found.push_back(pair.id);
  return found;
}

TEST(Pairs, FlatFoldersPairByStemInBytewiseOrder) {
  const TempFolder folder;
  add_pair(folder, "b.png", "b.png");
  add_pair(folder, "a10.png", "a10.png");
  add_pair(folder, "a2.PNG", "a2.png");
  add_pair(folder, "B.png", "B.png");
  folder.write("images/notes.txt", std::string("no picture"));
  folder.write("masks/.hidden.png", std::string("no picture"));
  const Pairing pairing = find_pairs(options(folder));
  EXPECT_EQ(ids(pairing), (std::vector<std::string>{"B", "a10", "a2", "b"}));
  EXPECT_EQ(pairing.pairs[2].image, folder.path("images/a2.PNG"));
  EXPECT_TRUE(pairing.warnings.empty());
  EXPECT_EQ(pairing.target_pixels[0] + pairing.target_pixels[255], 4u * 64);
  EXPECT_GT(pairing.target_pixels[255], 0u);
}

// FFHQ's photos lie in thousands, FFHQ-Wrinkle's manual masks flat and its weak masks in thousands again.
TEST(Pairs, ThousandsOnEitherSide) {
  const TempFolder folder;
  add_pair(folder, "00000/00042.png", "00042.png");
  add_pair(folder, "01000/01001.png", "01001.png");
  folder.write("weak/00000/00042.png", sparse(8, 8, 3));
  folder.write("weak/01000/01001.png", sparse(8, 8, 3));
  PairOptions o = options(folder, PairCheck::all);
  o.textures = folder.path("weak");
  const Pairing pairing = find_pairs(o);
  ASSERT_EQ(ids(pairing), (std::vector<std::string>{"00042", "01001"}));
  EXPECT_EQ(pairing.pairs[0].image, folder.path("images/00000/00042.png"));
  EXPECT_EQ(pairing.pairs[1].mask, folder.path("masks/01001.png"));
  EXPECT_EQ(pairing.pairs[1].texture, folder.path("weak/01000/01001.png"));
}

TEST(Pairs, EveryOrphanIsNamed) {
  const TempFolder folder;
  add_pair(folder, "1.png", "1.png");
  for (int i = 2; i < 40; ++i) folder.write("images/" + std::to_string(i) + ".png", photo(8, 8, 2));
  folder.write("masks/x.png", sparse(8, 8, 1));
  const auto lines = refusals(options(folder));
  EXPECT_EQ(lines.size(), 39u);
  EXPECT_TRUE(mentions(lines, "images/39.png", "photo without a mask"));
  EXPECT_TRUE(mentions(lines, "masks/x.png", "mask without a photo"));
  PairOptions o = options(folder);
  o.photo_without_mask = Policy::accept;
  o.mask_without_photo = Policy::warn;
  const Pairing pairing = find_pairs(o);
  EXPECT_EQ(pairing.pairs.size(), 1u);
  ASSERT_EQ(pairing.warnings.size(), 1u);
  EXPECT_NE(pairing.warnings[0].find("x.png"), std::string::npos);
}

// Case 326.
TEST(Pairs, MaskOfAnotherSizeIsNamedWithBothSizes) {
  const TempFolder folder;
  folder.write("images/1.png", photo(8, 9, 2));
  folder.write("masks/1.png", sparse(16, 18, 1));
  for (const PairCheck check : {PairCheck::headers, PairCheck::all})
    EXPECT_TRUE(mentions(refusals(options(folder, check)), "masks/1.png", "the mask is 16x18, its photo 8x9"));
  PairOptions o = options(folder);
  o.other_size = Policy::warn;
  EXPECT_EQ(find_pairs(o).pairs.size(), 1u);
  EXPECT_EQ(find_pairs(o).warnings.size(), 1u);
  EXPECT_EQ(find_pairs(options(folder, PairCheck::names)).pairs.size(), 1u);
  folder.write("masks/1.png", sparse(18, 16, 1));  // lies on its side: no policy makes sense of it
  EXPECT_TRUE(mentions(refusals(o), "masks/1.png", "not the other at another scale"));
}

// Cases 327 and 328.
TEST(Pairs, ColourMasksAndStrangeValuesAreNamed) {
  const TempFolder folder;
  add_pair(folder, "1.png", "1.png");
  add_pair(folder, "2.png", "2.png");
  add_pair(folder, "3.png", "3.png");
  folder.write("masks/2.png", photo(8, 8, 2));
  folder.write("masks/3.png", gray(8, 8, std::vector<uint8_t>(64, 254)));
  const auto lines = refusals(options(folder));
  EXPECT_EQ(lines.size(), 2u);
  EXPECT_TRUE(mentions(lines, "masks/2.png", "a colour picture says nothing"));
  EXPECT_TRUE(mentions(lines, "masks/3.png", "value 254 (64 pixels)"));
  PairOptions o = options(folder);
  o.rule.kind = MaskKind::threshold;
  o.rule.luma = true;
  EXPECT_EQ(find_pairs(o).pairs.size(), 3u);
}

TEST(Pairs, StrangeValuesAsAWarningLeaveThePairOut) {
  const TempFolder folder;
  add_pair(folder, "1.png", "1.png");
  add_pair(folder, "2.png", "2.png");
  folder.write("masks/2.png", gray(8, 8, std::vector<uint8_t>(64, 9)));
  PairOptions o = options(folder);
  o.strange_value = Policy::warn;
  EXPECT_EQ(ids(find_pairs(o)), std::vector<std::string>{"1"});
}

// A PNG whose eXIf chunk says `orientation`: the chunk is put behind IHDR (signature 8 bytes, IHDR 25).
std::vector<std::byte> turned(const io::Image& image, char orientation) {
  std::vector<std::byte> png = io::encode_png(image);
  std::string chunk(
      "\0\0\0\x1a"
      "eXIf"
      "II*\0\x8\0\0\0\1\0\x12\1\3\0\1\0\0\0\1\0\0\0\0\0\0\0",
      34);
  chunk[26] = orientation;
  uint32_t crc = 0xffffffff;  // W3C PNG, annex D
  for (size_t i = 4; i < chunk.size(); ++i) {
    crc ^= static_cast<uint8_t>(chunk[i]);
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
  }
  crc = ~crc;
  for (int shift = 24; shift >= 0; shift -= 8) chunk += static_cast<char>(crc >> shift & 255);
  const auto bytes = std::as_bytes(std::span(chunk));
  png.insert(png.begin() + 33, bytes.begin(), bytes.end());
  return png;
}

// Case 330 (329 in the picture tests): upright the sizes fit, but nobody knows what the annotator saw.
TEST(Pairs, PhotoThatExifTurnsIsRefused) {
  const TempFolder folder;
  folder.write("images/1.png", turned(photo(9, 8, 2), 6));
  folder.write("masks/1.png", sparse(8, 9, 1));
  EXPECT_EQ(read_picture_header(folder.path("images/1.png")).upright_width(), 8);
  for (const PairCheck check : {PairCheck::headers, PairCheck::all}) {
    const auto lines = refusals(options(folder, check));
    EXPECT_EQ(lines.size(), 1u);
    EXPECT_TRUE(mentions(lines, "images/1.png", "orientation 6"));
  }
  folder.write("images/1.png", turned(photo(8, 9, 2), 1));
  EXPECT_EQ(find_pairs(options(folder, PairCheck::all)).pairs.size(), 1u);
}

// Case 330.
TEST(Pairs, DuplicateStemsAreNamedWithAllTheirFiles) {
  const TempFolder folder;
  add_pair(folder, "00001.png", "00001.png");
  folder.write("images/00000/00001.png", photo(8, 8, 2));
  folder.write("images/01000/00001.jpg", photo(8, 8, 2));
  const auto lines = refusals(options(folder));
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("3 files are photo 00001"), std::string::npos);
  EXPECT_NE(lines[0].find("01000/00001.jpg"), std::string::npos);
}

TEST(Pairs, StemToTheFirstDotAsTheSeedHasIt) {
  const TempFolder folder;
  add_pair(folder, "00001.crop.png", "00001.mask.png");
  EXPECT_EQ(refusals(options(folder)).size(), 2u);
  PairOptions o = options(folder);
  o.stem = Stem::first_dot;
  EXPECT_EQ(ids(find_pairs(o)), std::vector<std::string>{"00001"});
}

TEST(Pairs, BrokenFilesAreNamedOnceEach) {
  const TempFolder folder;
  for (const char* name : {"1.png", "2.png", "3.png", "4.png", "5.png"}) add_pair(folder, name, name);
  folder.write("masks/2.png", std::string());
  folder.write("images/3.png", std::string("GIF89a"));
  auto damaged = io::encode_png(photo(8, 8, 2));
  damaged[damaged.size() - 13] ^= std::byte{1};  // in front of IEND's 12 bytes: checksum of the pixels
  folder.write("images/4.png", damaged);
  folder.write("images/5.png", std::span(damaged).first(20));
  const auto lines = refusals(options(folder, PairCheck::all));
  EXPECT_EQ(lines.size(), 4u);
  EXPECT_TRUE(mentions(lines, "masks/2.png", "empty"));
  EXPECT_TRUE(mentions(lines, "images/3.png", "GIF"));
  EXPECT_TRUE(mentions(lines, "images/4.png", "CRC"));
  EXPECT_TRUE(mentions(lines, "images/5.png", "cut"));
  EXPECT_EQ(refusals(options(folder, PairCheck::headers)).size(), 3u);
}

TEST(Pairs, FoldersWithoutPicturesAndWithoutPairsSaySo) {
  const TempFolder folder;
  fs::create_directories(folder.path("images"));
  fs::create_directories(folder.path("masks/train"));
  const auto lines = refusals(options(folder));
  EXPECT_TRUE(mentions(lines, "images", "no photo"));
  EXPECT_TRUE(mentions(lines, "masks", "no mask"));
  PairOptions o = options(folder);
  o.images = folder.path("absent");
  EXPECT_THROW(find_pairs(o), Error);
  o.images = o.masks = folder.path("both");
  folder.write("both/1.png", sparse(8, 8, 1));
  EXPECT_TRUE(mentions(refusals(o), "both", "one folder"));
}

TEST(Pairs, PicturesOfOtherKindsAndOtherFoldersAreWarnedOf) {
  const TempFolder folder;
  add_pair(folder, "1.png", "1.png");
  folder.write("masks/2.bmp", std::string("BM"));
  fs::create_directories(folder.path("images/old"));
  const Pairing pairing = find_pairs(options(folder));
  EXPECT_TRUE(mentions(pairing.warnings, "masks/2.bmp", "not read"));
  EXPECT_TRUE(mentions(pairing.warnings, "images/old", "not searched"));
}

// Entries under a picture's name that are no files would otherwise look like photos without a mask, or like nothing.
TEST(Pairs, LinksToNothingAndPipesAreNamed) {
  const TempFolder folder;
  folder.write("photos/a.png", photo(8, 8, 2));
  folder.write("masks/a.png", sparse(8, 8, 1));
  std::filesystem::create_symlink("gone.png", folder.path("photos/b.png"));
  std::filesystem::create_symlink("gone.txt", folder.path("photos/readme.txt"));              // no picture's name
  std::filesystem::create_symlink(folder.path("photos/a.png"), folder.path("photos/c.png"));  // a file, by a link
  std::filesystem::create_symlink(folder.path("masks/a.png"), folder.path("masks/c.png"));
  ASSERT_EQ(mkfifo(folder.path("masks/d.png").c_str(), 0600), 0);
  PairOptions o;
  o.images = folder.path("photos");
  o.masks = folder.path("masks");
  o.check = PairCheck::names;
  const Pairing pairing = find_pairs(o);
  EXPECT_EQ(pairing.pairs.size(), 2u);
  const std::vector<std::string> expected = {folder.path("photos/b.png") + ": a link to a file that is not there",
                                             folder.path("masks/d.png") + ": a pipe, not a file"};
  EXPECT_EQ(pairing.warnings, expected);
  o.unread_file = Policy::refuse;
  EXPECT_THROW(find_pairs(o), Error);
}

// Where the target is computed there is no folder of masks: every photo is an example.
TEST(Pairs, WithoutAFolderOfMasksEveryPhotoIsAnExample) {
  const TempFolder folder;
  folder.write("photos/a.png", photo(8, 8, 2));
  folder.write("photos/b.png", photo(12, 8, 3));
  folder.write("labels/a.png", sparse(4, 4, 1));
  PairOptions o;
  o.images = folder.path("photos");
  const Pairing all = find_pairs(o);
  EXPECT_EQ(ids(all), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(all.pairs[0].mask, "");
  o.textures = folder.path("labels");
  EXPECT_TRUE(mentions(refusals(o), "photos/b.png", "without a texture map"));
  EXPECT_TRUE(mentions(refusals(o), "labels/a.png", "is 4x4, its photo 8x8"));
  o.mask_without_photo = o.other_size = Policy::accept;
  EXPECT_EQ(ids(find_pairs(o)), std::vector<std::string>{"a"});
}

TEST(Pairs, ReportIsTheSameForAnyNumberOfThreads) {
  const TempFolder folder;
  for (int i = 0; i < 20; ++i) {
    add_pair(folder, std::to_string(i) + ".png", std::to_string(i) + ".png");
    if (i % 3 == 0) folder.write("masks/" + std::to_string(i) + ".png", gray(8, 8, std::vector<uint8_t>(64, 9)));
  }
  ThreadPool pool(4);
  EXPECT_EQ(refusals(options(folder)), refusals(options(folder), &pool));
  PairOptions o = options(folder);
  o.strange_value = Policy::accept;
  EXPECT_EQ(find_pairs(o).target_pixels, find_pairs(o, &pool).target_pixels);
}

TEST(Pairs, HeadersOfEveryFixtureAgreeWithTheDecoder) {
  int compared = 0;
  for (const auto& entry : fs::directory_iterator(FURROW_TEST_DATA "/pictures")) {
    const std::string extension = entry.path().extension();
    if (extension != ".png" && extension != ".jpg") continue;
    io::Picture picture;
    try {
      picture = io::read_picture(entry.path());
    } catch (const Error&) { continue; }
    const PictureHeader header = read_picture_header(entry.path());
    EXPECT_EQ(header.upright_width(), picture.info.width) << entry.path();
    EXPECT_EQ(header.upright_height(), picture.info.height) << entry.path();
    EXPECT_EQ(header.orientation, picture.info.orientation) << entry.path();
    ++compared;
  }
  EXPECT_GT(compared, 20);
}

// A hundred real pairs: values 1 eye bag, 2 background, 3 wrinkle.
TEST(Pairs, RealPairs) {
  const std::string root = FURROW_SHARED "/data/wrinkle-pairs/dataset";
  if (!fs::exists(root)) GTEST_SKIP() << root << " is not there";
  PairOptions o;
  o.images = root + "/train";
  o.masks = root + "/trainannot";
  o.check = PairCheck::masks;
  ThreadPool pool;
  const auto lines = refusals(o, &pool);  // not 0 and 255
  EXPECT_EQ(lines.size(), 100u);
  o.rule = {MaskKind::values, {3}, {1, 2}, {}};
  const Pairing pairing = find_pairs(o, &pool);
  EXPECT_EQ(pairing.pairs.size(), 100u);
  EXPECT_EQ(pairing.pairs.front().id, "0000102");
  EXPECT_EQ(pairing.empty_masks, 21);
  // 0.75 % of all pixels are wrinkle.
  EXPECT_NEAR(static_cast<double>(pairing.target_pixels[255]) / (100 * 500 * 500), 0.0075, 0.00005);
}

TEST(Pairs, RealMasksAsBmpAreNamedAndNotRead) {
  const std::string root = FURROW_SHARED "/data/wrinkle-masks-ffhq/wrinkles";
  if (!fs::exists(root)) GTEST_SKIP() << root << " is not there";
  PairOptions o;
  o.images = o.masks = root;
  o.unread_file = Policy::refuse;
  const auto lines = refusals(o);
  EXPECT_TRUE(mentions(lines, "final00015.bmp", "convert it to PNG"));
}

}  // namespace
}  // namespace furrow::data
