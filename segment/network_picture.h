// NetworkPicture: a crop of a photo as a network sees it, in the order in which training prepares a photo.
#pragma once

#include <cstdint>
#include <string>

#include "io/image.h"
#include "io/picture.h"
#include "io/resize.h"
#include "kernels/threads.h"
#include "segment/model.h"
#include "segment/region.h"

namespace furrow {

// Training computes texture maps of photos as they are stored and resizes both by the same filter afterwards
// (data/dataset.h); here the crop stands for the photo, so its map is computed at the crop's own size, once, and
// windows are cut out of both: tiles share one map, without seams. Where ModelInfo::masked_input blackens pixels, the
// map is that of the blackened crop.
class NetworkPicture {
 public:
  // `photo` RGB. `grid`: the crop, which may reach outside the photo (segment/crop.h says what stands there), and the
  // network's scale. `kept` and `labels` are of the photo; labels may be null. `texture_side`: the sigma of the map is
  // that of a photo whose longer side has so many pixels. All but `pool` must outlive this object.
  NetworkPicture(const io::Image& photo, const Grid& grid, const Model& model, const KeptPixels& kept,
                 const io::LabelMap* labels, int64_t texture_side, ThreadPool* pool);

  // The square of `rgb` (side x side x 3) whose upper left corner is grid pixel (x, y); beyond the grid the nearest
  // edge pixel repeats. Where the network takes a map, its pixels in `texture`, which becomes side x side x 1.
  void window(int64_t x, int64_t y, io::Image& rgb, io::Image& texture) const;

 private:
  const io::Image& picture() const { return crop_.pixels.empty() ? photo_ : crop_; }

  const io::Image& photo_;
  Grid grid_;
  const Model& model_;
  const KeptPixels& kept_;
  bool masked_;
  io::Image crop_;  // empty where the crop is the photo
  io::Image map_;   // empty where the network takes none
};

// The grid that a Segmenter lays over `crop`. Without tiles size x size. With tiles the crop itself, reduced so that a
// face has the size the model was trained at (a face crop: the model's own size, whatever the windows'), never
// enlarged; a photo without a found face (CropMode::none) stays as it is.
Grid grid_of(const Crop& crop, const SegmentOptions& options, const ModelInfo& info);

// NetworkPicture's texture_side. A texture map is made for the scale at which the network sees a face. A crop stands
// for the photo that training made its maps of. Where a photo's own pixels are the model's (tiles of a photo without a
// found face), a pixel is what one of the squares of training was, and those had the model's size.
int64_t texture_side(const Grid& grid, const SegmentOptions& options, const ModelInfo& info);

// What is wanting where a network was trained on more than was given, in words, "" for nothing: labels for a model of
// masked photos or of masked texture maps.
std::string missing_labels_note(const Model& model);

// The recipe of the maps of a model that takes some, as in a file's metadata: "closest 5 masked".
std::string texture_text(const ModelInfo& info);

// ModelInfo::resize as a filter.
io::Filter filter_of(const std::string& rule);

}  // namespace furrow
