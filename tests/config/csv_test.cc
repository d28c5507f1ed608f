// Tables that must be read, and read right; and one of 10^7 rows (case 411).
#include "io/csv.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace furrow::io {
namespace {

using Rows = std::vector<std::vector<std::string>>;

// Hands out `piece` bytes at a time, so that every boundary falls inside something.
CsvReader reader_of(const std::string& text, size_t piece, CsvRules rules = {}) {
  auto at = std::make_shared<size_t>(0);
  return CsvReader(
      [=](char* to, size_t size) {
        const size_t count = std::min({size, piece, text.size() - *at});
        std::memcpy(to, text.data() + *at, count);
        *at += count;
        return count;
      },
      "t.csv", std::move(rules));
}

Rows rows_of(CsvReader reader) {
  Rows rows{reader.columns()};
  while (reader.next()) {
    rows.emplace_back();
    for (size_t i = 0; i < reader.columns().size(); ++i) rows.back().emplace_back(reader[i]);
  }
  return rows;
}

TEST(Csv, ReadsWhatRfc4180Allows) {
  const std::string text = "a,\"b \"\"x\"\"\",c\r\n1,\"two,\r\nlines\",\"\"\r\n,é,last";
  const Rows wanted = {{"a", "b \"x\"", "c"}, {"1", "two,\r\nlines", ""}, {"", "é", "last"}};
  for (const size_t piece : {1000, 7, 1}) {
    // The first piece must hold the mark and the first words, as any file's first read does.
    if (piece >= 7) { EXPECT_EQ(rows_of(reader_of("\xEF\xBB\xBF" + text, piece)), wanted); }
    EXPECT_EQ(rows_of(reader_of(text, piece)), wanted) << piece;
  }
}

TEST(Csv, LinesCountThroughQuotedLineEnds) {
  CsvReader reader = reader_of("id,text\n1,\"a\nb\nc\"\n2,x\n", 1000);
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.line(), 2u);
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.line(), 5u);
  const Error error = reader.error_at(1, "no number");
  EXPECT_EQ(error.line(), "error[malformed]: t.csv:5:3: in text: no number");
  EXPECT_FALSE(reader.next());
}

TEST(Csv, OneColumnMayBeEmpty) { EXPECT_EQ(rows_of(reader_of("x\n\n1\n", 1000)), (Rows{{"x"}, {""}, {"1"}})); }

TEST(Csv, PathsInsideTheFolderPass) {
  EXPECT_EQ(rows_of(reader_of("f\na/b..c/...png\n", 1000, {.paths = {"f"}})).size(), 2u);
}

TEST(Csv, FilesAreStreamedAndOthersRefused) {
  const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / "furrow_csv_test";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "t.csv") << "a\n1\n";
  EXPECT_EQ(rows_of(CsvReader::open(folder / "t.csv")), (Rows{{"a"}, {"1"}}));
  for (const std::string& path : {folder.string(), (folder / "none").string(), std::string("/dev/zero")}) {
    try {
      CsvReader::open(path);
      FAIL() << path;
    } catch (const Error& error) { EXPECT_EQ(error.code(), ErrorCode::io) << error.line(); }
  }
  std::filesystem::remove_all(folder);
}

long resident_peak_kib() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("VmHWM:")) return std::stol(line.substr(6));
  return 0;
}

// Case 411.
TEST(Csv, TenMillionRowsInBoundedMemory) {
  constexpr uint64_t kRows = 10'000'000;
  constexpr std::string_view kHeader = "id,v\n", kRow = "1234,5\n";
  uint64_t made = 0;
  bool header = false;
  CsvReader reader(
      [&](char* to, size_t size) {
        size_t at = 0;
        if (!header) {
          std::memcpy(to, kHeader.data(), kHeader.size());
          at = kHeader.size();
          header = true;
        }
        for (; made < kRows && at + kRow.size() <= size; ++made, at += kRow.size())
          std::memcpy(to + at, kRow.data(), kRow.size());
        return at;
      },
      "long.csv");
  const long before = resident_peak_kib();
  uint64_t rows = 0, sum = 0;
  while (reader.next()) {
    ++rows;
    sum += static_cast<uint64_t>(reader[1][0] - '0');
  }
  EXPECT_EQ(rows, kRows);
  EXPECT_EQ(sum, 5 * kRows);
  EXPECT_EQ(reader.line(), kRows + 2);
  EXPECT_LE(resident_peak_kib() - before, 1024);  // one row, one buffer
}

TEST(Csv, KeysHaveALimit) {
  Limits limits;
  limits.csv_keys = 2;
  bool done = false;
  CsvReader reader(
      [&](char* to, size_t) {
        if (done) return size_t{0};
        done = true;
        std::memcpy(to, "a\n1\n2\n3\n", 8);
        return size_t{8};
      },
      "t.csv", {.key = "a"}, limits);
  EXPECT_TRUE(reader.next());
  EXPECT_TRUE(reader.next());
  EXPECT_THROW(reader.next(), Error);
}

}  // namespace
}  // namespace furrow::io
