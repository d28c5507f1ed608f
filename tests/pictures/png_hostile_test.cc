// PNG files that must be refused: cases 245 to 300, and what lies between them. The numbers are fixed names, kept so
// that a case is never lost.
#include <gtest/gtest.h>

#include <algorithm>

#include "hostile.h"

namespace furrow::io {
namespace {

using namespace test;  // NOLINT: a table of builders

Bytes ihdr(uint32_t width, uint32_t height, int depth = 8, int colour = 0, int compression = 0, int filter = 0,
           int interlace = 0) {
  return png_chunk("IHDR", png_header(width, height, depth, colour, compression, filter, interlace));
}
Bytes iend() { return png_chunk("IEND", ""); }
Bytes idat(std::string_view filtered) { return png_chunk("IDAT", deflated(filtered)); }
const std::string kRow(9, '\0');  // filter 0 and eight zero bytes

// 8 x 1 pixels of 8-bit gray with `more` chunks in front of the data.
Bytes small_with(const std::vector<Bytes>& more) {
  std::vector<Bytes> chunks = {ihdr(8, 1)};
  chunks.insert(chunks.end(), more.begin(), more.end());
  chunks.push_back(idat(kRow));
  chunks.push_back(iend());
  return png_of(chunks);
}
// The same with another header.
Bytes header_only(Bytes first) { return png_of({std::move(first), idat(kRow), iend()}); }
// A 2-bit palette picture, 4 x 1, of three colours.
Bytes palette_png(std::string_view plte, std::string_view pixels, const std::vector<Bytes>& more = {}) {
  std::vector<Bytes> chunks = {ihdr(4, 1, 2, 3), png_chunk("PLTE", plte)};
  chunks.insert(chunks.end(), more.begin(), more.end());
  chunks.push_back(idat(std::string(1, '\0') + std::string(pixels)));
  chunks.push_back(iend());
  return png_of(chunks);
}
Bytes cut(Bytes file, double part) {
  file.resize(static_cast<size_t>(static_cast<double>(file.size()) * part));
  return file;
}
Bytes photo() { return read_bytes(data_path("c2d8.png")); }
Bytes flipped(Bytes file, std::string_view after, size_t offset) {
  const Bytes wanted = bytes_of(after);
  const auto found = std::search(file.begin(), file.end(), wanted.begin(), wanted.end());
  found[static_cast<ptrdiff_t>(offset)] ^= std::byte{1};
  return file;
}
Bytes named(std::string_view text, size_t size = 200) {
  Bytes file = bytes_of(text);
  file.resize(std::max(size, file.size()), std::byte{0x80});
  return file;
}
Bytes with_length(uint32_t length) {
  Bytes file = png_of({ihdr(8, 1)});
  return file + bytes_of(be32_text(length) + "IDAT" + deflated(kRow) + "????");
}
std::string text(std::string_view raw) { return std::string(raw); }
constexpr auto kMalformed = ErrorCode::malformed;
constexpr auto kUnsupported = ErrorCode::unsupported;

const Hostile kFiles[] = {
    {"Case245_ZeroBytes", [] { return Bytes{}; }, kMalformed, "the file is empty"},
    {"Case246_SignatureOnly", [] { return png_of({}); }, kMalformed, "ends after the PNG signature"},
    {"Case247_Text", [] { return bytes_of("Dear Sir,\nplease find attached\n"); }, kUnsupported, "this is text"},
    {"Case247_Html", [] { return bytes_of("<!DOCTYPE html><html><body>404</body></html>"); }, kUnsupported,
     "this is HTML"},
    {"Case247_Svg", [] { return bytes_of("<?xml version=\"1.0\"?><svg xmlns=\"...\"/>"); }, kUnsupported,
     "this is SVG"},
    {"Case247_Heic",
     [] {
       return named(
           {"\0\0\0\x18"
            "ftypheic\0\0\0\0mif1",
            20});
     },
     kUnsupported, "HEIC/HEIF, not PNG or JPEG; convert it to PNG or JPEG"},
    {"Case247_Avif",
     [] {
       return named(
           {"\0\0\0\x1c"
            "ftypavif",
            12});
     },
     kUnsupported, "AVIF"},
    {"Case247_Pdf", [] { return named("%PDF-1.7\n"); }, kUnsupported, "PDF"},
    {"Case247_UnknownBytes", [] { return named("\x01\x02\x03\x04\xff\xfe"); }, kUnsupported, "neither PNG nor JPEG"},
    {"Case248_CutAt5Percent", [] { return cut(photo(), 0.05); }, kMalformed, "cut"},
    {"Case249_CutAt50Percent", [] { return cut(photo(), 0.50); }, kMalformed, "cut"},
    {"Case250_CutAt95Percent", [] { return cut(photo(), 0.95); }, kMalformed, "cut"},
    {"Case251_NoIend",
     [] {
       return png_of({ihdr(8, 1), idat(kRow)});
     },
     kMalformed, "without an IEND chunk"},
    {"Case252_NoIdat",
     [] {
       return png_of({ihdr(8, 1), iend()});
     },
     kMalformed, "no IDAT chunk"},
    {"Case253_NoIhdr",
     [] {
       return png_of({idat(kRow), iend()});
     },
     kMalformed, "the first chunk is not IHDR"},
    {"Case254_TwoIhdr", [] { return small_with({ihdr(8, 1)}); }, kMalformed, "a second header"},
    {"Case255_IhdrOf12", [] { return header_only(png_chunk("IHDR", png_header(8, 1, 8, 0).substr(0, 12))); },
     kMalformed, "must have 13 bytes; limit 13, found 12"},
    {"Case256_BitFlipInIdat", [] { return flipped(photo(), "IDAT", 30); }, ErrorCode::checksum, "(IDAT): CRC is 0x"},
    {"Case257_IhdrCrc", [] { return header_only(png_chunk("IHDR", png_header(8, 1, 8, 0), 1)); }, ErrorCode::checksum,
     "(IHDR): CRC is 0x"},
    {"Case258_IdatCrc",
     [] {
       return png_of({ihdr(8, 1), png_chunk("IDAT", deflated(kRow), 7), iend()});
     },
     ErrorCode::checksum, "(IDAT): CRC is 0x"},
    {"Case259_ZlibGarbage",
     [] {
       return png_of({ihdr(8, 1), png_chunk("IDAT", "\x78\x9c\xff\xff\xff\xff\xff\xff\xff\xff"), iend()});
     },
     kMalformed, "the compressed data are broken"},
    {"Case260_ZlibHeader",
     [] {
       return png_of({ihdr(8, 1), png_chunk("IDAT", "\x11\x22" + deflated(kRow).substr(2)), iend()});
     },
     kMalformed, "incorrect header check"},
    {"Case260b_PresetDictionary",
     [] {
       return png_of({ihdr(8, 1), png_chunk("IDAT", text({"\x78\xbb\0\0\0\1", 6}) + deflated(kRow).substr(2)), iend()});
     },
     kMalformed, "preset dictionary"},
    {"Case260c_Adler32",
     [] {
       std::string z = deflated(kRow);
       z.back() = static_cast<char>(z.back() ^ 4);
       return png_of({ihdr(8, 1), png_chunk("IDAT", z), iend()});
     },
     ErrorCode::checksum, "Adler-32"},
    {"Case260d_StreamCutBeforeAdler32",
     [] {
       std::string z = deflated(kRow);
       z.resize(z.size() - 2);
       return png_of({ihdr(8, 1), png_chunk("IDAT", z), iend()});
     },
     kMalformed, "the compressed data are cut"},
    {"Case260e_BytesAfterStream",
     [] {
       return png_of({ihdr(8, 1), png_chunk("IDAT", deflated(kRow) + "x"), iend()});
     },
     kMalformed, "bytes follow the end"},
    {"Case260f_ChunkAfterStream",
     [] {
       return png_of({ihdr(8, 1), idat(kRow), png_chunk("IDAT", "x"), iend()});
     },
     kMalformed, "bytes follow the end"},
    {"Case261_20Of45Rows", [] { return gray_png(8, 45, 20); }, kMalformed, "in row 20 of 45"},
    {"Case261b_OneRowTooMany", [] { return gray_png(8, 45, 46); }, kMalformed, "more than the picture needs"},
    {"Case261c_HalfARow",
     [] {
       return png_of({ihdr(8, 1), idat(kRow.substr(0, 5)), iend()});
     },
     kMalformed, "in row 0 of 1"},
    {"Case262_Filter9", [] { return gray_png(8, 4, 4, 9); }, kMalformed, "row 0 has filter 9"},
    {"Case262b_Filter5InPalette",
     [] {
       return png_of({ihdr(4, 1, 2, 3), png_chunk("PLTE", "abc"), idat({"\5\0", 2}), iend()});
     },
     kMalformed, "row 0 has filter 5"},
    {"Case263_WidthZero", [] { return header_only(ihdr(0, 8)); }, kMalformed, "width or height is 0"},
    {"Case264_HeightZero", [] { return header_only(ihdr(8, 0)); }, kMalformed, "width or height is 0"},
    {"Case265_LargestSquare", [] { return header_only(ihdr(0x7fffffff, 0x7fffffff)); }, ErrorCode::limit,
     "too wide or too high; limit 65535, found 2147483647"},
    {"Case265b_BeyondLargest", [] { return header_only(ihdr(0x80000000, 1)); }, kMalformed, "over 2^31 - 1"},
    {"Case266_60000Squared", [] { return header_only(ihdr(60000, 60000)); }, ErrorCode::limit,
     "too many pixels; limit 268435456, found 3600000000"},
    {"Case267_16384SquaredEmpty",
     [] {
       return png_of({ihdr(16384, 16384, 8, 2), png_chunk("IDAT", ""), iend()});
     },
     kMalformed, "the compressed data are cut"},
    {"Case267b_16384SquaredCut",
     [] {
       return png_of({ihdr(16384, 16384, 16, 6), png_chunk("IDAT", deflated_zeros(10'000'000)), iend()});
     },
     kMalformed, "in row 76 of 16384"},
    {"Case268_GrayBomb20000Squared",
     [] {
       return png_of({ihdr(20000, 20000), png_chunk("IDAT", deflated_zeros(400'020'000)), iend()});
     },
     ErrorCode::limit, "limit 268435456, found 400000000"},
    {"Case269_RgbBomb20000Squared", [] { return header_only(ihdr(20000, 20000, 8, 2)); }, ErrorCode::limit,
     "limit 268435456, found 400000000"},
    {"Case270_OnePixelInflatesTo512MiB",
     [] {
       return png_of({ihdr(1, 1), png_chunk("IDAT", deflated_zeros(uint64_t{512} << 20)), iend()});
     },
     kMalformed, "more than the picture needs"},
    {"Case271_NoPlte", [] { return header_only(ihdr(8, 1, 8, 3)); }, kMalformed, "without a palette"},
    {"Case272_PlteOf7Bytes", [] { return palette_png("1234567", "\0"); }, kMalformed, "not a multiple of 3"},
    {"Case272b_PlteEmpty", [] { return palette_png("", "\0"); }, kMalformed, "the palette is empty"},
    {"Case273_PlteOf257",
     [] {
       return png_of({ihdr(8, 1, 8, 3), png_chunk("PLTE", std::string(771, 'x')), idat(kRow), iend()});
     },
     kMalformed, "too many colours; limit 256, found 257"},
    {"Case273b_PlteOf5In2Bits", [] { return palette_png(std::string(15, 'x'), "\x1b"); }, kMalformed,
     "too many colours; limit 4, found 5"},
    {"Case273c_SuggestedPlteOf257",
     [] {
       return png_of({ihdr(2, 1, 8, 2), png_chunk("PLTE", std::string(771, 'x')), idat(kRow.substr(0, 7)), iend()});
     },
     kMalformed, "too many colours"},
    {"Case274_IndexOutOfRange", [] { return palette_png("rgbrgbrgb", "\x1b"); }, kMalformed,
     "beyond the palette; limit 2, found 3"},
    {"Case274b_IndexOutOfRange8Bit",
     [] {
       return png_of({ihdr(8, 1, 8, 3), png_chunk("PLTE", "rgb"), idat(kRow.substr(0, 8) + "\1"), iend()});
     },
     kMalformed, "beyond the palette; limit 0, found 1"},
    {"Case275_TrnsTooLong", [] { return palette_png("rgbrgb", "\x11", {png_chunk("tRNS", "123")}); }, kMalformed,
     "tRNS is longer than the palette"},
    {"Case275b_TrnsOfGrayOf3Bytes", [] { return small_with({png_chunk("tRNS", "123")}); }, kMalformed,
     "tRNS has the wrong length"},
    {"Case275c_TrnsWithAlpha",
     [] {
       return png_of({ihdr(2, 1, 8, 4), png_chunk("tRNS", "12"), idat(kRow.substr(0, 5)), iend()});
     },
     kMalformed, "must not have tRNS"},
    {"Case275d_TrnsBeforePlte",
     [] {
       return png_of({ihdr(4, 1, 2, 3), png_chunk("tRNS", "1"), png_chunk("PLTE", "rgb"), idat({"\0\0", 2}), iend()});
     },
     kMalformed, "tRNS comes before the palette"},
    {"Case275e_TrnsTwice",
     [] {
       return small_with({png_chunk("tRNS", "12"), png_chunk("tRNS", "12")});
     },
     kMalformed, "a second tRNS"},
    {"Case275f_TrnsAfterIdat",
     [] {
       return png_of({ihdr(8, 1), idat(kRow), png_chunk("tRNS", "12"), iend()});
     },
     kMalformed, "tRNS comes after the first IDAT"},
    {"Case276_Depth3", [] { return header_only(ihdr(8, 1, 3, 0)); }, kMalformed, "colour type 0 with 3 bits"},
    {"Case277_Depth4Rgb", [] { return header_only(ihdr(8, 1, 4, 2)); }, kMalformed, "colour type 2 with 4 bits"},
    {"Case278_Depth16Palette", [] { return header_only(ihdr(8, 1, 16, 3)); }, kMalformed, "colour type 3 with 16 bits"},
    {"Case279_Colour1", [] { return header_only(ihdr(8, 1, 8, 1)); }, kMalformed, "colour type 1 with 8 bits"},
    {"Case280_Colour7", [] { return header_only(ihdr(8, 1, 8, 7)); }, kMalformed, "colour type 7 with 8 bits"},
    {"Case281_Depth1Rgba", [] { return header_only(ihdr(8, 1, 1, 6)); }, kMalformed, "colour type 6 with 1 bits"},
    {"Case281b_Depth0", [] { return header_only(ihdr(8, 1, 0, 0)); }, kMalformed, "colour type 0 with 0 bits"},
    {"Case282_Compression1", [] { return header_only(ihdr(8, 1, 8, 0, 1)); }, kMalformed,
     "compression method 1 does not exist"},
    {"Case282b_FilterMethod1", [] { return header_only(ihdr(8, 1, 8, 0, 0, 1)); }, kMalformed,
     "filter method 1 does not exist"},
    {"Case283_Interlace2", [] { return header_only(ihdr(8, 1, 8, 0, 0, 0, 2)); }, kMalformed,
     "interlace method 2 does not exist"},
    {"Case284_UnknownCritical", [] { return small_with({png_chunk("ABCD", "x")}); }, kUnsupported,
     "(ABCD): a critical chunk that this decoder does not know"},
    {"Case284b_ChunkNameNotLetters", [] { return small_with({png_chunk("a\x1b[2", "x")}); }, kMalformed,
     "must be four letters"},
    {"Case285_ChunkLength4Gi", [] { return with_length(0xffffffff); }, kMalformed, "over 2^31 - 1"},
    {"Case286_ChunkLength2Gi", [] { return with_length(0x7fffffff); }, kMalformed, "the file ends inside this chunk"},
    {"Case287_PlteBetweenIdats",
     [] {
       return png_of({ihdr(8, 1, 8, 2), idat(kRow), png_chunk("PLTE", "rgb"), idat(kRow), iend()});
     },
     kMalformed, "the palette comes after the first IDAT"},
    {"Case287b_TextBetweenIdats",
     [] {
       return png_of({ihdr(8, 1), idat(kRow), png_chunk("tEXt", "a"), png_chunk("IDAT", ""), iend()});
     },
     kMalformed, "not consecutive"},
    {"Case287c_TwoPalettes", [] { return palette_png("rgb", "\0", {png_chunk("PLTE", "rgb")}); }, kMalformed,
     "a second palette"},
    {"Case287d_PaletteOfGray", [] { return small_with({png_chunk("PLTE", "rgb")}); }, kMalformed,
     "a gray picture must not have a palette"},
    {"Case287e_PaletteAfterTrns",
     [] {
       return png_of(
           {ihdr(2, 1, 8, 2), png_chunk("tRNS", "123456"), png_chunk("PLTE", "rgb"), idat(kRow.substr(0, 7)), iend()});
     },
     kMalformed, "the palette comes after tRNS"},
    {"Case287f_IendWithData",
     [] {
       return png_of({ihdr(8, 1), idat(kRow), png_chunk("IEND", "x")});
     },
     kMalformed, "IEND must be empty"},
    {"Case288_CgBI",
     [] {
       return png_of({png_chunk("CgBI", "P\0 \2"), ihdr(8, 1), idat(kRow), iend()});
     },
     kUnsupported, "Apple's CgBI"},
    {"Case289_CrLfBecameLf", [] { return named("\x89PNG\n\x1a\n\0\0\0\rIHDR"); }, kMalformed,
     "line ends were converted"},
    {"Case289b_LfBecameCrLf", [] { return named("\x89PNG\r\r\n\x1a\r\n"); }, kMalformed, "line ends were converted"},
    {"Case289c_LfBecameCr", [] { return named("\x89PNG\r\r\x1a\r"); }, kMalformed, "PNG"},
    {"Case289d_SevenBits", [] { return named("\tPNG\r\n\x1a\n"); }, kMalformed, "7-bit"},
    {"Case289e_SignatureDamaged", [] { return named("\x89PNG\r\n\x1a\x0b"); }, kMalformed,
     "the PNG signature is damaged"},
    {"Case290_Gif", [] { return named("GIF89a"); }, kUnsupported, "GIF"},
    {"Case291_Bmp", [] { return named("BM"); }, kUnsupported, "BMP"},
    {"Case292_WebP", [] { return named("RIFF\x10\x10\x10\x10WEBPVP8 "); }, kUnsupported, "WebP"},
    {"Case293_TiffLittle",
     [] {
       return named({"II*\0", 4});
     },
     kUnsupported, "TIFF"},
    {"Case293b_TiffBig",
     [] {
       return named({"MM\0*", 4});
     },
     kUnsupported, "TIFF"},
    {"Case294_Ppm", [] { return named("P6\n2 2\n255\n"); }, kUnsupported, "PPM"},
    {"Case294b_PgmWithCarriageReturn", [] { return named("P5\r\n2 2\r\n255\r\n"); }, kUnsupported, "PPM"},
    {"Case294c_PfmOfColours", [] { return named("PF\t2 2 -1.0 "); }, kUnsupported, "PPM"},
    {"Case294d_PfmOfGray", [] { return named("Pf 2 2 -1.0 "); }, kUnsupported, "PPM"},
    {"Case295_Tga",
     [] {
       return named({"\0\0\2\0\0\0\0\0\0\0\0\0\x10\0\x10\0\x18\0", 18});
     },
     kUnsupported, "TGA"},
    {"Case295a_TgaWithColourMapRunLength",
     [] {
       return named({"\0\1\x9\0\0\0\0\0\0\0\0\0\x10\0\x10\0\x08\0", 18});
     },
     kUnsupported, "TGA"},
    {"Case295b_TgaFooter",
     [] {
       return named("\x11") + bytes_of({"TRUEVISION-XFILE.\0", 18});
     },
     kUnsupported, "TGA"},
    {"Case296_Ico",
     [] {
       return named({"\0\0\1\0\1\0", 6});
     },
     kUnsupported, "ICO"},
    {"Case297_Psd",
     [] {
       return named({"8BPS\0\1", 6});
     },
     kUnsupported, "PSD"},
    {"Case298_Hdr", [] { return named("#?RADIANCE\n"); }, kUnsupported, "HDR"},
};

class HostilePng : public testing::TestWithParam<Hostile> {};
TEST_P(HostilePng, IsRefused) { expect_refused(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Plan, HostilePng, testing::ValuesIn(kFiles),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(HostilePngAccepted, Case299_ApngGivesItsDefaultImage) {
  EXPECT_NE(read_picture(data_path("apng.png")).info.notes.at(0).find("APNG"), std::string::npos);
}

TEST(HostilePngAccepted, Case300_ZtxtBombIsSkipped) {
  const Bytes file = small_with({png_chunk("zTXt", text({"Comment\0\0", 9}) + deflated_zeros(uint64_t{256} << 20))});
  reset_peak_memory();
  const uint64_t before = memory_now();
  EXPECT_EQ(decode_picture(file).image.pixels, std::vector<uint8_t>(24, 0));
  EXPECT_LE(peak_memory(), before + (uint64_t{64} << 20));
}

}  // namespace
}  // namespace furrow::io
