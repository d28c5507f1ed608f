// The cascade made ready for one memory layout of the integral images.
#pragma once

#include <cstdint>
#include <vector>

#include "segment/cascade.h"

namespace furrow {

// Votes are added in 32-bit fixed point with this many units per 1, because that vectorises well on every machine. The
// rounding error is known (Stage::doubt), so such a sum decides only where the exact one cannot disagree.
inline constexpr double kVoteOne = 1 << 20;

// The cascade's numbers with every rectangle corner turned into an offset from the window's first entry in an
// IntegralBand of one stride and step.
class CascadeTable {
 public:
  CascadeTable(const Cascade& cascade, int stride, int step);

  struct Stump {
    int corner[3][4];  // top left, top right, bottom left, bottom right
    float weight[3];
    float threshold, left, right;
    int32_t vote_right, vote_more;  // fixed point: right, left - right
  };
  struct Stage {
    int first, count;
    float threshold;
    int32_t fixed_threshold;  // fixed point
    int32_t doubt;            // a fixed-point sum this close to the threshold does not decide
  };

  const std::vector<Stage>& stages() const { return stages_; }
  const Stump* stumps(const Stage& stage) const { return stumps_.data() + stage.first; }
  const int* inner() const { return inner_; }  // corners of the window without its outermost pixels
  float inner_area() const { return inner_area_; }

 private:
  std::vector<Stage> stages_;
  std::vector<Stump> stumps_;
  int inner_[4];
  float inner_area_;
};

// The stage's sum of votes on one window, in double precision as the reference adds them: feature = (sum of weight *
// rectangle) * norm in single precision; `window` is the window's first entry in the sums.
double exact_votes(const CascadeTable& table, const CascadeTable::Stage& stage, const uint32_t* window, float norm);

}  // namespace furrow
