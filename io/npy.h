// Arrays as NumPy stores them in .npy files. What layer audits exchange.
// Source: numpy.lib.format, "Format Version 1.0", "2.0" and "3.0".
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "io/limits.h"

namespace furrow::io {

struct NpyArray {
  std::vector<int64_t> dims;
  std::vector<float> values;
};

// Whole or not at all, over a file that is there; '<f4'. dims: up to 8, whose product is the number of values. Throws
// ErrorCode::io.
void write_npy(const std::string& path, std::span<const int64_t> dims, std::span<const float> values);

// The same in memory, of bytes: '|u1'.
std::vector<std::byte> encode_npy(std::span<const int64_t> dims, std::span<const uint8_t> values);

// Reads format 1.0, 2.0 and 3.0, row-major or in Fortran's order (what it returns is row-major); truth values (all but
// 0 is 1), whole numbers of 1 to 8 bytes with and without sign, floats of 2, 4 and 8 bytes, little-endian and
// big-endian. What float32 does not hold is rounded to nearest. Nothing in the file is evaluated. Throws
// ErrorCode::malformed for a file that breaks the format or whose size does not match its shape; ErrorCode::unsupported
// for other versions and element types; ErrorCode::limit for more than limits.rank axes and a header of more than
// limits.npy_header bytes. Takes no more memory than what it returns, at most four times the file.
NpyArray parse_npy(std::span<const std::byte> bytes, const Limits& limits = {});
// The same for a file. Errors name it; adds ErrorCode::io.
NpyArray read_npy(const std::string& path, const Limits& limits = {});

}  // namespace furrow::io
