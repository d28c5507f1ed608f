#include "data/dataset.h"

#include <algorithm>
#include <map>
#include <utility>

#include "data/pairs_header.h"
#include "io/picture.h"
#include "io/resize_opencv.h"
#include "kernels/error.h"

namespace furrow::data {
namespace {

std::string sides(const io::Image& image) { return std::to_string(image.width) + "x" + std::to_string(image.height); }

bool same_size(const io::Image& a, const io::Image& b) { return a.width == b.width && a.height == b.height; }

void check_sizes(const Sample& sample, const PairFiles& files, ResizePath path) {
  const auto check = [&](const io::Image& other, const std::string& file, const char* what) {
    if (same_size(sample.image, other)) return;
    if (path != ResizePath::none &&
        same_proportions(sample.image.width, sample.image.height, other.width, other.height))
      return;
    throw Error(ErrorCode::malformed,
                std::string("the ") + what + " is " + sides(other) + ", its photo " + sides(sample.image))
        .file(file)
        .hint(path == ResizePath::none ? "without resizing both must have one size"
                                       : "one is not the other at another scale");
  };
  if (!files.mask.empty()) check(sample.target, files.mask, "mask");
  if (!files.texture.empty() && sample.texture.width != 0) check(sample.texture, files.texture, "texture map");
}

io::Image read_photo(const std::string& path, const io::Limits& limits) {
  io::Picture picture = io::read_picture(path, io::Background::drop, limits);
  if (picture.info.orientation != 1)
    throw Error(ErrorCode::malformed, "EXIF turns this photo, and no mask says whether it was drawn before or after")
        .file(path)
        .hint("save the photo upright");
  return std::move(picture.image);
}

void resize_plain(Sample& sample, const DatasetOptions& o) {
  const bool weak = o.rule.kind == MaskKind::weak;
  sample.image = io::resize(sample.image, o.width, o.height, o.filter);
  if (sample.texture.width != 0) sample.texture = io::resize(sample.texture, o.width, o.height, o.filter);
  if (o.rule.dilate) dilate3(sample.target);
  sample.target = io::resize(sample.target, o.width, o.height, weak ? o.filter : io::Filter::nearest);
}

void resize_seed(Sample& sample, const DatasetOptions& o) {
  io::Image* textured[] = {&sample.image, sample.texture.width != 0 ? &sample.texture : nullptr};
  if (!same_size(sample.image, sample.target)) {
    for (io::Image* image : textured)
      if (image != nullptr) *image = io::resize(*image, o.width, o.height, io::Filter::lanczos);
    sample.target = io::resize(sample.target, o.width, o.height, io::Filter::nearest);
  }
  if (o.rule.dilate) dilate3(sample.target);
  for (io::Image* image : textured)
    if (image != nullptr) *image = io::resize_opencv(*image, o.width, o.height, io::OpencvFilter::lanczos4);
  sample.target = io::resize_opencv(sample.target, o.width, o.height, io::OpencvFilter::nearest);
}

size_t bytes_of(const Sample& sample) {
  return sizeof(Sample) + sample.id.size() + sample.image.pixels.size() + sample.target.pixels.size() +
         sample.texture.pixels.size();
}

}  // namespace

Dataset::Dataset(std::vector<PairFiles> pairs, const DatasetOptions& options)
    : pairs_(std::move(pairs)), options_(options), table_(options.rule), kept_(pairs_.size()) {
  require(!options.texture_is_target || (options.texture && options.rule.kind == MaskKind::weak),
          "Dataset: a computed target is weak");
  require(options.path == ResizePath::none || (options.width >= 1 && options.height >= 1), "Dataset: size of a sample");
}

std::vector<std::string> Dataset::ids() const {
  std::vector<std::string> found;
  for (const PairFiles& files : pairs_) found.push_back(files.id);
  return found;
}

std::vector<int64_t> Dataset::positions(const std::vector<std::string>& ids) const {
  std::map<std::string, int64_t> at;
  for (int64_t i = 0; i < size(); ++i) at[id(i)] = i;
  std::vector<int64_t> found;
  for (const std::string& id : ids) {
    const auto it = at.find(id);
    require(it != at.end(), "Dataset::positions: an id that is not in the data set");
    found.push_back(it->second);
  }
  return found;
}

bool Dataset::has_textures() const {
  if (options_.texture) return !options_.texture_is_target;
  return !pairs_.empty() && std::ranges::none_of(pairs_, [](const PairFiles& f) { return f.texture.empty(); });
}

io::Image Dataset::computed_texture(const io::Image& photo, const std::string& labels) const {
  io::TextureOptions options = *options_.texture;
  options.sigma = io::texture_sigma(options.sigma, std::max(photo.width, photo.height));
  if (labels.empty()) return io::texture_map(photo, options);
  const io::LabelMap map = io::read_labels(labels, options_.limits);
  io::Image numbers(map.width, map.height, 1);
  numbers.pixels = map.labels;
  if (!same_size(photo, numbers)) {
    if (!same_proportions(photo.width, photo.height, map.width, map.height))
      throw Error(ErrorCode::malformed, "the label map is " + sides(numbers) + ", its photo " + sides(photo))
          .file(labels);
    numbers = io::resize(numbers, photo.width, photo.height, io::Filter::nearest);
  }
  bool kept[256] = {};
  for (const int label : io::kTextureLabels) kept[label] = true;
  const io::Image keep = io::kept_labels(numbers, kept);
  return io::texture_map(photo, options, &keep);
}

Sample Dataset::read(const PairFiles& files) const {
  Sample sample;
  sample.id = files.id;
  sample.image = read_photo(files.image, options_.limits);
  sample.texture = io::Image(0, 0, 1);
  if (!options_.texture_is_target) {
    sample.target = read_mask(files.mask, options_.rule, options_.limits);
    with_file(files.mask, [&] { to_target(sample.target, table_); });
  }
  if (options_.texture)
    (options_.texture_is_target ? sample.target : sample.texture) = computed_texture(sample.image, files.texture);
  else if (!files.texture.empty())
    sample.texture = luma(read_photo(files.texture, options_.limits));
  check_sizes(sample, files, options_.path);
  switch (options_.path) {
    case ResizePath::plain: resize_plain(sample, options_); break;
    case ResizePath::seed: resize_seed(sample, options_); break;
    case ResizePath::none:
      if (options_.rule.dilate) dilate3(sample.target);
      break;
  }
  return sample;
}

Sample Dataset::load(int64_t i) const {
  require(i >= 0 && i < size(), "Dataset::load: no such sample");
  const auto at = static_cast<size_t>(i);
  std::shared_ptr<const Sample> found;
  {
    const std::lock_guard lock(mutex_);
    found = kept_[at];
    hits_ += found != nullptr;
  }
  if (found != nullptr) return *found;
  Sample sample = read(pairs_[at]);
  const size_t bytes = bytes_of(sample);
  const std::lock_guard lock(mutex_);
  if (kept_[at] == nullptr && kept_bytes_ + bytes <= options_.cache_bytes) {
    kept_[at] = std::make_shared<const Sample>(sample);
    kept_bytes_ += bytes;
  }
  return sample;
}

size_t Dataset::cached_bytes() const {
  const std::lock_guard lock(mutex_);
  return kept_bytes_;
}

int64_t Dataset::cache_hits() const {
  const std::lock_guard lock(mutex_);
  return hits_;
}

}  // namespace furrow::data
