// Runs the cascade over the windows of a band of rows: vectorised across windows, whole rows while many are alive, then
// over a list of the survivors.
#pragma once

#include <cstdint>
#include <vector>

#include "segment/cascade_loops.h"
#include "segment/cascade_pyramid.h"
#include "segment/cascade_table.h"

namespace furrow {

// A window that passed every stage: its place in the band in steps, and the last stage's sum of votes.
struct CascadeHit {
  int row, column;
  float score;
};

// Scratch of one worker, kept between bands.
struct ScanScratch {
  std::vector<float> norm, row_norm;          // of every window of a row; of the listed ones
  std::vector<int32_t> row_votes, row_alive;  // votes; columns that passed so far
  std::vector<int32_t> alive, votes;          // survivors of many rows: offset of their first entry in the band
  std::vector<float> alive_norm;
};

// Appends the windows that pass all stages, row by row, left to right. Windows start at rows 0, step, ... < end_y of
// the band and `columns` times per row; the table is made for the band's stride and step. Decides as OpenCV's
// CascadeClassifier does:
// - a window whose inner 22 x 22 pixels are flat (deviation 0, or norm * area not below 0.1) is skipped;
// - feature = (sum of weight * rectangle) * norm in single precision, votes added in double precision;
// - after a window that fails in the first stage the next one of its row is not looked at.
void scan_band(const CascadeTable& table, const IntegralBand& band, int end_y, int columns, ScanScratch& scratch,
               std::vector<CascadeHit>& hits, ScanIsa isa = best_scan_isa());

}  // namespace furrow
