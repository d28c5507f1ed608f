// Index arithmetic of resampling: which windows cover a pixel, which source lines an output line mixes, and which
// output lines mix a source line. Whole numbers throughout, so the gradient meets exactly the lines that the forward
// pass gave a weight other than 0; that pass reads some with a weight of 0 too (kernels/cuda/resample.h).
#pragma once

#include <cstdint>

#include "kernels/cuda/compensated.h"
#include "kernels/cuda/resample.h"
#include "kernels/cuda/simt.h"

namespace furrow::SIMT_NS {

// A maximum over kSize x kSize pixels, every 2 pixels, the picture padded by kPad.
template <int kSize, int kPad>
struct PoolWindow {
  SIMT_BOTH static int count(int in) { return (in + 2 * kPad - kSize + 2) / 2; }  // of one line: 0 or 1
  SIMT_BOTH static int begin(int window) { return 2 * window - kPad; }  // its first line; may be -1
  // The windows that cover a line, not yet cut to count(): 2w - kPad <= line < 2w - kPad + kSize.
  SIMT_BOTH static int first_over(int line) { return (line + kPad - kSize + 2) / 2; }
  SIMT_BOTH static int last_over(int line) { return (line + kPad) / 2; }
};

SIMT_BOTH int64_t floor_divide(int64_t a, int64_t b) { return a >= 0 ? a / b : -((-a + b - 1) / b); }  // b > 0
SIMT_BOTH int64_t ceil_divide(int64_t a, int64_t b) { return -floor_divide(-a, b); }

// How `out` lines lie over `in` lines: output line o is at (step*o + start) / unit.
struct Lines {
  int64_t step, start, unit;
  int in, out;
  bool nearest;
};
SIMT_BOTH Lines lines_of(gpu::ResizeRule rule, int in, int out) {
  const int64_t i = in, o = out;
  if (rule == gpu::ResizeRule::nearest) return {i, 0, o, in, out, true};
  if (rule == gpu::ResizeRule::half_pixel) return {2 * i, i - o, 2 * o, in, out, false};
  if (out == 1) return {0, 0, 1, in, out, false};
  return {i - 1, 0, o - 1, in, out, false};
}

// The position of an output line, in 1/unit of a source line, brought within the picture.
SIMT_BOTH int64_t position_of(const Lines& lines, int64_t out) {
  const int64_t position = lines.step * out + lines.start, last = (lines.in - 1) * lines.unit;
  return position < 0 ? 0 : position > last ? last : position;
}

// (1 - fraction) * low + fraction * high.
struct Between {
  int low, high;
  Pair fraction;
};
SIMT_BOTH Between between(const Lines& lines, int64_t out) {
  const int64_t position = position_of(lines, out);
  int64_t low = 0, rest = 0;
  if (position <= 0xffffffffll && lines.unit <= 0xffffffffll) {  // 64-bit division is slow
    low = static_cast<uint32_t>(position) / static_cast<uint32_t>(lines.unit);
    rest = static_cast<uint32_t>(position) % static_cast<uint32_t>(lines.unit);
  } else {
    low = position / lines.unit;
    rest = position % lines.unit;
  }
  const int line = static_cast<int>(low);
  if (lines.nearest) return {line, line, {}};
  return {line, line + 1 < lines.in ? line + 1 : line,
          quotient(static_cast<float>(rest), static_cast<float>(lines.unit))};
}

// The output lines that source line `in` has a part in: those less than one line away. One exactly a line away would
// have a weight of 0.
struct Range {
  int64_t first, last;
};
SIMT_BOTH Range outputs_of(const Lines& lines, int64_t in) {
  if (lines.nearest)
    return {ceil_divide(in * lines.unit, lines.step), ceil_divide((in + 1) * lines.unit, lines.step) - 1};
  if (lines.step == 0) return {0, lines.out - 1};
  const int64_t first = in == 0 ? 0 : floor_divide((in - 1) * lines.unit - lines.start, lines.step) + 1;
  const int64_t last =
      in == lines.in - 1 ? lines.out - 1 : ceil_divide((in + 1) * lines.unit - lines.start, lines.step) - 1;
  return {first < 0 ? 0 : first, last < lines.out - 1 ? last : lines.out - 1};
}
// The weight of source line `in` in output line `out`: 1 - the distance, down to 0.
SIMT_BOTH Pair weight_of(const Lines& lines, int64_t in, int64_t out) {
  if (lines.nearest) return {1, 0};  // outputs_of names no other
  const int64_t ahead = position_of(lines, out) - in * lines.unit, distance = ahead < 0 ? -ahead : ahead;
  if (distance >= lines.unit) return {};
  return quotient(static_cast<float>(lines.unit - distance), static_cast<float>(lines.unit));
}

}  // namespace furrow::SIMT_NS
