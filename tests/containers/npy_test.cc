// Every numbered case of arrays, and what holds for all of them: no beginning of a file is a file, files round-trip.
#include "io/npy.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "tests/containers/builders.h"
#include "tests/containers/contract.h"

namespace furrow::testing {
namespace {

namespace fs = std::filesystem;

io::NpyArray read(const std::string& bytes, const io::Limits& limits = {}) {
  return io::parse_npy(std::as_bytes(std::span(bytes)), limits);
}

class NpyCase : public ::testing::TestWithParam<Case> {};

TEST_P(NpyCase, GetsItsAnswer) {
  const Case& test = GetParam();
  if (!test.accepted) return expect_refused(test, [&] { read(test.bytes); });
  const io::NpyArray got = read(test.bytes);
  EXPECT_EQ(got.dims, test.tensors[0].dims);
  const std::vector<double>& wanted = test.tensors[0].values;
  ASSERT_EQ(got.values.size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    const auto value = static_cast<double>(got.values[i]);
    EXPECT_TRUE(value == wanted[i] || (std::isnan(value) && std::isnan(wanted[i]))) << i << ": " << value;
  }
}

INSTANTIATE_TEST_SUITE_P(Plan, NpyCase, ::testing::ValuesIn(npy_cases()), case_name);

TEST(Npy, EveryTruncationIsRefused) {
  size_t cut_files = 0;
  for (const Case& test : npy_cases()) {
    if (!test.accepted || test.bytes.size() > 1000) continue;
    for (size_t size = 0; size < test.bytes.size(); ++size, ++cut_files) {
      const std::string cut(test.bytes.data(), size);  // of its own size, so that a sanitizer sees a read past the end
      EXPECT_THROW(read(cut), Error) << test.name << " " << size;
    }
  }
  EXPECT_GE(cut_files, 4000u);
}

// There is no checksum: values and shape may change, or the file is refused; nothing else may happen.
TEST(Npy, FlippedBitsDoNoHarm) {
  const auto cases = npy_cases();
  const auto good = std::ranges::find(cases, "FortranBigEndian", &Case::name);
  ASSERT_NE(good, cases.end());
  int values_changed = 0;
  for (size_t byte = 0; byte < good->bytes.size(); ++byte)
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good->bytes;
      bad[byte] = static_cast<char>(bad[byte] ^ (1 << bit));
      try {
        const io::NpyArray got = read(bad);
        EXPECT_EQ(got.values.size(), 6u) << byte << " " << bit;
        values_changed += byte >= good->bytes.size() - 48 ? 1 : 0;
      } catch (const Error& error) {
        EXPECT_NE(error.code(), ErrorCode::internal) << error.line();
        EXPECT_TRUE(error.byte()) << error.line();
      }
    }
  EXPECT_EQ(values_changed, 48 * 8);
}

TEST(Npy, LimitsHold) {
  const auto cases = npy_cases();
  const auto good = std::ranges::find(cases, "Good", &Case::name);
  ASSERT_NE(good, cases.end());
  io::Limits limits;
  limits.npy_header = 20;
  EXPECT_THROW(read(good->bytes, limits), Error);
  limits = {};
  limits.rank = 1;
  EXPECT_THROW(read(good->bytes, limits), Error);
}

// A claim of 2^31 elements over a file of some bytes allocates nothing; four times the file is the most.
TEST(Npy, MemoryFollowsTheFile) {
  if (!kMeasured || !reset_peak()) GTEST_SKIP() << "a sanitizer or debug build, or /proc is not writable";
  const size_t elements = 16 << 20;
  std::string header = "{'descr': '|b1', 'fortran_order': True, 'shape': (4096, 4096)}";
  const std::string file =
      "\x93NUMPY" + std::string("\1\0", 2) + little(header.size(), 2) + header + std::string(elements, '\1');
  ASSERT_TRUE(reset_peak());
  const long before = peak_kib();
  const io::NpyArray got = read(file);
  EXPECT_EQ(got.values.size(), elements);
  EXPECT_LE(peak_kib() - before, static_cast<long>(4 * elements / 1024 + 4096));
}

TEST(Npy, FilesRoundTripAndErrorsNameThem) {
  const fs::path folder = fs::temp_directory_path() / ("furrow_npy_test_" + std::to_string(::getpid()));
  fs::create_directories(folder);
  const std::string path = (folder / "a.npy").string();
  const std::vector<int64_t> dims = {1, 2, 3};
  const std::vector<float> values = {0.5f, -1, 2, 3e38f, -0.0f, 1e-45f};
  io::write_npy(path, dims, values);
  EXPECT_EQ(fs::file_size(path), 128 + 24u);
  const io::NpyArray got = io::read_npy(path);
  EXPECT_EQ(got.dims, dims);
  EXPECT_EQ(got.values, values);
  for (const std::string& name : {path, (folder / "missing.npy").string()}) {
    std::ofstream(path, std::ios::binary) << "\x93NUMPX";
    try {
      io::read_npy(name);
      ADD_FAILURE() << name;
    } catch (const Error& error) { EXPECT_EQ(error.file_name(), name) << error.line(); }
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace furrow::testing
