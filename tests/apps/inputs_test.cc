#include "apps/cli/inputs.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "kernels/error.h"

namespace furrow::cli {
namespace {

namespace fs = std::filesystem;

// A scratch folder that is the working directory while a test runs.
class Inputs : public testing::Test {
 protected:
  void SetUp() override {
    before_ = fs::current_path();
    folder_ = fs::temp_directory_path() / ("furrow-inputs-" + std::to_string(::getpid()));
    fs::create_directories(folder_);
    fs::current_path(folder_);
  }
  void TearDown() override {
    fs::current_path(before_);
    fs::remove_all(folder_);
  }
  static void touch(const std::string& path) {
    if (fs::path(path).has_parent_path()) fs::create_directories(fs::path(path).parent_path());
    std::ofstream(path) << "x";
  }
  static std::vector<std::string> bases(const std::vector<std::string>& words) {
    std::vector<std::string> out;
    for (const Input& input : expand_inputs(words, "out")) out.push_back(input.base);
    return out;
  }
  static ErrorCode refusal(const std::vector<std::string>& words) {
    try {
      expand_inputs(words, "out");
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::internal;
  }
  using Names = std::vector<std::string>;
  fs::path before_, folder_;
};

TEST_F(Inputs, AFolderGivesItsPhotosSortedWithoutHiddenOnesOthersAndResults) {
  for (const char* path : {"d/b.PNG", "d/a.jpeg", "d/sub/c.jpg", "d/notes.txt", "d/.hidden.png", "d/.git/x.png"})
    touch(path);
  touch("d/out/a.mask.png");
  EXPECT_EQ(bases({"d"}), (Names{"a", "b", "out/a.mask", "sub/c"}));   // results go to ./out, not to d/out
  std::vector<std::string> names;
  for (const Input& input : expand_inputs({"d"}, "d/out")) names.push_back(input.base);
  EXPECT_EQ(names, (Names{"a", "b", "sub/c"}));
}

TEST_F(Inputs, ResultsBesideTheirPhotosAreNoPhotos) {
  for (const char* path :
       {"d/a.png", "d/a.mask.png", "d/a.overlay.png", "d/a.prob.png", "d/sub/b.png", "d/sub/b.mask.png"})
    touch(path);
  std::vector<std::string> names;
  for (const Input& input : expand_inputs({"d"}, "./d")) names.push_back(input.base);
  EXPECT_EQ(names, (Names{"a", "sub/b"}));
}

TEST_F(Inputs, PicturesBesideTheJsonOfAResultAreNoPhotosWhereverTheyLie) {
  for (const char* path : {"d/a.png", "d/out/a.mask.png", "d/out/a.overlay.png", "d/out/a.prob.png", "d/b.mask.png",
                           "d/c.mask.png", "d/e.mask.png", "d/out/f.png"})
    touch(path);
  std::ofstream("d/out/a.json") << R"({"schema":"furrow.segment/1","files":{"mask":"a.mask.png",)"
                                   R"("prob":"a.prob.png","overlay":"a.overlay.png"}})";
  std::ofstream("d/out/f.json") << R"({"schema":"furrow.segment/1","file":"a.png"})";
  std::ofstream("d/b.json") << R"({"schema":"furrow.segment-shard/1"})";  // of another program, for all it says
  std::ofstream("d/c.json") << R"({"schema":"f)";
  fs::create_directory("d/e.json");
  EXPECT_EQ(bases({"d"}), (Names{"a", "b.mask", "c.mask", "e.mask", "out/f"}));
  EXPECT_EQ(bases({"d/out/a.mask.png"}), (Names{"a.mask"}));  // named by itself it is meant
  // One that the JSON does not name is somebody's own, and so is all beside a damaged one.
  std::ofstream("d/out/a.json") << R"({"schema":"furrow.segment/1","files":{"mask":"a.mask.png","prob":7}})";
  EXPECT_EQ(bases({"d"}), (Names{"a", "b.mask", "c.mask", "e.mask", "out/a.overlay", "out/a.prob", "out/f"}));
  std::ofstream("d/out/a.json") << R"({"schema":"furrow.segment/1","files":{"mask":"a.mask.png")";
  EXPECT_EQ(bases({"d/out"}), (Names{"a.mask", "a.overlay", "a.prob", "f"}));
}

TEST_F(Inputs, OtherFilesAreCountedBySuffixAndWhatFurrowWroteIsNot) {
  for (const char* path : {"d/a.JFIF", "d/b.jpe", "d/c.heic", "d/c2.HEIC", "d/sub/e.webp", "d/README", "d/.hidden.gif",
                           "d/x.\x1b[31m", "d/y.averyverylongsuffix", "d/own.json"})
    touch(path);
  std::ofstream("d/a.json") << R"({"schema":"furrow.segment/1"})";
  std::ofstream("d/segment-shard-1-of-2.json") << R"({"schema":"furrow.segment-shard/1"})";
  OtherFiles others;
  EXPECT_EQ(expand_inputs({"d"}, "out", &others).size(), 2u);
  EXPECT_EQ(others, (OtherFiles{{"heic", 2}, {"webp", 1}, {"no suffix", 1}, {"odd suffixes", 2}, {"json", 1}}));
  EXPECT_EQ(other_files_text(others), "7 files of other types (heic 2, odd suffixes 2, json 1, no suffix 1, webp 1)");
  // Reached twice they count once, and what is named by itself is an input.
  EXPECT_EQ(expand_inputs({"d", "./d/", "d/sub", "d/c.heic", "d/sub/../README"}, "out", &others).size(), 4u);
  EXPECT_EQ(others, (OtherFiles{{"heic", 1}, {"webp", 1}, {"odd suffixes", 2}, {"json", 1}}));
  EXPECT_EQ(other_files_text({{"heic", 1}}), "1 file of another type (heic 1)");
  EXPECT_EQ(other_files_text({}), "");
  OtherFiles many;
  for (char c = 'a'; c <= 'z'; ++c) many[std::string(1, c)] = 1;
  EXPECT_EQ(other_files_text(many), "26 files of other types (a 1, b 1, c 1, d 1, e 1, f 1, g 1, h 1, ...)");
  fs::remove("d/a.JFIF"), fs::remove("d/b.jpe");
  try {
    expand_inputs({"d"}, "out");
    FAIL();
  } catch (const Error& error) { EXPECT_NE(error.reason().find("heic 2"), std::string::npos) << error.reason(); }
}

// Case 330: two photos of one stem.
TEST_F(Inputs, EqualBasesKeepTheirExtensionsAndThenGetNumbers) {
  for (const char* path : {"a.png", "a.jpg", "e/a.png", "f/z.png"}) touch(path);
  EXPECT_EQ(bases({"a.png", "a.jpg", "e/a.png", "f/z.png"}), (Names{"a.png", "a.jpg", "a.png-2", "z"}));
}

TEST_F(Inputs, TheSameFileUnderTwoSpellingsCountsOnce) {
  touch("a.png");
  fs::create_symlink("a.png", "link.png");
  EXPECT_EQ(bases({"a.png", "./a.png", "../" + folder_.filename().string() + "/a.png", "link.png"}), Names{"a"});
}

TEST_F(Inputs, AListNamesPathsButNoListsAndSkipsEmptyLines) {
  touch("a.png");
  touch("@odd.png");
  std::ofstream("list") << "a.png\r\n\n@odd.png\n";
  EXPECT_EQ(bases({"@list"}), (Names{"a", "@odd"}));
  std::ofstream("binary", std::ios::binary) << std::string("a\0b\n", 4);
  EXPECT_EQ(refusal({"@binary"}), ErrorCode::malformed);
  std::ofstream("long") << std::string(5000, 'a') << "\n";
  EXPECT_EQ(refusal({"@long"}), ErrorCode::malformed);
}

TEST_F(Inputs, AMissingFileStaysInTheListAndAMissingListIsAnError) {
  touch("a.png");
  fs::create_symlink("loop.png", "loop.png");
  EXPECT_EQ(bases({"missing.png", "a.png", "loop.png"}), (Names{"missing", "a", "loop"}));
  EXPECT_EQ(refusal({"@missing"}), ErrorCode::io);
}

TEST_F(Inputs, NothingToDoIsAUsageError) {
  fs::create_directory("empty");
  EXPECT_EQ(refusal({"empty"}), ErrorCode::usage);
  EXPECT_EQ(refusal({}), ErrorCode::usage);
}

}  // namespace
}  // namespace furrow::cli
