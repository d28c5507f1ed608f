// Arrays as NumPy stores them: format 1.0, little-endian floats, row-major. What layer audits exchange.
// Source: numpy.lib.format, "Format Version 1.0".
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "kernels/tensor.h"

namespace furrow::io {

struct NpyArray {
  std::vector<int64_t> dims;
  std::vector<float> values;
};

// Whole or not at all, over a file that is there; '<f4'. dims: up to 8, whose product is the number of values. Throws
// ErrorCode::io.
void write_npy(const std::string& path, std::span<const int64_t> dims, std::span<const float> values);

// Accepts '<f4' and '<f8' (rounded to nearest), version 1.0, row-major, up to 8 dimensions, and nothing behind the last
// element. Throws ErrorCode::malformed for a file that breaks the format or whose size does not match its shape,
// ErrorCode::unsupported for other versions, element types or orders. Takes no more memory than a small multiple of the
// file.
NpyArray parse_npy(std::span<const std::byte> bytes);
// The same for a file. Errors name it; adds ErrorCode::io.
NpyArray read_npy(const std::string& path);

}  // namespace furrow::io
