// Assembles pickles, zips, `.pth` and safetensors files byte by byte, the hostile ones included.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace furrow::testing {

// `value` as `width` little-endian bytes.
std::string little(uint64_t value, int width);

// Pieces of a protocol-2 pickle; each pushes one value unless said otherwise.
namespace pickle {
std::string begin(int protocol = 2);
std::string global(const std::string& module, const std::string& name);
std::string text(const std::string& value);
std::string integer(int64_t value);
std::string real(double value);
std::string tuple(const std::vector<std::string>& items);
std::string list(const std::vector<std::string>& items);
std::string integers(const std::vector<int64_t>& values);  // a tuple
std::string dict(const std::vector<std::pair<std::string, std::string>>& text_to_value);
std::string ordered(const std::vector<std::pair<std::string, std::string>>& text_to_value);
std::string call(const std::string& callee, const std::vector<std::string>& args);  // REDUCE
std::string storage(const std::string& type = "FloatStorage", const std::string& key = "0", int64_t elements = 6,
                    const std::string& location = "cpu");
// _rebuild_tensor_v2 with any pieces in the places of its arguments.
std::string tensor(const std::string& storage, const std::string& offset, const std::string& size,
                   const std::string& stride);
std::string tensor(const std::vector<int64_t>& size = {2, 3}, const std::vector<int64_t>& stride = {3, 1},
                   int64_t offset = 0);
}  // namespace pickle

struct ZipFile {
  std::string name;
  std::string content;      // what the sizes and the CRC describe
  std::string stored = {};  // what lies in the file; `content` where empty
  uint16_t method = 0, flags = 0, disk = 0;
  uint32_t attributes = 0;  // in a file system
  int descriptor = 0;  // bytes of data descriptor behind the data: 0, 12, 16, 20, 24; the local header holds zeros
  bool zip64 = false;  // sizes in zip64 extra fields
  std::optional<uint32_t> crc = {}, local_crc = {};
  std::optional<uint64_t> size = {}, packed = {}, offset = {};  // as the central header states them
  std::optional<uint64_t> local_size = {}, local_packed = {};
  std::optional<std::string> local_name = {};
  std::string extra = {}, local_extra = {};
};

struct ZipShape {
  std::string before = {}, gap = {}, comment = {}, behind = {};  // bytes before all, before the directory, at the end
  std::optional<uint64_t> entries = {}, entries_here = {}, size = {}, begin = {};  // what the end record states
  uint16_t disk = 0;
  bool zip64 = false;  // write the zip64 end record and locator; the plain one is then saturated
  std::optional<uint64_t> entries64 = {}, size64 = {}, begin64 = {}, locator = {};
};

uint32_t crc_of(const std::string& bytes);
std::string deflated(const std::string& content);
std::string build_zip(const std::vector<ZipFile>& files, const ZipShape& shape = {});

// Six float32 values 0 1 2 3 4 5, the record that pickle::storage() names.
std::string six_floats();
std::string floats(const std::vector<float>& values);
// archive/data.pkl, archive/data/N for each record, archive/version.
std::vector<ZipFile> pth_files(const std::string& pickle, const std::vector<std::string>& records = {six_floats()});
std::string build_pth(const std::string& pickle, const std::vector<std::string>& records = {six_floats()});
// A `.pth` whose state dictionary is {"w": value}.
std::string pth_of(const std::string& value, const std::vector<std::string>& records = {six_floats()});

std::string build_safetensors(const std::string& header, const std::string& data);

}  // namespace furrow::testing
