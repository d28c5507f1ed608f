#include "io/zip_write.h"

#include <zlib.h>

#include "kernels/error.h"

namespace furrow::io {
namespace {

constexpr uint64_t kAlignment = 64, kMostBytes = 0xFFFFFFFE;
constexpr uint16_t kMostRecords = 0xFFFE, kUtf8Flag = 0x0800;

template <class T>
void put(std::string& out, T value) {
  for (size_t i = 0; i < sizeof value; ++i) out += static_cast<char>(value >> (8 * i));
}

}  // namespace

void ZipWriter::write(const std::string& bytes) {
  file_.write(bytes);
  at_ += bytes.size();
}

void ZipWriter::add(const std::string& name, std::span<const std::byte> bytes) {
  constexpr uint64_t kHeader = 30, kExtraHead = 4;
  const uint64_t fill = (kAlignment - (at_ + kHeader + name.size() + kExtraHead) % kAlignment) % kAlignment;
  const uint64_t after = at_ + kHeader + name.size() + kExtraHead + fill + bytes.size() + directory_.size() + 1024;
  if (after + name.size() > kMostBytes || records_ >= kMostRecords)
    throw Error(ErrorCode::unsupported, "a .pth of 4 GiB or 65,535 records and more is not written")
        .hint("write safetensors instead");
  const auto crc = static_cast<uint32_t>(::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));

  // The part that local and central header share: version, flags, method, time, date (1980-01-01), CRC, sizes.
  std::string common;
  put<uint16_t>(common, 20), put(common, kUtf8Flag), put<uint16_t>(common, 0), put<uint16_t>(common, 0),
      put<uint16_t>(common, 0x21);
  put(common, crc), put(common, static_cast<uint32_t>(bytes.size())), put(common, static_cast<uint32_t>(bytes.size()));
  put(common, static_cast<uint16_t>(name.size()));

  directory_ += "PK\x01\x02";
  put<uint16_t>(directory_, 20);
  directory_ += common;
  directory_.append(12, '\0');  // no extra field, comment, disk or attributes
  put(directory_, static_cast<uint32_t>(at_));
  directory_ += name;

  std::string local = "PK\x03\x04" + common;
  put(local, static_cast<uint16_t>(kExtraHead + fill));
  local += name + "FB";
  put(local, static_cast<uint16_t>(fill));
  local.append(fill, 'Z');
  write(local);
  file_.write(bytes);
  at_ += bytes.size();
  ++records_;
}

void ZipWriter::finish() {
  std::string end = "PK\x05\x06";
  put<uint32_t>(end, 0), put(end, records_), put(end, records_);
  put(end, static_cast<uint32_t>(directory_.size())), put(end, static_cast<uint32_t>(at_)), put<uint16_t>(end, 0);
  write(directory_);
  write(end);
}

}  // namespace furrow::io
