// Every numbered case: refused with exit status 3 (tables: 4 or 6), the place, the key and the reason, quickly and in
// little memory.
#include "tests/config/cases.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <ostream>
#include <string>

#include "io/csv.h"
#include "train/options.h"

namespace furrow::testing {

void PrintTo(const ConfigCase& test, std::ostream* out) { *out << test.name; }
void PrintTo(const CsvCase& test, std::ostream* out) { *out << test.name; }

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(NDEBUG)
constexpr bool kMeasured = false;  // sanitizers and debug builds have costs of their own
#else
constexpr bool kMeasured = true;
#endif

// Peak resident memory since the last reset, from /proc (man 5 proc: clear_refs, VmHWM).
bool reset_peak() {
  std::ofstream out("/proc/self/clear_refs");
  return static_cast<bool>(out << "5" << std::flush);
}

long peak_kib() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("VmHWM:")) return std::stol(line.substr(6));
  return 0;
}

std::string report(const Error& error) {
  std::string text = error.line();
  for (const std::string& line : error.detail_lines()) text += "\n" + line;
  return text;
}

class Case : public ::testing::TestWithParam<ConfigCase> {};

TEST_P(Case, IsRefused) {
  const ConfigCase& test = GetParam();
  const bool bomb = test.number == 356;
  const bool memory_measured = kMeasured && reset_peak();
  const long before = peak_kib();
  const auto start = std::chrono::steady_clock::now();
  try {
    train::parse_train_options(test.text, test.file);
    FAIL() << "accepted";
  } catch (const Error& error) {
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    const std::string all = report(error);
    EXPECT_EQ(static_cast<int>(error.code()), 3) << all;
    EXPECT_TRUE(error.line().starts_with("error[configuration]: " + test.file + ":" + std::to_string(test.line) + ":"))
        << all;
    for (const std::string& part : test.says) EXPECT_NE(all.find(part), std::string::npos) << part << "\nin\n" << all;
    EXPECT_LE(error.line().size(), 500u);
    EXPECT_LE(error.detail_lines().size(), 20u);
    for (const char c : all) EXPECT_TRUE(c == '\n' || static_cast<unsigned char>(c) >= 0x20) << all;
    if (test.problems > 0) { EXPECT_EQ(error.detail_lines().size() + 1, test.problems) << all; }
    // The alias bomb: 100 ms and 16 MiB. All others: 1 s and 64 MiB.
    if (kMeasured) { EXPECT_LE(seconds.count(), bomb ? 0.1 : 1.0); }
    if (memory_measured) { EXPECT_LE(peak_kib() - before, (bomb ? 16 : 64) * 1024); }
  }
}

class Table : public ::testing::TestWithParam<CsvCase> {};

TEST_P(Table, IsRefused) {
  const CsvCase& test = GetParam();
  const bool memory_measured = kMeasured && reset_peak();
  const long before = peak_kib();
  try {
    size_t at = 0;
    io::CsvReader reader(
        [&](char* to, size_t size) {
          const size_t count = std::min(size, test.text.size() - at);
          std::memcpy(to, test.text.data() + at, count);
          at += count;
          return count;
        },
        "labels.csv", {.required = {"age"}, .key = "id", .paths = {"file"}});
    while (reader.next()) {}
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(name(error.code()), name(test.code)) << error.line();
    EXPECT_EQ(error.file_name(), "labels.csv:" + test.place) << error.line();
    EXPECT_NE(error.line().find(test.says), std::string::npos) << error.line();
    if (memory_measured) { EXPECT_LE(peak_kib() - before, 64 * 1024); }
  }
}

template <class T>
std::string case_name(const ::testing::TestParamInfo<T>& info) {
  return "No" + std::to_string(info.param.number) + "_" + info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Values, Case, ::testing::ValuesIn(value_cases()), case_name<ConfigCase>);
INSTANTIATE_TEST_SUITE_P(Documents, Case, ::testing::ValuesIn(document_cases()), case_name<ConfigCase>);
INSTANTIATE_TEST_SUITE_P(Json, Case, ::testing::ValuesIn(json_cases()), case_name<ConfigCase>);
INSTANTIATE_TEST_SUITE_P(Csv, Table, ::testing::ValuesIn(csv_cases()), case_name<CsvCase>);

}  // namespace
}  // namespace furrow::testing
