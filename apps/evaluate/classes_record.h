// What an evaluation of several classes has counted, in whole numbers, so that shards add up to the bytes of the whole.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/evaluate/record.h"
#include "losses/metrics_classes.h"

namespace furrow::apps {

// A cell of a picture's confusion matrix that is not 0.
struct ClassCount {
  int truth = 0, predicted = 0;
  PixelCount pixels = 0;
};

// One picture.
struct ClassRow {
  std::string id;
  int64_t width = 0, height = 0;                       // of what was compared
  std::vector<ClassCount> counts;                      // by truth, then by prediction
  std::vector<std::optional<std::string>> attributes;  // one per field of `by`; empty: unknown
};

struct ClassesRecord {
  Settings settings;
  std::vector<std::string> values;  // the mask values of each class: "3,4"
  std::vector<std::string> by;
  int resamples = 0;
  uint64_t seed = 0;
  int shard = 1, shards = 1;
  std::string contents;  // as Record::contents

  std::vector<ClassRow> rows;
  std::vector<Failure> failures;
  int classes() const { return static_cast<int>(values.size()); }
};

std::vector<ClassCount> cells_of(const ConfusionMatrix& matrix);
ConfusionMatrix matrix_of(const ClassRow& row, int classes);

// The results of one shard, schema "furrow.evaluate-classes-shard/1".
std::string classes_record_json(const ClassesRecord& record);
// The inverse; errors as those of read_record().
ClassesRecord read_classes_record(const std::string& path);
// Whether the file begins as classes_record_json() does, so that --merge knows what to add up. Errors as those of
// read_record(), but nothing is said of what follows.
bool is_classes_record(const std::string& path);

// Whether numbers of the two may be added up, and their shard is the same one.
bool same_shard(const ClassesRecord& a, const ClassesRecord& b);
// As merge_records().
ClassesRecord merge_records(std::vector<ClassesRecord> shards);
void sort_rows(ClassesRecord& record);

}  // namespace furrow::apps
