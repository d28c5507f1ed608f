#include "segment/measure.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numbers>

#include "kernels/error.h"
#include "segment/measure_components.h"
#include "segment/measure_runs.h"
#include "segment/measure_trace.h"
#include "segment/skeleton.h"

namespace furrow {
namespace {

using detail::Components;
using detail::Traced;
using detail::Tracer;

void check(const io::Image& mask) {
  require(mask.channels == 1, "measure: the mask is not gray");
  const auto over = [](const char* what, int64_t limit, int64_t found) {
    throw Error(ErrorCode::limit, what).limit(static_cast<uint64_t>(limit), static_cast<uint64_t>(found));
  };
  const int64_t side = std::max(mask.width, mask.height);
  if (side > kMaxMaskSide) over("the mask's side is too long to measure", kMaxMaskSide, side);
  const int64_t pixels = mask.width * mask.height;
  if (pixels > kMaxMaskPixels) over("the mask is too large to measure", kMaxMaskPixels, pixels);
  require(mask.width >= 0 && mask.height >= 0 && mask.pixels.size() == static_cast<size_t>(pixels),
          "measure: the mask's pixels do not match its size");
}

// Solves area = length w + ends pi w^2 / 8 for w.
double mean_width(double area, const Traced& t) {
  const double caps = std::numbers::pi / 8 * double(t.free_ends);
  if (caps == 0 && t.length == 0) return 0;
  // The larger root, in the form that does not cancel.
  return 2 * area / (t.length + std::sqrt(t.length * t.length + 4 * caps * area));
}

// Traces the skeleton of `mask` and sums by piece: one sum per listed piece, then all unlisted ones, then all specks.
std::vector<Traced> trace(const io::Image& mask, const Components& pieces) {
  std::vector<Traced> sums(pieces.listed.size() + 2);
  Tracer tracer(mask, detail::skeletonize(mask), pieces.counted <= kMaxCorrectedPieces);
  const auto for_each_piece_run = [&](auto&& body) {
    size_t run = 0;
    for (int64_t y = 0; y < mask.height; ++y) {
      detail::for_each_run(mask.row(y), mask.width, [&](int64_t begin, int64_t end) {
        const uint32_t label = pieces.label_of_run[run++];
        const size_t slot = label == Components::kDropped    ? sums.size() - 1
                            : label == Components::kUnlisted ? sums.size() - 2
                                                             : label;
        body(begin, end, y, sums[slot]);
      });
    }
  };
  for_each_piece_run([&](int64_t begin, int64_t end, int64_t y, Traced&) { tracer.mark_nodes(begin, end, y); });
  for_each_piece_run(
      [&](int64_t begin, int64_t end, int64_t y, Traced& sum) { tracer.trace_nodes(begin, end, y, sum); });
  for_each_piece_run(
      [&](int64_t begin, int64_t end, int64_t y, Traced& sum) { tracer.trace_loops(begin, end, y, sum); });
  return sums;
}

}  // namespace

MaskMeasures measure(const io::Image& mask, const MeasureOptions& options) {
  check(mask);
  MaskMeasures out;
  out.pixels = mask.width * mask.height;
  const Components pieces = detail::label_components(mask, options.min_area, kMaxListedWrinkles);
  out.mask_pixels = pieces.pixels;
  out.count = pieces.counted;
  if (out.count == 0) return out;

  const std::vector<Traced> sums = trace(mask, pieces);
  Traced all = sums[sums.size() - 2];
  out.wrinkles.reserve(pieces.listed.size());
  for (size_t i = 0; i < pieces.listed.size(); ++i) {
    const detail::Component& c = pieces.listed[i];
    out.wrinkles.push_back({.length = sums[i].length,
                            .mean_width = mean_width(double(c.area), sums[i]),
                            .area = c.area,
                            .x0 = double(c.x0),
                            .y0 = double(c.y0),
                            .x1 = double(c.x1),
                            .y1 = double(c.y1)});
    all.length += sums[i].length;
    all.free_ends += sums[i].free_ends;
  }
  out.length = all.length;
  out.mean_width = mean_width(double(pieces.counted_area), all);
  return out;
}

double percent_as_seed(int64_t mask_pixels, int64_t frame_pixels) {
  if (frame_pixels <= 0) return 0;
  const double percent = double(100 * mask_pixels) / double(frame_pixels);
  // Decimal output of a double is exact before it is rounded, as in Python.
  std::array<char, 64> text{};
  const auto end = std::to_chars(text.begin(), text.end(), percent, std::chars_format::fixed, 2).ptr;
  double rounded = 0;
  std::from_chars(text.begin(), end, rounded);
  return rounded;
}

}  // namespace furrow
