#include "picture_files.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstring>
#include <fstream>
#include <iterator>

namespace furrow::io::test {

Bytes read_bytes(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.is_open()) << path;
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  return bytes_of(text);
}

Bytes bytes_of(std::string_view text) {
  const auto* p = reinterpret_cast<const std::byte*>(text.data());
  return {p, p + text.size()};
}

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

std::string be32_text(uint32_t value) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(value >> shift & 255);
  return text;
}

Bytes png_chunk(std::string_view name, std::string_view data, uint32_t crc_change) {
  std::string body(name);
  body += data;
  const auto crc = static_cast<uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(body.data()), body.size()));
  return bytes_of(be32_text(static_cast<uint32_t>(data.size())) + body + be32_text(crc + crc_change));
}

std::string png_header(uint32_t width, uint32_t height, int depth, int colour, int compression, int filter,
                       int interlace) {
  std::string text = be32_text(width) + be32_text(height);
  for (int value : {depth, colour, compression, filter, interlace}) text += static_cast<char>(value);
  return text;
}

std::string deflated(std::string_view data, int level) {
  uLongf size = compressBound(data.size());
  std::string out(size, 0);
  EXPECT_EQ(compress2(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(data.data()),
                      data.size(), level),
            Z_OK);
  out.resize(size);
  return out;
}

std::string deflated_zeros(uint64_t count) {
  z_stream stream{};
  EXPECT_EQ(deflateInit(&stream, 1), Z_OK);
  std::string out;
  std::vector<Bytef> zeros(1 << 20), buffer(1 << 16);
  do {
    const uint64_t step = std::min<uint64_t>(count, zeros.size());
    count -= step;
    stream.next_in = zeros.data();
    stream.avail_in = static_cast<uInt>(step);
    do {
      stream.next_out = buffer.data();
      stream.avail_out = static_cast<uInt>(buffer.size());
      deflate(&stream, count == 0 ? Z_FINISH : Z_NO_FLUSH);
      out.append(reinterpret_cast<char*>(buffer.data()), buffer.size() - stream.avail_out);
    } while (stream.avail_out == 0);
  } while (count > 0);
  deflateEnd(&stream);
  return out;
}

Bytes png_of(const std::vector<Bytes>& chunks) {
  Bytes file = bytes_of("\x89PNG\r\n\x1a\n");
  for (const Bytes& chunk : chunks) file = std::move(file) + chunk;
  return file;
}

Bytes gray_png(uint32_t width, uint32_t height, uint32_t rows, char filter) {
  std::string data;
  for (uint32_t y = 0; y < rows; ++y) data.append(1, filter).append(width, '\0');
  return png_of(
      {png_chunk("IHDR", png_header(width, height, 8, 0)), png_chunk("IDAT", deflated(data)), png_chunk("IEND", "")});
}

std::vector<FileSegment> jpeg_segments(const Bytes& file) {
  std::vector<FileSegment> segments;
  size_t at = 2;
  for (;;) {
    const int marker = std::to_integer<int>(file.at(at + 1));
    const size_t length = std::to_integer<size_t>(file.at(at + 2)) * 256 + std::to_integer<size_t>(file.at(at + 3));
    const auto begin = file.begin() + static_cast<ptrdiff_t>(at);
    if (marker == 0xda) {
      segments.push_back({marker, Bytes(begin, file.end())});
      return segments;
    }
    segments.push_back({marker, Bytes(begin, begin + static_cast<ptrdiff_t>(2 + length))});
    at += 2 + length;
  }
}

Bytes jpeg_of(const std::vector<FileSegment>& segments) {
  Bytes file = bytes_of("\xff\xd8");
  for (const FileSegment& segment : segments) file = std::move(file) + segment.bytes;
  return file;
}

size_t jpeg_find(const std::vector<FileSegment>& segments, int marker) {
  for (size_t i = 0; i < segments.size(); ++i) {
    if (segments[i].marker == marker) return i;
  }
  ADD_FAILURE() << "the JPEG has no marker " << marker;
  return 0;
}

namespace {
uint64_t status_bytes(const char* key) {
  std::ifstream in("/proc/self/status");
  for (std::string line; std::getline(in, line);) {
    if (line.rfind(key, 0) == 0) return std::stoull(line.substr(std::strlen(key))) * 1024;
  }
  return 0;
}
}  // namespace

uint64_t peak_memory() { return status_bytes("VmHWM:"); }
uint64_t memory_now() { return status_bytes("VmRSS:"); }
void reset_peak_memory() { std::ofstream("/proc/self/clear_refs") << "5"; }

}  // namespace furrow::io::test
