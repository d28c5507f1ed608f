#include "segment/network_picture.h"

#include <algorithm>

namespace furrow {
namespace {

// The pixels of `picture`, scaled to width x height, of the window whose corner is (x, y); beyond the scaled picture
// the nearest edge pixel repeats (segment/crop.h says why). Resized from the picture by box, so that no scaled copy
// exists.
void window_of(const io::Image& picture, int64_t width, int64_t height, io::Filter filter, int64_t x, int64_t y,
               io::Image& window) {
  const int64_t c = picture.channels;
  const int64_t w = std::min(window.width, width - x), h = std::min(window.height, height - y);
  if (width == picture.width && height == picture.height) {
    for (int64_t j = 0; j < h; ++j) std::copy_n(picture.row(y + j) + c * x, c * w, window.row(j));
  } else {
    const double fx = static_cast<double>(picture.width) / static_cast<double>(width);
    const double fy = static_cast<double>(picture.height) / static_cast<double>(height);
    const auto edge = [](int64_t at, double f, int64_t end) {
      return std::min(static_cast<double>(at) * f, static_cast<double>(end));
    };
    const io::Box box{edge(x, fx, picture.width), edge(y, fy, picture.height), edge(x + w, fx, picture.width),
                      edge(y + h, fy, picture.height)};
    const io::Image part = io::resize(picture, box, w, h, filter);
    for (int64_t j = 0; j < h; ++j) std::copy_n(part.row(j), c * w, window.row(j));
  }
  for (int64_t j = 0; j < window.height; ++j) {
    uint8_t* row = window.row(j);
    if (j >= h) std::copy_n(window.row(h - 1), c * w, row);
    for (int64_t i = w; i < window.width; ++i) std::copy_n(row + c * (w - 1), c, row + c * i);
  }
}

// 255 where the map of a crop keeps its value: pixels whose label is skin or nose; outside the photo the label of the
// nearest edge pixel counts, as its colour does.
io::Image kept_in(const Crop& crop, const io::LabelMap& labels, int64_t photo_w, int64_t photo_h) {
  const KeptPixels kept(&labels, {io::kTextureLabels.begin(), io::kTextureLabels.end()}, photo_w, photo_h);
  io::Image mask(crop.side_w, crop.side_h, 1);
  for (int64_t y = 0; y < crop.side_h; ++y) {
    const int64_t from_y = std::clamp<int64_t>(crop.y + y, 0, photo_h - 1);
    for (int64_t x = 0; x < crop.side_w; ++x)
      mask.row(y)[x] = kept(std::clamp<int64_t>(crop.x + x, 0, photo_w - 1), from_y) ? 255 : 0;
  }
  return mask;
}

}  // namespace

NetworkPicture::NetworkPicture(const io::Image& photo, const Grid& grid, const Model& model, const KeptPixels& kept,
                               const io::LabelMap* labels, int64_t texture_side, ThreadPool* pool)
    : photo_(photo),
      grid_(grid),
      model_(model),
      kept_(kept),
      masked_(model.info().masked_input && kept.limited()),
      crop_(0, 0, 3),
      map_(0, 0, 1) {
  if (grid.crop != whole_photo(photo.width, photo.height)) crop_ = cut(photo, grid.crop);
  if (!model.takes_texture()) return;
  const TextureInput texture = model.info().texture.value_or(TextureInput{});
  const io::TextureOptions options{.recipe = texture.recipe, .sigma = io::texture_sigma(texture.sigma, texture_side)};
  io::Image keep(0, 0, 1), black(0, 0, 3);
  if (texture.masked && labels != nullptr) keep = kept_in(grid.crop, *labels, photo.width, photo.height);
  if (masked_) {
    black = picture();
    blacken(black, {grid.crop, black.width, black.height}, 0, 0, kept, photo.width, photo.height);
  }
  map_ = io::texture_map(masked_ ? black : picture(), options, keep.pixels.empty() ? nullptr : &keep, pool);
}

void NetworkPicture::window(int64_t x, int64_t y, io::Image& rgb, io::Image& texture) const {
  const io::Filter filter = filter_of(model_.info().resize);
  window_of(picture(), grid_.columns, grid_.rows, filter, x, y, rgb);
  if (masked_) blacken(rgb, grid_, x, y, kept_, photo_.width, photo_.height);
  if (map_.pixels.empty()) return;
  if (texture.width != rgb.width || texture.height != rgb.height) texture = io::Image(rgb.width, rgb.height, 1);
  window_of(map_, grid_.columns, grid_.rows, filter, x, y, texture);
}

Grid grid_of(const Crop& crop, const SegmentOptions& options, const ModelInfo& info) {
  const int64_t side = options.size.value_or(info.size);
  if (!options.tile) return {crop, side, side};
  if (options.crop != CropMode::face) return {crop, crop.side_w, crop.side_h};
  return {crop, std::min(crop.side_w, info.size), std::min(crop.side_h, info.size)};
}

int64_t texture_side(const Grid& grid, const SegmentOptions& options, const ModelInfo& info) {
  if (options.tile && options.crop != CropMode::face) return info.size;
  return std::max(grid.crop.side_w, grid.crop.side_h);
}

std::string missing_labels_note(const Model& model) {
  const ModelInfo& info = model.info();
  if (info.masked_input)
    return "the model was trained on photos with everything but skin made black, and no labels were given";
  if (info.texture && info.texture->masked)
    return "the model was trained on texture maps that are 0 outside skin and nose, and no labels were given";
  return "";
}

std::string texture_text(const ModelInfo& info) {
  ModelInfo said = info;
  said.texture = info.texture.value_or(TextureInput{});
  return to_metadata(said).at("furrow.texture") + (info.texture ? "" : " (not said by the weights)");
}

io::Filter filter_of(const std::string& rule) {
  if (rule == "pillow-bilinear") return io::Filter::bilinear;
  if (rule == "pillow-nearest") return io::Filter::nearest;
  return io::Filter::lanczos;
}

}  // namespace furrow
