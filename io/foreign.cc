#include "io/foreign.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>

#include "io/utf8.h"

namespace furrow::io {
namespace {

using namespace std::string_view_literals;

struct ForeignMagic {
  std::string_view bytes, what;
};

constexpr std::array kMagic = {
    ForeignMagic{"\x1f\x8b"sv, "a gzip file"},
    ForeignMagic{"7z\xbc\xaf\x27\x1c"sv, "a 7-Zip archive"},
    ForeignMagic{"BZh"sv, "a bzip2 file"},
    ForeignMagic{"\xfd"
                 "7zXZ"sv,
                 "an xz file"},
    ForeignMagic{"\x28\xb5\x2f\xfd"sv, "a zstd file"},
    ForeignMagic{"Rar!"sv, "a RAR archive"},
    ForeignMagic{"\x93NUMPY"sv, "a NumPy array"},
    ForeignMagic{"\x89HDF\r\n"sv, "an HDF5 (Keras) file"},
    ForeignMagic{"\x7f"
                 "ELF"sv,
                 "a program (ELF)"},
    ForeignMagic{"MZ"sv, "a Windows program"},
    ForeignMagic{"\x89PNG"sv, "a PNG picture"},
    ForeignMagic{"\xff\xd8\xff"sv, "a JPEG picture"},
    ForeignMagic{"GGUF"sv, "a GGUF file"},
    ForeignMagic{"%PDF"sv, "a PDF document"},
};

Error not_a_checkpoint(const std::string& what) { return Error(ErrorCode::malformed, what + ", not a checkpoint"); }

bool is_web_page(std::string_view bytes) {
  std::string start(bytes.substr(0, 256));
  std::ranges::transform(start, start.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const size_t text = start.find_first_not_of(" \t\r\n\xef\xbb\xbf");
  if (text == start.npos) return false;
  const std::string_view begin = std::string_view(start).substr(text);
  return begin.starts_with("<!doctype html") || begin.starts_with("<html") || begin.starts_with("<head");
}

bool is_text(std::string_view bytes) {
  // The first 4 KiB decide; a character cut at their end is no reason against it.
  std::string_view start = bytes.substr(0, 4096);
  for (int i = 0; i < 4 && bytes.size() > start.size() && !is_utf8(start); ++i) start.remove_suffix(1);
  return is_utf8(start) && std::ranges::none_of(start, [](unsigned char c) { return c < 0x20 && !std::isspace(c); });
}

Error describe_text(std::string_view bytes) {
  if (bytes.starts_with("version https://git-lfs.github.com/")) {
    const size_t size = bytes.find("\nsize ");
    const size_t digits = size == bytes.npos ? bytes.size() : size + 6;
    const std::string_view number =
        bytes.substr(digits, std::min<size_t>(bytes.find('\n', digits), bytes.size()) - digits);
    return not_a_checkpoint("a Git LFS pointer" +
                            (number.empty() ? "" : " to a file of " + printable(number, 20) + " bytes"))
        .hint("fetch the file itself: git lfs pull, or the download link of its page");
  }
  if (is_web_page(bytes))
    return Error(ErrorCode::malformed, "this is a web page, not a checkpoint")
        .hint("the download link led to a page; download the file itself");
  return not_a_checkpoint("a text of " + std::to_string(bytes.size()) + " bytes");
}

}  // namespace

Error describe_foreign(std::span<const std::byte> data) {
  const std::string_view bytes(reinterpret_cast<const char*>(data.data()), data.size());
  if (bytes.empty()) return not_a_checkpoint("an empty file").at(0);
  if (bytes[0] == '\x80' && bytes.size() > 1 && bytes[1] >= 2 && bytes[1] <= 5)
    return not_a_checkpoint("a bare pickle").at(0).hint("do not load it: a pickle can run code");
  for (const ForeignMagic& magic : kMagic)
    if (bytes.starts_with(magic.bytes)) return not_a_checkpoint(std::string(magic.what)).at(0);
  if (is_text(bytes)) return describe_text(bytes).at(0);
  if (std::ranges::all_of(bytes, [](char c) { return c == 0; }))
    return not_a_checkpoint(std::to_string(bytes.size()) + " zero bytes").at(0);
  if (bytes.size() >= 22 && bytes.substr(bytes.size() - 22, 4) == "PK\x05\x06")
    return Error(ErrorCode::malformed, "other data stands before a zip archive").at(0);
  return not_a_checkpoint("unknown data of " + std::to_string(bytes.size()) + " bytes").at(0);
}

}  // namespace furrow::io
