// Event files: the log that TensorBoard shows and `wandb sync` imports.
//
// Framing, TensorFlow's record format (tensorflow/core/lib/io/record_writer.h): per record u64 length, u32 masked
// CRC-32C of these eight bytes, the data, u32 masked CRC-32C of the data; all little-endian, and
// masked(crc) = rotate_right(crc, 15) + 0xa282ead8. Data: one protocol buffer `Event`
// (tensorflow/core/util/event.proto):
//   Event   { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5; }
//   Summary { repeated Value value = 1; }    (tensorflow/core/framework/summary.proto)
//   Value   { string tag = 1; float simple_value = 2; Image image = 4; }
//   Image   { int32 height = 1; int32 width = 2; int32 colorspace = 3; bytes encoded_image_string = 4; }
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "train/log_file.h"

namespace furrow::train {

// One record around `data`.
std::string event_record(std::string_view data);
// The first event of a file.
std::string version_event(double wall_time);
// One event with a value per tag. Seconds since 1970.
std::string scalar_event(double wall_time, int64_t step, const std::vector<std::pair<std::string, double>>& values);
// A picture: `png` is the encoded file, `channels` 1 or 3.
std::string image_event(double wall_time, int64_t step, const std::string& tag, int64_t width, int64_t height,
                        int channels, std::span<const std::byte> png);

// The event file of a run. Losing a line of a log is no reason to stop training: see LogFile.
class EventFile {
 public:
  // Appends to `path`, whose name must hold "tfevents" for TensorBoard to find it; an empty or new file gets its first
  // event.
  EventFile(const std::string& path, double wall_time);
  void scalars(double wall_time, int64_t step, const std::vector<std::pair<std::string, double>>& values);
  void image(double wall_time, int64_t step, const std::string& tag, int64_t width, int64_t height, int channels,
             std::span<const std::byte> png);
  // Forgets everything but a new first event.
  void restart(double wall_time);
  LogFile& file() { return file_; }

 private:
  LogFile file_;
};

}  // namespace furrow::train
