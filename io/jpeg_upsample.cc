#include "io/jpeg_upsample.h"

#include <algorithm>

namespace furrow::io {

JpegUpsampler::JpegUpsampler(const JpegPlane& plane, int across, int down)
    : plane_(plane), across_(across), down_(down) {
  const bool wide_enough = plane.width > 2;
  if (across == 1 && down == 1) method_ = Method::none;
  if (across == 1 && down == 2) method_ = Method::down;
  if (across == 2 && down == 1 && wide_enough) method_ = Method::across;
  if (across == 2 && down == 2 && wide_enough) method_ = Method::both;
  if (method_ != Method::none) row_.resize(static_cast<size_t>(plane.width * across));
  if (method_ == Method::both) sums_.resize(static_cast<size_t>(plane.width));
}

const uint8_t* JpegUpsampler::row(int64_t y) {
  const uint8_t* near = plane_.row(y / down_);
  if (method_ == Method::none) return near;
  const bool upwards = y % down_ == 0;
  const uint8_t* far = plane_.row(std::clamp<int64_t>(y / down_ + (upwards ? -1 : 1), 0, plane_.height - 1));
  switch (method_) {
    case Method::across: double_across(near); break;
    case Method::down: double_down(near, far, upwards ? 1 : 2); break;
    case Method::both: double_both(near, far); break;
    default: repeat(near);
  }
  return row_.data();
}

void JpegUpsampler::double_across(const uint8_t* in) {
  const int64_t last = plane_.width - 1;
  uint8_t* out = row_.data();
  out[0] = in[0];
  for (int64_t x = 0; x < last; ++x) {  // between the centres of x and x + 1
    out[2 * x + 1] = static_cast<uint8_t>((3 * in[x] + in[x + 1] + 2) >> 2);
    out[2 * x + 2] = static_cast<uint8_t>((3 * in[x + 1] + in[x] + 1) >> 2);
  }
  out[2 * last + 1] = in[last];
}

void JpegUpsampler::double_down(const uint8_t* near, const uint8_t* far, int bias) {
  uint8_t* out = row_.data();
  for (int64_t x = 0; x < plane_.width; ++x) out[x] = static_cast<uint8_t>((3 * near[x] + far[x] + bias) >> 2);
}

void JpegUpsampler::double_both(const uint8_t* near, const uint8_t* far) {
  const int64_t last = plane_.width - 1;
  uint16_t* sums = sums_.data();
  uint8_t* out = row_.data();
  for (int64_t x = 0; x <= last; ++x) sums[x] = static_cast<uint16_t>(3 * near[x] + far[x]);
  out[0] = static_cast<uint8_t>((4 * sums[0] + 8) >> 4);
  for (int64_t x = 0; x < last; ++x) {
    out[2 * x + 1] = static_cast<uint8_t>((3 * sums[x] + sums[x + 1] + 7) >> 4);
    out[2 * x + 2] = static_cast<uint8_t>((3 * sums[x + 1] + sums[x] + 8) >> 4);
  }
  out[2 * last + 1] = static_cast<uint8_t>((4 * sums[last] + 7) >> 4);
}

void JpegUpsampler::repeat(const uint8_t* in) {
  uint8_t* out = row_.data();
  for (int64_t x = 0; x < plane_.width; ++x, out += across_) std::fill_n(out, across_, in[x]);
}

}  // namespace furrow::io
