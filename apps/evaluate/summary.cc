#include "apps/evaluate/summary.h"

#include <algorithm>
#include <numeric>

#include "apps/evaluate/groups.h"

namespace furrow::apps {
namespace {

constexpr int kCurvePoints = 300;

// What each picture adds to the means, once for all resamples.
struct PictureValues {
  Rates rates;
  std::vector<NearRates> near;
};

// A mean over those that are defined.
class Mean {
 public:
  void add(const std::optional<double>& value) {
    if (!value) return;
    sum_ += *value;
    ++defined_;
  }
  std::optional<double> value() const { return defined_ == 0 ? std::optional<double>() : sum_ / defined_; }

 private:
  double sum_ = 0;
  int64_t defined_ = 0;
};

// All numbers of a set, in one row: pooled rates, mean rates, AUROC, AP, then six per radius.
class SetStatistics {
 public:
  explicit SetStatistics(const Record& record) : record_(record), radii_(record.radii.size()) {
    for (const PictureRow& row : record.rows) {
      PictureValues values{.rates = picture_rates(row.counts), .near = {}};
      for (const NearCounts& near : row.near) values.near.push_back(picture_near_rates(near));
      values_.push_back(std::move(values));
    }
  }

  size_t size() const { return 2 * kRates + 2 + 6 * radii_; }

  // rows[drawn[i]] are the pictures.
  void compute(std::span<const uint32_t> rows, std::span<const uint32_t> drawn,
               std::span<std::optional<double>> out) const {
    PixelCounts counts;
    std::array<Mean, kRates> means;
    Mean auroc, ap;
    for (const uint32_t i : drawn) {
      const PictureRow& row = record_.rows[rows[i]];
      counts += row.counts;
      for (size_t r = 0; r < kRates; ++r) means[r].add(values_[rows[i]].rates[r]);
      auroc.add(row.auroc);
      ap.add(row.ap);
    }
    const Rates pooled = pooled_rates(counts);
    for (size_t r = 0; r < kRates; ++r) {
      out[r] = pooled[r];
      out[kRates + r] = means[r].value();
    }
    out[2 * kRates] = auroc.value();
    out[2 * kRates + 1] = ap.value();
    for (size_t k = 0; k < radii_; ++k) near(k, rows, drawn, out.subspan(2 * kRates + 2 + 6 * k, 6));
  }

 private:
  void near(size_t k, std::span<const uint32_t> rows, std::span<const uint32_t> drawn,
            std::span<std::optional<double>> out) const {
    NearCounts counts;
    Mean precision, recall, f1;
    for (const uint32_t i : drawn) {
      counts += record_.rows[rows[i]].near[k];
      const NearRates& rates = values_[rows[i]].near[k];
      precision.add(rates.precision);
      recall.add(rates.recall);
      f1.add(rates.f1);
    }
    const NearRates pooled = pooled_near_rates(counts);
    out[0] = pooled.precision;
    out[1] = pooled.recall;
    out[2] = pooled.f1;
    out[3] = precision.value();
    out[4] = recall.value();
    out[5] = f1.value();
  }

  const Record& record_;
  size_t radii_;
  std::vector<PictureValues> values_;
};

SetSummary summarise_set(const Record& record, const SetStatistics& statistics, std::span<const uint32_t> rows,
                         ThreadPool* pool) {
  SetSummary set;
  set.pictures = rows.size();
  for (const uint32_t row : rows) set.counts += record.rows[row].counts;
  if (rows.empty()) {
    set.near_pooled.resize(record.radii.size());
    set.near_mean.resize(record.radii.size());
    return set;
  }
  std::vector<uint32_t> once(rows.size());
  std::iota(once.begin(), once.end(), 0u);
  std::vector<std::optional<double>> values(statistics.size());
  statistics.compute(rows, once, values);
  const auto intervals = bootstrap(
      rows.size(), statistics.size(),
      [&](std::span<const uint32_t> drawn, std::span<std::optional<double>> out) {
        statistics.compute(rows, drawn, out);
      },
      {.resamples = record.resamples, .seed = record.seed}, pool);
  const auto measured = [&](size_t i) { return Measured{values[i], intervals[i]}; };
  for (size_t r = 0; r < kRates; ++r) {
    set.pooled[r] = measured(r);
    set.mean[r] = measured(kRates + r);
  }
  set.mean_auroc = measured(2 * kRates);
  set.mean_ap = measured(2 * kRates + 1);
  for (size_t k = 0; k < record.radii.size(); ++k) {
    const size_t at = 2 * kRates + 2 + 6 * k;
    set.near_pooled.push_back({measured(at), measured(at + 1), measured(at + 2)});
    set.near_mean.push_back({measured(at + 3), measured(at + 4), measured(at + 5)});
  }
  return set;
}

std::vector<GroupSummary> summarise_groups(const Record& record, const SetStatistics& statistics, ThreadPool* pool) {
  std::vector<GroupSummary> out;
  const auto add = [&](const std::string& field, const Group& group) {
    if (!group.rows.empty()) out.push_back({field, group.bin, summarise_set(record, statistics, group.rows, pool)});
  };
  Group with{.bin = "some", .rows = {}}, without{.bin = "none", .rows = {}};
  for (uint32_t i = 0; i < record.rows.size(); ++i) (record.rows[i].has_truth() ? with : without).rows.push_back(i);
  add("wrinkles in the mask", with);
  add("wrinkles in the mask", without);
  for (size_t k = 0; k < record.by.size(); ++k) {
    const GroupSpec spec = parse_group(record.by[k]);
    std::vector<std::optional<std::string>> values;
    for (const PictureRow& row : record.rows) values.push_back(row.attributes[k]);
    for (const Group& group : make_groups(spec, values)) add(spec.field, group);
  }
  return out;
}

}  // namespace

Summary summarise(const Record& record, ThreadPool* pool) {
  const SetStatistics statistics(record);
  std::vector<uint32_t> everything(record.rows.size());
  std::iota(everything.begin(), everything.end(), 0u);
  Summary summary;
  summary.all = summarise_set(record, statistics, everything, pool);
  summary.auroc = auroc(record.histogram);
  summary.ap = average_precision(record.histogram);
  summary.curve = curve(record.histogram, kCurvePoints);
  for (size_t i = 0; i < record.sweep.size(); ++i) summary.sweep.push_back(record.sweep.counts(i));
  if (record.sweep.size() > 0) summary.best = record.sweep.best();
  summary.groups = summarise_groups(record, statistics, pool);
  return summary;
}

}  // namespace furrow::apps
