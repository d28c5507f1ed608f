#include "data/preview.h"

#include <algorithm>
#include <array>

#include "data/crop.h"
#include "io/resize.h"
#include "kernels/error.h"

namespace furrow::data {
namespace {

constexpr int64_t kGap = 4;
constexpr std::array<uint8_t, 3> kOutline = {0, 114, 178};  // Okabe and Ito's blue: no skin has it

struct Grid {
  int64_t shrink = 1, cell_width = 0, cell_height = 0, columns = 0, rows = 0;
  int64_t shrunk(int64_t pixels) const { return (pixels + shrink - 1) / shrink; }
};

Grid grid_of(const Sample& sample, const PreviewOptions& options) {
  Grid g;
  const int64_t width = sample.image.width, height = sample.image.height;
  g.shrink = (std::max(width, height) + options.longest_side - 1) / options.longest_side;
  g.cell_width = g.shrunk(width);
  g.cell_height = g.shrunk(height);
  const int64_t cells = options.versions + 1;
  g.columns = std::min<int64_t>(options.columns, cells);
  g.rows = (cells + g.columns - 1) / g.columns;
  return g;
}

// 1 where any pixel of the target that a cell's pixel stands for is marked.
io::Image marks(const io::Image& target, const Grid& grid, uint8_t threshold) {
  io::Image out(grid.shrunk(target.width), grid.shrunk(target.height), 1);
  for (int64_t y = 0; y < target.height; ++y) {
    for (int64_t x = 0; x < target.width; ++x) {
      if (target.row(y)[x] >= threshold) out.row(y / grid.shrink)[x / grid.shrink] = 1;
    }
  }
  return out;
}

void draw_cell(const Sample& sample, const Grid& grid, uint8_t threshold, io::Image& sheet, int64_t number) {
  const int64_t width = grid.shrunk(sample.image.width), height = grid.shrunk(sample.image.height);
  const io::Image small =
      grid.shrink == 1 ? sample.image : io::resize(sample.image, width, height, io::Filter::bilinear);
  const io::Image marked = marks(sample.target, grid, threshold);
  const int64_t left = number % grid.columns * (grid.cell_width + kGap);
  const int64_t top = number / grid.columns * (grid.cell_height + kGap);
  for (int64_t y = 0; y < height; ++y) {
    uint8_t* to = sheet.row(top + y) + 3 * left;
    std::copy_n(small.row(y), 3 * width, to);
    for (int64_t x = 0; x < width; ++x) {
      if (marked.row(y)[x]) continue;
      const bool touches = (x > 0 && marked.row(y)[x - 1]) || (x + 1 < width && marked.row(y)[x + 1]) ||
                           (y > 0 && marked.row(y - 1)[x]) || (y + 1 < height && marked.row(y + 1)[x]);
      if (touches) std::copy(kOutline.begin(), kOutline.end(), to + 3 * x);
    }
  }
}

}  // namespace

Preview preview_augmentation(const Sample& sample, const AugmentRecipe& recipe, const DrawKey& key,
                             const PreviewOptions& options) {
  require(options.versions >= 1 && options.versions <= 99 && options.columns >= 1 && options.columns <= 100,
          "1 to 99 versions, 1 to 100 columns");
  require(options.longest_side >= 16 && options.longest_side <= 4096, "cells of 16 to 4096 pixels");
  require(sample.image.channels == 3 && sample.image.width >= 1 && sample.image.height >= 1, "an RGB image");
  require(sample.target.channels == 1 && sample.target.width == sample.image.width &&
              sample.target.height == sample.image.height,
          "a target as large as the image");
  const Grid grid = grid_of(sample, options);
  Preview preview;
  preview.sheet =
      io::Image(grid.columns * (grid.cell_width + kGap) - kGap, grid.rows * (grid.cell_height + kGap) - kGap, 3);
  std::fill(preview.sheet.pixels.begin(), preview.sheet.pixels.end(), uint8_t{255});
  draw_cell(sample, grid, options.threshold, preview.sheet, 0);
  for (int i = 0; i < options.versions; ++i) {
    DrawKey version = key;
    version.epoch += static_cast<uint32_t>(i);
    Sample changed = sample;
    std::string line;
    if (options.crop != 0) {
      const Corner at = crop_at_random(changed, options.crop, version);
      const std::string side = std::to_string(options.crop);
      line = "crop " + side + "x" + side + " at " + std::to_string(at.x) + " " + std::to_string(at.y) + "; ";
    }
    line += describe(recipe, version, changed.image.width, changed.image.height);
    augment(changed, recipe, version);
    draw_cell(changed, grid, options.threshold, preview.sheet, i + 1);
    preview.lines.push_back(std::move(line));
  }
  return preview;
}

}  // namespace furrow::data
