#include "segment/face_parser.h"

#include <algorithm>

#include "io/resize.h"
#include "kernels/cpu/label_map.h"
#include "kernels/error.h"
#include "kernels/trace.h"
#include "segment/network_picture.h"
#include "segment/preprocess.h"

namespace furrow {
namespace {

std::shared_ptr<const Model> checked(std::shared_ptr<const Model> parser) {
  require(parser != nullptr, "FaceParser: a model");
  if (!parser->parses_faces())
    throw Error(ErrorCode::unsupported, "finds wrinkles, and parses no faces").file(parser->info().name);
  return parser;
}

// Scores as float32: `ref` has float64.
Tensor in_float32(const Tensor& logits) {
  if (logits.dtype() == DType::f32) return logits;
  Tensor out(logits.shape(), DType::f32);
  std::ranges::transform(logits.values<double>(), out.values<float>().begin(),
                         [](double value) { return static_cast<float>(value); });
  return out;
}

}  // namespace

FaceParser::FaceParser(std::shared_ptr<const Model> parser, const ComputeOptions& compute)
    : parser_(checked(std::move(parser))), runner_(compute, parser_->info()) {}

io::LabelMap FaceParser::parse(const io::Image& photo, const Crop& crop) {
  const Stopwatch time;
  const int64_t side = parser_->info().size;
  const io::Image square = io::resize(cut(photo, crop), side, side, filter_of(parser_->info().resize));
  double planning = 0, running = 0;
  const auto fill = [&](std::span<uint8_t> pixels) { interleave(square, nullptr, false, pixels); };
  const NetworkRunner::Outcome outcome = runner_.run_small(parser_->network(), side, fill, planning, running);
  io::LabelMap out;
  out.width = out.height = side;
  out.labels.resize(static_cast<size_t>(side * side));
  cpu::upsample_argmax(&runner_.pool(), in_float32(outcome.logits), side, side, out.labels);
  milliseconds_ = time.milliseconds();
  return out;
}

io::LabelMap FaceParser::parse(const io::Image& photo, std::span<const Crop> crops) {
  const Stopwatch time;
  io::LabelMap out;
  out.width = photo.width, out.height = photo.height;
  out.labels.assign(static_cast<size_t>(photo.width * photo.height), 0);
  for (size_t i = crops.size(); i-- > 0;) {  // the first last, so that it is what stays
    const Crop& crop = crops[i];
    const io::LabelMap labels = parse(photo, crop);
    const Crop seen = inside(crop, photo.width, photo.height);
    for (int64_t y = seen.y; y < seen.y + seen.side_h; ++y)
      for (int64_t x = seen.x; x < seen.x + seen.side_w; ++x) {
        const int64_t column = (2 * (x - crop.x) + 1) * labels.width / (2 * crop.side_w),
                      row = (2 * (y - crop.y) + 1) * labels.height / (2 * crop.side_h);
        out.labels[static_cast<size_t>(y * photo.width + x)] =
            labels.labels[static_cast<size_t>(row * labels.width + column)];
      }
  }
  milliseconds_ = time.milliseconds();
  return out;
}

}  // namespace furrow
