#include "train/event_file.h"

#include <bit>

#include "io/crc32c.h"

namespace furrow::train {
namespace {

uint32_t masked(std::string_view data) {
  const uint32_t crc = io::crc32c(std::as_bytes(std::span(data)));
  return std::rotr(crc, 15) + 0xa282ead8u;
}

template <class T>
void little(std::string& out, T value) {
  for (size_t i = 0; i < sizeof value; ++i) out += static_cast<char>(value >> (8 * i));
}

// Protocol buffers' wire format: a key is field << 3 | wire type, of which 0 is a varint, 1 eight bytes, 2 a length
// and that many bytes, 5 four bytes.
void varint(std::string& out, uint64_t value) {
  for (; value >= 128; value >>= 7) out += static_cast<char>(value | 128);
  out += static_cast<char>(value);
}

void field_varint(std::string& out, uint32_t field, int64_t value) {
  varint(out, field << 3);
  varint(out, static_cast<uint64_t>(value));
}

void field_double(std::string& out, uint32_t field, double value) {
  varint(out, field << 3 | 1);
  little(out, std::bit_cast<uint64_t>(value));
}

void field_float(std::string& out, uint32_t field, float value) {
  varint(out, field << 3 | 5);
  little(out, std::bit_cast<uint32_t>(value));
}

void field_bytes(std::string& out, uint32_t field, std::string_view bytes) {
  varint(out, field << 3 | 2);
  varint(out, bytes.size());
  out += bytes;
}

std::string event(double wall_time, int64_t step) {
  std::string out;
  field_double(out, 1, wall_time);
  if (step != 0) field_varint(out, 2, step);
  return out;
}

}  // namespace

std::string event_record(std::string_view data) {
  std::string out;
  little(out, uint64_t{data.size()});
  little(out, masked(out));
  out += data;
  little(out, masked(data));
  return out;
}

std::string version_event(double wall_time) {
  std::string out = event(wall_time, 0);
  field_bytes(out, 3, "brain.Event:2");
  return out;
}

std::string scalar_event(double wall_time, int64_t step, const std::vector<std::pair<std::string, double>>& values) {
  std::string summary;
  for (const auto& [tag, value] : values) {
    std::string one;
    field_bytes(one, 1, tag);
    field_float(one, 2, static_cast<float>(value));
    field_bytes(summary, 1, one);
  }
  std::string out = event(wall_time, step);
  field_bytes(out, 5, summary);
  return out;
}

std::string image_event(double wall_time, int64_t step, const std::string& tag, int64_t width, int64_t height,
                        int channels, std::span<const std::byte> png) {
  std::string picture, one, summary;
  field_varint(picture, 1, height);
  field_varint(picture, 2, width);
  field_varint(picture, 3, channels);
  field_bytes(picture, 4, {reinterpret_cast<const char*>(png.data()), png.size()});
  field_bytes(one, 1, tag);
  field_bytes(one, 4, picture);
  field_bytes(summary, 1, one);
  std::string out = event(wall_time, step);
  field_bytes(out, 5, summary);
  return out;
}

EventFile::EventFile(const std::string& path, double wall_time) : file_(path) {
  if (file_.bytes() == 0) file_.append(event_record(version_event(wall_time)));
}

void EventFile::restart(double wall_time) {
  file_.cut_to(0);
  file_.append(event_record(version_event(wall_time)));
}

void EventFile::scalars(double wall_time, int64_t step, const std::vector<std::pair<std::string, double>>& values) {
  file_.append(event_record(scalar_event(wall_time, step, values)));
}

void EventFile::image(double wall_time, int64_t step, const std::string& tag, int64_t width, int64_t height,
                      int channels, std::span<const std::byte> png) {
  file_.append(event_record(image_event(wall_time, step, tag, width, height, channels, png)));
}

}  // namespace furrow::train
