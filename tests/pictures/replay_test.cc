// Every file of the fuzzers' corpora, through the fuzzers' own entry points, in every build.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "picture_files.h"

// The entry points, renamed when these sources are compiled into this test.
extern "C" int fuzz_png_walk(const uint8_t* data, size_t size);
extern "C" int fuzz_png_decode(const uint8_t* data, size_t size);
extern "C" int fuzz_jpeg(const uint8_t* data, size_t size);

namespace furrow::io {
namespace {

using Target = int (*)(const uint8_t*, size_t);

int replay(const std::string& folder, Target target) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(FURROW_SOURCE_DIR "/fuzz/corpus/" + folder))
    files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const auto& path : files) {
    SCOPED_TRACE(path.string());
    const test::Bytes bytes = test::read_bytes(path.string());
    EXPECT_EQ(target(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()), 0);
  }
  return static_cast<int>(files.size());
}

TEST(ReplayCorpus, PngWalk) { EXPECT_GT(replay("png", fuzz_png_walk), 50); }
TEST(ReplayCorpus, PngDecode) { EXPECT_GT(replay("png", fuzz_png_decode), 50); }
TEST(ReplayCorpus, Jpeg) { EXPECT_GT(replay("jpeg", fuzz_jpeg), 50); }

}  // namespace
}  // namespace furrow::io
