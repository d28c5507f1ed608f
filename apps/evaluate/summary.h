// From a record's counts to the numbers that are shown, each with its interval.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/evaluate/record.h"
#include "kernels/threads.h"
#include "losses/metrics.h"
#include "losses/metrics_bootstrap.h"

namespace furrow::apps {

struct Measured {
  std::optional<double> value;       // empty: undefined
  std::optional<Interval> interval;  // empty: none (fewer than two pictures, or no resamples)
};

// Of a set of pictures. `pooled` from added counts, `mean` over its pictures (docs/metrics.md).
struct SetSummary {
  size_t pictures = 0;
  PixelCounts counts;
  std::array<Measured, kRates> pooled, mean;  // in order of Rate
  Measured mean_auroc, mean_ap;
  struct Near {
    Measured precision, recall, f1;
  };
  std::vector<Near> near_pooled, near_mean;  // one per radius
};

struct GroupSummary {
  std::string field, bin;
  SetSummary set;
};

struct Summary {
  SetSummary all;
  std::optional<Area> auroc, ap;  // of all pixels
  std::vector<CurvePoint> curve;
  std::vector<PixelCounts> sweep;    // at record.thresholds
  size_t best = 0;                   // number of the threshold with the largest pooled F1
  std::vector<GroupSummary> groups;  // first those by whether the truth is empty, then record.by in order
};

Summary summarise(const Record& record, ThreadPool* pool);

}  // namespace furrow::apps
