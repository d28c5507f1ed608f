// The pictures and fields of tests/data/make_augment_golden.py, by the same formulas.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/image.h"

namespace furrow::data {

// picture(): noise for even seeds, slopes with grain for odd ones; 1 channel: 0 and 255.
io::Image made_picture(int64_t width, int64_t height, uint64_t seed, int channels);
// field(): float32 values between -4 * scale and 4 * scale.
std::vector<float> made_field(size_t count, uint64_t seed, float scale);
// First 16 digits of the SHA-256.
std::string digest(const void* data, size_t size);
std::string digest(const io::Image& image);

}  // namespace furrow::data
