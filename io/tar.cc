#include "io/tar.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "io/cursor.h"
#include "kernels/checked.h"

namespace furrow::io {
namespace {

constexpr uint64_t kTarBlock = 512;
// Fields of a header: first byte, length.
struct TarField {
  size_t at, size;
};
constexpr TarField kTarName{0, 100}, kTarSize{124, 12}, kTarSum{148, 8}, kTarMagic{257, 5}, kTarPrefix{345, 155};
constexpr size_t kTarType = 156;
// What a pax header may say without changing what the archive holds.
constexpr std::array<std::string_view, 7> kInertPaxKeys = {"mtime", "atime", "ctime", "uid", "gid", "uname", "gname"};

Error malformed(uint64_t at, const std::string& why) {
  return Error(ErrorCode::malformed, why).at(at).in("tar header");
}

// Each byte is as the one before it, and the first is zero.
bool all_zero(std::string_view text) {
  return text.empty() || (text[0] == '\0' && std::memcmp(text.data(), text.data() + 1, text.size() - 1) == 0);
}

// The field up to its first zero byte.
std::string_view text_of(std::string_view header, TarField field) {
  const std::string_view all = header.substr(field.at, field.size);
  return all.substr(0, all.find('\0'));
}

// Octal digits, ended by zero bytes or spaces; spaces may stand before them.
std::optional<uint64_t> octal(std::string_view text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  const size_t digits = std::min(text.find_first_not_of("01234567"), text.size());
  if (digits == 0 || text.find_first_not_of(std::string_view(" \0", 2), digits) != text.npos) return std::nullopt;
  Checked value = 0;
  for (const char c : text.substr(0, digits)) value = value * 8 + static_cast<uint64_t>(c - '0');
  return value.value();
}

std::optional<uint64_t> decimal(std::string_view text) {
  if (text.empty() || text.find_first_not_of("0123456789") != text.npos) return std::nullopt;
  Checked value = 0;
  for (const char c : text) value = value * 10 + static_cast<uint64_t>(c - '0');
  return value.value();
}

// The sum of a header's bytes, its own field counted as spaces.
uint64_t sum_of(std::string_view header) {
  uint64_t sum = kTarSum.size * ' ';
  for (const std::string_view part : {header.substr(0, kTarSum.at), header.substr(kTarSum.at + kTarSum.size)})
    for (const char byte : part) sum += static_cast<unsigned char>(byte);
  return sum;
}

// The size that a pax header gives to the member behind it; none where it gives only what is not needed. Records:
// "LENGTH KEY=VALUE\n", LENGTH in decimal, of the whole record.
std::optional<uint64_t> pax_size(std::string_view text, uint64_t at) {
  std::optional<uint64_t> size;
  const auto refuse = [&](const std::string& why) { throw malformed(at, "the extended header " + why); };
  while (!text.empty()) {
    const size_t space = text.find(' ');
    const auto length = space == text.npos ? std::nullopt : decimal(text.substr(0, space));
    if (!length || *length > text.size() || *length < space + 2 || text[static_cast<size_t>(*length) - 1] != '\n')
      refuse("is no list of records");
    const std::string_view record = text.substr(space + 1, static_cast<size_t>(*length) - space - 2);
    const size_t equals = record.find('=');
    if (equals == record.npos) refuse("is no list of records");
    const std::string_view key = record.substr(0, equals);
    if (key == "size") {
      if (size) refuse("gives the size twice");
      size = decimal(record.substr(equals + 1));
      if (!size) refuse("gives a size that is no number");
    } else if (std::ranges::find(kInertPaxKeys, key) == kInertPaxKeys.end()) {
      refuse("gives " + printable(key, 40) + ", which changes what the archive holds");
    }
    text.remove_prefix(static_cast<size_t>(*length));
  }
  return size;
}

class TarReader {
 public:
  TarReader(std::span<const std::byte> bytes, const Limits& limits)
      : bytes_(bytes), text_(reinterpret_cast<const char*>(bytes.data()), bytes.size()), limits_(limits) {}

  std::vector<TarMember> run() {
    std::vector<TarMember> members;
    while (!at_end()) {
      if (members.size() >= limits_.zip_entries)
        throw Error(ErrorCode::limit, "too many members of a tar archive")
            .at(at_)
            .limit(limits_.zip_entries, members.size() + 1);
      std::optional<uint64_t> size;
      TarMember member = next(size);
      if (extended_) {
        const std::string_view records = content(member);
        size = with_place(member.at, "tar header", [&] { return pax_size(records, member.at); });
        member = next(size);
        if (extended_) throw malformed(member.header_at, "two extended headers in a row");
      }
      content(member);
      members.push_back(std::move(member));
    }
    return members;
  }

