// `furrow prepare labels`: what a folder of label maps holds, and how far another one says the same.
#pragma once

#include <string>

#include "apps/cli/report.h"
#include "io/limits.h"

namespace furrow::apps {

struct LabelSetOptions {
  std::string folder, order = "bisenet";
  std::string against, against_order = "bisenet";  // "": compared with nothing
  int threads = 0;
  io::Limits limits;
};

// Pixels and files of each class, by name; with `against`, maps of one stem are compared pixel by pixel, the smaller one
// replicated where it is smaller by a whole factor: the share of equal pixels, the IoU of each class over all pixels of
// all maps together, and the mean over the classes that either set has. Exit status 0, or ErrorCode::malformed with the
// maps that failed: damaged, labels without a name, sizes that do not go together.
int prepare_labels(const LabelSetOptions& options, const cli::Common& common);

}  // namespace furrow::apps
