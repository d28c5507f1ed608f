// Files that must be refused, and how: the table rows of png_hostile_test.cc and jpeg_hostile_test.cc.
#pragma once

#include <functional>
#include <ostream>
#include <string>

#include "kernels/error.h"
#include "picture_files.h"

namespace furrow::io::test {

struct Hostile {
  const char* name;  // "Case245_ZeroBytes": the case's fixed number, so that none is ever lost, and what it is
  std::function<Bytes()> file;
  ErrorCode code;
  const char* words;  // part of the line that the error prints
};
inline void PrintTo(const Hostile& hostile, std::ostream* out) { *out << hostile.name; }

// Refused with that code and words, on one line of at most 500 bytes, within a second and 64 MiB.
void expect_refused(const Hostile& hostile);

}  // namespace furrow::io::test
