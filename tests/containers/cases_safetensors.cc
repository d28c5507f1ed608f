#include "tests/containers/builders.h"
#include "tests/containers/cases.h"

namespace furrow::testing {
namespace {

const std::string kGood = R"({"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}})";

std::string entry(const std::string& name, const std::string& shape, int begin, int end) {
  return "\"" + name + "\":{\"dtype\":\"F32\",\"shape\":" + shape + ",\"data_offsets\":[" + std::to_string(begin) +
         "," + std::to_string(end) + "]}";
}

class Table {
 public:
  void raw(int number, const char* label, const std::string& bytes, const std::string& says,
           ErrorCode code = ErrorCode::malformed) {
    cases.push_back({number, label, bytes, code, says});
  }
  void header(int number, const char* label, const std::string& json, const std::string& says,
              ErrorCode code = ErrorCode::malformed) {
    raw(number, label, build_safetensors(json, six_floats()), says, code);
  }
  // The good entry with `from` replaced by `to`.
  void changed(int number, const char* label, const std::string& from, const std::string& to, const std::string& says,
               ErrorCode code = ErrorCode::malformed) {
    std::string json = kGood;
    json.replace(json.find(from), from.size(), to);
    header(number, label, json, says, code);
  }
  void accept(int number, const char* label, const std::string& bytes, const std::vector<ExpectedTensor>& tensors) {
    cases.push_back({.number = number, .name = label, .bytes = bytes, .accepted = true, .tensors = tensors});
  }
  std::vector<Case> cases;
};

