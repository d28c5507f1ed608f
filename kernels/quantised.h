// Quantised: how a tensor's real numbers become bytes.
#pragma once

#include <cstdint>

namespace furrow {

// How real numbers become bytes: real = scale * (byte - zero_point), zero_point in 0..255, so that 0 is exact. scale 0:
// not at all.
struct Quantised {
  float scale = 0;
  int32_t zero_point = 0;
  // What files may hold; beyond it 1 / scale, or a byte's number, leaves float32.
  static constexpr float kLeastScale = 1e-30f, kMostScale = 1e30f;
  explicit operator bool() const { return scale > 0; }
  friend bool operator==(const Quantised&, const Quantised&) = default;
};

}  // namespace furrow
