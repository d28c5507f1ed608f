// The face finder's three loops over many windows, once per instruction set.
#pragma once

#include <cstdint>

#include "segment/cascade_table.h"

namespace furrow {

// Instructions used by the loops; the results are the same.
enum class ScanIsa : uint8_t { portable, avx2 };
// The fastest this processor has; FURROW_ISA=portable in the environment asks for the portable loops.
ScanIsa best_scan_isa();

struct CascadeLoops {
  // norm[i] = 1 / (area * deviation) of the inner pixels of window i, or -1 where the window is flat; i < count. sum,
  // square: the entries of window 0, windows being neighbours; corner: CascadeTable::inner().
  void (*normalise)(const uint32_t* sum, const uint32_t* square, const int* corner, float inner_area, int count,
                    float* norm);
  // votes[i] = fixed-point sum of the stumps' votes on window i, i < count.
  void (*vote_row)(const CascadeTable::Stump* stumps, int stump_count, const uint32_t* sum, const float* norm,
                   int count, int32_t* votes);
  // The same for windows whose first entries lie at sum[place[i]].
  void (*vote_listed)(const CascadeTable::Stump* stumps, int stump_count, const uint32_t* sum, const int32_t* place,
                      const float* norm, int count, int32_t* votes);
};

// The loops of `isa`, which the processor must have.
const CascadeLoops& cascade_loops(ScanIsa isa);

}  // namespace furrow
