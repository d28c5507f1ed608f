#include "io/file_format.h"

#include <algorithm>
#include <string>

namespace furrow::io {
namespace {

constexpr std::string_view kConvert = "convert it to PNG or JPEG";
constexpr std::string_view kNoPicture = "give a PNG or JPEG photo";

struct Magic {
  size_t offset;
  std::string_view bytes;
  FileFormat format;
};

// Literals with zeros inside need their length.
template <size_t n>
constexpr std::string_view raw(const char (&text)[n]) {
  return {text, n - 1};
}

constexpr Magic kMagics[] = {
    {0, raw("\x89PNG\r\n\x1a\n"), {"PNG", ""}},
    {0, raw("\xff\xd8"), {"JPEG", ""}},
    {0, raw("GIF87a"), {"GIF", kConvert}},
    {0, raw("GIF89a"), {"GIF", kConvert}},
    {8, raw("WEBP"), {"WebP", kConvert}},
    {0, raw("II*\0"), {"TIFF (or a camera's raw file)", kConvert}},
    {0, raw("MM\0*"), {"TIFF (or a camera's raw file)", kConvert}},
    {0, raw("II+\0"), {"BigTIFF", kConvert}},
    {0, raw("MM\0+"), {"BigTIFF", kConvert}},
    {0, raw("8BPS"), {"PSD (Photoshop)", kConvert}},
    {0, raw("#?RADIANCE"), {"HDR (Radiance)", kConvert}},
    {0, raw("#?RGBE"), {"HDR (Radiance)", kConvert}},
    {0, raw("\x76\x2f\x31\x01"), {"OpenEXR", kConvert}},
    {0, raw("\0\0\1\0"), {"ICO (Windows icon)", kConvert}},
    {4, raw("ftypavif"), {"AVIF", kConvert}},
    {4, raw("ftypavis"), {"AVIF", kConvert}},
    {4, raw("ftyphei"), {"HEIC/HEIF", kConvert}},
    {4, raw("ftyphev"), {"HEIC/HEIF", kConvert}},
    {4, raw("ftypmif1"), {"HEIC/HEIF", kConvert}},
    {4, raw("ftypmsf1"), {"HEIC/HEIF", kConvert}},
    {4, raw("ftypcrx"), {"a Canon raw file (CR3)", kConvert}},
    {4, raw("ftyp"), {"a video (MP4 or MOV)", "take a still from it, as PNG or JPEG"}},
    {0, raw("\0\0\0\x0cJXL "), {"JPEG XL", kConvert}},
    {0, raw("\xff\x0a"), {"JPEG XL", kConvert}},
    {0, raw("\0\0\0\x0cjP  "), {"JPEG 2000", kConvert}},
    {0, raw("\xff\x4f\xff\x51"), {"JPEG 2000", kConvert}},
    {0, raw("\x8aMNG\r\n\x1a\n"), {"MNG", kConvert}},
    {0, raw("\x8bJNG\r\n\x1a\n"), {"JNG", kConvert}},
    {0, raw("qoif"), {"QOI", kConvert}},
    {0, raw("DDS "), {"DDS", kConvert}},
    {0, raw("SIMPLE  ="), {"FITS", kConvert}},
    {128, raw("DICM"), {"DICOM", kConvert}},
    {0, raw("%PDF"), {"PDF", kConvert}},
    {0, raw("\x1a\x45\xdf\xa3"), {"a video (Matroska or WebM)", "take a still from it, as PNG or JPEG"}},
    {0, raw("\x1f\x8b"), {"a gzip archive", "unpack it first"}},
    {0, raw("PK\3\4"), {"a zip archive (or a checkpoint)", kNoPicture}},
    {0, raw("BM"), {"BMP", kConvert}},
};

unsigned at(std::string_view text, size_t i) { return static_cast<unsigned char>(text[i]); }

// TGA has no magic number: its footer, or a header of which every field is possible.
bool looks_like_tga(std::string_view text) {
  if (text.size() >= 26 && text.substr(text.size() - 18, 16) == "TRUEVISION-XFILE") return true;
  if (text.size() < 18) return false;
  const unsigned map = at(text, 1), type = at(text, 2), depth = at(text, 16);
  const bool known = (type >= 1 && type <= 3) || (type >= 9 && type <= 11);
  const bool sized = at(text, 12) + at(text, 13) > 0 && at(text, 14) + at(text, 15) > 0;
  const bool bits = depth == 8 || depth == 15 || depth == 16 || depth == 24 || depth == 32;
  return map <= 1 && known && sized && bits && (map == 1) == (type == 1 || type == 9);
}

// PBM, PGM, PPM, PAM and PFM: a letter, a digit, white space.
bool looks_like_netpbm(std::string_view text) {
  if (text.size() < 3 || text[0] != 'P') return false;
  const bool kind = (text[1] >= '1' && text[1] <= '7') || text[1] == 'F' || text[1] == 'f';
  return kind && (text[2] == '\n' || text[2] == ' ' || text[2] == '\r' || text[2] == '\t');
}

FileFormat markup_or_text(std::string_view text) {
  std::string head(text.substr(0, 512));
  if (head.substr(0, 3) == "\xef\xbb\xbf") head.erase(0, 3);
  for (char& c : head) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (head.find("<svg") != std::string::npos) return {"SVG", kConvert};
  if (head.find("<html") != std::string::npos || head.find("<!doctype html") != std::string::npos) {
    return {"HTML", "this is a web page, perhaps an error page of a download; get the picture itself"};
  }
  const auto printable = [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return u >= 0x20 ? u != 0x7f : c == '\n' || c == '\r' || c == '\t' || c == '\f';
  };
  if (!head.empty() && std::all_of(head.begin(), head.end(), printable)) return {"text", kNoPicture};
  return {};
}

}  // namespace

FileFormat file_format(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  for (const Magic& magic : kMagics) {
    if (text.size() >= magic.offset && text.substr(magic.offset, magic.bytes.size()) == magic.bytes)
      return magic.format;
  }
  if (looks_like_netpbm(text)) return {"PPM (or another Netpbm format)", kConvert};
  if (looks_like_tga(text)) return {"TGA", kConvert};
  return markup_or_text(text);
}

}  // namespace furrow::io
