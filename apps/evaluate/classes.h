// `furrow evaluate --mask-classes`: several classes beside each other. What a threshold is for (sweep, AUROC,
// tolerance) has no meaning here and is refused; so is --at photo: a model's classes are numbers of its own pixels, and
// numbers cannot be resized as probabilities are.
#pragma once

#include <string>
#include <vector>

#include "apps/cli/report.h"
#include "apps/evaluate/classes_record.h"
#include "apps/evaluate/classes_summary.h"
#include "apps/evaluate/options.h"

namespace furrow::apps {

// Schema "furrow.evaluate-classes/1" (docs/metrics.md); null for what is undefined. `indent`: spaces, or -1.
std::string classes_json(const ClassesRecord& record, const ClassesSummary& summary, int indent);
std::string classes_csv(const ClassesRecord& record, const ClassesSummary& summary);  // a line per class, and the mean
std::string confusion_csv(const ClassesSummary& summary);                             // a line per true class
std::string class_groups_csv(const ClassesSummary& summary);                          // a line for all and per group
std::string class_pictures_csv(const ClassesRecord& record, const ClassesSummary& summary);  // a line per picture
std::string classes_text(const ClassesRecord& record, const ClassesSummary& summary);        // for people
std::string classes_report_html(const ClassesRecord& record, const ClassesSummary& summary);

// As the function of results.h; the texts above are what it writes.
int write_results(const EvaluateJob& job, const cli::Common& common, const ClassesRecord& record);

// Counts, writes evaluate.json, classes.csv, confusion.csv, groups.csv, per_image.csv and report.html into job.out, or
// shard-I-of-N.json where job.shards > 1; prints. A model is compared on the pixels it runs on, its class the (first)
// largest output, with job.flip the (first) largest mean of the softmax of both directions; predictions in files are
// maps in the masks' coding, on the photo's pixels. With job.labels only pixels with kept labels count. Returns the
// exit status. Errors: as evaluation of wrinkles (write_results()); ErrorCode::usage where the model has another number
// of classes than job.mask_rule.
int run_evaluate_classes(const EvaluateJob& job, const cli::Common& common);
// The same of the shards in `files`. ErrorCode::usage for options of `job` that want a threshold.
int merge_evaluate_classes(const EvaluateJob& job, const cli::Common& common, const std::vector<std::string>& files);

}  // namespace furrow::apps
