// JPEG files that must be refused: cases 301 to 325, and what lies between them. The numbers are fixed names, kept so
// that a case is never lost.
#include <gtest/gtest.h>

#include "hostile.h"
#include "jpeg_builder.h"

namespace furrow::io {
namespace {

using namespace test;  // NOLINT: a table of builders

constexpr auto kMalformed = ErrorCode::malformed;
constexpr auto kUnsupported = ErrorCode::unsupported;
Bytes photo() { return read_bytes(data_path("s420.jpg")); }
Bytes progressive() { return read_bytes(data_path("s420p.jpg")); }
Bytes cut(Bytes file, double part) {
  file.resize(static_cast<size_t>(static_cast<double>(file.size()) * part));
  return file;
}

Bytes three_thousand_scans() {
  Handmade jpeg(kSofProgressive);
  jpeg.scan(0, 0, 0, 0, "\x7f");
  for (int low = 13, scans = 1; scans < 3000; low = low == 0 ? 13 : low - 1) {
    for (int k = 1; k < 64 && scans < 3000; ++k, ++scans) jpeg.scan(k, k, low == 13 ? 0 : low + 1, low, "\x7f");
  }
  return jpeg.end();
}

// Three components announced, of 8 x 8 pixels each; a scan of the first, then the end.
Bytes one_component_of_three() {
  Handmade jpeg(kSof);
  jpeg.file = without(jpeg.scan(0, 63, 0, 0, "\x3f").end(), kSof);
  return before(jpeg.file, kSos, segment(kSof, raw({"\x8\0\x8\0\x8\3\1\x11\0\2\x11\0\3\x11\0", 15})));
}

const Hostile kFiles[] = {
    {"Case301_CutAt10Percent", [] { return cut(photo(), 0.1); }, kMalformed, "cut"},
    {"Case302_CutAt50Percent", [] { return cut(photo(), 0.5); }, kMalformed, "cut"},
    {"Case303_CutAt90Percent", [] { return cut(photo(), 0.9); }, kMalformed, "cut"},
    {"Case303b_CutWithEndOfImageAdded", [] { return cut(photo(), 0.9) + bytes_of("\xff\xd9"); }, kMalformed,
     "the coded data end early"},
    {"Case304_ProgressiveCut", [] { return cut(progressive(), 0.6); }, kMalformed, "cut"},
    {"Case304b_ProgressiveCutWithEndOfImageAdded", [] { return cut(progressive(), 0.6) + bytes_of("\xff\xd9"); },
     kMalformed, "cut"},
    {"Case305_SoiOnly", [] { return bytes_of("\xff\xd8"); }, kMalformed, "ends without EOI"},
    {"Case305b_SoiAndHalfAMarker", [] { return bytes_of("\xff\xd8\xff"); }, kMalformed, "ends without EOI"},
    {"Case305c_MarkerWithoutLength", [] { return bytes_of("\xff\xd8\xff\xdb"); }, kMalformed, "ends without EOI"},
    {"Case306_SoiEoi", [] { return bytes_of("\xff\xd8\xff\xd9"); }, kMalformed, "without a frame header"},
    {"Case307_ZeroByZero",
     [] {
       return edit(photo(), kSof, 5, {0, 0, 0, 0});
     },
     kMalformed, "width is 0"},
    {"Case308_HeightZeroAndDnl",
     [] {
       return edit(photo(), kSof, 5, {0, 0}) + segment(0xdc, raw({"\0\x22", 2}));
     },
     kUnsupported, "without a height"},
    {"Case308b_Dnl",
     [] {
       return before(photo(), kSos, segment(0xdc, raw({"\0\x22", 2})));
     },
     kUnsupported, "DNL"},
    {"Case309_65535SquaredBaseline",
     [] {
       return edit(photo(), kSof, 5, {255, 255, 255, 255});
     },
     ErrorCode::limit, "limit 268435456, found 4294836225"},
    {"Case310_65535SquaredProgressive",
     [] {
       return edit(progressive(), kSofProgressive, 5, {255, 255, 255, 255});
     },
     ErrorCode::limit, "too many pixels"},
    {"Case310b_16384SquaredWithFewData",
     [] {
       return edit(progressive(), kSofProgressive, 5, {64, 0, 64, 0});
     },
     kMalformed, "scan"},
    {"Case311_12Bit", [] { return edit(photo(), kSof, 4, {12}); }, kUnsupported, "12 bits per sample"},
    {"Case312_Arithmetic", [] { return edit(photo(), kSof, 1, {0xc9}); }, kUnsupported, "arithmetically coded"},
    {"Case312b_ArithmeticTables", [] { return before(photo(), kSos, segment(0xcc, "ab")); }, kUnsupported,
     "arithmetically coded"},
    {"Case313_Lossless", [] { return edit(photo(), kSof, 1, {0xc3}); }, kUnsupported, "lossless"},
    {"Case313b_Hierarchical", [] { return edit(photo(), kSof, 1, {0xc5}); }, kUnsupported, "hierarchical"},
    {"Case313c_JpegLs", [] { return edit(photo(), kSof, 1, {0xf7}); }, kUnsupported, "JPEG-LS"},
    {"Case313d_UnknownExtension", [] { return edit(photo(), kSof, 1, {0xf0}); }, kUnsupported, "(marker FF f0)"},
    {"Case314_FiveComponents",
     [] {
       return before(without(photo(), kSof), kSos,
                     segment(kSof, raw({"\x8\0\x22\0\x2d\5", 6}) + std::string(15, '\x11')));
     },
     kUnsupported, "5 components"},
    {"Case314b_TwoComponents",
     [] {
       return before(without(photo(), kSof), kSos, segment(kSof, raw({"\x8\0\x22\0\x2d\2\1\x11\0\2\x11\0", 12})));
     },
     kUnsupported, "2 components"},
    {"Case314c_FourComponentsWithoutAdobe", [] { return without(read_bytes(data_path("cmyk.jpg")), 0xee); },
     kUnsupported, "no Adobe segment"},
    {"Case315_Sampling0", [] { return edit(photo(), kSof, 11, {0x02}); }, kMalformed, "sampling factors 0x2"},
    {"Case316_Sampling5", [] { return edit(photo(), kSof, 11, {0x25}); }, kMalformed, "sampling factors 2x5"},
    {"Case316b_SamplingNotWhole",
     [] {
       return edit(photo(), kSof, 11, {0x31, 0, 2, 0x21});
     },
     kUnsupported, "no whole number"},
    {"Case316c_TooManyBlocks", [] { return edit(photo(), kSof, 11, {0x44}); }, kMalformed, "more than 10 blocks"},
    {"Case316d_TwoComponentsOfOneNumber", [] { return edit(photo(), kSof, 13, {1}); }, kMalformed, "the same number"},
    {"Case316e_FrameTooShort", [] { return before(photo(), kSof, segment(kSof, "abc")); }, kMalformed,
     "the frame header is too short"},
    {"Case316f_FrameWrongLength",
     [] {
       return before(photo(), kSof, segment(kSof, raw({"\x8\0\1\0\1\3", 6})));
     },
     kMalformed, "the frame header has the wrong length"},
    {"Case317_QuantisationMissing", [] { return without(without(photo(), kDqt), kDqt); }, kMalformed,
     "quantisation table 0 is missing"},
    {"Case317b_QuantisationTable4", [] { return edit(photo(), kSof, 12, {4}); }, kMalformed,
     "quantisation table 4; 0 to 3 exist"},
    {"Case317c_QuantisationCut", [] { return before(photo(), kSof, segment(kDqt, "\1abc")); }, kMalformed,
     "the quantisation table is cut"},
    {"Case317d_QuantisationId", [] { return before(photo(), kSof, segment(kDqt, "\x05" + std::string(64, 'x'))); },
     kMalformed, "no such quantisation table"},
    {"Case317e_QuantisationEmpty", [] { return before(photo(), kSof, segment(kDqt, "")); }, kMalformed,
     "an empty table segment"},
    {"Case317f_QuantisationBetweenProgressiveScans",
     [] { return Handmade(kSofProgressive).scan(0, 0, 0, 0, "\x7f").add(first_segment(photo(), kDqt)).end(); },
     kUnsupported, "changes between progressive scans"},
    {"Case318_HuffmanMissing", [] { return without(photo(), kDht); }, kMalformed, "Huffman table DC 0 is missing"},
    {"Case318b_HuffmanAcMissing",
     [] {
       auto s = jpeg_segments(photo());
       s.erase(s.begin() + static_cast<ptrdiff_t>(jpeg_find(s, kDht) + 1));
       return jpeg_of(s);
     },
     kMalformed, "Huffman table AC 0 is missing"},
    {"Case319_HuffmanOverFull", [] { return edit(photo(), kDht, 5, {3}); }, kMalformed, "over-full"},
    {"Case319b_HuffmanAllOnes", [] { return edit(photo(), kDht, 5, {2}); }, kMalformed, "over-full"},
    {"Case319c_HuffmanOf257Codes",
     [] {
       return before(photo(), kSof,
                     segment(kDht, raw({"\0\0\0\0\0\0\0\0\0\xff\2\0\0\0\0\0\0", 17}) + std::string(257, '\1')));
     },
     kMalformed, "more than 256 codes"},
    {"Case319d_HuffmanCut",
     [] {
       return before(photo(), kSof, segment(kDht, raw({"\0\0\0\0\0\0\0\0\0\xff\0\0\0\0\0\0\0abc", 20})));
     },
     kMalformed, "the Huffman table is cut"},
    {"Case319e_HuffmanHeaderCut", [] { return before(photo(), kSof, segment(kDht, "abc")); }, kMalformed,
     "the Huffman table is cut"},
    {"Case319f_HuffmanClass", [] { return edit(photo(), kDht, 4, {0x20}); }, kMalformed, "no such Huffman table"},
    {"Case319g_HuffmanEmpty", [] { return before(photo(), kSof, segment(kDht, "")); }, kMalformed,
     "an empty table segment"},
    {"Case320_NoSos",
     [] {
       auto s = jpeg_segments(photo());
       s.back().bytes = bytes_of("\xff\xd9");
       return jpeg_of(s);
     },
     kMalformed, "the file holds no scan"},
    {"Case320b_SosBeforeSof",
     [] {
       return before(photo(), kSof, segment(kSos, raw({"\1\1\0\0\x3f\0", 6})));
     },
     kMalformed, "a scan before the frame header"},
    {"Case320c_OneComponentOfThree", one_component_of_three, kMalformed, "before all its components are coded"},
    {"Case321_TwoSof", [] { return before(photo(), kSof, first_segment(photo(), kSof)); }, kMalformed,
     "a second frame header"},
    {"Case322_SegmentLengthZero",
     [] {
       return edit(photo(), kDqt, 2, {0, 0});
     },
     kMalformed, "cannot be 0"},
    {"Case322b_DriLength", [] { return before(photo(), kSos, segment(kDri, "abc")); }, kMalformed,
     "DRI must have 4 bytes"},
    {"Case323_SegmentBeyondFile",
     [] {
       return cut(edit(photo(), kDqt, 2, {0xff, 0xff}), 0.9);
     },
     kMalformed, "the segment reaches beyond the file"},
    {"Case323b_JunkBetweenSegments", [] { return before(photo(), kSof, bytes_of("x")); }, kMalformed,
     "a marker must stand here"},
    {"Case323c_RestartOutsideScan", [] { return before(photo(), kSof, bytes_of("\xff\xd0")); }, kMalformed,
     "(RST0): this marker has no place here"},
    {"Case323d_SecondSoi", [] { return before(photo(), kSof, bytes_of("\xff\xd8")); }, kMalformed,
     "a second start of image"},
    {"Case324_3000Scans", three_thousand_scans, ErrorCode::limit, "too many scans; limit 100, found 101"},
    // scan headers
    {"Scan_NoComponents", [] { return edit(photo(), kSos, 4, {0}); }, kMalformed, "the scan names 0 components"},
    {"Scan_FourComponents", [] { return edit(photo(), kSos, 4, {4}); }, kMalformed, "the scan names 4 components"},
    {"Scan_WrongLength", [] { return edit(photo(), kSos, 4, {2}); }, kMalformed,
     "the scan header has the wrong length"},
    {"Scan_UnknownComponent", [] { return edit(photo(), kSos, 5, {9}); }, kMalformed, "the frame does not have"},
    {"Scan_ComponentTwice", [] { return edit(photo(), kSos, 7, {1}); }, kMalformed, "twice or out of order"},
    {"Scan_Table4", [] { return edit(photo(), kSos, 6, {0x40}); }, kMalformed, "no such Huffman table"},
    {"Scan_SequentialBand", [] { return edit(photo(), kSos, 11, {1}); }, kMalformed, "band or precision"},
    {"Scan_ProgressiveDcWithAc", [] { return Handmade(kSofProgressive).scan(0, 5, 0, 0, "\x7f").end(); }, kMalformed,
     "band or precision"},
    {"Scan_ProgressiveSkipsABit",
     [] { return Handmade(kSofProgressive).scan(0, 0, 0, 2, "\x7f").scan(0, 0, 2, 0, "\x7f").end(); }, kMalformed,
     "band or precision"},
    {"Scan_AcBeforeDc", [] { return Handmade(kSofProgressive).scan(1, 63, 0, 0, "\x7f").end(); }, kMalformed,
     "before the DC ones"},
    {"Scan_DcTwice", [] { return Handmade(kSofProgressive).scan(0, 0, 0, 0, "\x7f").scan(0, 0, 0, 0, "\x7f").end(); },
     kMalformed, "a second time"},
    {"Scan_RefinesNothing",
     [] { return Handmade(kSofProgressive).scan(0, 0, 0, 0, "\x7f").scan(1, 5, 1, 0, "\x7f").end(); }, kMalformed,
     "refines what no scan brought"},
    {"Scan_SequentialTwice", [] { return Handmade(kSof).scan(0, 63, 0, 0, "\x3f").scan(0, 63, 0, 0, "\x3f").end(); },
     kMalformed, "a second time"},
    // coded data
    {"Data_NoSuchCode",
     [] {
       return Handmade(kSof).scan(0, 63, 0, 0, raw({"\xff\0\xff\0\xff\0", 6})).end();
     },
     kMalformed, "a Huffman code that the table does not have"},
    {"Data_LeftOver", [] { return Handmade(kSof).scan(0, 63, 0, 0, "\x3f\x12").end(); }, kMalformed,
     "left over after the last block"},
    {"Data_LeftOverLater",
     [] {
       return Handmade(kSof).scan(0, 63, 0, 0, raw({"\x3f\0\0\0\0\0\0\0\0\0\0\0\1", 13})).end();
     },
     kMalformed, "left over after the last block"},
    {"Data_LeftOverStuffed",
     [] {
       return Handmade(kSof).scan(0, 63, 0, 0, raw({"\x3f\0\0\0\0\0\0\0\0\0\0\0\xff\0", 14})).end();
     },
     kMalformed, "left over after the last block"},
    {"Data_RestartNotAnnounced", [] { return Handmade(kSof).scan(0, 63, 0, 0, "\x3f\xff\xd0").end(); }, kMalformed,
     "a restart marker where the scan must end"},
    {"Data_BlockTooLong", [] { return Handmade(kSof).scan(0, 63, 0, 0, "\x5b\x6f").end(); }, kMalformed,
     "beyond the end of its block"},
    {"Data_RunOfBlocksInSequential", [] { return Handmade(kSof).scan(0, 63, 0, 0, "\x77").end(); }, kMalformed,
     "that sequential pictures do not have"},
    {"Data_DcTooLarge",
     [] {
       return Handmade(kSof, 4).scan(0, 63, 0, 0, raw({"\xbf\xfa\xff\0\xeb\xff\0\xbf", 8})).end();
     },
     kMalformed, "a DC value that no 8-bit picture has"},
    {"Data_ProgressiveBandLeft",
     [] { return Handmade(kSofProgressive).scan(0, 0, 0, 0, "\x7f").scan(1, 5, 0, 0, "\xbf").end(); }, kMalformed,
     "beyond the end of its block"},
    {"Data_ProgressiveNoSuchCode",
     [] {
       return Handmade(kSofProgressive).scan(0, 0, 0, 0, "\x7f").scan(1, 5, 0, 0, raw({"\xff\0\xff\0", 4})).end();
     },
     kMalformed, "a Huffman code"},
    {"Data_EmptyRunTooLong",
     [] { return Handmade(kSofProgressive).scan(0, 0, 0, 0, "\x7f").scan(1, 5, 0, 0, "\xef").end(); }, kMalformed,
     "a run of empty blocks reaches beyond"},
    {"Data_RefineTwoBits",
     [] {
       return Handmade(kSofProgressive)
           .scan(0, 0, 0, 0, "\x7f")
           .scan(1, 5, 0, 1, "\x7f")
           .scan(1, 5, 1, 0, "\xf7")
           .end();
     },
     kMalformed, "more than one bit"},
    {"Data_RefineBeyond",
     [] {
       return Handmade(kSofProgressive)
           .scan(0, 0, 0, 0, "\x7f")
           .scan(1, 5, 0, 1, "\x7f")
           .scan(1, 5, 1, 0, "\xbf")
           .end();
     },
     kMalformed, "beyond the end of its block"},
    {"Data_RefineNoSuchCode",
     [] {
       return Handmade(kSofProgressive)
           .scan(0, 0, 0, 0, "\x7f")
           .scan(1, 5, 0, 1, "\x7f")
           .scan(1, 5, 1, 0, raw({"\xff\0\xff\0", 4}))
           .end();
     },
     kMalformed, "a Huffman code"},
    {"Data_RestartMissing",
     [] {
       return edit(read_bytes(data_path("restart.jpg")), kDri, 4, {0, 1});
     },
     kMalformed, "restart marker"},
    {"Data_RestartOutOfOrder",
     [] {
       return Handmade(kSof, 3)
           .add(segment(kDri, raw({"\0\1", 2})))
           .scan(0, 63, 0, 0, "\x3f\xff\xd0\x3f\xff\xd2\x3f")
           .end();
     },
     kMalformed, "restart marker RST1 is missing"},
    {"Data_RestartEarly",
     [] {
       return Handmade(kSof, 3).add(segment(kDri, raw({"\0\2", 2}))).scan(0, 63, 0, 0, "\x3f\xff\xd0\x0f").end();
     },
     kMalformed, "unit 1 of the scan"},
    {"Data_LeftOverBeforeRestart",
     [] {
       return Handmade(kSof, 2).add(segment(kDri, raw({"\0\1", 2}))).scan(0, 63, 0, 0, "\x3f\x3f\xff\xd0\x3f").end();
     },
     kMalformed, "left over where a restart marker"},
    {"Data_NothingAfterScanHeader", [] { return Handmade(kSof).scan(0, 63, 0, 0, "").file; }, kMalformed,
     "the coded data end early"},
};

class HostileJpeg : public testing::TestWithParam<Hostile> {};
TEST_P(HostileJpeg, IsRefused) { expect_refused(GetParam()); }
INSTANTIATE_TEST_SUITE_P(Plan, HostileJpeg, testing::ValuesIn(kFiles),
                         [](const auto& row) { return std::string(row.param.name); });

// The hand-made files that are right, so that the wrong ones above are wrong for the reason given.
TEST(HandmadeJpeg, RightOnesAreAccepted) {
  const Bytes files[] = {
      Handmade(kSof).scan(0, 63, 0, 0, "\x3f").end(),
      Handmade(kSof).scan(0, 63, 0, 0, raw({"\x3f\0\0\0", 4})).end(),  // zeros after the last block
      Handmade(kSof, 3)
          .add(segment(kDri, raw({"\0\1", 2})))
          .scan(0, 63, 0, 0, "\x3f\xff\xd0\x3f\xff\xff\xd1\x3f")
          .end(),
      Handmade(kSofProgressive).scan(0, 0, 0, 1, "\x7f").scan(1, 63, 0, 0, "\x7f").scan(0, 0, 1, 0, "\x7f").end(),
      Handmade(kSofProgressive, 2).scan(0, 0, 0, 0, "\x3f").scan(1, 5, 0, 0, "\xe7").end(),  // a run of two empty
                                                                                             // blocks
  };
  for (const Bytes& file : files) {
    const Picture picture = decode_picture(file);
    for (uint8_t value : picture.image.pixels) ASSERT_EQ(value, 128);
  }
}

TEST(HostileJpegAccepted, Case325_ExifOffsetOf2GiB) {
  const Bytes exif = segment(0xe1, raw({"Exif\0\0II*\0\0\0\0\x80", 14}));
  const Picture picture = decode_picture(before(photo(), kDqt, exif));
  EXPECT_EQ(picture.info.orientation, 1);
  ASSERT_EQ(picture.info.notes.size(), 1u);
  EXPECT_NE(picture.info.notes[0].find("EXIF block is broken"), std::string::npos);
  EXPECT_EQ(picture.image.pixels, decode_picture(photo()).image.pixels);
}

TEST(HostileJpegAccepted, BrokenExifBlocksMeanUpright) {
  const std::string good = raw({"Exif\0\0II*\0\x8\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0", 32});
  EXPECT_EQ(decode_picture(before(photo(), kDqt, segment(0xe1, good))).info.orientation, 6);
  for (size_t size = 6; size < 28; ++size) {  // cut anywhere before the value's end
    const Picture picture = decode_picture(before(photo(), kDqt, segment(0xe1, good.substr(0, size))));
    EXPECT_EQ(picture.info.orientation, 1) << size;
    EXPECT_EQ(picture.info.notes.size(), 1u) << size;
  }
  for (const auto& [at, value] :
       std::vector<std::pair<size_t, char>>{{6, 'X'}, {8, 'X'}, {18, 4}, {20, 2}, {24, 0}, {24, 9}}) {
    std::string bad = good;
    bad[at] = value;
    const Picture picture = decode_picture(before(photo(), kDqt, segment(0xe1, bad)));
    EXPECT_EQ(picture.info.orientation, 1) << at;
    EXPECT_EQ(picture.info.notes.size(), 1u) << at;
  }
}

}  // namespace
}  // namespace furrow::io
