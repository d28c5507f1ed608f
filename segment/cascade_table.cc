#include "segment/cascade_table.h"

#include <cmath>

#include "kernels/error.h"
#include "segment/cascade_pyramid.h"

namespace furrow {

CascadeTable::CascadeTable(const Cascade& cascade, int stride, int step) {
  IntegralBand layout;
  layout.stride = stride;
  layout.step = step;
  const auto corners = [&](int x, int y, int w, int h, int* out) {
    out[0] = y * stride + layout.column(x);
    out[1] = y * stride + layout.column(x + w);
    out[2] = (y + h) * stride + layout.column(x);
    out[3] = (y + h) * stride + layout.column(x + w);
  };
  for (const CascadeStump& from : cascade.stumps) {
    Stump to{};
    for (int r = 0; r < 3; ++r) {
      corners(from.rect[r].x, from.rect[r].y, from.rect[r].w, from.rect[r].h, to.corner[r]);
      to.weight[r] = static_cast<float>(from.weight[r]);
    }
    to.threshold = from.threshold;
    to.left = from.left;
    to.right = from.right;
    to.vote_right = static_cast<int32_t>(std::lrint(from.right * kVoteOne));
    to.vote_more = static_cast<int32_t>(std::lrint(from.left * kVoteOne)) - to.vote_right;
    stumps_.push_back(to);
  }
  for (const CascadeStage& from : cascade.stages) {
    double largest = std::fabs(from.threshold);
    for (const CascadeStump& s :
         cascade.stumps.subspan(static_cast<size_t>(from.first), static_cast<size_t>(from.count)))
      largest += std::fmax(std::fabs(s.left), std::fabs(s.right));
    require(largest * kVoteOne < 2e9, "CascadeTable: votes fit into 32-bit fixed point");
    // Every vote and the threshold is off by half a unit at most.
    stages_.push_back({from.first, from.count, from.threshold,
                       static_cast<int32_t>(std::lrint(from.threshold * kVoteOne)), from.count / 2 + 2});
  }
  corners(1, 1, cascade.window - 2, cascade.window - 2, inner_);
  inner_area_ = static_cast<float>((cascade.window - 2) * (cascade.window - 2));
}

double exact_votes(const CascadeTable& table, const CascadeTable::Stage& stage, const uint32_t* window, float norm) {
  double total = 0;
  const CascadeTable::Stump* stumps = table.stumps(stage);
  for (int s = 0; s < stage.count; ++s) {
    const CascadeTable::Stump& stump = stumps[s];
    float value = 0;
    for (int r = 0; r < (stump.weight[2] != 0 ? 3 : 2); ++r) {
      const int* c = stump.corner[r];
      value += stump.weight[r] *
               static_cast<float>(static_cast<int32_t>(window[c[0]] - window[c[1]] - window[c[2]] + window[c[3]]));
    }
    total += static_cast<double>(value * norm < stump.threshold ? stump.left : stump.right);
  }
  return total;
}

}  // namespace furrow