 private:
  // Reads the header at at_; `size`: what an extended header stated, replaced by what holds.
  TarMember next(std::optional<uint64_t> size) {
    if (text_.size() - at_ < kTarBlock) throw cut(at_ + kTarBlock);
    const uint64_t at = at_;
    const std::string_view header = text_.substr(static_cast<size_t>(at), kTarBlock);
    if (header.substr(kTarMagic.at, kTarMagic.size) != "ustar")
      throw malformed(at, "no tar header where the next must begin");
    if (octal(header.substr(kTarSum.at, kTarSum.size)) != sum_of(header))
      throw Error(ErrorCode::checksum, "stored and computed checksum of the header differ: the file is damaged")
          .at(at)
          .in("tar header")
          .hint("download or copy it again");
    TarMember member;
    const std::string_view prefix = text_of(header, kTarPrefix);
    member.name = (prefix.empty() ? "" : std::string(prefix) + "/") + std::string(text_of(header, kTarName));
    member.header_at = at;
    member.at = at + kTarBlock;
    const char type = header[kTarType];
    extended_ = type == 'x';
    if (!extended_ && type != '0' && type != '\0')
      throw Error(ErrorCode::unsupported,
                  "a member of type " + printable(std::string_view(&type, 1)) + ", not a regular file")
          .at(at)
          .in(member.name);
    const auto stated = octal(header.substr(kTarSize.at, kTarSize.size));
    if (!stated) throw malformed(at, "the size of " + printable(member.name, 60) + " is no octal number");
    // A size that does not fit its field stands in the extended header alone, and the field is 0.
    if (size && *stated != 0 && *stated != *size) throw malformed(at, "the two sizes of a member differ");
    const Checked end = with_place(at, member.name, [&] { return Checked(member.at) + size.value_or(*stated); });
    if (end > Checked(text_.size())) throw cut(end.value());
    member.bytes = bytes_.subspan(static_cast<size_t>(member.at), static_cast<size_t>((end - member.at).value()));
    return member;
  }

  // Steps over the content and its zeros.
  std::string_view content(const TarMember& member) {
    const uint64_t end = member.at + member.bytes.size();
    const uint64_t next = with_place(end, member.name, [&] { return Checked(end).rounded_up(kTarBlock).value(); });
    if (next > text_.size()) throw cut(next);
    if (!all_zero(text_.substr(static_cast<size_t>(end), static_cast<size_t>(next - end))))
      throw malformed(end, "bytes between two members belong to none");
    at_ = next;
    return text_.substr(static_cast<size_t>(member.at), member.bytes.size());
  }

  bool at_end() const {
    if (text_.size() - at_ < kTarBlock) throw cut(at_ + 2 * kTarBlock);
    const std::string_view rest = text_.substr(static_cast<size_t>(at_));
    if (!all_zero(rest.substr(0, kTarBlock))) return false;
    if (rest.size() < 2 * kTarBlock) throw cut(at_ + 2 * kTarBlock);
    if (rest.size() % kTarBlock != 0 || !all_zero(rest)) throw malformed(at_, "bytes follow the end of the archive");
    return true;
  }

  Error cut(uint64_t least) const {
    return Error(ErrorCode::malformed, "the tar archive is cut: " + std::to_string(text_.size()) + " of at least " +
                                           std::to_string(least) + " bytes")
        .at(text_.size())
        .hint("download or copy it again");
  }

  const std::span<const std::byte> bytes_;
  const std::string_view text_;
  const Limits limits_;
  uint64_t at_ = 0;
  bool extended_ = false;  // whether the header read last is a pax header
};

}  // namespace

bool is_tar(std::string_view bytes) {
  return bytes.size() >= kTarBlock && bytes.substr(kTarMagic.at, kTarMagic.size) == "ustar";
}

bool has_tar_sum(std::string_view bytes) {
  if (bytes.size() < kTarBlock) return false;
  const std::string_view header = bytes.substr(0, kTarBlock);
  const auto sum = static_cast<int64_t>(sum_of(header));
  int64_t found = 0, with_signs = sum;
  const std::string_view field = header.substr(kTarSum.at, kTarSum.size);
  if (field[0] == '\x80' || field[0] == '\xff') {  // GNU's binary numbers, the negative ones included
    for (const char c : field.substr(1)) found = found << 8 | static_cast<unsigned char>(c);
    if (field[0] == '\xff') found -= int64_t{1} << 56;
  } else {
    for (const char c : text_of(header, kTarSum))
      if (c >= '0' && c <= '7') found = found * 8 + (c - '0');
    if (field.find('-') != field.npos) found = -found;
  }
  for (size_t i = 0; i < kTarBlock; ++i)
    if ((i < kTarSum.at || i >= kTarSum.at + kTarSum.size) && static_cast<unsigned char>(header[i]) > 127)
      with_signs -= 256;
  return found == sum || found == with_signs;
}

std::vector<TarMember> read_tar(std::span<const std::byte> bytes, const Limits& limits) {
  return with_place(0, "tar archive", [&] { return TarReader(bytes, limits).run(); });
}

}  // namespace furrow::io
