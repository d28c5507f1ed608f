// A shard's record to and from JSON. What comes from a file is believed only after it is checked.
#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "apps/evaluate/record.h"
#include "apps/evaluate/record_values.h"
#include "data/strict_json.h"
#include "kernels/error.h"

namespace furrow::apps {
namespace {

using Json = nlohmann::ordered_json;
using namespace record_values;  // NOLINT: the readers of JSON values

constexpr const char* kRecordSchema = "furrow.evaluate-shard/1";
constexpr size_t kMostThresholds = 1000, kMostRadii = 64;

Json optional_json(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Json row_json(const PictureRow& row) {
  Json near = Json::array();
  for (const NearCounts& n : row.near) near.push_back({n.predicted, n.predicted_near, n.truth, n.truth_near});
  return {{"id", row.id},
          {"size", {row.width, row.height}},
          {"counts", {row.counts.tp, row.counts.fp, row.counts.fn, row.counts.tn}},
          {"near", std::move(near)},
          {"auroc", optional_json(row.auroc)},
          {"ap", optional_json(row.ap)},
          {"attributes", attributes_json<Json>(row.attributes)}};
}

Json overlays_json(const std::vector<OverlayPicture>& list) {
  Json out = Json::array();
  for (const OverlayPicture& p : list) out.push_back({{"id", p.id}, {"iou", p.iou}, {"png", p.png}});
  return out;
}

// Bin number, negatives, positives, value (null: several) of every bin that is not empty, one after another.
Json bins_json(const ScoreHistogram& histogram) {
  Json out = Json::array();
  for (size_t k = 0; k < ScoreHistogram::kBins; ++k) {
    const ScoreHistogram::Bin& bin = histogram.bin(k);
    if (bin.empty()) continue;
    out.push_back(k);
    out.push_back(bin.negatives);
    out.push_back(bin.positives);
    out.push_back(std::isnan(bin.value) ? Json(nullptr) : Json(static_cast<double>(bin.value)));
  }
  return out;
}

PictureRow read_row(const Json& json, size_t radii, size_t fields) {
  PictureRow row;
  row.id = text(member(json, "id"));
  const Json& size = list(json, "size", 2);
  const Json& counts = list(json, "counts", 4);
  const Json& near = list(json, "near", radii);
  if (size.size() != 2 || counts.size() != 4 || near.size() != radii) broken("a row of the wrong length");
  row.width = static_cast<int64_t>(whole(size[0]));
  row.height = static_cast<int64_t>(whole(size[1]));
  row.counts = {.tp = whole(counts[0]), .fp = whole(counts[1]), .fn = whole(counts[2]), .tn = whole(counts[3])};
  for (const Json& n : near) {
    if (!n.is_array() || n.size() != 4) broken("\"near\" of the wrong length");
    row.near.push_back({whole(n[0]), whole(n[1]), whole(n[2]), whole(n[3])});
  }
  row.auroc = optional_number(member(json, "auroc"));
  row.ap = optional_number(member(json, "ap"));
  row.attributes = read_attributes(json, fields);
  return row;
}

std::vector<OverlayPicture> read_overlays(const Json& object, const char* key, size_t limit) {
  std::vector<OverlayPicture> out;
  for (const Json& json : list(object, key, limit)) {
    OverlayPicture picture{text(member(json, "id")), number(member(json, "iou")), text(member(json, "png"))};
    // It goes into a page as it is.
    if (picture.png.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=") !=
        std::string::npos)
      broken("a picture is not base64");
    out.push_back(std::move(picture));
  }
  return out;
}

void read_bins(const Json& object, ScoreHistogram& histogram) {
  const Json& bins = list(object, "bins", 4 * ScoreHistogram::kBins);
  if (bins.size() % 4 != 0) broken("\"bins\" of the wrong length");
  for (size_t i = 0; i < bins.size(); i += 4) {
    ScoreHistogram::Bin bin;
    bin.negatives = whole(bins[i + 1]);
    bin.positives = whole(bins[i + 2]);
    bin.value =
        bins[i + 3].is_null() ? std::numeric_limits<float>::quiet_NaN() : static_cast<float>(number(bins[i + 3]));
    histogram.add_bin(whole(bins[i], ScoreHistogram::kBins - 1), bin);
  }
}

Record parse(const Json& json) {
  check_schema(json, kRecordSchema);
  Record record;
  record.settings = read_settings(json);
  for (const Json& radius : list(json, "radii", kMostRadii))
    record.radii.push_back(static_cast<int>(whole(radius, kLargestRadius)));
  for (const Json& by : list(json, "by", 100)) record.by.push_back(text(by));
  record.resamples = small(json, "resamples", 1'000'000);
  record.seed = whole(member(json, "seed"), std::numeric_limits<PixelCount>::max());
  record.threshold = number(member(json, "threshold"));
  record.shard = small(json, "shard", 1'000'000);
  record.shards = small(json, "shards", 1'000'000);
  if (record.shard < 1 || record.shard > record.shards) broken("no such shard");
  if (json.contains("contents_sha256")) record.contents = text(json["contents_sha256"]);
  std::vector<double> cuts;
  for (const Json& t : list(json, "thresholds", kMostThresholds)) record.thresholds.push_back(number(t));
  for (const Json& c : list(json, "cuts", kMostThresholds)) cuts.push_back(number(c, -1, 100));
  const Json& passed = list(json, "passed", 2 * (kMostThresholds + 1));
  if (cuts.size() != record.thresholds.size() || passed.size() != 2 * (cuts.size() + 1) ||
      !std::ranges::is_sorted(cuts))
    broken("a sweep of the wrong length or order");
  record.sweep = ThresholdSweep(std::move(cuts));
  std::vector<PixelCount> counts;
  for (const Json& count : passed) counts.push_back(whole(count));
  record.sweep.add_passed(counts);
  read_bins(json, record.histogram);
  for (const Json& row : list(json, "rows", kMostPictures))
    record.rows.push_back(read_row(row, record.radii.size(), record.by.size()));
  record.failures = read_failures(json);
  const auto limit = static_cast<size_t>(small(json, "overlays", 1000));
  record.overlays = OverlayChoice(limit);
  record.overlays.set(read_overlays(json, "worst", limit), read_overlays(json, "best", limit));
  return record;
}

}  // namespace

std::string record_json(const Record& record) {
  Json rows = Json::array(), cuts = Json::array();
  for (const PictureRow& row : record.rows) rows.push_back(row_json(row));
  for (size_t i = 0; i < record.sweep.size(); ++i) cuts.push_back(record.sweep.threshold(i));
  const Json json = {{"schema", kRecordSchema},
                     {"shard", record.shard},
                     {"shards", record.shards},
                     {"settings", settings_json<Json>(record.settings)},
                     {"contents_sha256", record.contents},
                     {"radii", record.radii},
                     {"by", record.by},
                     {"resamples", record.resamples},
                     {"seed", record.seed},
                     {"threshold", record.threshold},
                     {"thresholds", record.thresholds},
                     {"cuts", std::move(cuts)},
                     {"passed", record.sweep.passed()},
                     {"rows", std::move(rows)},
                     {"failures", failures_json<Json>(record.failures)},
                     {"overlays", record.overlays.limit()},
                     {"worst", overlays_json(record.overlays.worst())},
                     {"best", overlays_json(record.overlays.best())},
                     {"bins", bins_json(record.histogram)}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Record read_record(const std::string& path) {
  return with_file(path, [&] {
    const Json json = Json::parse(data::read_json_text(path, kRecordBytes));
    return parse(json);
  });
}

}  // namespace furrow::apps
