// A photo on its way through `furrow segment`, and the part of the way that comes before the network.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "apps/segment_earlier.h"

namespace furrow::apps {

// A photo on its way through the pipeline; an Error in place of a picture travels to the end to be listed.
struct Work {
  const cli::Input* input = nullptr;
  OutputPaths files;
  Origin origin;
  Earlier earlier;
  bool finished = false;  // by an earlier run
  io::Picture picture;
  std::optional<io::LabelMap> labels;
  SegmentResult result;
  double decode_milliseconds = 0;
  std::optional<Error> failure;
};

// "standard input" or the path.
std::string shown(const cli::Input& input);
Error out_of_memory(const Work& work);

// Looks at what stands in the folder for results, then reads the photo and its labels. `inputs`: canonical paths of all.
// Errors are left in `work`.
void decode(const SegmentJob& job, const ModelInfo& model, const std::set<std::string>& inputs, Work& work);

}  // namespace furrow::apps
