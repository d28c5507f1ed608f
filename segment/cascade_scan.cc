#include "segment/cascade_scan.h"

#include <algorithm>

namespace furrow {
namespace {

using Stage = CascadeTable::Stage;

// The first stages reject most windows and run row by row, the others on a list of survivors from many rows.
constexpr size_t kRowStages = 2;
// All windows of a row are voted on where more than one in this many is alive; else only those, at the price of
// gathering their entries one by one. Measured with AVX2; flat between 6 and 16.
constexpr int kRowPays = 8;
// The list is worked off when it has this many windows: long vectors, and their entries still in the cache.
constexpr size_t kListFull = 2048;

class BandScan {
 public:
  BandScan(const CascadeTable& table, const IntegralBand& band, int columns, const CascadeLoops& loops,
           ScanScratch& scratch, std::vector<CascadeHit>& hits)
      : table_(table), band_(band), columns_(columns), loops_(loops), scratch_(scratch), hits_(hits) {
    const size_t room = static_cast<size_t>(columns);
    scratch.norm.resize(room), scratch.row_votes.resize(room), scratch.row_alive.resize(room);
    scratch.alive.clear(), scratch.alive_norm.clear();
  }

  // The row stages on the windows of row y; survivors join the list.
  void row(int y) {
    const uint32_t* sum = band_.sum_row(y);
    loops_.normalise(sum, band_.square_row(y), table_.inner(), table_.inner_area(), columns_, scratch_.norm.data());
    int count = first_stage(sum);
    for (size_t s = 1; s < row_stages() && count > 0; ++s) count = row_stage(table_.stages()[s], sum, count);
    for (int i = 0; i < count; ++i) {
      const int32_t x = scratch_.row_alive[static_cast<size_t>(i)];
      scratch_.alive.push_back(y * band_.stride + x);
      scratch_.alive_norm.push_back(scratch_.norm[static_cast<size_t>(x)]);
    }
    if (scratch_.alive.size() >= kListFull) finish_list();
  }

  // The other stages on the list, which is empty afterwards.
  void finish_list() {
    const uint32_t* sum = band_.sum_row(0);
    scratch_.votes.resize(std::max(scratch_.votes.size(), scratch_.alive.size()));
    int32_t* alive = scratch_.alive.data();
    float* norm = scratch_.alive_norm.data();
    const int32_t* votes = scratch_.votes.data();
    int count = static_cast<int>(scratch_.alive.size());
    for (size_t s = row_stages(); s < table_.stages().size() && count > 0; ++s) {
      const Stage& stage = table_.stages()[s];
      loops_.vote_listed(table_.stumps(stage), stage.count, sum, alive, norm, count, scratch_.votes.data());
      int kept = 0;
      for (int i = 0; i < count; ++i) {
        if (!passes(stage, votes[i], sum + alive[i], norm[i])) continue;
        alive[kept] = alive[i];
        norm[kept++] = norm[i];
      }
      count = kept;
    }
    for (int i = 0; i < count; ++i) hits_.push_back(hit(alive[i], norm[i]));
    scratch_.alive.clear(), scratch_.alive_norm.clear();
  }

 private:
  size_t row_stages() const { return std::min(kRowStages, table_.stages().size()); }

  // Lists the columns of a row that pass the first stage; returns how many.
  int first_stage(const uint32_t* sum) {
    const Stage& stage = table_.stages().front();
    const float* norm = scratch_.norm.data();
    int32_t* votes = scratch_.row_votes.data();
    int32_t* alive = scratch_.row_alive.data();
    loops_.vote_row(table_.stumps(stage), stage.count, sum, norm, columns_, votes);
    int count = 0;
    for (int x = 0; x < columns_; ++x) {
      if (norm[x] < 0) continue;
      if (passes(stage, votes[x], sum + x, norm[x]))
        alive[count++] = x;
      else
        ++x;  // the reference does not look at the window after a rejected one
    }
    return count;
  }

  // Keeps those of the row's `count` listed columns that pass `stage`; returns how many.
  int row_stage(const Stage& stage, const uint32_t* sum, int count) {
    const float* norm = scratch_.norm.data();
    int32_t* votes = scratch_.row_votes.data();
    int32_t* alive = scratch_.row_alive.data();
    const bool whole_row = count * kRowPays > columns_;
    if (whole_row) {
      loops_.vote_row(table_.stumps(stage), stage.count, sum, norm, columns_, votes);
    } else {
      scratch_.row_norm.resize(scratch_.norm.size());
      for (int i = 0; i < count; ++i) scratch_.row_norm[static_cast<size_t>(i)] = norm[alive[i]];
      loops_.vote_listed(table_.stumps(stage), stage.count, sum, alive, scratch_.row_norm.data(), count, votes);
    }
    int kept = 0;
    for (int i = 0; i < count; ++i)
      if (passes(stage, votes[whole_row ? alive[i] : i], sum + alive[i], norm[alive[i]])) alive[kept++] = alive[i];
    return kept;
  }

  bool passes(const Stage& stage, int32_t votes, const uint32_t* window, float norm) const {
    const int32_t margin = votes - stage.fixed_threshold;
    if (margin > stage.doubt) return true;
    if (margin < -stage.doubt) return false;
    return exact_votes(table_, stage, window, norm) >= static_cast<double>(stage.threshold);
  }

  CascadeHit hit(int32_t place, float norm) const {
    const uint32_t* window = band_.sum_row(0) + place;
    return {place / band_.stride / band_.step, place % band_.stride,
            static_cast<float>(exact_votes(table_, table_.stages().back(), window, norm))};
  }

  const CascadeTable& table_;
  const IntegralBand& band_;
  const int columns_;
  const CascadeLoops& loops_;
  ScanScratch& scratch_;
  std::vector<CascadeHit>& hits_;
};

}  // namespace

void scan_band(const CascadeTable& table, const IntegralBand& band, int end_y, int columns, ScanScratch& scratch,
               std::vector<CascadeHit>& hits, ScanIsa isa) {
  BandScan scan(table, band, columns, cascade_loops(isa), scratch, hits);
  for (int y = 0; y < end_y; y += band.step) scan.row(y);
  scan.finish_list();
}

}  // namespace furrow
