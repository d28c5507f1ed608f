#include "apps/evaluate/classes_record.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "apps/evaluate/merge.h"
#include "apps/evaluate/record_values.h"
#include "data/strict_json.h"
#include "kernels/error.h"

namespace furrow::apps {
namespace {

using Json = nlohmann::ordered_json;
using namespace record_values;  // NOLINT: the readers of JSON values

constexpr const char* kClassesSchema = "furrow.evaluate-classes-shard/1";
constexpr size_t kMostClasses = 256;

Json row_json(const ClassRow& row) {
  Json counts = Json::array();
  for (const ClassCount& c : row.counts) counts.push_back({c.truth, c.predicted, c.pixels});
  return {{"id", row.id},
          {"size", {row.width, row.height}},
          {"counts", std::move(counts)},
          {"attributes", attributes_json<Json>(row.attributes)}};
}

ClassRow read_class_row(const Json& json, size_t classes, size_t fields) {
  ClassRow row;
  row.id = text(member(json, "id"));
  const Json& size = list(json, "size", 2);
  if (size.size() != 2) broken("a row of the wrong length");
  constexpr PixelCount kLongestSide = PixelCount{1} << 20;
  row.width = static_cast<int64_t>(whole(size[0], kLongestSide));
  row.height = static_cast<int64_t>(whole(size[1], kLongestSide));
  PixelCount left = static_cast<PixelCount>(row.width) * static_cast<PixelCount>(row.height);
  for (const Json& cell : list(json, "counts", classes * classes)) {
    if (!cell.is_array() || cell.size() != 3) broken("a count of the wrong length");
    row.counts.push_back(
        {static_cast<int>(whole(cell[0], classes - 1)), static_cast<int>(whole(cell[1], classes - 1)),
         whole(cell[2], left)});  // no more than the picture has
    left -= row.counts.back().pixels;
  }
  row.attributes = read_attributes(json, fields);
  return row;
}

ClassesRecord parse_classes(const Json& json) {
  check_schema(json, kClassesSchema);
  ClassesRecord record;
  record.settings = read_settings(json);
  for (const Json& value : list(json, "values", kMostClasses)) record.values.push_back(text(value));
  if (record.values.size() < 2) broken("fewer than two classes");
  for (const Json& by : list(json, "by", 100)) record.by.push_back(text(by));
  record.resamples = small(json, "resamples", 1'000'000);
  record.seed = whole(member(json, "seed"), std::numeric_limits<PixelCount>::max());
  record.shard = small(json, "shard", 1'000'000);
  record.shards = small(json, "shards", 1'000'000);
  if (record.shard < 1 || record.shard > record.shards) broken("no such shard");
  record.contents = text(member(json, "contents_sha256"));
  for (const Json& row : list(json, "rows", kMostPictures))
    record.rows.push_back(read_class_row(row, record.values.size(), record.by.size()));
  record.failures = read_failures(json);
  return record;
}

void check_same_classes(const ClassesRecord& a, const ClassesRecord& b) {
  check_settings(a.shard, a.shards, a.settings, b.shard, b.shards, b.settings);
  // The settings say all of this in words; only a file that something else wrote can differ in it alone.
  if (a.values != b.values || a.by != b.by || a.resamples != b.resamples || a.seed != b.seed)
    throw Error(ErrorCode::usage, "the shards are not of one evaluation: their numbers are not made in the same way");
}

}  // namespace

std::vector<ClassCount> cells_of(const ConfusionMatrix& matrix) {
  std::vector<ClassCount> cells;
  for (int truth = 0; truth < matrix.classes(); ++truth)
    for (int predicted = 0; predicted < matrix.classes(); ++predicted)
      if (const PixelCount pixels = matrix.at(truth, predicted); pixels > 0)
        cells.push_back({truth, predicted, pixels});
  return cells;
}

ConfusionMatrix matrix_of(const ClassRow& row, int classes) {
  ConfusionMatrix matrix(classes);
  for (const ClassCount& c : row.counts) matrix.add(c.truth, c.predicted, c.pixels);
  return matrix;
}

std::string classes_record_json(const ClassesRecord& record) {
  Json rows = Json::array();
  for (const ClassRow& row : record.rows) rows.push_back(row_json(row));
  const Json json = {{"schema", kClassesSchema},
                     {"shard", record.shard},
                     {"shards", record.shards},
                     {"settings", settings_json<Json>(record.settings)},
                     {"contents_sha256", record.contents},
                     {"values", record.values},
                     {"by", record.by},
                     {"resamples", record.resamples},
                     {"seed", record.seed},
                     {"rows", std::move(rows)},
                     {"failures", failures_json<Json>(record.failures)}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

ClassesRecord read_classes_record(const std::string& path) {
  return with_file(path, [&] { return parse_classes(Json::parse(data::read_json_text(path, kRecordBytes))); });
}

bool is_classes_record(const std::string& path) {
  return with_file(path, [&] {
    return data::read_text_within(path, kRecordBytes, "bytes of JSON")
        .starts_with(std::string("{\"schema\":\"") + kClassesSchema + "\"");
  });
}

bool same_shard(const ClassesRecord& a, const ClassesRecord& b) {
  return a.shard == b.shard && a.shards == b.shards && a.settings == b.settings && a.values == b.values &&
         a.by == b.by && a.resamples == b.resamples && a.seed == b.seed;
}

ClassesRecord merge_records(std::vector<ClassesRecord> shards) {
  return merge_shards(std::move(shards), check_same_classes, [](ClassesRecord&, const ClassesRecord&) {});
}

void sort_rows(ClassesRecord& record) {
  std::ranges::sort(record.rows, {}, &ClassRow::id);
  std::ranges::sort(record.failures, {}, &Failure::id);
}

}  // namespace furrow::apps
