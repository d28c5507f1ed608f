// From the counts of several classes to the numbers that are shown.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/evaluate/classes_record.h"
#include "apps/evaluate/summary.h"
#include "kernels/threads.h"
#include "losses/metrics_classes.h"

namespace furrow::apps {

// Of a set of pictures: added counts, and means over those of its pictures that have pixels to compare.
struct ClassSet {
  explicit ClassSet(int classes) : matrix(classes) {}
  size_t pictures = 0;
  ConfusionMatrix matrix;
  Measured mean_iou, accuracy;
};

struct ClassGroup {
  std::string field, bin;
  ClassSet set;
};

struct ClassPicture {
  std::vector<std::optional<double>> iou;    // of each class, empty where the picture has it in neither map
  std::optional<double> mean_iou, accuracy;  // empty where nothing of it is compared
};

struct ClassesSummary {
  ClassSet all;
  std::vector<ClassPicture> pictures;  // of record.rows
  std::vector<ClassGroup> groups;      // of record.by, in order
};

// Errors: those of make_groups().
ClassesSummary summarise(const ClassesRecord& record, ThreadPool* pool);

}  // namespace furrow::apps
