// Every numbered case: refused in one line with the right code and words, quickly and in little memory; or accepted
// with exactly the right values.
#include "tests/containers/cases.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <ostream>
#include <string>

#include "io/checkpoint.h"

namespace furrow::testing {

// GoogleTest prints a parameter it does not know as bytes; the name says more.
void PrintTo(const Case& test, std::ostream* out) { *out << test.name; }

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

io::Checkpoint read(const std::string& bytes) {
  return io::read_checkpoint(std::as_bytes(std::span(bytes)), std::make_shared<int>(0));
}

void expect_tensors(const Case& test, const io::Checkpoint& got) {
  ASSERT_EQ(got.tensors.size(), test.tensors.size());
  for (size_t i = 0; i < got.tensors.size(); ++i) {
    const NamedTensor& tensor = got.tensors[i];
    EXPECT_EQ(tensor.name, test.tensors[i].name);
    EXPECT_EQ(tensor.dims, test.tensors[i].dims);
    const std::vector<double> values = tensor.to<double>(), &wanted = test.tensors[i].values;
    ASSERT_EQ(values.size(), wanted.size());
    for (size_t k = 0; k < values.size(); ++k)
      EXPECT_TRUE(values[k] == wanted[k] || (std::isnan(values[k]) && std::isnan(wanted[k]))) << k << ": " << values[k];
  }
}

void expect_note(const Case& test, const io::Checkpoint& got) {
  if (test.says.empty()) {
    EXPECT_TRUE(got.notes.empty()) << got.notes[0];
    return;
  }
  bool found = false;
  for (const std::string& note : got.notes) found |= note.find(test.says) != std::string::npos;
  EXPECT_TRUE(found) << test.says;
}

class CheckpointCase : public ::testing::TestWithParam<Case> {};

TEST_P(CheckpointCase, GetsItsAnswer) {
  const Case& test = GetParam();
  if (test.accepted) {
    const io::Checkpoint got = read(test.bytes);
    expect_tensors(test, got);
    return expect_note(test, got);
  }
  const bool memory_measured = kMeasured && reset_peak();
  const long before = peak_kib();
  const auto start = std::chrono::steady_clock::now();
  try {
    read(test.bytes);
    FAIL() << "accepted";
  } catch (const Error& error) {
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    const std::string line = error.line();
    EXPECT_EQ(name(error.code()), name(test.code)) << line;
    EXPECT_NE(line.find(test.says), std::string::npos) << line;
    EXPECT_LE(line.size(), 500u);
    EXPECT_LE(error.byte().value_or(0), test.bytes.size()) << line;
    for (const char c : line) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << line;
    if (kMeasured) { EXPECT_LE(seconds.count(), 1.0) << line; }
    if (memory_measured) { EXPECT_LE(peak_kib() - before, 64 * 1024) << line; }
  }
}

std::string case_name(const ::testing::TestParamInfo<Case>& info) {
  const std::string number = std::to_string(info.param.number);
  return "No" + std::string(3 - number.size(), '0') + number + "_" + info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Plan, CheckpointCase, ::testing::ValuesIn(all_cases()), case_name);

}  // namespace
}  // namespace furrow::testing
