#include "hostile.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <chrono>
#include <cstdlib>
#include <fstream>

namespace furrow::io::test {
namespace {

// Sanitizers multiply memory; the limit is a promise of ordinary builds.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kMeasureMemory = false;
#else
constexpr bool kMeasureMemory = true;
#endif

void check_line(const Error& error, const Hostile& hostile) {
  EXPECT_EQ(error.code(), hostile.code) << error.line();
  EXPECT_NE(error.line().find(hostile.words), std::string::npos) << error.line();
  EXPECT_LE(error.line().size(), 500u);
  for (char c : error.line()) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << error.line();
}

// Seeds for the fuzzers (fuzz/pictures.cmake), where the environment asks for them.
void write_seed(const Hostile& hostile, const Bytes& file) {
  const char* folder = std::getenv("FURROW_SEEDS");
  if (folder == nullptr || file.size() > 8192) return;
  std::ofstream(std::string(folder) + "/" + hostile.name, std::ios::binary)
      .write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
}

}  // namespace

void expect_refused(const Hostile& hostile) {
  const Bytes file = hostile.file();
  write_seed(hostile, file);
  malloc_trim(0);
  reset_peak_memory();
  const uint64_t before = memory_now();
  const auto start = std::chrono::steady_clock::now();
  try {
    decode_picture(file);
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    check_line(error, hostile);
    EXPECT_TRUE(error.byte().has_value()) << "no place: " << error.line();
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  EXPECT_LE(took.count(), 1.0);
  if (kMeasureMemory && peak_memory() != 0) { EXPECT_LE(peak_memory(), before + (uint64_t{64} << 20)); }
}

}  // namespace furrow::io::test
