#include "tests/containers/builders.h"
#include "tests/containers/cases.h"

namespace furrow::testing {
namespace {

using Files = std::vector<ZipFile>;

std::string good_pickle() { return pickle::begin() + pickle::ordered({{"w", pickle::tensor()}}) + "."; }
Files good_files() { return pth_files(good_pickle()); }

// The good archive after `change` has been at its files and its shape.
template <class Change>
std::string changed(Change&& change) {
  Files files = good_files();
  ZipShape shape;
  change(files, shape);
  return build_zip(files, shape);
}

class Table {
 public:
  void refuse(int number, const char* label, const std::string& bytes, const std::string& says,
              ErrorCode code = ErrorCode::malformed) {
    cases.push_back({number, label, bytes, code, says});
  }
  // The first or second entry (data.pkl, data/0) changed.
  template <class Change>
  void entry(int number, const char* label, size_t index, const std::string& says, Change&& change,
             ErrorCode code = ErrorCode::malformed) {
    refuse(number, label, changed([&](Files& files, ZipShape&) { change(files[index]); }), says, code);
  }
  template <class Change>
  void shape(int number, const char* label, const std::string& says, Change&& change,
             ErrorCode code = ErrorCode::malformed) {
    refuse(number, label, changed([&](Files&, ZipShape& s) { change(s); }), says, code);
  }
  template <class Change>
  void files(int number, const char* label, const std::string& says, Change&& change,
             ErrorCode code = ErrorCode::malformed) {
    refuse(number, label, changed([&](Files& f, ZipShape&) { change(f); }), says, code);
  }
  std::vector<Case> cases;
};

void add_ends(Table& t) {
  const std::string good = build_zip(good_files());
  t.refuse(91, "CutAt60Percent", good.substr(0, good.size() * 6 / 10), "the file is cut");
  t.refuse(92, "LastByteMissing", good.substr(0, good.size() - 1), "the file is cut");
  t.refuse(93, "NoEndRecord", good.substr(0, good.size() - 22), "the file is cut");
  t.shape(94, "DirectoryOffset", "does not reach to its end record", [](ZipShape& s) { s.begin = 0x7FFFFFFF; });
  t.shape(95, "DirectorySize", "does not reach to its end record", [](ZipShape& s) { s.size = 7; });
  t.shape(96, "TooManyEntries", "too small for 4", [](ZipShape& s) { s.entries = 4; });
  // Extra fields make room for a fourth header by size alone.
  t.refuse(96, "OneEntryTooMany", changed([](Files& files, ZipShape& s) {
             for (ZipFile& file : files) file.extra = little(9, 2) + little(40, 2) + std::string(40, 'x');
             s.entries = 4;
           }),
           "ends inside");
  t.shape(96, "FarTooManyEntries", "too small for 65534", [](ZipShape& s) { s.entries = 65534; });
  t.shape(97, "TooFewEntries", "more than the 2 entries", [](ZipShape& s) { s.entries = 2; });
  t.shape(97, "TwoCounts", "counts its entries twice", [](ZipShape& s) { s.entries_here = 2; });
  t.shape(98, "NoEntries", "more than the 0 entries", [](ZipShape& s) { s.entries = 0; });
  t.files(99, "NoPickle", "it holds: archive/data/0, archive/version", [](Files& f) { f.erase(f.begin()); });
  t.files(100, "EmptyPickle", "PROTO", [](Files& f) { f[0].content.clear(); });
  t.files(101, "TwoPickles", "two entries of this name", [](Files& f) { f.push_back(f[0]); });
  t.files(102, "TwoRecords", "two entries of this name", [](Files& f) { f.push_back(f[1]); });
  t.files(103, "TwoRoots", "outside the archive's folder",
          [](Files& f) { f.push_back({.name = "other/data/0", .content = "x"}); });
  t.files(103, "TwoRootsWithPickle", "outside the archive's folder",
          [](Files& f) { f.push_back({.name = "other/data.pkl", .content = "x"}); });
}

void add_entries(Table& t) {
  t.entry(104, "NamesDiffer", 1, "about the name", [](ZipFile& f) { f.local_name = "archive/data/7"; });
  t.entry(105, "SizesDiffer", 1, "about the size", [](ZipFile& f) { f.local_size = 20; });
  t.entry(105, "PackedSizesDiffer", 1, "about the compressed size", [](ZipFile& f) { f.local_packed = 20; });
  t.entry(105, "CrcsDiffer", 1, "about the CRC", [](ZipFile& f) { f.local_crc = 20; });
  t.entry(106, "RunsIntoNext", 1, "overlaps", [](ZipFile& f) { f.size = f.packed = 40; });
  t.entry(106, "StopsShort", 1, "belong to no entry", [](ZipFile& f) { f.size = f.packed = 20; });
  t.entry(107, "SizeNear4GiB", 1, "run into the directory", [](ZipFile& f) { f.size = f.packed = 0xFFFFFFFE; });
  t.entry(107, "StoredSizesDiffer", 1, "whose two sizes differ", [](ZipFile& f) { f.size = 20; });
  t.files(108, "SharedHeader", "disagree about the name",
          [](Files& f) { f.push_back({.name = "archive/data/1", .content = f[1].content, .offset = 0}); });
  // A second entry inside the bytes of a first one, with a header of its own there.
  const std::string inner = build_zip({{.name = "archive/data/1", .content = "abcdefgh"}}).substr(0, 30 + 14 + 8);
  t.files(109, "QuotedOverlap", "overlaps", [&](Files& f) {
    f.insert(f.begin(), {.name = "archive/data/2", .content = inner});
    f.push_back({.name = "archive/data/1", .content = "abcdefgh", .offset = 30 + 14});
  });
  t.entry(110, "OffsetBeyondFile", 1, "behind the directory", [](ZipFile& f) { f.offset = 1'000'000; });
  t.entry(110, "OffsetNoHeader", 1, "no local header", [](ZipFile& f) { f.offset = 3; });
  t.entry(
      111, "RecordCrc", 1, "CRC", [](ZipFile& f) { f.crc = 0x12345678; }, ErrorCode::checksum);
  t.entry(
      112, "PickleCrc", 0, "CRC", [](ZipFile& f) { f.crc = 0x12345678; }, ErrorCode::checksum);
  t.entry(
      113, "Method99", 1, "method 99", [](ZipFile& f) { f.method = 99; }, ErrorCode::unsupported);
  t.entry(
      114, "Deflate64", 1, "deflate64", [](ZipFile& f) { f.method = 9; }, ErrorCode::unsupported);
  t.entry(
      115, "Encrypted", 1, "encrypted", [](ZipFile& f) { f.flags = 1; }, ErrorCode::unsupported);
  t.entry(
      115, "OtherFlags", 1, "flags 128", [](ZipFile& f) { f.flags = 128; }, ErrorCode::unsupported);
  t.entry(115, "MarkedAsFolder", 1, "marked as a folder", [](ZipFile& f) { f.attributes = 0x10; });
  t.entry(115, "PickleMarkedAsFolder", 0, "marked as a folder", [](ZipFile& f) { f.attributes = 0x81ed00b0; });
  t.entry(115, "FolderThatHoldsBytes", 1, "marked as a folder",
          [](ZipFile& f) { f.name += '/', f.attributes = 0x41ed0010; });
  t.entry(115, "FolderThatHoldsBytesIn64", 1, "marked as a folder",
          [](ZipFile& f) { f.name += '/', f.attributes = 0x41ed0010, f.zip64 = true; });
  t.entry(115, "NamedAsFolder", 1, "named as a folder", [](ZipFile& f) { f.name += '/'; });
  t.entry(115, "EmptyMarkedAsFolder", 1, "marked as a folder",
          [](ZipFile& f) { f.attributes = 0x10, f.content = ""; });
  t.entry(116, "DeflateGarbage", 1, "damaged", [](ZipFile& f) { f.method = 8, f.stored = std::string(24, '\xff'); });
  t.entry(116, "DeflateCut", 1, "damaged or cut",
          [](ZipFile& f) { f.method = 8, f.stored = deflated(f.content), f.stored.pop_back(); });
  t.entry(117, "InflatesToLess", 1, "inflates to 20 bytes",
          [](ZipFile& f) { f.method = 8, f.stored = deflated(f.content.substr(4)); });
  t.entry(118, "InflatesToMore", 1, "inflates to more",
          [](ZipFile& f) { f.method = 8, f.stored = deflated(f.content + "1234"); });
  t.entry(118, "BytesBehindDeflate", 1, "bytes follow",
          [](ZipFile& f) { f.method = 8, f.stored = deflated(f.content) + "1234"; });
  t.entry(
      119, "Bomb", 1, "inflate more than 200-fold",
      [](ZipFile& f) { f.method = 8, f.stored = std::string(1 << 20, 'x'), f.size = 1 << 30; }, ErrorCode::limit);
  t.entry(
      119, "BombInSum", 1, "too many bytes in all",
      [](ZipFile& f) { f.method = 8, f.stored = std::string(1 << 20, 'x'), f.size = 100 << 20; }, ErrorCode::limit);
}

void add_names(Table& t) {
  const auto named = [&](int number, const char* label, const std::string& name, const std::string& says) {
    t.files(number, label, says, [&](Files& f) { f.push_back({.name = name, .content = "x"}); });
  };
  named(120, "DotDot", "archive/../x", "\"..\" part");
  named(120, "DoubleSlash", "archive//x", "\"..\" part");
  named(121, "Absolute", "/archive/x", "absolute");
  named(121, "Drive", "c:/x", "drive letter");
  named(122, "NulInName", std::string("archive/a\0b", 11), "control character");
  named(122, "EmptyName", "", "empty");
  named(122, "BadUtf8", "archive/\xff", "UTF-8");
  t.entry(123, "UpperCasePickle", 0, "without ROOT/data.pkl", [](ZipFile& f) { f.name = "archive/DATA.PKL"; });
  named(123, "BesideUpperCase", "archive/DATA.PKL", "two entries of this name");
  named(124, "Backslashes", "archive\\x", "backslash");
  t.entry(125, "Zip64Size", 1, "two sizes differ", [](ZipFile& f) { f.zip64 = true, f.size = ~uint64_t{0}; });
  t.entry(125, "Zip64Packed", 1, "overflows", [](ZipFile& f) { f.zip64 = true, f.size = f.packed = ~uint64_t{0}; });
  t.files(125, "Zip64Offset", "behind the directory", [](Files& f) {
    f.push_back({.name = "archive/x", .content = "x", .zip64 = true, .offset = uint64_t{1} << 63});
  });
  t.shape(125, "Zip64Count", "too small for 1152921504606846976",
          [](ZipShape& s) { s.zip64 = true, s.entries64 = uint64_t{1} << 60; });
  t.shape(125, "Zip64Locator", "where no zip64 end record lies",
          [](ZipShape& s) { s.zip64 = true, s.locator = 1'000'000; });
  t.shape(125, "Zip64LocatorHuge", "overflows", [](ZipShape& s) { s.zip64 = true, s.locator = ~uint64_t{0}; });
  t.shape(125, "Zip64Disagrees", "disagree", [](ZipShape& s) { s.zip64 = true, s.entries = 2; });
  t.shape(125, "Zip64SizeWraps", "overflows", [](ZipShape& s) { s.zip64 = true, s.size64 = ~uint64_t{0}; });
  t.shape(125, "Zip64Missing", "zip64 end record is missing", [](ZipShape& s) { s.size = 0xFFFFFFFF; });
  t.entry(125, "Zip64FieldMissing", 1, "extra field is missing", [](ZipFile& f) { f.size = f.packed = 0xFFFFFFFF; });
  t.entry(125, "Zip64FieldShort", 1, "too short",
          [](ZipFile& f) { f.size = f.packed = 0xFFFFFFFF, f.extra = little(1, 2) + little(4, 2) + "abcd"; });
  t.entry(125, "Zip64FieldTwice", 1, "two zip64",
          [](ZipFile& f) { f.extra = little(1, 2) + little(0, 2) + little(1, 2) + little(0, 2); });
  t.entry(125, "Zip64Contradicts", 1, "contradicts the header",
          [](ZipFile& f) { f.extra = little(1, 2) + little(8, 2) + little(99, 8); });
  t.entry(125, "Zip64LocalContradicts", 1, "contradicts the header",
          [](ZipFile& f) { f.local_extra = little(1, 2) + little(16, 2) + little(24, 8) + little(25, 8); });
  t.entry(125, "Zip64FieldLong", 1, "contradicts the header", [](ZipFile& f) {
    f.extra = little(1, 2) + little(32, 2) + little(24, 8) + little(24, 8) + std::string(16, '\0');
  });
  t.entry(125, "Zip64FieldOdd", 1, "contradicts the header",
          [](ZipFile& f) { f.extra = little(1, 2) + little(3, 2) + "abc"; });
  t.entry(125, "Zip64OtherDisk", 1, "contradicts the header",
          [](ZipFile& f) { f.extra = little(1, 2) + little(4, 2) + little(1, 4); });
  t.files(125, "Zip64HeaderFarAndRest", "contradicts the header", [](Files& f) {
    const std::string field = little(1, 2) + little(16, 2) + little(uint64_t{1} << 63, 8) + little(99, 8);
    f.push_back({.name = "archive/x", .content = "x", .offset = 0xFFFFFFFF, .extra = field});
  });
  t.entry(125, "ExtraNoList", 1, "no list of fields", [](ZipFile& f) { f.extra = "abc"; });
  t.entry(125, "ExtraTooLong", 1, "runs over", [](ZipFile& f) { f.extra = little(9, 2) + little(9, 2) + "abc"; });
  t.entry(125, "SecondName", 1, "second name", [](ZipFile& f) { f.extra = little(0x7075, 2) + little(1, 2) + "a"; });
}

void add_rest(Table& t) {
  t.shape(
      126, "MultiDisk", "several files", [](ZipShape& s) { s.disk = 1; }, ErrorCode::unsupported);
  t.entry(
      126, "EntryOnOtherDisk", 1, "several files", [](ZipFile& f) { f.disk = 1; }, ErrorCode::unsupported);
  t.shape(127, "JunkBefore", "other data stands before", [](ZipShape& s) { s.before = "#!/bin/sh\n\x01"; });
  t.shape(127, "ZipBefore", "belong to no entry", [](ZipShape& s) { s.before = "PK\x03\x04" + std::string(30, 'x'); });
  t.shape(127, "JunkBehindEntries", "belong to no entry", [](ZipShape& s) { s.gap = "junk"; });
  t.shape(127, "JunkBehindAll", "the file is cut", [](ZipShape& s) { s.behind = "junk"; });
  t.shape(128, "EndInComment", "two end records", [](ZipShape& s) { s.comment = "xx" + build_zip({}); });
  t.shape(128, "SignatureInComment", "inside the archive comment",
          [](ZipShape& s) { s.comment = "PK\x05\x06" + std::string(40, 'x'); });
  const auto version = [&](const char* label, const std::string& text, const std::string& says, ErrorCode code) {
    t.entry(
        129, label, 2, says, [&](ZipFile& f) { f.content = text; }, code);
  };
  version("VersionNoNumber", "three\n", "no number", ErrorCode::malformed);
  version("VersionLong", std::string(100, '1'), "no number", ErrorCode::malformed);
  version("VersionHuge", "100000000000000000000\n", "newer", ErrorCode::unsupported);
  version("VersionTooNew", "11\n", "newer", ErrorCode::unsupported);
  const auto order = [&](const char* label, const std::string& text, ErrorCode code) {
    t.files(
        130, label, "byte order", [&](Files& f) { f.push_back({.name = "archive/byteorder", .content = text}); }, code);
  };
  order("ByteOrderMiddle", "middle", ErrorCode::malformed);
  order("ByteOrderBig", "big", ErrorCode::unsupported);
  const auto record = [&](const char* label, const char* name, const std::string& text, const std::string& says,
                          ErrorCode code = ErrorCode::malformed) {
    t.files(
        130, label, says, [&](Files& f) { f.push_back({.name = std::string("archive/") + name, .content = text}); },
        code);
  };
  record("FormatVersionText", ".format_version", "one", "the format version is no number");
  record("FormatVersionEmpty", ".format_version", "", "the format version is no number");
  record("FormatVersionNew", ".format_version", "2", "is newer than 1", ErrorCode::unsupported);
  record("AlignmentText", ".storage_alignment", "64 bytes", "the storage alignment is no number");
  record("AlignmentZero", ".storage_alignment", "0", "storage alignment 0, no power of two");
  record("AlignmentOdd", ".storage_alignment", "48", "storage alignment 48, no power of two");
  record("AlignmentHuge", ".storage_alignment", "99999999999999999999", "no power of two");
  t.files(130, "ByteOrderTwice", "two entries of this name", [](Files& f) {
    for (int i = 0; i < 2; ++i) f.push_back({.name = "archive/byteorder", .content = "little"});
  });
  t.entry(130, "DescriptorWrong", 1, "matching data descriptor",
          [](ZipFile& f) { f.descriptor = 16, f.flags = 8, f.packed = f.size = 20; });
}

}  // namespace

std::vector<Case> zip_cases() {
  Table table;
  add_ends(table);
  add_entries(table);
  add_names(table);
  add_rest(table);
  return table.cases;
}

}  // namespace furrow::testing
