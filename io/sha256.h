// SHA-256 (FIPS 180-4) of bytes, files and tensors.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "kernels/tensor.h"

namespace furrow::io {

// Incremental: update() any number of times, then hex() once.
class Sha256 {
 public:
  void update(std::span<const std::byte> bytes);
  // The digest as 64 lower-case hexadecimal digits; ends the computation.
  std::string hex();

 private:
  std::array<uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                    0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, 64> block_{};
  uint64_t bytes_ = 0;
};

std::string sha256_hex(std::span<const std::byte> bytes);

// Of the tensor's values as little-endian float32, row-major: equal for two files that hold the same weights,
// whatever their container and layout. Works in blocks; never holds a second copy of the tensor.
std::string sha256_f32(const NamedTensor& tensor);

}  // namespace furrow::io
