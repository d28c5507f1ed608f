// Contrast-limited adaptive histogram equalisation with OpenCV's numbers (data/augment_colour.h).
#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "data/augment_colour.h"
#include "data/augment_spaces.h"
#include "io/mirror.h"
#include "kernels/error.h"

namespace furrow::data {
namespace {

using Table = std::array<uint8_t, 256>;

// The equalising table of one tile's histogram.
Table equalising(std::array<int, 256>& bins, int limit, float scale) {
  int excess = 0;
  for (int& bin : bins) {
    excess += std::max(bin - limit, 0);
    bin = std::min(bin, limit);
  }
  const int each = excess / 256;
  int rest = excess - each * 256;
  for (int& bin : bins) bin += each;
  if (rest > 0) {
    const auto step = static_cast<size_t>(std::max(256 / rest, 1));
    for (size_t i = 0; i < bins.size() && rest > 0; i += step, --rest) ++bins[i];
  }
  Table table;
  int sum = 0;
  for (size_t i = 0; i < bins.size(); ++i) {
    sum += bins[i];
    table[i] = static_cast<uint8_t>(std::clamp(static_cast<int>(std::lrint(static_cast<float>(sum) * scale)), 0, 255));
  }
  return table;
}

// Between which tiles a row or column lies, and how far from the first.
struct Between {
  size_t first = 0, second = 0;
  float to_first = 0, to_second = 0;  // weights
};
Between between(int64_t at, float inverse_size, int tiles) {
  const float place = static_cast<float>(at) * inverse_size - 0.5f;
  const int tile = static_cast<int>(std::floor(place));
  Between b;
  b.to_second = place - static_cast<float>(tile);
  b.to_first = 1.0f - b.to_second;
  b.first = static_cast<size_t>(std::max(tile, 0));
  b.second = static_cast<size_t>(std::min(tile + 1, tiles - 1));
  return b;
}

}  // namespace

void equalise_locally(io::Image& image, double clip_limit, int tiles) {
  require(image.channels == 3 && image.width >= 1 && image.height >= 1, "an RGB picture");
  require(tiles >= 1 && tiles <= 256 && std::isfinite(clip_limit) && clip_limit > 0,
          "1 to 256 tiles, a positive limit");
  const int64_t width = image.width, height = image.height;
  rgb_to_lab(image.pixels.data(), image.pixels.data(), width * height);

  // Where one side is no multiple, OpenCV extends both, a side that is one by a whole row of tiles' worth.
  const bool fits = width % tiles == 0 && height % tiles == 0;
  const int64_t tile_width = (width + (fits ? 0 : tiles - width % tiles)) / tiles;
  const int64_t tile_height = (height + (fits ? 0 : tiles - height % tiles)) / tiles;
  const int64_t area = tile_width * tile_height;
  const float scale = 255.0f / static_cast<float>(area);
  const int limit = std::max(static_cast<int>(clip_limit * static_cast<double>(area) / 256), 1);
  std::vector<Table> tables;
  for (int64_t ty = 0; ty < tiles; ++ty) {
    for (int64_t tx = 0; tx < tiles; ++tx) {
      std::array<int, 256> bins{};
      for (int64_t y = ty * tile_height; y < (ty + 1) * tile_height; ++y) {
        const uint8_t* row = image.row(io::mirrored(y, height));
        for (int64_t x = tx * tile_width; x < (tx + 1) * tile_width; ++x) ++bins[row[3 * io::mirrored(x, width)]];
      }
      tables.push_back(equalising(bins, limit, scale));
    }
  }

  std::vector<Between> columns;
  for (int64_t x = 0; x < width; ++x) columns.push_back(between(x, 1.0f / static_cast<float>(tile_width), tiles));
  for (int64_t y = 0; y < height; ++y) {
    const Between b = between(y, 1.0f / static_cast<float>(tile_height), tiles);
    const Table* above = &tables[b.first * static_cast<size_t>(tiles)];
    const Table* below = &tables[b.second * static_cast<size_t>(tiles)];
    uint8_t* row = image.row(y);
    for (size_t x = 0; x < columns.size(); ++x) {
      const Between& a = columns[x];
      const uint8_t level = row[3 * x];
      const float upper = static_cast<float>(above[a.first][level]) * a.to_first +
                          static_cast<float>(above[a.second][level]) * a.to_second;
      const float lower = static_cast<float>(below[a.first][level]) * a.to_first +
                          static_cast<float>(below[a.second][level]) * a.to_second;
      const float mixed = upper * b.to_first + lower * b.to_second;
      row[3 * x] = static_cast<uint8_t>(std::clamp(static_cast<int>(std::lrint(mixed)), 0, 255));
    }
  }
  lab_to_rgb(image.pixels.data(), image.pixels.data(), width * height);
}

}  // namespace furrow::data
