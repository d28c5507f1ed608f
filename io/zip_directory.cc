#include "io/zip_directory.h"

#include <array>
#include <string>

#include "io/cursor.h"
#include "io/utf8.h"
#include "kernels/checked.h"

namespace furrow::io {
namespace {

constexpr uint32_t kEndSignature = 0x06054b50, kEnd64Signature = 0x06064b50, kLocatorSignature = 0x07064b50;
constexpr uint32_t kCentralSignature = 0x02014b50;
constexpr uint64_t kEndSize = 22, kEnd64Size = 56, kLocatorSize = 20, kCentralSize = 46, kMaxComment = 0xFFFF;
constexpr uint32_t kIn64 = 0xFFFFFFFF;  // "the value stands in the zip64 record"
constexpr uint16_t kZip64Extra = 0x0001, kUnicodePathExtra = 0x7075;
constexpr uint32_t kDirectoryAttribute = 0x10;  // MS-DOS's

Error malformed(const std::string& reason, uint64_t at) {
  return Error(ErrorCode::malformed, reason).at(at).in("zip directory");
}

uint32_t signature_at(std::span<const std::byte> bytes, uint64_t at) {
  return Cursor(bytes, at, "the zip directory").u32();
}

// Position of the end record: the one place where its comment reaches exactly to the end of the file. A second
// candidate, or a signature inside the comment, is what makes two readers see two archives.
uint64_t find_end(std::span<const std::byte> bytes) {
  constexpr uint64_t kNone = ~uint64_t{0};
  uint64_t found = kNone, last_signature = kNone;
  const uint64_t size = bytes.size();
  const uint64_t lowest = size > kEndSize + kMaxComment ? size - kEndSize - kMaxComment : 0;
  for (uint64_t at = lowest; at + kEndSize <= size; ++at) {
    if (bytes[at] != std::byte{'P'} || signature_at(bytes, at) != kEndSignature) continue;
    last_signature = at;
    if (at + kEndSize + Cursor(bytes, at + 20, "the end record").u16() != size) continue;
    if (found != kNone) throw malformed("two end records fit the file; readers would disagree", at);
    found = at;
  }
  if (found == kNone)
    throw Error(ErrorCode::malformed, "the zip directory at the end of the file is missing: the file is cut or damaged")
        .at(size)
        .hint("download or copy it again");
  if (last_signature > found) throw malformed("a second end record inside the archive comment", last_signature);
  return found;
}

struct End {
  uint64_t entries, size, begin, end;  // of the directory
};

struct End32 {
  uint16_t disk, first_disk, entries_here, entries;
  uint32_t size, begin;
};

void check_agrees(uint64_t in64, uint64_t in32, uint64_t saturated, uint64_t at) {
  if (in32 != saturated && in32 != in64) throw malformed("the zip64 and the plain end record disagree", at);
}

End read_end64(std::span<const std::byte> bytes, const End32& plain, uint64_t locator_at) {
  Cursor locator(bytes, locator_at + 4, "the zip64 locator");
  const uint32_t disk = locator.u32();
  const uint64_t at = locator.u64();
  const uint32_t disks = locator.u32();
  if (disk != 0 || disks > 1) throw Error(ErrorCode::unsupported, "a zip split over several files").at(locator_at);
  if (Checked(at) + kEnd64Size > Checked(locator_at) || signature_at(bytes, at) != kEnd64Signature)
    throw malformed("the zip64 locator points to " + std::to_string(at) + ", where no zip64 end record lies",
                    locator_at);
  Cursor record(bytes, at + 4, "the zip64 end record");
  // The record's own length counts from behind the length field.
  if (Checked(record.u64()) + 12 + at != Checked(locator_at))
    throw malformed("the zip64 end record does not reach to its locator", at);
  record.take(4);
  const uint32_t this_disk = record.u32(), first_disk = record.u32();
  const uint64_t here = record.u64(), entries = record.u64(), size = record.u64(), begin = record.u64();
  if (this_disk != 0 || first_disk != 0) throw Error(ErrorCode::unsupported, "a zip split over several files").at(at);
  if (here != entries) throw malformed("the zip64 end record counts its entries twice, and differently", at);
  check_agrees(entries, plain.entries, 0xFFFF, at);
  check_agrees(size, plain.size, kIn64, at);
  check_agrees(begin, plain.begin, kIn64, at);
  return {entries, size, begin, at};
}

End read_end(std::span<const std::byte> bytes) {
  const uint64_t at = find_end(bytes);
  Cursor record(bytes, at + 4, "the end record");
  End32 plain{};
  plain.disk = record.u16(), plain.first_disk = record.u16();
  plain.entries_here = record.u16(), plain.entries = record.u16();
  plain.size = record.u32(), plain.begin = record.u32();
  if (plain.disk != 0 || plain.first_disk != 0)
    throw Error(ErrorCode::unsupported, "a zip split over several files").at(at);
  if (plain.entries_here != plain.entries)
    throw malformed("the end record counts its entries twice, and differently", at);
  if (at >= kLocatorSize && signature_at(bytes, at - kLocatorSize) == kLocatorSignature)
    return read_end64(bytes, plain, at - kLocatorSize);
  if (plain.entries == 0xFFFF || plain.size == kIn64 || plain.begin == kIn64)
    throw malformed("the zip64 end record is missing", at);
  return {plain.entries, plain.size, plain.begin, at};
}

void check_name(std::string_view name, uint64_t at, const Limits& limits) {
  if (name.size() > limits.name_bytes)
    throw Error(ErrorCode::limit, "entry name too long").at(at).limit(limits.name_bytes, name.size());
  const auto refuse = [&](const char* why) {
    throw Error(ErrorCode::malformed, std::string("entry name ") + why).at(at).in(name.empty() ? "?" : name);
  };
  if (name.empty()) refuse("is empty");
  if (!is_utf8(name)) refuse("is not UTF-8");
  if (name.front() == '/') refuse("is absolute");
  for (const char c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) refuse("holds a control character");
    if (c == '\\') refuse("holds a backslash");
  }
  if (name.size() > 1 && name[1] == ':') refuse("begins with a drive letter");
  for (size_t begin = 0; begin < name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") refuse("has an empty, \".\" or \"..\" part");
    begin = end + 1;
  }
}

