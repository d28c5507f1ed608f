// The header of a .npy file: a Python dictionary, as text.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "io/limits.h"

namespace furrow::io {

enum class NpyKind : uint8_t { boolean, whole, natural, real };  // NumPy's b, i, u, f

struct NpyHeader {
  NpyKind kind = NpyKind::real;
  uint64_t width = 4;       // bytes of an element: boolean 1; whole, natural 1, 2, 4, 8; real 2, 4, 8
  bool big_endian = false;  // false where an element has one byte
  bool fortran = false;     // the first axis varies fastest
  std::vector<int64_t> dims;
};

// Reads `text`, which begins at byte `at` of the file: {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }, its
// three keys in any order, then white space alone. Nothing in it is evaluated. Throws malformed for everything else
// (sizes that are no whole numbers, an element type that NumPy does not have); unsupported for records, complex
// numbers, text, times, raw bytes, long doubles and Python objects; limit for more than limits.rank axes.
NpyHeader parse_npy_header(std::string_view text, uint64_t at, const Limits& limits);

}  // namespace furrow::io
