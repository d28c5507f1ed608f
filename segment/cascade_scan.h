// Runs the cascade over one row of windows: vectorised across windows while many are alive, one by one afterwards.
#pragma once

#include <cstdint>
#include <vector>

#include "segment/cascade.h"
#include "segment/cascade_pyramid.h"

namespace furrow {

// A window that passed every stage: number of the window in its row, and the last stage's sum of votes.
struct CascadeHit {
  int column;
  float score;
};

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
  const int* inner() const { return inner_; }     // corners of the window without its outermost pixels
  float inner_area() const { return inner_area_; }

 private:
  std::vector<Stage> stages_;
  std::vector<Stump> stumps_;
  int inner_[4];
  float inner_area_;
};

// Scratch of one worker, kept between rows.
struct ScanScratch {
  std::vector<float> norm, alive_norm;
  std::vector<int32_t> votes, alive;
};

// Instructions used by the vectorised loops; the results are the same.
enum class ScanIsa : uint8_t { portable, avx2 };
ScanIsa best_scan_isa();

// Appends the windows of one row that pass all stages, left to right. sum, square: the entries of window 0 (row y of an
// IntegralBand of the table's stride and step). Decides as OpenCV's CascadeClassifier does:
// - a window whose inner 22 x 22 pixels are flat (deviation <= 0, or area / (area * deviation) not below 0.1) is skipped;
// - feature = (sum of weight * rectangle) * norm in single precision, votes added in double precision;
// - after a window that fails in the first stage the next one is not looked at.
void scan_row(const CascadeTable& table, const uint32_t* sum, const uint32_t* square, int columns, ScanScratch& scratch,
              std::vector<CascadeHit>& hits, ScanIsa isa = best_scan_isa());

}  // namespace furrow
