// What the numbers of a mask mean, and the target a network learns from them.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "io/image.h"
#include "io/limits.h"

namespace furrow::data {

enum class MaskKind : uint8_t {
  binary,     // 0 background, 255 wrinkle; any other value is strange
  threshold,  // value > 127 is wrinkle, the rule of the seed (seed-system.md C.1); no value is strange
  unit,       // 0 background, 1 wrinkle; any other value is strange
  values,     // `wrinkle` values are wrinkle, `background` values are not; the rest is strange
  classes,    // `classes` says which class a value is; the rest is strange
  weak,       // 0..255, how wrinkled: the target is continuous, no value is strange
};

struct MaskRule {
  MaskKind kind = MaskKind::binary;
  std::vector<uint8_t> wrinkle;                      // kind `values`: palette indices or gray values
  std::vector<uint8_t> background;                   // kind `values`: empty means every other value
  std::vector<std::pair<uint8_t, uint8_t>> classes;  // kind `classes`: value in the file -> class number 0..254
  // Masks of any picture kind, as the seed reads them: colour becomes Pillow's luma, and a JPEG is taken. Otherwise
  // only stored numbers count (io::read_labels): palette indices and gray values, never colours.
  bool luma = false;
  // 3x3 dilation of the target (binary kinds alone), between the two resizes of the seed's path (C.1).
  bool dilate = false;
};

// The rule as a table. The target of the binary kinds is 0 or 255, of `weak` the value, of `classes` the class number.
class MaskTable {
 public:
  // ErrorCode::configuration where the rule contradicts itself: lists that its kind does not use, a value listed twice,
  // none that is wrinkle, fewer than two classes, class numbers with gaps, dilation of something that is not binary.
  explicit MaskTable(const MaskRule& rule);

  bool knows(uint8_t value) const { return target_[value] >= 0; }
  uint8_t target(uint8_t value) const { return static_cast<uint8_t>(target_[value]); }
  // Classes of the target, background included: 2 for binary kinds, 0 for `weak`.
  int classes() const { return classes_; }
  const MaskRule& rule() const { return rule_; }

 private:
  MaskRule rule_;
  std::array<int16_t, 256> target_;
  int classes_ = 2;
};

// The numbers in a mask file: 1 channel. Errors: those of io::read_labels, or with `luma` those of io::read_picture and
// ErrorCode::unsupported for a mask that EXIF turns; they name the file.
io::Image read_mask(const std::string& path, const MaskRule& rule, const io::Limits& limits = {});

// round(0.299 R + 0.587 G + 0.114 B) in 16-bit fixed point, Pillow's convert("L"):
// (19595 R + 38470 G + 7471 B + 2^15) >> 16. Source: libImaging/Convert.c of Pillow 9.4.
io::Image luma(const io::Image& rgb);

// How often each value occurs.
using ValueCounts = std::array<uint64_t, 256>;
ValueCounts count_values(const io::Image& mask);

// "value 1 (20 pixels), 254 (3)" for the values that `table` does not know; "" where it knows all.
std::string strange_values(const ValueCounts& counts, const MaskTable& table);

// Numbers to targets, in place. ErrorCode::malformed with strange_values() where there are any.
void to_target(io::Image& mask, const MaskTable& table);

// Every pixel that is not 0, and its eight neighbours, become 255, all others 0: cv2.dilate(mask > 0, ones(3, 3)) *
// 255. Nothing grows in from outside the picture.
void dilate3(io::Image& target);

}  // namespace furrow::data
