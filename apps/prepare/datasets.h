// `furrow prepare split`, `check`, `stats` and `preview`: what is known of a data set before anything is trained.
#pragma once

#include <cstdint>
#include <string>

#include "apps/cli/report.h"
#include "data/masks.h"
#include "io/limits.h"

namespace furrow::apps {

struct SplitOptions {
  std::string names;  // a folder of photos, or a text file of a name per line
  std::string out;    // the JSON that `furrow train` reads (split.rule file)
  int seed = 42, draw = 1, folds = 0, fold = 0;
  double val = 0.2, test = 0;
  bool official = false, by_hash = false, force = false;
};
// Divides the names into training, validation and test (data/split.h).
int prepare_split(const SplitOptions& options, const cli::Common& common);

struct CheckOptions {
  std::string images, masks, textures, split;
  std::string mask_kind = "binary", accept;  // accept: findings that become warnings: photo,mask,size,value,file
  int near = 8;                              // bits of the hash; -1: photos are not compared
  int threads = 0;
  io::Limits limits;
};
// Pairing, sizes, mask values (data/pairs.h); photos that are near-duplicates (data/near_duplicates.h): across the
// parts of a split a finding, otherwise a warning; ids of the split that are not there. Every photo and every mask is
// decoded. Exit status 0, or ErrorCode::malformed with all findings.
int prepare_check(const CheckOptions& options, const cli::Common& common);

struct StatsOptions {
  std::string folder, attributes, svg, mask_kind = "threshold";
  bool force = false;
  int threads = 0;
  io::Limits limits;
};
// Sizes of pictures; of masks and label maps the values, of masks the share of wrinkle as the original counts it (value
// > 127); with attributes a histogram of age by gender. As text or JSON, and as SVG.
int prepare_stats(const StatsOptions& options, const cli::Common& common);

struct PreviewWords {
  std::string images, masks, out, recipe = "best-run", flavour = "intended", mask_kind = "binary";
  int count = 8, versions = 11, side = 256, crop = 0, seed = 42;
  bool force = false;
  io::Limits limits;
};
// A contact sheet per photo of what augmentation makes of it (data/preview.h), and changes.txt.
int prepare_preview(const PreviewWords& options, const cli::Common& common);

// "binary", "threshold", "unit", "weak", or the values that are wrinkle, "3,4": the rule of --mask-kind. Throws
// ErrorCode::usage.
data::MaskRule mask_rule_of(const std::string& kind);

}  // namespace furrow::apps
