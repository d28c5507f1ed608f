// Label maps of face parsers, as the data sets ship them, and which of their labels are kept.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/prepare/folder_job.h"
#include "io/image.h"
#include "io/limits.h"

namespace furrow::apps {

// The labels that `list` names: "skin,nose", "1,10", or both kinds. Names have the numbers of `order`: "bisenet" (the
// parser of FFHQ-Wrinkle's label maps) or "celebamask" (CelebAMask-HQ's). Sorted, each once. Throws ErrorCode::usage.
std::vector<int> kept_of(const std::string& list, const std::string& order);

// The label maps of a folder, by the stem of their photo.
class LabelFolder {
 public:
  // .npy and .png, in folders within too. ErrorCode::io, and ErrorCode::usage where there is none.
  LabelFolder(const std::string& folder, std::vector<int> kept, const io::Limits& limits);

  // The photo itself, where both are in one folder, is no label map.
  bool has(const cli::Input& photo) const { return !maps_of(photo).empty(); }
  // 255 where the photo's label is kept, else 0; width * height. Labels cover k x k pixels each, whatever k, as
  // scipy.ndimage.zoom(labels, 2, order=0) has it for k = 2. Errors name the label map: those of its reader; malformed
  // for a label that is no whole number from 0 to 255, an array of another shape than [height, width], two maps of one
  // stem; and where the photo is not k times as wide and as high, with both sizes.
  io::Image keep(const cli::Input& photo, int64_t width, int64_t height) const;

 private:
  std::vector<std::string> maps_of(const cli::Input& photo) const;
  FilesByStem files_;
  bool kept_[256] = {};
  io::Limits limits_;
};

}  // namespace furrow::apps
