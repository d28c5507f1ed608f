#include "tests/containers/builders.h"

#include <zlib.h>

#include <bit>
#include <cstring>

namespace furrow::testing {

std::string little(uint64_t value, int width) {
  std::string out;
  for (int i = 0; i < width; ++i) out += static_cast<char>(value >> (8 * i));
  return out;
}

namespace pickle {

std::string begin(int protocol) { return std::string("\x80") + static_cast<char>(protocol); }
std::string global(const std::string& module, const std::string& name) { return "c" + module + "\n" + name + "\n"; }
std::string text(const std::string& value) { return "X" + little(value.size(), 4) + value; }
std::string integer(int64_t value) {
  if (value >= INT32_MIN && value <= INT32_MAX) return "J" + little(static_cast<uint64_t>(value), 4);
  return "\x8a\x08" + little(static_cast<uint64_t>(value), 8);
}
std::string real(double value) {
  const std::string bytes = little(std::bit_cast<uint64_t>(value), 8);
  return "G" + std::string(bytes.rbegin(), bytes.rend());
}
namespace {
std::string joined(const std::vector<std::string>& items) {
  std::string out;
  for (const std::string& item : items) out += item;
  return out;
}
std::string pairs(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string out = "(";
  for (const auto& [key, value] : entries) out += text(key) + value;
  return out + "u";
}
}  // namespace
std::string tuple(const std::vector<std::string>& items) { return "(" + joined(items) + "t"; }
std::string list(const std::vector<std::string>& items) { return "](" + joined(items) + "e"; }
std::string integers(const std::vector<int64_t>& values) {
  std::vector<std::string> items;
  for (const int64_t value : values) items.push_back(integer(value));
  return tuple(items);
}
std::string dict(const std::vector<std::pair<std::string, std::string>>& entries) { return "}" + pairs(entries); }
std::string ordered(const std::vector<std::pair<std::string, std::string>>& entries) {
  return global("collections", "OrderedDict") + ")R" + pairs(entries);
}
std::string call(const std::string& callee, const std::vector<std::string>& args) { return callee + tuple(args) + "R"; }
std::string storage(const std::string& type, const std::string& key, int64_t elements, const std::string& location) {
  return tuple({text("storage"), global("torch", type), text(key), text(location), integer(elements)}) + "Q";
}
std::string tensor(const std::string& storage, const std::string& offset, const std::string& size,
                   const std::string& stride) {
  return call(global("torch._utils", "_rebuild_tensor_v2"),
              {storage, offset, size, stride, "\x89", global("collections", "OrderedDict") + ")R"});
}
std::string tensor(const std::vector<int64_t>& size, const std::vector<int64_t>& stride, int64_t offset) {
  return tensor(storage(), integer(offset), integers(size), integers(stride));
}

}  // namespace pickle

uint32_t crc_of(const std::string& bytes) {
  return static_cast<uint32_t>(::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

std::string deflated(const std::string& content) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, content.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

namespace {

std::string zip64_extra(const std::vector<uint64_t>& values) {
  std::string out = little(1, 2) + little(8 * values.size(), 2);
  for (const uint64_t value : values) out += little(value, 8);
  return out;
}

std::string descriptor(int bytes, uint32_t crc, uint64_t packed, uint64_t size) {
  const int width = bytes >= 20 ? 8 : 4;
  return (bytes % 8 == 0 ? std::string("PK\x07\x08") : "") + little(crc, 4) + little(packed, width) +
         little(size, width);
}

struct Facts {
  uint32_t crc;
  uint64_t packed, size, offset;
};

// Version, flags, method, time, date: the fields before the CRC.
std::string version_to_date(const ZipFile& file) {
  const uint16_t flags = static_cast<uint16_t>(file.flags | (file.descriptor > 0 ? 8 : 0));
  return little(20, 2) + little(flags, 2) + little(file.method, 2) + little(0, 4);
}

std::string local_part(const ZipFile& file, const Facts& facts) {
  const bool later = file.descriptor > 0;
  const uint64_t packed = file.local_packed.value_or(later ? 0 : facts.packed);
  const uint64_t size = file.local_size.value_or(later ? 0 : facts.size);
  const std::string name = file.local_name.value_or(file.name);
  const bool wide = file.zip64 && !later;
  const std::string extra = file.local_extra + (wide ? zip64_extra({size, packed}) : "");
  std::string out = "PK\x03\x04" + version_to_date(file) + little(file.local_crc.value_or(later ? 0 : facts.crc), 4);
  out += little(wide ? 0xFFFFFFFF : packed, 4) + little(wide ? 0xFFFFFFFF : size, 4);
  out += little(name.size(), 2) + little(extra.size(), 2) + name + extra;
  out += file.stored.empty() ? file.content : file.stored;
  if (later) out += descriptor(file.descriptor, facts.crc, facts.packed, facts.size);
  return out;
}

std::string central_part(const ZipFile& file, const Facts& facts) {
  const std::string extra = file.extra + (file.zip64 ? zip64_extra({facts.size, facts.packed, facts.offset}) : "");
  std::string out = "PK\x01\x02" + little(20, 2) + version_to_date(file) + little(facts.crc, 4);
  out += little(file.zip64 ? 0xFFFFFFFF : facts.packed, 4) + little(file.zip64 ? 0xFFFFFFFF : facts.size, 4);
  out += little(file.name.size(), 2) + little(extra.size(), 2) + little(0, 2) + little(file.disk, 2) + little(0, 2) +
         little(file.attributes, 4);
  return out + little(file.zip64 ? 0xFFFFFFFF : facts.offset, 4) + file.name + extra;
}

std::string end_part(const ZipShape& shape, uint64_t count, uint64_t begin, uint64_t size) {
  std::string out;
  if (shape.zip64) {
    out = "PK\x06\x06" + little(44, 8) + little(45, 2) + little(45, 2) + little(0, 8) +
          little(shape.entries64.value_or(count), 8) + little(shape.entries64.value_or(count), 8) +
          little(shape.size64.value_or(size), 8) + little(shape.begin64.value_or(begin), 8);
    out += "PK\x06\x07" + little(0, 4) + little(shape.locator.value_or(begin + size), 8) + little(1, 4);
  }
  const uint64_t entries = shape.entries.value_or(shape.zip64 ? 0xFFFF : count);
  out += "PK\x05\x06" + little(shape.disk, 2) + little(0, 2) + little(shape.entries_here.value_or(entries), 2) +
         little(entries, 2);
  out += little(shape.size.value_or(shape.zip64 ? 0xFFFFFFFF : size), 4);
  out += little(shape.begin.value_or(shape.zip64 ? 0xFFFFFFFF : begin), 4);
  return out + little(shape.comment.size(), 2) + shape.comment;
}

}  // namespace

std::string build_zip(const std::vector<ZipFile>& files, const ZipShape& shape) {
  std::string out = shape.before, directory;
  for (const ZipFile& file : files) {
    const std::string& stored = file.stored.empty() ? file.content : file.stored;
    const Facts facts{file.crc.value_or(crc_of(file.content)), file.packed.value_or(stored.size()),
                      file.size.value_or(file.content.size()), file.offset.value_or(out.size())};
    directory += central_part(file, facts);
    if (!file.offset) out += local_part(file, facts);
  }
  out += shape.gap;
  const uint64_t begin = out.size();
  return out + directory + end_part(shape, files.size(), begin, directory.size()) + shape.behind;
}

std::string floats(const std::vector<float>& values) {
  std::string out(values.size() * 4, '\0');
  std::memcpy(out.data(), values.data(), out.size());
  return out;
}
std::string six_floats() { return floats({0, 1, 2, 3, 4, 5}); }

std::vector<ZipFile> pth_files(const std::string& pickle, const std::vector<std::string>& records) {
  std::vector<ZipFile> files = {{.name = "archive/data.pkl", .content = pickle}};
  for (size_t i = 0; i < records.size(); ++i)
    files.push_back({.name = "archive/data/" + std::to_string(i), .content = records[i]});
  files.push_back({.name = "archive/version", .content = "3\n"});
  return files;
}

std::string build_pth(const std::string& pickle, const std::vector<std::string>& records) {
  return build_zip(pth_files(pickle, records));
}

std::string pth_of(const std::string& value, const std::vector<std::string>& records) {
  return build_pth(pickle::begin() + pickle::ordered({{"w", value}}) + ".", records);
}

std::string build_safetensors(const std::string& header, const std::string& data) {
  return little(header.size(), 8) + header + data;
}

}  // namespace furrow::testing
