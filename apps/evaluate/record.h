// What an evaluation has counted: everything its results are made from, in whole numbers, so that parts add up to the
// same bytes as the whole.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kernels/metric_ops.h"
#include "losses/metrics_curve.h"
#include "losses/metrics_tolerance.h"

namespace furrow::apps {

// One picture.
struct PictureRow {
  std::string id;
  int64_t width = 0, height = 0;                       // of what was compared
  PixelCounts counts;                                  // at the threshold
  std::vector<NearCounts> near;                        // one per radius
  std::optional<double> auroc, ap;                     // of its own pixels
  std::vector<std::optional<std::string>> attributes;  // one per field of `by`; empty: unknown
  bool has_truth() const { return counts.tp + counts.fn > 0; }
  double iou() const;  // of picture_rates(), 0 where undefined
};

// A picture kept for the report: PNG of the photo with hits, misses and false alarms.
struct OverlayPicture {
  std::string id;
  double iou = 0;
  std::string png;  // base64
};

// The `limit` worst and best pictures (by IoU, then by id) among those with truth.
class OverlayChoice {
 public:
  explicit OverlayChoice(size_t limit = 0) : limit_(limit) {}
  // Whether a picture would be kept, so that others need no encoding.
  bool wants(const std::string& id, double iou) const;
  void add(const OverlayPicture& picture);
  const std::vector<OverlayPicture>& worst() const { return worst_; }  // worst first
  const std::vector<OverlayPicture>& best() const { return best_; }    // best first
  // Exchanges the lists for those of a file.
  void set(std::vector<OverlayPicture> worst, std::vector<OverlayPicture> best);
  size_t limit() const { return limit_; }

 private:
  size_t limit_;
  std::vector<OverlayPicture> worst_, best_;
};

struct Failure {
  std::string id, error;  // Error::line()
};

// What numbers depend on, in the order shown: key and value as text. Parts of one evaluation agree in all of it.
using Settings = std::vector<std::pair<std::string, std::string>>;
// The value of `key`, "" where there is none.
std::string setting(const Settings& settings, const std::string& key);

struct Record {
  Settings settings;
  std::vector<int> radii;
  std::vector<std::string> by;
  int resamples = 0;
  uint64_t seed = 0;
  double threshold = 0.5;          // as used, of the model's own kind
  std::vector<double> thresholds;  // of the sweep, as the model's own; sweep.threshold() is the cut
  int shard = 1, shards = 1;
  std::string contents;  // of a shard: contents_sha256() of what it was counted from; "": unknown, as of older files

  std::vector<PictureRow> rows;
  std::vector<Failure> failures;
  ScoreHistogram histogram;
  ThresholdSweep sweep{{}};
  OverlayChoice overlays;
};

// The results of one shard, schema "furrow.evaluate-shard/1".
std::string record_json(const Record& record);
// The inverse. Errors name the file: ErrorCode::malformed for anything that record_json() does not write,
// ErrorCode::unsupported for another schema, ErrorCode::limit above kRecordBytes, before it is read.
Record read_record(const std::string& path);
// A picture takes some 300 bytes, one that is shown up to 600 KB.
inline constexpr uint64_t kRecordBytes = uint64_t{256} << 20;

// What every kind of record asks of shards that are to be added up. ErrorCode::usage where two are of other settings
// (the first that differs is named) or of other divisions; where one of `present`, in order, is there twice or one is
// missing.
void check_settings(int shard_a, int shards_a, const Settings& a, int shard_b, int shards_b, const Settings& b);
void check_complete(const std::vector<int>& present, int shards);
// `ids` of all shards, counted or failed. ErrorCode::usage where one stands twice, or they are not all pairs of the
// settings.
void check_pictures(const Settings& settings, std::vector<std::string> ids);

// Adds shards to the record of the whole: rows by id. ErrorCode::usage where they are not all shards of one evaluation:
// other settings (named), a shard twice or missing.
Record merge_records(std::vector<Record> shards);
// Rows and failures by id.
void sort_rows(Record& record);

}  // namespace furrow::apps
