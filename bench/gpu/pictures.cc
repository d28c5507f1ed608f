// A photo on its way into the network: resize, then normalise, against the CPU's code for the same.
#include "bench/gpu/samples.h"
#include "bench/gpu/session.h"
#include "io/resize.h"
#include "kernels/half.h"

namespace furrow::bench {
namespace {

struct DeviceAxis {
  DeviceAxis(gpu::Runtime& runtime, const io::AxisWeights& w)
      : first(runtime, w.first.data(), w.first.size() * 4),
        count(runtime, w.count.data(), w.count.size() * 4),
        weights(runtime, w.weights.data(), w.weights.size() * 4),
        axis{first.as<int32_t>(), count.as<int32_t>(), weights.as<int32_t>(), w.stride} {}
  DeviceBytes first, count, weights;
  gpu::ResizeAxis axis;
};

}  // namespace

void add_pictures(Session& session) {
  if (!session.time_for("picture", session.tiny() ? 0.2 : 4)) return;
  const int from_side = session.tiny() ? 48 : 1024, side = session.tiny() ? 32 : 512;
  io::Image photo(from_side, from_side, 3);
  for (size_t i = 0; i < photo.pixels.size(); ++i) photo.pixels[i] = static_cast<uint8_t>(i * 2654435761u >> 24);
  std::vector<float> table(3 * 256);
  for (size_t i = 0; i < table.size(); ++i)
    table[i] = (static_cast<float>(i % 256) / 255 - 0.45f) / (0.22f + 0.01f * static_cast<float>(i / 256));
  const io::Box all{0, 0, static_cast<double>(from_side), static_cast<double>(from_side)};
  const io::AxisWeights weights = io::axis_weights(from_side, 0, from_side, side, io::Filter::bilinear);
  const io::Image small = io::resize(photo, all, side, side, io::Filter::bilinear);

  gpu::Runtime& runtime = session.runtime();
  const DeviceAxis columns(runtime, weights), rows(runtime, weights);
  const auto values = static_cast<size_t>(side) * static_cast<size_t>(side) * 3;
  const DeviceBytes from(runtime, photo.pixels.data(), photo.pixels.size()), to(runtime, values),
      device_table(runtime, table.data(), table.size() * 4);
  gpu::PictureResizeArgs resize{.from = from.as<uint8_t>(),
                                .width = from_side,
                                .height = from_side,
                                .to = to.as<uint8_t>(),
                                .to_width = side,
                                .to_height = side,
                                .columns = columns.axis,
                                .rows = rows.axis,
                                .first_row = weights.first.front(),
                                .row_count = weights.first.back() + weights.count.back() - weights.first.front()};
  const DeviceBytes workspace(runtime, gpu::resize_workspace_bytes(resize));
  resize.workspace = workspace.as<uint8_t>();
  constexpr int kPitch = 8;   // the network's input in float16
  const std::vector<std::byte> nan(values / 3 * kPitch * 2, std::byte{0xFF});
  const DeviceBytes input(runtime, nan.data(), nan.size());
  const gpu::NormaliseArgs normalise{.from = to.as<uint8_t>(),
                                     .width = side,
                                     .height = side,
                                     .table = device_table.as<float>(),
                                     .to = {input.data(), DType::f16, 1, side, side, 3, kPitch}};
  const Timing timing = session.time({session.launches([&] {
    session.tables().api->picture->resize(session.stream(), resize);
    session.tables().api->picture->normalise(session.stream(), normalise);
  })}, 5)[0];

  std::vector<uint16_t> got(nan.size() / 2);
  input.download(got.data());
  double wrong = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const size_t pixel = i / kPitch, c = i % kPitch;
    const uint16_t want = c < 3 ? f32_to_f16(table[c * 256 + small.pixels[3 * pixel + c]]) : uint16_t{0};
    wrong += got[i] == want ? 0 : 1;
  }
  session.add({.group = "picture",
               .name = "resize+normalise " + std::to_string(from_side) + " to " + std::to_string(side) + " fp16",
               .cost = {0, static_cast<double>(photo.pixels.size() + nan.size())},
               .timed = "device",
               .note = "bilinear with antialiasing; photo and input moved once",
               .check = {"values that differ from the CPU's", wrong, 0}},
              timing, 0);
}

}  // namespace furrow::bench
