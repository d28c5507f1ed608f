// Connected components of a mask (8-connectivity), labelled by runs in two linear passes.
#pragma once

#include <cstdint>
#include <vector>

#include "io/image.h"

namespace furrow::detail {

// What is known of one component before its centre line is traced. The box is half open: [x0, x1) x [y0, y1).
struct Component {
  int64_t area = 0;
  int64_t x0 = 0, y0 = 0, x1 = 0, y1 = 0;
};

// Labels of a mask. `label_of_run[i]` belongs to the i-th run of the mask in raster order (the order of for_each_run
// over rows from the top), so a pass that visits runs needs no lookup and a mask costs four bytes per run, not per
// pixel.
struct Components {
  static constexpr uint32_t kDropped = 0xFFFFFFFF;   // smaller than the minimum area
  static constexpr uint32_t kUnlisted = 0xFFFFFFFE;  // counted, but without a record of its own
  std::vector<uint32_t> label_of_run;                // an index into `listed`, kDropped or kUnlisted
  std::vector<Component> listed;                     // in raster order of the first pixel
  int64_t pixels = 0;                                // all set pixels, dropped components included
  int64_t counted = 0;                               // components of at least the minimum area
  int64_t counted_area = 0;                          // and their pixels
};

// Labels `mask` (gray, non-zero = set, at most 2^28 pixels). Components under `min_area` pixels are dropped. At most
// `max_listed` get a record; where there are more, the smallest areas go without, whole classes of equal area at a
// time, so the answer never depends on an order. Union-find over runs: Rosenfeld & Pfaltz 1966; He, Chao, Suzuki 2008.
Components label_components(const io::Image& mask, int64_t min_area, int64_t max_listed);

}  // namespace furrow::detail
