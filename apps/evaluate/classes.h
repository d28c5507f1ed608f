// `furrow evaluate --mask-classes`: several classes beside each other. What a threshold is for (sweep, AUROC,
// tolerance) has no meaning here and is refused.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/cli/report.h"
#include "apps/evaluate/options.h"
#include "losses/metrics_bootstrap.h"
#include "losses/metrics_classes.h"

namespace furrow::apps {

struct ClassPicture {
  std::string id;
  int64_t width = 0, height = 0;             // of what was compared
  std::vector<std::optional<double>> iou;    // of each class, empty where the picture has it in neither map
  std::optional<double> mean_iou, accuracy;  // of its own pixels
};

struct ClassesResult {
  explicit ClassesResult(int classes) : matrix(classes) {}
  std::vector<std::pair<std::string, std::string>> settings;  // as Record::settings
  std::vector<std::string> values;                            // the mask values of each class: "3,4"
  ConfusionMatrix matrix;                                     // all pictures
  std::vector<ClassPicture> pictures;                         // by id
  std::vector<std::pair<std::string, std::string>> failures;  // id, Error::line()
  std::optional<double> mean_iou, mean_accuracy;              // over pictures
  std::optional<Interval> mean_iou_interval, mean_accuracy_interval;
};

// Schema "furrow.evaluate-classes/1" (docs/metrics.md); null for what is undefined. `indent`: spaces, or -1.
std::string classes_json(const ClassesResult& result, int indent);
std::string classes_csv(const ClassesResult& result);         // a line per class, and the mean
std::string confusion_csv(const ClassesResult& result);       // a line per true class
std::string class_pictures_csv(const ClassesResult& result);  // a line per picture
std::string classes_text(const ClassesResult& result);        // for people
std::string classes_report_html(const ClassesResult& result);

// Counts, writes evaluate.json, classes.csv, confusion.csv, per_image.csv and report.html into job.out, prints. A model
// is compared on the pixels it runs on, its class the (first) largest output; predictions in files are maps in the
// masks' coding, on the photo's pixels. Returns 0. Errors: as evaluation of wrinkles (write_results());
// ErrorCode::usage where the model has another number of classes than job.mask_rule.
int run_evaluate_classes(const EvaluateJob& job, const cli::Common& common);

}  // namespace furrow::apps
