// Runs one fuzz target over its committed corpus: what a fuzzer once found stays found in every build.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

TEST(FuzzReplay, Corpus) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(FURROW_CORPUS)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  EXPECT_GE(files.size(), 20u) << "the corpus is missing";
  for (const auto& path : files) {
    SCOPED_TRACE(path.string());
    std::ifstream in(path, std::ios::binary);
    // Of exactly the file's size, so that a sanitizer sees a read past the end.
    std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(in), {}};
    bytes.shrink_to_fit();
    EXPECT_NO_THROW(LLVMFuzzerTestOneInput(bytes.data(), bytes.size()));
  }
}

}  // namespace
