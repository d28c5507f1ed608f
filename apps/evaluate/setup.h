// What an evaluation needs before the first picture: pairs, model, attributes, an empty record.
#pragma once

#include <memory>
#include <vector>

#include "apps/cli/report.h"
#include "apps/evaluate/attributes.h"
#include "apps/evaluate/options.h"
#include "apps/evaluate/predict.h"
#include "apps/evaluate/record.h"
#include "data/pairs.h"
#include "segment/model.h"

namespace furrow::apps {

struct Setup {
  std::vector<data::PairFiles> pairs;  // of this shard: every shards-th of all, from the shard-th on
  size_t all_pairs = 0;
  std::string pairs_sha256;              // of all ids, each followed by a newline
  std::shared_ptr<const Model> model;    // null where predictions are read
  std::unique_ptr<Predictor> predictor;  // of wrinkles; null where there are several classes
  AttributeTable attributes;
};

// Errors: those of data::find_pairs, load_model, the device; ErrorCode::malformed where an id of job.ids has no pair
// (all are listed); ErrorCode::usage for fields of `by` that do not exist.
Setup set_up(const EvaluateJob& job, const cli::Common& common);

Record new_record(const EvaluateJob& job, const Setup& setup);

// Parts of the settings of every record. What predicts: the model on `device`, or files; and on which pixels.
void add_source(const EvaluateJob& job, const Setup& setup, const std::string& device, Settings& settings);
// Which pairs, and which of their pixels.
void add_pairs(const EvaluateJob& job, const Setup& setup, Settings& settings);
// Groups and resamples.
void add_sampling(const EvaluateJob& job, Settings& settings);

// contents_sha256() of the pairs of a shard; "" where there is one process, which nothing is compared with.
std::string contents_of(const EvaluateJob& job, const Setup& setup);
// --keep, or the model's.
std::vector<int> kept_labels(const EvaluateJob& job, const Setup& setup);

// The pairs of the two folders, as job.ids, skip_unpaired and first_dot have it; warnings become notes. Errors: those
// of data::find_pairs() for what they refuse.
std::vector<data::PairFiles> pairs_of(const EvaluateJob& job, const cli::Common& common);

}  // namespace furrow::apps
