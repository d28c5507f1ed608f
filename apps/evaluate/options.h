// What `furrow evaluate` was asked to do.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "data/masks.h"
#include "io/limits.h"
#include "segment/segmenter.h"

namespace furrow::apps {

// On which pixels predictions and truth are compared.
enum class CompareAt : uint8_t {
  model,  // the size x size pixels the network ran on, as the seed does; the mask's pixel under each centre is the
          // truth
  photo,  // the photo's own pixels; probabilities are resized back as `furrow segment` does
};

struct EvaluateJob {
  std::string images, masks, out = "evaluation";
  std::string weights;             // empty: the model compiled in
  std::string predictions;         // a folder of PNG by name, in place of a model
  std::string labels;              // a folder of face-parsing label maps by name: only kept labels are compared
  std::string ids;                 // a file of names, one per line: only these
  std::string attributes;          // CSV or JSON file, or folder of JSON files, joined by name
  std::vector<std::string> by;     // FIELD or FIELD:BINS
  std::vector<std::string> merge;  // results of --shard to add up, in place of images and masks
  std::string write_threshold;     // a native model file to write
  ComputeOptions compute;
  std::optional<double> threshold;
  std::optional<int64_t> size;
  CompareAt at = CompareAt::model;
  CropMode crop = CropMode::none;
  bool flip = false, sweep = false, force = false, skip_unpaired = false, first_dot = false;
  std::optional<std::vector<int>> kept_labels;
  data::MaskRule mask_rule;
  std::vector<int> radii = {1, 2, 3};
  int resamples = 2000;
  uint64_t seed = 0;
  int overlays = 6;           // worst and best pictures of the report, each
  int shard = 1, shards = 1;  // shard counts from 1
  io::Limits limits;
};

}  // namespace furrow::apps
