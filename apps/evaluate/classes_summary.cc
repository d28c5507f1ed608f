#include "apps/evaluate/classes_summary.h"

#include <numeric>

#include "apps/evaluate/groups.h"

namespace furrow::apps {
namespace {

ClassSet summarise_set(const ClassesRecord& record, const std::vector<ClassPicture>& pictures,
                       std::span<const uint32_t> rows, ThreadPool* pool) {
  ClassSet set(record.classes());
  set.pictures = rows.size();
  for (const uint32_t row : rows)
    for (const ClassCount& c : record.rows[row].counts) set.matrix.add(c.truth, c.predicted, c.pixels);
  const auto means = [&](std::span<const uint32_t> drawn, std::span<std::optional<double>> out) {
    double iou = 0, accuracy = 0;
    size_t defined = 0;
    for (const uint32_t i : drawn) {
      const ClassPicture& picture = pictures[rows[i]];
      if (!picture.mean_iou) continue;  // both are defined, or neither
      iou += *picture.mean_iou;
      accuracy += *picture.accuracy;
      ++defined;
    }
    if (defined == 0) return;
    out[0] = iou / static_cast<double>(defined);
    out[1] = accuracy / static_cast<double>(defined);
  };
  std::vector<uint32_t> once(rows.size());
  std::iota(once.begin(), once.end(), 0u);
  std::vector<std::optional<double>> values(2);
  means(once, values);
  const auto intervals = bootstrap(rows.size(), 2, means, {.resamples = record.resamples, .seed = record.seed}, pool);
  set.mean_iou = {values[0], intervals[0]};
  set.accuracy = {values[1], intervals[1]};
  return set;
}

}  // namespace

ClassesSummary summarise(const ClassesRecord& record, ThreadPool* pool) {
  ClassesSummary out{ClassSet(record.classes()), {}, {}};
  for (const ClassRow& row : record.rows) {
    const ConfusionMatrix matrix = matrix_of(row, record.classes());
    out.pictures.push_back({class_iou(matrix), mean_iou(matrix), pixel_accuracy(matrix)});
  }
  std::vector<uint32_t> rows(record.rows.size());
  std::iota(rows.begin(), rows.end(), 0u);
  out.all = summarise_set(record, out.pictures, rows, pool);
  for (size_t k = 0; k < record.by.size(); ++k) {
    std::vector<std::optional<std::string>> values;
    for (const ClassRow& row : record.rows) values.push_back(row.attributes[k]);
    const GroupSpec spec = parse_group(record.by[k]);
    for (const Group& group : make_groups(spec, values))
      out.groups.push_back({spec.field, group.bin, summarise_set(record, out.pictures, group.rows, pool)});
  }
  return out;
}

}  // namespace furrow::apps
