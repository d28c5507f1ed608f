// Label maps of face parsers, as the data sets ship them, and which of their labels are kept.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "apps/prepare/folder_job.h"
#include "io/image.h"
#include "io/limits.h"

namespace furrow::apps {

// Names of the classes, by their numbers in a label map of `order`, the word of `option`: "bisenet" (the parser of
// FFHQ-Wrinkle's label maps) or "celebamask" (CelebAMask-HQ's, FFHQ-Aging's). Throws ErrorCode::usage.
const std::array<std::string_view, 19>& class_names(std::string_view option, std::string_view order);
// The number in kFaceClasses of each class of `order`.
std::array<uint8_t, 19> by_name(const std::array<std::string_view, 19>& order);

// The labels that `list` names: "skin,nose", "1,10", or both kinds. Names have the numbers of `order`, a word of
// --class-order. Sorted, each once. Throws ErrorCode::usage.
std::vector<int> kept_of(const std::string& list, const std::string& order);

// One channel of labels, from an .npy of [height, width] or a PNG (palette indices or gray values). Errors: those of its
// reader; malformed for a label that is no whole number from 0 to 255, and an array of another shape.
io::Image read_label_map(const std::string& path, const io::Limits& limits);
// Labels that cover k x k pixels each become k x k labels, whatever whole k, as scipy.ndimage.zoom(labels, 2, order=0)
// has it for k = 2; malformed with both sizes where `width` and `height` are not k times the map's. `of`: "photo".
io::Image replicate(const io::Image& labels, int64_t width, int64_t height, const char* of);

// The label maps of a folder, by the stem of their photo.
class LabelFolder {
 public:
  // .npy and .png, in folders within too. ErrorCode::io, and ErrorCode::usage where there is none.
  LabelFolder(const std::string& folder, const io::Limits& limits);

  const FilesByStem& files() const { return files_; }
  // The photo itself, where both are in one folder, is no label map.
  bool has(const cli::Input& photo) const { return !maps_of(photo).empty(); }
  // Labels of the photo, width * height: replicate(). Errors name the label map: those of read_label_map() and
  // replicate(); malformed for two maps of one stem.
  io::Image of(const cli::Input& photo, int64_t width, int64_t height) const;

 private:
  std::vector<std::string> maps_of(const cli::Input& photo) const;
  FilesByStem files_;
  io::Limits limits_;
};

}  // namespace furrow::apps
