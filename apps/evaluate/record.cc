#include "apps/evaluate/record.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <tuple>

#include "apps/evaluate/merge.h"
#include "kernels/error.h"
#include "losses/metrics.h"

namespace furrow::apps {
namespace {

bool worse(const OverlayPicture& a, const OverlayPicture& b) { return std::tie(a.iou, a.id) < std::tie(b.iou, b.id); }
bool better(const OverlayPicture& a, const OverlayPicture& b) {
  return a.iou > b.iou || (a.iou == b.iou && a.id < b.id);
}

using Order = bool (*)(const OverlayPicture&, const OverlayPicture&);

bool belongs(const std::vector<OverlayPicture>& list, size_t limit, const OverlayPicture& picture, Order before) {
  return list.size() < limit || (limit > 0 && before(picture, list.back()));
}

void insert(std::vector<OverlayPicture>& list, size_t limit, const OverlayPicture& picture, Order before) {
  if (!belongs(list, limit, picture, before)) return;
  list.insert(std::ranges::upper_bound(list, picture, before), picture);
  if (list.size() > limit) list.pop_back();
}

std::string shard_text(int shard, int shards) {
  return "shard " + std::to_string(shard) + "/" + std::to_string(shards);
}

void check_same(const Record& a, const Record& b) {
  check_settings(a.shard, a.shards, a.settings, b.shard, b.shards, b.settings);
  // The settings say all of this in words; only a file that something else wrote can differ in it alone.
  const auto sweep = [](const Record& record) {
    std::vector<double> cuts;
    for (size_t i = 0; i < record.sweep.size(); ++i) cuts.push_back(record.sweep.threshold(i));
    return cuts;
  };
  if (a.radii != b.radii || a.by != b.by || a.resamples != b.resamples || a.seed != b.seed ||
      a.threshold != b.threshold || a.thresholds != b.thresholds || sweep(a) != sweep(b) ||
      a.overlays.limit() != b.overlays.limit())
    throw Error(ErrorCode::usage, shard_text(a.shard, a.shards) + " and " + shard_text(b.shard, b.shards) +
                                      " are not of one evaluation: their numbers are not made in the same way");
}

}  // namespace

std::string setting(const Settings& settings, const std::string& key) {
  for (const auto& [name, value] : settings)
    if (name == key) return value;
  return "";
}

double PictureRow::iou() const { return picture_rates(counts)[static_cast<size_t>(Rate::iou)].value_or(0); }

bool OverlayChoice::wants(const std::string& id, double iou) const {
  const OverlayPicture picture{id, iou, {}};
  return belongs(worst_, limit_, picture, worse) || belongs(best_, limit_, picture, better);
}

void OverlayChoice::add(const OverlayPicture& picture) {
  insert(worst_, limit_, picture, worse);
  insert(best_, limit_, picture, better);
}

void OverlayChoice::set(std::vector<OverlayPicture> worst, std::vector<OverlayPicture> best) {
  worst_ = std::move(worst);
  best_ = std::move(best);
}

void sort_rows(Record& record) {
  std::ranges::sort(record.rows, {}, &PictureRow::id);
  std::ranges::sort(record.failures, {}, &Failure::id);
}

void check_settings(int shard_a, int shards_a, const Settings& a, int shard_b, int shards_b, const Settings& b) {
  const auto differ = [&](const std::string& key, const std::string& first, const std::string& second) {
    throw Error(ErrorCode::usage, shard_text(shard_a, shards_a) + " and " + shard_text(shard_b, shards_b) +
                                      " are not of one evaluation: " + key + " is " + printable(first) +
                                      " in one and " + printable(second) + " in the other");
  };
  if (a.size() != b.size()) differ("the number of settings", std::to_string(a.size()), std::to_string(b.size()));
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].first != b[i].first) differ("a setting", a[i].first, b[i].first);
    if (a[i].second != b[i].second) differ(a[i].first, a[i].second, b[i].second);
  }
  if (shards_a != shards_b) differ("the number of shards", std::to_string(shards_a), std::to_string(shards_b));
}

void check_complete(const std::vector<int>& present, int shards) {
  for (size_t i = 1; i < present.size(); ++i)
    if (present[i] == present[i - 1]) throw Error(ErrorCode::usage, shard_text(present[i], shards) + " is named twice");
  if (present.size() == static_cast<size_t>(shards)) return;
  const std::set<int> there(present.begin(), present.end());
  std::string missing;
  for (int i = 1; i <= shards && missing.size() < 100; ++i)
    if (!there.contains(i)) missing += (missing.empty() ? "" : ", ") + std::to_string(i);
  throw Error(ErrorCode::usage,
              std::to_string(present.size()) + " of " + std::to_string(shards) + " shards: missing " + missing)
      .hint("run those too, then merge again");
}

void check_pictures(const Settings& settings, std::vector<std::string> ids) {
  std::ranges::sort(ids);
  if (const auto twice = std::ranges::adjacent_find(ids); twice != ids.end())
    throw Error(ErrorCode::usage, "the shards hold " + *twice + " twice").hint("run them again with the same pairs");
  if (const std::string pairs = setting(settings, "pairs"); pairs != std::to_string(ids.size()))
    throw Error(ErrorCode::usage, "the shards hold " + std::to_string(ids.size()) + " of " + printable(pairs) + " pairs")
        .hint("a file of an unfinished shard, .part.json, is none: run that shard again");
}

Record merge_records(std::vector<Record> shards) {
  return merge_shards(std::move(shards), check_same, [](Record& whole, const Record& part) {
    whole.histogram.add(part.histogram);
    whole.sweep.add(part.sweep);
    // A picture may stand in both lists of its shard; once is enough.
    std::vector<OverlayPicture> candidates = part.overlays.worst();
    for (const OverlayPicture& picture : part.overlays.best())
      if (std::ranges::find(candidates, picture.id, &OverlayPicture::id) == candidates.end())
        candidates.push_back(picture);
    for (const OverlayPicture& picture : candidates) whole.overlays.add(picture);
  });
}

}  // namespace furrow::apps
