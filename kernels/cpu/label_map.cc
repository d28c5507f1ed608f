#include "kernels/cpu/label_map.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "kernels/cpu/bilinear.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/steps.h"

namespace furrow::cpu {
namespace {

constexpr int64_t kTile = 64;  // pixels that are mixed, then compared side by side: they stay in the nearest cache
constexpr int64_t kMostClasses = 256;

// The first class of the largest score; NaN only where there is nothing else.
uint8_t label_of(const float* scores, int64_t classes) {
  int64_t best = -1;
  for (int64_t c = 0; c < classes; ++c)
    if (scores[c] == scores[c] && (best < 0 || scores[c] > scores[best])) best = c;
  return static_cast<uint8_t>(std::max<int64_t>(best, 0));
}

// The labels of up to kTile pixels, `pixel` floats apart. Comparisons run over pixels, one class after another, so that
// they go in vectors.
void label_tile(const float* scores, int64_t count, int64_t pixel, int64_t classes, uint8_t* labels) {
  constexpr float kNothing = -std::numeric_limits<float>::infinity();
  float best[kTile], score[kTile] = {};
  int32_t label[kTile] = {};
  std::fill_n(best, kTile, kNothing);
  for (int64_t c = 0; c < classes; ++c) {
    for (int64_t p = 0; p < count; ++p) score[p] = scores[p * pixel + c];
    for (int64_t p = 0; p < kTile; ++p) {
      const int32_t wins = -static_cast<int32_t>(score[p] > best[p]);  // all bits or none
      best[p] = score[p] > best[p] ? score[p] : best[p];
      label[p] = (label[p] & ~wins) | (static_cast<int32_t>(c) & wins);
    }
  }
  for (int64_t p = 0; p < count; ++p)  // nothing larger than -infinity: that, or NaN alone
    labels[p] = best[p] == kNothing ? label_of(scores + p * pixel, classes) : static_cast<uint8_t>(label[p]);
}

// Floats of a pixel whose channels are mixed in vectors: those of no class are cheaper than a few classes one by one.
int64_t padded(int64_t classes, int64_t lanes) {
  return classes % lanes < 2 ? classes : ceil_div(classes, lanes) * lanes;
}
std::vector<float> padded_scores(const Tensor& scores, int64_t pixel) {
  const auto from = scores.values<float>();
  const int64_t classes = scores.shape().c;
  std::vector<float> to(static_cast<size_t>(scores.shape().pixels() * pixel));
  for (int64_t p = 0; p < scores.shape().pixels(); ++p)
    std::copy_n(from.begin() + p * classes, classes, to.begin() + p * pixel);
  return to;
}

}  // namespace

void upsample_argmax(ThreadPool* pool, const Tensor& scores, int64_t height, int64_t width, std::span<uint8_t> labels) {
  const Shape& s = scores.shape();
  require(s.h > 0 && s.w > 0 && s.c > 0 && s.c <= kMostClasses && height > 0 && width > 0, "upsample_argmax: shapes");
  require(static_cast<int64_t>(labels.size()) == s.n * height * width, "upsample_argmax: labels");
  std::vector<MixColumn> columns;
  std::vector<int64_t> first{0};
  for (int64_t x = 0; x < width; ++x) {
    const Between at = between(x, s.w, width);
    columns.push_back({at.low, 1 - at.fraction}), columns.push_back({at.high, at.fraction});
    first.push_back(2 * x + 2);
  }
  const RowKernels& rows = row_kernels(choose_isa());
  const int64_t pixel = padded(s.c, rows.lanes), line = s.w * pixel;
  const std::vector<float> from = padded_scores(scores, pixel);
  for_tasks(pool, s.n * height, [&](int64_t task, int) {
    const Between at = between(task % height, s.h, height);
    const float* image = from.data() + task / height * s.h * line;
    const MixSource sources[] = {{image + at.low * line, 1 - at.fraction}, {image + at.high * line, at.fraction}};
    alignas(64) float tile[kTile * kMostClasses];
    for (int64_t x = 0; x < width; x += kTile) {
      const int64_t count = std::min(kTile, width - x);
      rows.mix({.rows = sources,
                .row_count = 2,
                .columns = columns.data(),
                .first = first.data() + x,
                .width = count,
                .channels = pixel,
                .pixel = pixel,
                .y = tile});
      label_tile(tile, count, pixel, s.c, labels.data() + task * width + x);
    }
  });
}

}  // namespace furrow::cpu
