// Pictures and OpenCV's answers for the tests of the face finder.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/image.h"
#include "segment/faces.h"

namespace furrow::faces_test {

// Pixels of a PNG or JPEG file, RGB; width 0 where there is no such file.
io::Image load(const std::string& path);

// examples/astronaut.png, RGB.
const io::Image& astronaut();

// `count` bytes that look random: multiply and shift of the index (tests/data/make_faces_golden.py has the same).
std::vector<uint8_t> noise(int64_t count, uint64_t seed);
io::Image noise_picture(int64_t width, int64_t height, uint64_t seed);

// A gray picture by its name in golden.json ("whole", "crop:X,Y,W,H", "tiles:N", ...).
io::Image made_picture(const std::string& name);

io::Image gray_of(const io::Image& photo);
uint32_t crc(const io::Image& picture);

// One face as golden.json holds it: x, y, w, h, neighbours.
using Golden = std::vector<int>;
std::vector<Golden> as_golden(const std::vector<Face>& faces);

}  // namespace furrow::faces_test
