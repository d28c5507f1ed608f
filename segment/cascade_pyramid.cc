#include "segment/cascade_pyramid.h"

#include <algorithm>
#include <cmath>

#include "kernels/error.h"

namespace furrow {
namespace {

// To the nearest integer, halves to even: the default rounding mode.
int round_even(float value) { return static_cast<int>(std::lrintf(value)); }

// out[i] = row of the level: the vertically mixed row (8 fractional bits) mixed horizontally, rounded once, halves up.
void shrink_row(const uint16_t* mixed, const LinearAxis& axis, int width, uint8_t* out) {
  const int* first = axis.first.data();
  const uint16_t* weight = axis.weight.data();
  for (int i = 0; i < width; ++i) {
    const uint32_t left = mixed[first[i]], right = mixed[first[i] + 1], w = weight[i];
    out[i] = static_cast<uint8_t>((left * (256 - w) + right * w + 32768) >> 16);
  }
}

// One row of both integral images under the rows `above` (sum) and `above2` (squares).
template <int kStep>
void integrate_row(const uint8_t* pixels, int width, int half, const uint32_t* above, const uint32_t* above2,
                   uint32_t* sum, uint32_t* square) {
  uint32_t s = 0, s2 = 0;
  sum[0] = square[0] = 0;
  for (int x = 0; x < width; ++x) {
    const uint32_t p = pixels[x];
    const int c = x + 1;
    const int at = kStep == 1 ? c : (c & 1) * half + (c >> 1);
    s += p;
    s2 += p * p;
    sum[at] = above[at] + s;
    square[at] = above2[at] + s2;
  }
}

}  // namespace

std::vector<PyramidLevel> pyramid_levels(int width, int height, int window, double factor, int min_side) {
  require(factor > 1 && window > 0, "pyramid_levels: a factor above 1");
  std::vector<PyramidLevel> levels;
  int first_columns = 0;
  for (double exact = 1;; exact *= factor) {
    if (std::lrint(window * exact) > std::min(width, height)) break;
    PyramidLevel level;
    level.scale = static_cast<float>(exact);
    level.side = round_even(static_cast<float>(window) * level.scale);
    if (level.side > std::min(width, height)) break;
    if (level.side < min_side) continue;
    level.width = round_even(static_cast<float>(width) / level.scale);
    level.height = round_even(static_cast<float>(height) / level.scale);
    level.step = level.scale >= 2 ? 1 : 2;
    const int places_x = std::max(level.width + 1 - window, 0), places_y = std::max(level.height + 1 - window, 0);
    level.columns = (places_x + level.step - 1) / level.step;
    // OpenCV divides the rows among ceil(first level's places / 32) stripes of whole steps, rounding the rows down to
    // whole steps first: where the stripes come out even, an odd last row is never looked at.
    if (levels.empty()) first_columns = places_x;
    const int stripes = std::max((first_columns + 31) / 32, 1);
    const int stripe = std::max((places_y / level.step + stripes - 1) / stripes, 1) * level.step;
    level.end_y = std::min(stripes * stripe, places_y);
    levels.push_back(level);
  }
  return levels;
}

LinearAxis linear_axis(int source, int target) {
  require(source > 1 && target > 0, "linear_axis: two source pixels, one target pixel");
  LinearAxis axis;
  // The reference computes target / source, then its reciprocal; the last bit of the scale decides ties.
  const double scale = 1.0 / (static_cast<double>(target) / source);
  for (int i = 0; i < target; ++i) {
    const double place = scale * (i + 0.5) - 0.5;
    const int at = static_cast<int>(std::floor(place));
    const int first = std::clamp(at, 0, source - 2);
    const long weight = at < 0 ? 0 : at >= source - 1 ? 256 : std::lrint((place - at) * 256);
    axis.first.push_back(first);
    axis.weight.push_back(static_cast<uint16_t>(weight));
  }
  return axis;
}

void integrate_band(const GrayPicture& picture, const PyramidLevel& level, const LinearAxis& x_axis,
                    const LinearAxis& y_axis, int top, int rows, BandScratch& scratch, IntegralBand& band) {
  require(band.stride % 2 == 0 && band.stride > level.width && band.step == level.step,
          "integrate_band: a fitting band");
  const size_t entries = static_cast<size_t>(rows + 1) * static_cast<size_t>(band.stride);
  if (band.sum.size() < entries) band.sum.resize(entries), band.square.resize(entries);
  std::fill_n(band.sum.begin(), band.stride, 0u);
  std::fill_n(band.square.begin(), band.stride, 0u);
  scratch.mixed.resize(static_cast<size_t>(picture.width));
  scratch.shrunk.resize(static_cast<size_t>(level.width));
  for (int y = 0; y < rows; ++y) {
    // Vertical first: it runs over whole rows, and the product of both mixes is exact until the one rounding at the
    // end, so the order does not matter.
    const size_t at = static_cast<size_t>(top + y);
    const uint32_t w = y_axis.weight[at];
    const uint8_t* upper = picture.row(y_axis.first[at]);
    const uint8_t* lower = picture.row(y_axis.first[at] + 1);
    uint16_t* mixed = scratch.mixed.data();
    for (int x = 0; x < picture.width; ++x) mixed[x] = static_cast<uint16_t>(upper[x] * (256 - w) + lower[x] * w);
    shrink_row(mixed, x_axis, level.width, scratch.shrunk.data());
    const int64_t above = static_cast<int64_t>(y) * band.stride, below = above + band.stride;
    (level.step == 1 ? integrate_row<1> : integrate_row<2>)(scratch.shrunk.data(), level.width, band.stride / 2,
                                                            band.sum.data() + above, band.square.data() + above,
                                                            band.sum.data() + below, band.square.data() + below);
  }
}

}  // namespace furrow