void check_method(const ZipCentral& entry) {
  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorCode::unsupported, "the entry is " + what)
        .at(entry.at)
        .in(entry.name)
        .hint("torch.save stores its records uncompressed");
  };
  if ((entry.flags & 0x2041) != 0) refuse("encrypted");
  // Deflate's effort (bits 1, 2), data descriptor (3) and UTF-8 name (11) are all that a checkpoint needs.
  if ((entry.flags & ~0x080E) != 0) refuse("marked with flags " + std::to_string(entry.flags) + ", not read here");
  if (entry.method == 9) refuse("compressed with deflate64");
  if (entry.method != 0 && entry.method != 8) refuse("compressed with method " + std::to_string(entry.method));
  if (entry.method == 0 && entry.compressed != entry.size)
    throw Error(ErrorCode::malformed, "a stored entry whose two sizes differ: " + std::to_string(entry.compressed) +
                                          " and " + std::to_string(entry.size))
        .at(entry.at)
        .in(entry.name);
}

// Archivers write "p/" of no bytes for a folder. Some readers, PyTorch's among them, take what has a folder's mark or
// name for empty, whatever its size, and hand out stale memory.
void check_folder(const ZipCentral& entry, uint32_t attributes) {
  const bool named = entry.name.ends_with('/'), marked = (attributes & kDirectoryAttribute) != 0;
  if ((marked && !named) || (named && entry.size != 0))
    throw Error(ErrorCode::malformed, marked ? "an entry marked as a folder, which is none"
                                             : "an entry named as a folder, which holds bytes")
        .at(entry.at)
        .in(entry.name);
}

ZipCentral read_central(Cursor& cursor, const Limits& limits) {
  ZipCentral entry;
  entry.at = cursor.at();
  if (cursor.u32() != kCentralSignature) throw malformed("no directory header where the next must begin", entry.at);
  cursor.take(4);  // versions: what matters is what the entry uses
  entry.flags = cursor.u16(), entry.method = cursor.u16();
  cursor.take(4);  // time and date
  entry.crc = cursor.u32(), entry.compressed = cursor.u32(), entry.size = cursor.u32();
  const uint16_t name_size = cursor.u16(), extra_size = cursor.u16(), comment_size = cursor.u16(), disk = cursor.u16();
  cursor.take(2);  // what an archiver thinks of the content
  const uint32_t attributes = cursor.u32();
  entry.header_at = cursor.u32();
  entry.name = cursor.text(name_size);
  const auto extra = cursor.take(extra_size);
  cursor.take(comment_size);
  check_name(entry.name, entry.at, limits);
  if (disk != 0) throw Error(ErrorCode::unsupported, "a zip split over several files").at(entry.at).in(entry.name);
  const auto rest = resolve_zip_extra(extra, entry.at, entry.name, entry.size, entry.compressed, &entry.header_at);
  check_zip64_rest(rest, entry, entry.at, false);
  check_folder(entry, attributes);
  check_method(entry);
  return entry;
}

}  // namespace

