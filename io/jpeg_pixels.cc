#include "io/jpeg_pixels.h"

#include <array>
#include <utility>
#include <vector>

#include "io/jpeg_colour.h"
#include "io/jpeg_planes.h"
#include "io/jpeg_upsample.h"
#include "io/upright.h"

namespace furrow::io {

Image jpeg_pixels(std::span<const std::byte> bytes, const JpegFile& file, const Limits& limits, int orientation,
                  uint8_t fill) {
  const JpegFrame& frame = file.frame;
  JpegPlanes coded(frame, fill);
  walk_jpeg(bytes, limits, &coded);
  const std::vector<JpegPlane> planes = coded.finish();
  std::vector<JpegUpsampler> upsamplers;
  for (size_t i = 0; i < planes.size(); ++i) {
    const JpegComponent& c = frame.components[i];
    upsamplers.emplace_back(planes[i], frame.h_max / c.h, frame.v_max / c.v);
  }
  const JpegColours colours = jpeg_colours(file);
  const int64_t width = frame.width, height = frame.height;
  UprightImage upright(width, height, orientation);
  std::vector<uint8_t> rgb(static_cast<size_t>(3 * width), fill);
  std::array<const uint8_t*, 4> rows{};
  for (int64_t y = 0; y < height; ++y) {
    for (size_t i = 0; i < planes.size(); ++i) rows[i] = upsamplers[i].row(y);
    jpeg_to_rgb(colours, rows.data(), width, rgb.data());
    upright.put(y, 0, 1, width, rgb.data());
  }
  return std::move(upright.image);
}

}  // namespace furrow::io
