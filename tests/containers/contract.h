// What every refusal of a numbered case must be: one line with the right code and words, quickly and in little memory.
#pragma once

#include <gtest/gtest.h>
#include <malloc.h>

#include <ctime>
#include <fstream>
#include <ostream>
#include <span>
#include <string>

#include "io/checkpoint.h"
#include "tests/containers/cases.h"

namespace furrow::testing {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(NDEBUG)
inline constexpr bool kMeasured = false;  // sanitizers and debug builds have costs of their own
#else
inline constexpr bool kMeasured = true;
#endif

// Peak resident memory since the last reset, from /proc (man 5 proc: clear_refs, VmHWM).
inline bool reset_peak() {
  std::ofstream out("/proc/self/clear_refs");
  return static_cast<bool>(out << "5" << std::flush);
}

inline long peak_kib() {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);)
    if (line.starts_with("VmHWM:")) return std::stol(line.substr(6));
  return 0;
}

// Calls read(), which must refuse the case.
template <class Read>
void expect_refused(const Case& test, Read&& read) {
  const bool memory_measured = kMeasured && reset_peak();
  const long before = peak_kib();
  const std::clock_t start = std::clock();  // of the processor: a busy machine changes nothing
  try {
    read();
    FAIL() << "accepted";
  } catch (const Error& error) {
    const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    const std::string line = error.line();
    EXPECT_EQ(name(error.code()), name(test.code)) << line;
    EXPECT_NE(line.find(test.says), std::string::npos) << line;
    EXPECT_LE(line.size(), 500u);
    EXPECT_LE(error.byte().value_or(0), test.bytes.size()) << line;
    for (const char c : line) EXPECT_GE(static_cast<unsigned char>(c), 0x20) << line;
    if (kMeasured) { EXPECT_LE(seconds, 1.0) << line; }
    if (memory_measured) { EXPECT_LE(peak_kib() - before, 64 * 1024) << line; }
  }
}

// Reads `bytes`, or is refused for a limit, within the promise; returns whether it was read.
inline bool expect_within_budget(const std::string& bytes) {
  malloc_trim(0);  // what earlier files left behind would be taken without growing
  const bool memory_measured = kMeasured && reset_peak();
  const long before = peak_kib();
  const std::clock_t start = std::clock();  // of the processor: a busy machine changes nothing
  bool accepted = false;
  try {
    const io::Checkpoint got = io::read_checkpoint(std::as_bytes(std::span(bytes)), nullptr, {});
    accepted = !got.tensors.empty();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::limit) << error.line();
    EXPECT_TRUE(error.byte()) << error.line();
  }
  const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  if (kMeasured) { EXPECT_LE(seconds, 1.0); }
  if (memory_measured) {
    EXPECT_LE(peak_kib() - before, static_cast<long>(4 * bytes.size() / 1024) + 64 * 1024) << bytes.size();
  }
  return accepted;
}

// Reading `bytes` under `limits` must be refused for a limit, in these words.
inline void expect_limit(const std::string& bytes, const io::Limits& limits, const std::string& says) {
  try {
    io::read_checkpoint(std::as_bytes(std::span(bytes)), nullptr, limits);
    ADD_FAILURE() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(name(error.code()), "limit") << error.line();
    EXPECT_NE(error.line().find(says), std::string::npos) << error.line();
  }
}

// GoogleTest prints a parameter it does not know as bytes; the name says more.
inline void PrintTo(const Case& test, std::ostream* out) { *out << test.name; }

inline std::string case_name(const ::testing::TestParamInfo<Case>& info) {
  const std::string number = std::to_string(info.param.number);
  return "No" + std::string(3 - number.size(), '0') + number + "_" + info.param.name;
}

}  // namespace furrow::testing
