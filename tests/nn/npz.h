// The arrays of a .npz file (a zip of .npy files, stored or deflated), raw: for golden files only, which are trusted.
#pragma once

#include <zlib.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>

namespace furrow::test {

template <class T>
T little_endian(const std::string& bytes, size_t at) {
  T value;
  if (at + sizeof value > bytes.size()) throw std::runtime_error("npz: cut");
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

inline std::string inflate_raw(const std::string& packed, size_t size) {
  std::string out(size, '\0');
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw std::runtime_error("npz: zlib");
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int status = inflate(&stream, Z_FINISH);
  inflateEnd(&stream);
  if (status != Z_STREAM_END || stream.avail_out != 0) throw std::runtime_error("npz: broken deflate stream");
  return out;
}

// Entry name -> elements in file order, the .npy header taken off.
inline std::map<std::string, std::string> read_npz(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string zip{std::istreambuf_iterator<char>(file), {}};
  const size_t end = zip.rfind("PK\x05\x06");
  if (end == std::string::npos) throw std::runtime_error("npz: no zip: " + path);
  std::map<std::string, std::string> out;
  size_t at = little_endian<uint32_t>(zip, end + 16);
  for (int entry = little_endian<uint16_t>(zip, end + 10); entry > 0; --entry) {
    const auto method = little_endian<uint16_t>(zip, at + 10);
    const auto packed = little_endian<uint32_t>(zip, at + 20), size = little_endian<uint32_t>(zip, at + 24);
    const auto name_length = little_endian<uint16_t>(zip, at + 28);
    const size_t local = little_endian<uint32_t>(zip, at + 42);
    const size_t data =
        local + 30 + little_endian<uint16_t>(zip, local + 26) + little_endian<uint16_t>(zip, local + 28);
    std::string npy = zip.substr(data, packed);
    if (method == 8) npy = inflate_raw(npy, size);
    out[zip.substr(at + 46, name_length)] = npy.substr(10u + little_endian<uint16_t>(npy, 8));
    at += 46u + name_length + little_endian<uint16_t>(zip, at + 30) + little_endian<uint16_t>(zip, at + 32);
  }
  return out;
}

}  // namespace furrow::test
