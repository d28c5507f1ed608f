// Dataset: pairs of files as samples of one size.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "data/masks.h"
#include "data/pairs.h"
#include "data/sample.h"
#include "io/limits.h"
#include "io/resize.h"
#include "io/texture.h"

namespace furrow::data {

// How a photo and its target come to the network's size.
enum class ResizePath : uint8_t {
  // Pillow's numbers, as `furrow segment` prepares photos: image, texture map and weak target by
  // DatasetOptions::filter,
  // every other target by NEAREST.
  plain,
  // The seed's from b5824ba on (seed-system.md C.1). Where photo and mask differ in size, Pillow first: image LANCZOS
  // and
  // mask NEAREST to the network's size. Then always OpenCV: image LANCZOS4, mask NEAREST; nothing where the size is
  // right already. Between the two the target is dilated, if its rule says so. Texture maps go the image's way; weak
  // targets the mask's.
  seed,
  // As stored. Photo, mask and texture map must have one size; a loader wants the same of all samples of a batch.
  none,
};

struct DatasetOptions {
  int64_t width = 512, height = 512;  // of a sample; unused by ResizePath::none
  ResizePath path = ResizePath::plain;
  io::Filter filter = io::Filter::lanczos;
  MaskRule rule;
  // Samples are kept in memory as they are loaded until they fill this many bytes; nothing is ever thrown out again,
  // because epochs in random order get the same share of hits from any policy.
  size_t cache_bytes = size_t{256} << 20;
  // Texture maps are computed, of the photo as it is stored (io/texture.h), and go the way of those in files. `sigma`
  // is for photos of 1024 pixels (the longer side) and goes with theirs, within what texture_map() takes.
  // PairFiles::texture is then a face parser's label map, outside whose labels 1 (skin) and 10 (nose) the map is 0, of
  // the photo's size or another scale of it (nearest pixel); "": the whole photo has relief.
  std::optional<io::TextureOptions> texture;
  bool texture_is_target = false;  // the computed map is the (weak) target, and there is no mask
  io::Limits limits;
};

// May be shared by any number of threads.
class Dataset {
 public:
  // ErrorCode::configuration for a rule that contradicts itself. No file is opened.
  Dataset(std::vector<PairFiles> pairs, const DatasetOptions& options);

  int64_t size() const { return static_cast<int64_t>(pairs_.size()); }
  const std::string& id(int64_t i) const { return pairs_.at(static_cast<size_t>(i)).id; }
  std::vector<std::string> ids() const;
  // Position of each id, in the order given. ErrorCode::internal for one that is not there (restrict_split() removes
  // them).
  std::vector<int64_t> positions(const std::vector<std::string>& ids) const;
  const DatasetOptions& options() const { return options_; }
  const MaskTable& table() const { return table_; }
  // Whether samples have a texture map as a fourth channel: every pair names one, or they are computed.
  bool has_textures() const;

  // Sample i, decoded, resized, its mask turned into the target. The same bytes every time. Errors name the file:
  // those of the readers; malformed for a mask value that the rule does not name, for other sizes with
  // ResizePath::none or other proportions with any path (the target would be distorted against its photo), and for a
  // photo that EXIF turns.
  Sample load(int64_t i) const;

  // Bytes kept in memory, and how many loads they have served.
  size_t cached_bytes() const;
  int64_t cache_hits() const;

 private:
  Sample read(const PairFiles& files) const;
  io::Image computed_texture(const io::Image& photo, const std::string& labels) const;

  std::vector<PairFiles> pairs_;
  DatasetOptions options_;
  MaskTable table_;
  mutable std::mutex mutex_;  // guards what follows
  mutable std::vector<std::shared_ptr<const Sample>> kept_;
  mutable size_t kept_bytes_ = 0;
  mutable int64_t hits_ = 0;
};

}  // namespace furrow::data
