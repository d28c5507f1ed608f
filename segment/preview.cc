#include "segment/preview.h"

#include <algorithm>
#include <array>

#include "kernels/error.h"

namespace furrow {
namespace {

using Rgb = std::array<int, 3>;

// Mean of the picture's cell (x, y) in a grid of columns x rows.
Rgb cell_mean(const io::Image& p, int64_t x, int64_t y, int64_t columns, int64_t rows) {
  const int64_t x0 = x * p.width / columns, x1 = std::max(x0 + 1, (x + 1) * p.width / columns);
  const int64_t y0 = y * p.height / rows, y1 = std::max(y0 + 1, (y + 1) * p.height / rows);
  std::array<int64_t, 3> sum{};
  for (int64_t j = y0; j < y1; ++j)
    for (int64_t i = x0; i < x1; ++i)
      for (size_t c = 0; c < 3; ++c)
        sum[c] += p.row(j)[i * p.channels + (p.channels == 3 ? static_cast<int64_t>(c) : 0)];
  const int64_t n = (x1 - x0) * (y1 - y0);
  return {static_cast<int>((sum[0] + n / 2) / n), static_cast<int>((sum[1] + n / 2) / n),
          static_cast<int>((sum[2] + n / 2) / n)};
}

// SGR parameters of a colour; `ground` is 38 for the foreground, 48 for the background.
std::string sgr(int ground, const Rgb& c, PreviewColour colour) {
  const auto text = [](int v) { return std::to_string(v); };
  if (colour == PreviewColour::truecolour)
    return text(ground) + ";2;" + text(c[0]) + ";" + text(c[1]) + ";" + text(c[2]);
  const auto level = [](int v) { return v < 48 ? 0 : v < 115 ? 1 : (v - 35) / 40; };  // cube: 0 95 135 175 215 255
  const auto [low, high] = std::minmax({c[0], c[1], c[2]});
  const bool gray = high - low < 10 && low >= 4 && high <= 246;  // ramp: 8, 18 .. 238
  const int index =
      gray ? 232 + std::clamp((c[1] - 3) / 10, 0, 23) : 16 + 36 * level(c[0]) + 6 * level(c[1]) + level(c[2]);
  return text(ground) + ";5;" + text(index);
}

}  // namespace

std::string terminal_preview(const io::Image& picture, int columns, PreviewColour colour) {
  require(picture.channels == 1 || picture.channels == 3, "terminal_preview: neither gray nor RGB");
  require(columns >= 1 && columns <= 400, "terminal_preview: columns outside 1 .. 400");
  if (picture.width <= 0 || picture.height <= 0) return {};
  const int64_t rows =
      std::clamp<int64_t>((columns * picture.height + picture.width) / (2 * picture.width), 1, 4 * columns);
  std::string out;
  for (int64_t y = 0; y < rows; ++y) {
    for (int64_t x = 0; x < columns; ++x) {
      if (colour == PreviewColour::none) {
        const Rgb c = cell_mean(picture, x, y, columns, rows);
        out += " .:-=+*#%@"[(c[0] * 299 + c[1] * 587 + c[2] * 114) / 25'501];
      } else {
        out += "\x1b[" + sgr(38, cell_mean(picture, x, 2 * y, columns, 2 * rows), colour) + ";" +
               sgr(48, cell_mean(picture, x, 2 * y + 1, columns, 2 * rows), colour) + "m\u2580";
      }
    }
    out += colour == PreviewColour::none ? "\n" : "\x1b[0m\n";
  }
  return out;
}

}  // namespace furrow
