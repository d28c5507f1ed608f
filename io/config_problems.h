// Every fault of a configuration, collected, so that one run reports all of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/error.h"

namespace furrow::io {

// Line and column count from 1, columns in bytes; line 0 is a place without lines (an override).
struct ConfigPlace {
  std::string source;  // the file's name, printable and shortened, or "--set loss.gamma=2"
  uint32_t line = 0, column = 0;
  std::string text() const;  // "config.yaml:3:7"
};

// The name of a file as ConfigPlace::source: printable, the front cut off where it is longer than 120 bytes.
std::string place_name(std::string_view path);

class ConfigProblems {
 public:
  static constexpr size_t kMost = 20;  // problems in one report; the rest is counted

  // `key` may be empty. `hint` says what to do about it, and may be empty.
  void add(const ConfigPlace& place, std::string_view key, std::string reason, std::string hint = "");
  void add(ConfigProblems more);
  // Makes all places lineless: those of an override, whose lines mean nothing.
  void drop_lines();

  bool empty() const { return problems_.empty(); }
  size_t size() const { return problems_.size(); }

  // Throws ErrorCode::configuration where there are problems: the first in order of lines is the error, its place the
  // file and its key the entry; the others, kMost together, are its details; a last line counts what is left.
  void raise() const;

 private:
  struct Problem {
    ConfigPlace place;
    std::string key, reason, hint;
  };
  std::vector<Problem> problems_;
};

}  // namespace furrow::io
