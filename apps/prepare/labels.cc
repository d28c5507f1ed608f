#include "apps/prepare/labels.h"

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "apps/cli/text.h"
#include "apps/cli/words.h"
#include "io/npy.h"
#include "io/picture.h"
#include "kernels/error.h"
#include "segment/face_classes.h"

namespace furrow::apps {
namespace {

// numpy.save of a [height, width] array of any type, as long as it holds labels.
io::Image labels_of_npy(const std::string& path, const io::Limits& limits) {
  std::error_code error;
  // An element has at most eight bytes, and becomes four in memory.
  if (const uint64_t bytes = std::filesystem::file_size(path, error),
      most = 8 * limits.picture_pixels + limits.npy_header + 16;
      !error && bytes > most)
    throw Error(ErrorCode::limit, "the array has too many bytes for a label map").limit(most, bytes);
  const io::NpyArray array = io::read_npy(path, limits);
  if (array.dims.size() != 2 || array.values.empty()) {
    cli::Text dims;
    for (const int64_t d : array.dims) dims << (dims.str().empty() ? "" : ", ") << d;
    throw Error(ErrorCode::malformed,
                cli::Text() << "an array of shape [" << dims.str() << "]; a label map has two axes, [height, width]");
  }
  io::Image out(array.dims[1], array.dims[0], 1);
  for (size_t i = 0; i < out.pixels.size(); ++i) {
    const float value = array.values[i];
    if (!(value >= 0 && value <= 255) || value != static_cast<float>(static_cast<int>(value))) {
      std::ostringstream text;
      text << "the number " << value << " is no label: those are whole, from 0 to 255";
      throw Error(ErrorCode::malformed, text.str())
          .in((cli::Text() << "row " << static_cast<int64_t>(i) / out.width << ", column "
                           << static_cast<int64_t>(i) % out.width)
                  .str());
    }
    out.pixels[i] = static_cast<uint8_t>(value);
  }
  return out;
}

}  // namespace

io::Image read_label_map(const std::string& path, const io::Limits& limits) {
  if (std::filesystem::path(path).extension() != ".png" && std::filesystem::path(path).extension() != ".PNG")
    return labels_of_npy(path, limits);
  io::LabelMap map = io::read_labels(path, limits);
  io::Image out;
  out.width = map.width, out.height = map.height, out.channels = 1;
  out.pixels = std::move(map.labels);
  return out;
}

io::Image replicate(const io::Image& labels, int64_t width, int64_t height, const char* of) {
  const int64_t k = width / labels.width;
  if (k < 1 || k * labels.width != width || k * labels.height != height)
    throw Error(ErrorCode::malformed, cli::Text() << "the label map is " << labels.width << "x" << labels.height
                                                  << ", its " << of << " " << width << "x" << height)
        .hint(cli::Text() << "the " << of << " must be a whole number of times as large, the same along both sides");
  io::Image out(width, height, 1);
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) out.row(y)[x] = labels.row(y / k)[x / k];
  return out;
}

const std::array<std::string_view, 19>& class_names(std::string_view option, std::string_view order) {
  return cli::choose_word(option, order, "bisenet celebamask") == 0 ? kFaceClasses : kCelebAMaskClasses;
}

std::array<uint8_t, 19> by_name(const std::array<std::string_view, 19>& order) {
  std::array<uint8_t, 19> numbers;
  for (size_t i = 0; i < order.size(); ++i)
    numbers[i] = static_cast<uint8_t>(std::ranges::find(kFaceClasses, order[i]) - kFaceClasses.begin());
  return numbers;
}

std::vector<int> kept_of(const std::string& list, const std::string& order) {
  std::string names;
  for (const std::string_view name : class_names("--class-order", order)) (names += name) += ' ';
  names.pop_back();
  bool flags[256] = {};
  std::stringstream words(list);
  for (std::string word; std::getline(words, word, ',');) {
    const bool number = word.find_first_not_of("0123456789") == std::string::npos;
    flags[number ? static_cast<size_t>(parse_labels(word.empty() ? "," : word).at(0))
                 : cli::choose_word("--keep", word, names)] = true;
  }
  std::vector<int> kept;
  for (int label = 0; label < 256; ++label)
    if (flags[label]) kept.push_back(label);
  if (kept.empty()) throw Error(ErrorCode::usage, "--keep names no label").hint("e.g. --keep skin,nose or --keep 1,10");
  return kept;
}

LabelFolder::LabelFolder(const std::string& folder, const io::Limits& limits)
    : files_(files_by_stem(folder, {".npy", ".png"})), limits_(limits) {
  if (files_.empty()) throw Error(ErrorCode::usage, "no label map (.npy or .png) in this folder").file(folder);
}

std::vector<std::string> LabelFolder::maps_of(const cli::Input& photo) const {
  const auto found = files_.find(stem_of(photo.path));
  std::vector<std::string> maps = found == files_.end() ? std::vector<std::string>() : found->second;
  std::error_code error;
  std::erase_if(maps, [&](const std::string& map) { return std::filesystem::equivalent(map, photo.path, error); });
  return maps;
}

io::Image LabelFolder::of(const cli::Input& photo, int64_t width, int64_t height) const {
  const std::vector<std::string> paths = maps_of(photo);
  if (paths.size() > 1)
    throw Error(ErrorCode::malformed, cli::Text() << paths.size() << " label maps have the name of this photo: "
                                                  << paths[0] << ", " << paths[1]);
  return with_file(paths[0],
                   [&] { return replicate(read_label_map(paths[0], limits_), width, height, "photo"); });
}

}  // namespace furrow::apps
