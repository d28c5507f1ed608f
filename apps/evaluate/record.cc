#include "apps/evaluate/record.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <tuple>

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

std::string shard_text(const Record& record) {
  return "shard " + std::to_string(record.shard) + "/" + std::to_string(record.shards);
}

void check_same(const Record& a, const Record& b) {
  const auto differ = [&](const std::string& key, const std::string& first, const std::string& second) {
    throw Error(ErrorCode::usage, shard_text(a) + " and " + shard_text(b) + " are not of one evaluation: " + key +
                                      " is " + printable(first) + " in one and " + printable(second) + " in the other");
  };
  if (a.settings.size() != b.settings.size())
    differ("the number of settings", std::to_string(a.settings.size()), std::to_string(b.settings.size()));
  for (size_t i = 0; i < a.settings.size(); ++i) {
    if (a.settings[i].first != b.settings[i].first) differ("a setting", a.settings[i].first, b.settings[i].first);
    if (a.settings[i].second != b.settings[i].second)
      differ(a.settings[i].first, a.settings[i].second, b.settings[i].second);
  }
  if (a.shards != b.shards) differ("the number of shards", std::to_string(a.shards), std::to_string(b.shards));
  // The settings say all of this in words; only a file that something else wrote can differ in it alone.
  const auto sweep = [](const Record& record) {
    std::vector<double> cuts;
    for (size_t i = 0; i < record.sweep.size(); ++i) cuts.push_back(record.sweep.threshold(i));
    return cuts;
  };
  if (a.radii != b.radii || a.by != b.by || a.resamples != b.resamples || a.seed != b.seed ||
      a.threshold != b.threshold || a.thresholds != b.thresholds || sweep(a) != sweep(b) ||
      a.overlays.limit() != b.overlays.limit())
    throw Error(ErrorCode::usage, shard_text(a) + " and " + shard_text(b) +
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

Record merge_records(std::vector<Record> shards) {
  require(!shards.empty(), "merge_records: shards");
  std::ranges::sort(shards, {}, &Record::shard);
  for (const Record& shard : shards) check_same(shards.front(), shard);
  const auto expected = static_cast<size_t>(shards.front().shards);
  for (size_t i = 0; i < shards.size(); ++i) {
    if (i > 0 && shards[i].shard == shards[i - 1].shard)
      throw Error(ErrorCode::usage, shard_text(shards[i]) + " is named twice");
  }
  if (shards.size() != expected) {
    std::string missing;
    std::set<int> present;
    for (const Record& shard : shards) present.insert(shard.shard);
    for (int i = 1; i <= shards.front().shards && missing.size() < 100; ++i)
      if (!present.contains(i)) missing += (missing.empty() ? "" : ", ") + std::to_string(i);
    throw Error(ErrorCode::usage,
                std::to_string(shards.size()) + " of " + std::to_string(expected) + " shards: missing " + missing);
  }
  Record whole = std::move(shards.front());
  for (size_t i = 1; i < shards.size(); ++i) {
    Record& part = shards[i];
    std::ranges::move(part.rows, std::back_inserter(whole.rows));
    std::ranges::move(part.failures, std::back_inserter(whole.failures));
    whole.histogram.add(part.histogram);
    whole.sweep.add(part.sweep);
    // A picture may stand in both lists of its shard; once is enough.
    std::vector<OverlayPicture> candidates = part.overlays.worst();
    for (const OverlayPicture& picture : part.overlays.best())
      if (std::ranges::find(candidates, picture.id, &OverlayPicture::id) == candidates.end())
        candidates.push_back(picture);
    for (const OverlayPicture& picture : candidates) whole.overlays.add(picture);
  }
  whole.shard = whole.shards = 1;
  sort_rows(whole);
  return whole;
}

}  // namespace furrow::apps