std::span<const std::byte> resolve_zip_extra(std::span<const std::byte> extra, uint64_t at, std::string_view name,
                                             uint64_t& size, uint64_t& compressed, uint64_t* header_at) {
  const auto refuse = [&](const char* why) { throw Error(ErrorCode::malformed, why).at(at).in(name); };
  bool have64 = false;
  std::span<const std::byte> rest;
  for (Cursor cursor(extra, 0, "an extra field"); cursor.left() > 0;) {
    if (cursor.left() < 4) refuse("the extra data of the entry is no list of fields");
    const uint16_t id = cursor.u16(), length = cursor.u16();
    if (length > cursor.left()) refuse("an extra field runs over the extra data");
    Cursor field(cursor.take(length), 0, "a zip64 extra field");
    if (id == kUnicodePathExtra) refuse("an extra field gives the entry a second name");
    if (id != kZip64Extra) continue;
    if (have64) refuse("two zip64 extra fields");
    have64 = true;
    for (uint64_t* value : {&size, &compressed, header_at})
      if (value != nullptr && *value == kIn64) {
        if (field.left() < 8) refuse("the zip64 extra field is too short");
        *value = field.u64();
      }
    rest = field.take(field.left());
  }
  if (!have64 && (size == kIn64 || compressed == kIn64 || (header_at != nullptr && *header_at == kIn64)))
    refuse("the zip64 extra field is missing");
  return rest;
}

void check_zip64_rest(std::span<const std::byte> rest, const ZipCentral& truth, uint64_t at, bool later) {
  const std::array<uint64_t, 3> values = {truth.size, truth.compressed, truth.header_at};
  Cursor cursor(rest, 0, "a zip64 extra field");
  bool right = true;
  for (size_t next = 0; right && cursor.left() >= 8;) {
    const uint64_t value = cursor.u64();
    if (later && value == 0) continue;
    while (next < values.size() && values[next] != value) ++next;
    right = next++ < values.size();
  }
  if (cursor.left() == 4) right = right && cursor.u32() == 0;
  if (!right || cursor.left() > 0)
    throw Error(ErrorCode::malformed, "the zip64 extra field contradicts the header").at(at).in(truth.name);
}

ZipDirectory read_zip_directory(std::span<const std::byte> bytes, const Limits& limits) {
  // What overflows here are the places and sizes that the end records state.
  const End end = with_place(bytes.size(), "zip directory", [&] {
    const End stated = read_end(bytes);
    (void)(Checked(stated.begin) + stated.size);
    return stated;
  });
  if (Checked(end.begin) + end.size != Checked(end.end))
    throw malformed("the directory is said to lie at " + std::to_string(end.begin) + " with " +
                        std::to_string(end.size) + " bytes, which does not reach to its end record",
                    end.end);
  if (end.entries > end.size / kCentralSize)
    throw malformed("the directory is too small for " + std::to_string(end.entries) + " entries", end.end);
  if (end.entries > limits.zip_entries)
    throw Error(ErrorCode::limit, "too many zip entries").at(end.end).limit(limits.zip_entries, end.entries);
  ZipDirectory directory;
  directory.begin = end.begin;
  directory.entries.reserve(static_cast<size_t>(end.entries));
  Cursor cursor(bytes.first(static_cast<size_t>(end.end)), end.begin, "the zip directory");
  for (uint64_t i = 0; i < end.entries; ++i) directory.entries.push_back(read_central(cursor, limits));
  if (cursor.at() != end.end)
    throw malformed("the directory holds more than the " + std::to_string(end.entries) + " entries it counts",
                    cursor.at());
  return directory;
}

}  // namespace furrow::io
