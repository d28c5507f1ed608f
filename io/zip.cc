#include "io/zip.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <string>
#include <unordered_set>

#include "io/cursor.h"
#include "io/zip_directory.h"
#include "kernels/checked.h"
#include "kernels/secret_hash.h"

namespace furrow::io {
namespace {

constexpr uint32_t kLocalSignature = 0x04034b50, kDescriptorSignature = 0x08074b50;

Error malformed(const ZipEntry& entry, const std::string& reason) {
  return Error(ErrorCode::malformed, reason).at(entry.header_at).in(entry.name);
}

uint32_t crc_of(uint32_t crc, std::span<const std::byte> bytes) {
  return static_cast<uint32_t>(::crc32_z(crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

// Hands the inflated content to `sink` piece by piece, never more than `entry.size` bytes; throws where the stream is
// damaged, is shorter or longer than the directory says, or does not use all of its bytes.
template <class Sink>
void inflate(const ZipEntry& entry, std::span<std::byte> buffer, Sink&& sink) {
  z_stream stream{};
  if (::inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw std::bad_alloc();
  const std::unique_ptr<z_stream, int (*)(z_streamp)> closer(&stream, ::inflateEnd);
  auto input = entry.stored;
  uint64_t produced = 0;
  for (int status = Z_OK; status != Z_STREAM_END;) {
    if (stream.avail_in == 0) {
      const auto piece = input.first(std::min<size_t>(input.size(), size_t{1} << 30));
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(piece.data()));
      stream.avail_in = static_cast<uInt>(piece.size());
      input = input.subspan(piece.size());
    }
    stream.next_out = reinterpret_cast<Bytef*>(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    status = ::inflate(&stream, Z_NO_FLUSH);
    const size_t count = buffer.size() - stream.avail_out;
    produced += count;
    if (status != Z_OK && status != Z_STREAM_END) throw malformed(entry, "the compressed data is damaged or cut");
    if (produced > entry.size)
      throw malformed(entry, "inflates to more than the " + std::to_string(entry.size) + " bytes the directory says");
    sink(buffer.first(count));
  }
  if (produced != entry.size)
    throw malformed(
        entry, "inflates to " + std::to_string(produced) + " bytes, the directory says " + std::to_string(entry.size));
  if (stream.avail_in != 0 || !input.empty()) throw malformed(entry, "bytes follow the compressed data");
}

// The local header against the central one; returns where the entry's data begins.
uint64_t check_local(std::span<const std::byte> bytes, const ZipCentral& central, uint64_t directory_at) {
  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorCode::malformed, "local and central header disagree about the " + what)
        .at(central.header_at)
        .in(central.name);
  };
  if (central.header_at > directory_at)
    throw Error(ErrorCode::malformed,
                "the entry is said to lie at " + std::to_string(central.header_at) + ", behind the directory")
        .at(central.at)
        .in(central.name);
  Cursor cursor(bytes.first(static_cast<size_t>(directory_at)), central.header_at, "a local header");
  if (cursor.u32() != kLocalSignature)
    throw Error(ErrorCode::malformed, "no local header where the directory says")
        .at(central.header_at)
        .in(central.name);
  cursor.take(2);
  if (cursor.u16() != central.flags) refuse("flags");
  if (cursor.u16() != central.method) refuse("method");
  cursor.take(4);
  const uint32_t crc = cursor.u32();
  uint64_t compressed = cursor.u32(), size = cursor.u32();
  const uint16_t name_size = cursor.u16(), extra_size = cursor.u16();
  if (cursor.text(name_size) != central.name) refuse("name");
  const auto extra = cursor.take(extra_size);
  const auto rest = resolve_zip_extra(extra, central.header_at, central.name, size, compressed, nullptr);
  // With a data descriptor the local header may still hold zeros: it was written before the data.
  const bool later = (central.flags & kZipDescriptorFlag) != 0;
  check_zip64_rest(rest, central, central.header_at, later);
  if (crc != central.crc && !(later && crc == 0)) refuse("CRC");
  if (compressed != central.compressed && !(later && compressed == 0)) refuse("compressed size");
  if (size != central.size && !(later && size == 0)) refuse("size");
  return cursor.at();
}

// The four shapes of a data descriptor: with or without signature, sizes of 4 or 8 bytes.
bool is_descriptor(std::span<const std::byte> bytes, const ZipCentral& central) {
  if (bytes.size() != 12 && bytes.size() != 16 && bytes.size() != 20 && bytes.size() != 24) return false;
  Cursor cursor(bytes, 0, "a data descriptor");
  if (bytes.size() % 8 == 0 && cursor.u32() != kDescriptorSignature) return false;
  const bool wide = bytes.size() >= 20;
  if (cursor.u32() != central.crc) return false;
  const uint64_t compressed = wide ? cursor.u64() : cursor.u32();
  return compressed == central.compressed && (wide ? cursor.u64() : cursor.u32()) == central.size;
}

// Entries, sorted by place, must cover the file from its first byte to the directory without hole or overlap.
void check_tiling(std::span<const std::byte> bytes, const ZipDirectory& directory,
                  const std::vector<ZipEntry>& entries) {
  std::vector<size_t> order(entries.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) { return entries[i].header_at; });
  uint64_t at = 0;
  for (size_t k = 0; k < order.size(); ++k) {
    const ZipEntry& entry = entries[order[k]];
    if (entry.header_at < at) throw malformed(entry, "overlaps the entry before it");
    if (entry.header_at > at)
      throw malformed(entry, std::to_string(entry.header_at - at) + " bytes before this entry belong to no entry");
    const uint64_t next = k + 1 < order.size() ? entries[order[k + 1]].header_at : directory.begin;
    at = static_cast<uint64_t>(entry.stored.data() - bytes.data()) + entry.stored.size();
    if (entry.has_descriptor) {
      if (next < at || !is_descriptor(bytes.subspan(at, next - at), directory.entries[order[k]]))
        throw malformed(entry, "its data is not followed by a matching data descriptor");
      at = next;
    }
  }
  if (at != directory.begin)
    throw Error(ErrorCode::malformed, "bytes between the last entry and the directory belong to no entry")
        .at(at)
        .in("zip directory");
}

void check_size_claims(const std::vector<ZipEntry>& entries, uint64_t file_size, const Limits& limits) {
  const Checked budget = Checked(file_size) * limits.expand_factor + limits.expand_slack;
  Checked total = 0;
  for (const ZipEntry& entry : entries) {
    total += entry.size;
    if (!entry.deflated) continue;
    const Checked most = Checked(entry.stored.size()) * limits.inflate_ratio;
    if (Checked(entry.size) > most)
      throw Error(ErrorCode::limit, "claims to inflate more than " + std::to_string(limits.inflate_ratio) + "-fold")
          .at(entry.header_at)
          .in(entry.name)
          .limit(most.value(), entry.size);
  }
  if (total > budget)
    throw Error(ErrorCode::limit, "the entries claim too many bytes in all").limit(budget.value(), total.value());
}

void verify(ZipEntry& entry) {
  uint32_t crc = 0;
  if (entry.deflated) {
    std::array<std::byte, 1 << 14> buffer;
    inflate(entry, buffer, [&](std::span<const std::byte> piece) { crc = crc_of(crc, piece); });
  } else {
    crc = crc_of(0, entry.stored);
  }
  // torch.save can leave the CRC out; it then writes 0.
  entry.verified = crc == entry.crc;
  if (!entry.verified && entry.crc != 0)
    throw Error(ErrorCode::checksum, "the CRC of the content differs from the stored one: the file is damaged")
        .at(entry.header_at)
        .in(entry.name)
        .hint("download or copy it again");
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

}  // namespace

ZipArchive::ZipArchive(std::span<const std::byte> bytes, const Limits& limits) {
  const ZipDirectory directory = read_zip_directory(bytes, limits);
  std::unordered_set<std::string, SecretHash> seen;
  for (const ZipCentral& central : directory.entries) {
    ZipEntry entry;
    entry.name = central.name, entry.size = central.size, entry.crc = central.crc;
    entry.deflated = central.method == 8;
    entry.header_at = central.header_at;
    entry.has_descriptor = (central.flags & kZipDescriptorFlag) != 0;
    const uint64_t at = check_local(bytes, central, directory.begin);
    const Checked end = with_place(central.header_at, central.name, [&] { return Checked(at) + central.compressed; });
    if (end > Checked(directory.begin))
      throw malformed(entry, "its " + std::to_string(central.compressed) + " bytes run into the directory");
    entry.stored = bytes.subspan(static_cast<size_t>(at), static_cast<size_t>(central.compressed));
    if (!seen.insert(lower(entry.name)).second) throw malformed(entry, "two entries of this name");
    by_name_.emplace(entry.name, entries_.size());
    entries_.push_back(entry);
  }
  check_tiling(bytes, directory, entries_);
  with_place(directory.begin, "zip directory", [&] { check_size_claims(entries_, bytes.size(), limits); });
  for (ZipEntry& entry : entries_) verify(entry);
}

const ZipEntry* ZipArchive::find(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : &entries_[it->second];
}

ZipData read_zip_entry(const ZipEntry& entry) {
  if (!entry.deflated) return {entry.stored, nullptr};
  const auto content = std::make_shared<std::vector<std::byte>>();
  content->reserve(static_cast<size_t>(entry.size));
  std::array<std::byte, 1 << 14> buffer;
  inflate(entry, buffer,
          [&](std::span<const std::byte> piece) { content->insert(content->end(), piece.begin(), piece.end()); });
  return {std::span<const std::byte>(*content), content};
}

}  // namespace furrow::io