void add_lengths(Table& t) {
  const std::string rest = kGood + six_floats();
  t.raw(179, "Empty", "", "an empty file");
  t.raw(180, "SevenBytes", std::string(7, '\0'), "not a checkpoint");
  t.raw(181, "HeaderBeyondFile", little(10'000, 8) + rest, "said to have 10000 bytes");
  t.raw(182, "Header2To63", little(uint64_t{1} << 63, 8) + rest, "said to have 9223372036854775808 bytes");
  t.raw(183, "HeaderNear2To64", little(~uint64_t{0} - 7, 8) + rest, "said to have 18446744073709551608 bytes");
  t.raw(184, "Header100000001", little(100'000'001, 8) + rest, "said to have 100000001 bytes");
  t.raw(184, "HeaderOverLimit", build_safetensors("{" + std::string((16 << 20) + 1, ' '), ""),
        "the header is too large", ErrorCode::limit);
  t.header(185, "LeadingSpace", " " + kGood, "does not begin with {");
  t.header(186, "Array", "[" + kGood + "]", "does not begin with {");
  t.changed(187, "BadUtf8", "w", "\xc3(", "not valid JSON");
  t.header(188, "JsonCut", kGood.substr(0, 30), "not valid JSON");
  t.header(188, "JsonBehind", kGood + "{}", "not valid JSON");
  std::string nested;
  for (int i = 0; i < 100'000; ++i) nested += "{\"a\":";
  t.header(189, "NestedObjects", nested, "an unknown key");
}

void add_ranges(Table& t) {
  t.header(190, "Overlap", "{" + entry("a", "[4]", 0, 16) + "," + entry("b", "[3]", 12, 24) + "}",
           "tensor b, bytes [12, 24): overlaps");
  t.header(191, "Hole", "{" + entry("a", "[2]", 0, 8) + "," + entry("b", "[3]", 12, 24) + "}",
           "tensor b, bytes [12, 24): 4 bytes before it");
  t.header(191, "HoleAtStart", "{" + entry("b", "[3]", 12, 24) + "}", "tensor b, bytes [12, 24): 12 bytes before it");
  t.changed(192, "Reversed", "[0,24]", "[24,0]", "tensor w, bytes [24, 0): the range is reversed");
  t.changed(193, "Negative", "[0,24]", "[-24,0]", "tensor w has the negative number -24");
  t.changed(194, "BeyondFile", "[2,3],\"data_offsets\":[0,24]", "[2,4],\"data_offsets\":[0,32]",
            "tensor w, bytes [0, 32): reaches beyond");
  t.changed(195, "Offset2To64", "[0,24]", "[0,18446744073709551616]", "tensor w has the number 18446744073709551616");
  t.changed(195, "Offset2To63", "[0,24]", "[0,9223372036854775808]", "tensor w has the number 9223372036854775808");
  t.changed(195, "OffsetTooLargeForDouble", "[0,24]", "[0,1" + std::string(400, '0') + "]", "out of range");
  t.raw(196, "TrailingBytes", build_safetensors(kGood, six_floats() + "x"), "1 bytes at the end");
  t.changed(197, "ShapeOverflow", "[2,3]", "[4294967296,4294967296]", "tensor w, bytes [0, 24): the shape overflows");
  t.changed(197, "ShapeOverflowBesideZero", "[2,3]", "[0,4294967296,4294967296]", "the shape overflows");
  t.changed(198, "ShapeNotBytes", "[2,3]", "[2,4]", "shape 2x4 of F32 is 32 bytes, the range 24");
  t.changed(199, "NegativeExtent", "[2,3]", "[-2,3]", "tensor w has the negative number -2");
  t.changed(200, "ExtentAsFloat", "[2,3]", "[2.0,3]", "tensor w has the number 2.0");
  t.raw(206, "DataCut", build_safetensors(kGood, six_floats().substr(0, 20)),
        "tensor w, bytes [0, 24): reaches beyond the data of 20");
}

void add_keys(Table& t) {
  t.changed(201, "MissingShape", "\"shape\":[2,3],", "", "shape is missing");
  t.changed(201, "MissingDtype", "\"dtype\":\"F32\",", "", "dtype is missing");
  t.changed(201, "MissingOffsets", ",\"data_offsets\":[0,24]", "", "data_offsets is missing");
  t.changed(201, "ThreeOffsets", "[0,24]", "[0,12,24]", "has 3 numbers");
  t.changed(202, "UnknownDtype", "F32", "F31", "unknown dtype F31");
  t.changed(202, "UnreadDtype", "F32", "F8_E4M3", "dtype F8_E4M3 is not read", ErrorCode::unsupported);
  t.changed(203, "DtypeAsNumber", "\"F32\"", "32", "tensor w has the number 32");
  t.changed(203, "DtypeAsNull", "\"F32\"", "null", "tensor w has null");
  t.changed(203, "DtypeAsBool", "\"F32\"", "true", "tensor w has a truth value");
  t.changed(203, "DtypeAsList", "\"F32\"", "[]", "tensor w has a list");
  t.changed(203, "DtypeAsObject", "\"F32\"", "{}", "tensor w has an object");
  t.changed(203, "ShapeAsText", "[2,3]", "\"6\"", "tensor w has the text");
  t.changed(203, "NestedShape", "[2,3]", "[[2],3]", "tensor w has a list");
  t.header(204, "DuplicateName", "{" + entry("a", "[3]", 0, 12) + "," + entry("a", "[3]", 12, 24) + "}",
           "a second time at key \"a\"");
  t.changed(204, "DuplicateField", "\"shape\":[2,3]", "\"shape\":[2,3],\"shape\":[2,3]",
            "a second time at key \"shape\"");
  t.changed(204, "UnknownField", "\"shape\"", "\"extra\":1,\"shape\"", "an unknown key at key \"extra\"");
  t.changed(205, "MetadataNotText", "{\"w\"", "{\"__metadata__\":{\"epoch\":3},\"w\"", "the header has the number 3");
  t.changed(205, "MetadataNested", "{\"w\"", "{\"__metadata__\":{\"epoch\":{}},\"w\"", "the header has an object");
  t.changed(205, "MetadataAsText", "{\"w\"", "{\"__metadata__\":\"x\",\"w\"", "the header has the text");
  t.raw(207, "NoTensors", build_safetensors("{}", ""), "holds no tensors");
  t.changed(207, "NulInName", "w", "\\u0000", "a zero byte in the name");
  std::string axes = "1";
  for (int i = 0; i < 8; ++i) axes += ",1";
  t.changed(207, "NineAxes", "2,3", axes, "more than 8 axes");
  t.changed(207, "HundredAxes", "2,3", axes + "," + axes, "more numbers than");
  t.header(207, "LongName", "{" + entry(std::string(65'537, 'n'), "[6]", 0, 24) + "}", "too long", ErrorCode::limit);
}

void add_accepted(Table& t) {
  const std::vector<double> six = {0, 1, 2, 3, 4, 5};
  t.accept(208, "Good", build_safetensors(kGood, six_floats()), {{"w", {2, 3}, six}});
  t.accept(208, "BoolOfAnyByte",
           build_safetensors(R"({"w":{"dtype":"BOOL","shape":[4],"data_offsets":[0,4]}})",
                             std::string("\0\1\2\xff", 4)),
           {{"w", {4}, {0, 1, 1, 1}}});
  t.accept(208, "Spaces", build_safetensors(kGood + "     ", six_floats()), {{"w", {2, 3}, six}});
  t.accept(208, "WithMetadata", build_safetensors("{\"__metadata__\":{\"a\":\"b\"}," + kGood.substr(1), six_floats()),
           {{"w", {2, 3}, six}});
  t.accept(208, "AnyOrderScalarAndEmpty",
           build_safetensors(
               "{" + entry("b", "[5]", 4, 24) + "," + entry("e", "[0,7]", 4, 4) + "," + entry("a", "[]", 0, 4) + "}",
               six_floats()),
           {{"b", {5}, {1, 2, 3, 4, 5}}, {"e", {0, 7}, {}}, {"a", {}, {0}}});
}

}  // namespace

std::vector<Case> safetensors_cases() {
  Table table;
  add_lengths(table);
  add_ranges(table);
  add_keys(table);
  add_accepted(table);
  return table.cases;
}

std::vector<Case> all_cases() {
  std::vector<Case> out;
  for (auto* group : {&pickle_cases, &tensor_cases, &zip_cases, &foreign_cases, &stream_cases, &tar_cases,
                      &accepted_cases, &safetensors_cases})
    for (Case& one : group()) out.push_back(std::move(one));
  return out;
}

}  // namespace furrow::testing
