// Arrays of NumPy. Accepted ones have one tensor without a name. 244, a label map of another size than its picture, is
// a PNG here: Case326 of tests/segment/labels_test.cc.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/containers/builders.h"
#include "tests/containers/cases.h"

namespace furrow::testing {
namespace {

const std::string kMagic = "\x93NUMPY";
const std::vector<double> kSix = {0, 1, 2, 3, 4, 5};

// A file of version `major`.`minor`: `header` as it is, then `data`.
std::string npy(const std::string& header, const std::string& data, int major = 1, int minor = 0) {
  return kMagic + static_cast<char>(major) + static_cast<char>(minor) + little(header.size(), major == 1 ? 2 : 4) +
         header + data;
}

// The header as NumPy writes it, up to its padding. `descr` and `shape` are Python.
std::string dictionary(const std::string& descr = "'<f4'", const std::string& shape = "(2, 3)",
                       const std::string& fortran = "False") {
  return "{'descr': " + descr + ", 'fortran_order': " + fortran + ", 'shape': " + shape + ", }";
}

std::string good(const std::string& header = dictionary()) { return npy(header + "\n", six_floats()); }

// Numbers of T, least significant byte first or last.
template <class T>
std::string numbers(const std::vector<T>& values, bool big_endian = false) {
  std::string out;
  for (const T value : values) {
    std::string bytes(sizeof(T), '\0');
    std::copy_n(reinterpret_cast<const char*>(&value), sizeof(T), bytes.data());
    out += big_endian ? std::string(bytes.rbegin(), bytes.rend()) : bytes;
  }
  return out;
}

class Table {
 public:
  void raw(int number, const char* label, const std::string& bytes, const std::string& says,
           ErrorCode code = ErrorCode::malformed) {
    cases.push_back({number, label, bytes, code, says});
  }
  void shape(int number, const char* label, const std::string& python, const std::string& says,
             ErrorCode code = ErrorCode::malformed) {
    raw(number, label, good(dictionary("'<f4'", python)), says, code);
  }
  void type(int number, const char* label, const std::string& python, const std::string& says,
            ErrorCode code = ErrorCode::unsupported) {
    raw(number, label, good(dictionary(python)), says, code);
  }
  void accept(const char* label, const std::string& bytes, const std::vector<int64_t>& dims = {2, 3},
              const std::vector<double>& values = kSix) {
    cases.push_back({.number = 244, .name = label, .bytes = bytes, .accepted = true, .tensors = {{"", dims, values}}});
  }
  std::vector<Case> cases;
};

void add_beginnings(Table& t) {
  t.raw(209, "Empty", "", "an empty file, not a .npy file");
  t.raw(210, "MagicOnly", kMagic, "the file ends inside the .npy header");
  t.raw(210, "NoLength", kMagic + std::string("\1\0", 2), "the file ends inside the .npy header");
  t.raw(211, "WrongMagic", "\x93NUMPZ" + good().substr(6), "unknown data, not a .npy file");
  t.raw(212, "Version9_9", npy(dictionary(), six_floats(), 9, 9), "version 9.9; 1.0, 2.0 and 3.0",
        ErrorCode::unsupported);
  t.raw(212, "Version1_1", npy(dictionary(), six_floats(), 1, 1), "version 1.1;", ErrorCode::unsupported);
  t.raw(213, "Version0_0", npy(dictionary(), six_floats(), 0, 0), "version 0.0;", ErrorCode::unsupported);
  t.raw(217, "HeaderBeyondFile", kMagic + std::string("\1\0", 2) + little(500, 2) + dictionary(),
        "said to have 500 bytes, " + std::to_string(dictionary().size()) + " follow");
  t.raw(218, "Header4GiB", kMagic + std::string("\2\0", 2) + little(0xFFFFFFFF, 4) + dictionary(),
        "said to have 4294967295 bytes");
  t.raw(219, "Header20000", npy(dictionary() + std::string(20'000 - dictionary().size(), ' '), six_floats()),
        "the .npy header is too large; limit 10000, found 20000", ErrorCode::limit);
  t.raw(219, "Header10001", npy(dictionary() + std::string(10'001 - dictionary().size(), ' '), six_floats(), 2),
        "limit 10000, found 10001", ErrorCode::limit);
  t.raw(242, "Png", "\x89PNG\r\n\x1a\n" + std::string(100, 'x'), "PNG, not a .npy file");
  t.raw(243, "Npz", build_zip({{.name = "a.npy", .content = good()}}), "a zip (.npz holds several arrays)");
  t.raw(243, "EmptyZip", build_zip({}), "a zip");
}

void add_headers(Table& t) {
  const auto header = [&](int number, const char* label, const std::string& text, const std::string& says) {
    t.raw(number, label, good(text), says);
  };
  header(216, "CodeForType", dictionary("__import__('os').system('id')"), "found __import__");
  header(216, "CodeForShape", dictionary("'<f4'", "exit()"), "expected (, found exit");
  header(216, "CodeForHeader", "__import__('os').system('id')", "expected {, found __import__");
  header(216, "SizeIsSum", dictionary("'<f4'", "(1+1, 3)"), "expected a size, found 1+1");
  header(220, "Parentheses5000", dictionary("'<f4'", std::string(5000, '(') + std::string(5000, ')')).substr(0, 9000),
         "expected a size, found (");
  header(221, "List", "['<f4', False, (2, 3)]", "expected {, found [");
  header(221, "EmptyHeader", "", "expected {, found its end");
  header(222, "MissingShape", "{'descr': '<f4', 'fortran_order': False, }", "shape is missing");
  header(222, "MissingType", "{'fortran_order': False, 'shape': (2, 3), }", "descr is missing");
  header(222, "MissingOrder", "{'descr': '<f4', 'shape': (2, 3), }", "fortran_order is missing");
  header(222, "NoKeys", "{}", "descr is missing");
  header(223, "ExtraKey", dictionary().substr(0, dictionary().size() - 1) + "'x': 1}", "an unknown key x");
  header(223, "ExtraKeyFirst", "{'x\x1b': 1, " + dictionary().substr(1), "an unknown key x\\x1b");
  header(224, "ShapeTwice", dictionary().substr(0, dictionary().size() - 1) + "'shape': (3, 2)}",
         "the key shape twice");
  header(225, "NulBehind", dictionary() + '\0', "something follows the dictionary");
  header(225, "NulInType", dictionary(std::string("'<f4\0'", 6)), "NumPy has no element type <f4\\x00");
  header(225, "NulInShape", dictionary("'<f4'", std::string("(2, 3\0)", 7)), "expected a size, found 3\\x00");
  header(226, "NotClosed", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)", "expected }, found its end");
  header(226, "ShapeNotClosed", "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3",
         "expected , or ), found its end");
  header(226, "ShapeEndsBehindComma", "{'descr': '<f4', 'fortran_order': False, 'shape': (2,",
         "expected a size, found its end");
  header(226, "WordNotClosed", "{'descr': '<f4", "a quoted word without an end");
  header(226, "KeyWithoutColon", "{'descr' '<f4', }", "expected :, found '<f4'");
  header(226, "KeysWithoutComma", "{'descr': '<f4' 'fortran_order': False}", "expected }, found 'fortran_order'");
  header(226, "TwoDictionaries", dictionary() + "{}", "something follows the dictionary");
  header(227, "OrderIsText", dictionary("'<f4'", "(2, 3)", "'False'"), "neither True nor False but 'False'");
  header(227, "OrderIsNumber", dictionary("'<f4'", "(2, 3)", "0"), "neither True nor False but 0");
  header(227, "OrderIsLongerWord", dictionary("'<f4'", "(2, 3)", "Falsehood"), "expected }, found hood");
}

void add_sizes(Table& t) {
  const std::string f4 = dictionary() + "\n";
  t.raw(228, "TooLittleData", npy(f4, six_floats().substr(0, 4)), "the shape 2x3 wants 24 bytes, 4 follow");
  t.raw(228, "NoData", npy(f4, ""), "wants 24 bytes, 0 follow");
  t.raw(241, "OneByteShort", npy(f4, six_floats().substr(0, 23)), "wants 24 bytes, 23 follow");
  t.raw(241, "OneByteMore", npy(f4, six_floats() + "x"), "wants 24 bytes, 25 follow");
  t.shape(229, "TwoTimes2To33", "(8589934592, 8589934592)", "a size overflows 64 bits");
  t.shape(229, "OverflowBesideZero", "(8589934592, 8589934592, 0)", "a size overflows 64 bits");
  t.shape(230, "TwoTo62", "(4611686018427387904,)", "a size overflows 64 bits");
  t.shape(230, "TwoTo60", "(1152921504606846976,)", "wants 4611686018427387904 bytes, 24 follow");
  t.shape(230, "TwoTo64", "(18446744073709551616,)", "the size 18446744073709551616 does not fit");
  t.shape(231, "Negative", "(-2, 3)", "expected a size, found -2");
  t.shape(232, "Float", "(2.0, 3)", "expected a size, found 2.0");
  t.shape(232, "Exponent", "(2e0, 3)", "expected a size, found 2e0");
  t.shape(233, "Number", "6", "expected (, found 6");
  t.shape(233, "NumberInParentheses", "(6)", "the shape is a number, not a tuple");
  t.shape(233, "List", "[2, 3]", "expected (, found [2");
  t.shape(234, "Bools", "(True, 3)", "expected a size, found True");
  t.shape(234, "None", "(None, 3)", "expected a size, found None");
  t.shape(234, "Text", "('2', 3)", "expected a size, found '2'");
  t.shape(234, "CommaAlone", "(,)", "expected a size, found ,");
  t.shape(234, "TwoCommas", "(2,,3)", "expected a size, found ,");
  t.shape(234, "NoComma", "(2 3)", "expected , or ), found 3");
  t.shape(234, "LeadingZero", "(02, 3)", "expected a size, found 02");
  t.shape(234, "TwoSuffixes", "(2LL, 3)", "expected a size, found 2LL");
  t.shape(234, "SuffixAlone", "(L, 3)", "expected a size, found L");
  std::string axes;
  for (int i = 0; i < 100; ++i) axes += "1, ";
  t.shape(235, "HundredAxes", "(" + axes + ")", "too many axes; limit 8, found 9", ErrorCode::limit);
}

void add_types(Table& t) {
  const ErrorCode malformed = ErrorCode::malformed;
  const std::string payload =
      pickle::begin() + pickle::call(pickle::global("os", "system"), {pickle::text("id")}) + ".";
  t.type(214, "Objects", "'|O'", "Python objects (|O)");
  t.raw(215, "ObjectsWithPickle", npy(dictionary("'|O'"), payload), "it holds a pickle, which was not opened",
        ErrorCode::unsupported);
  t.type(236, "Records", "[('a', '<f4'), ('b', '<f4')]", "records");
  t.type(236, "SubArray", "('<f4', (2,))", "records");
  t.type(236, "RawBytes", "'|V4'", "raw bytes (|V4)");
  t.type(237, "Complex8", "'<c8'", "complex numbers (<c8)");
  t.type(237, "Complex16", "'>c16'", "complex numbers (>c16)");
  t.type(238, "Unicode", "'<U5'", "text (<U5)");
  t.type(238, "Bytes", "'|S5'", "text (|S5)");
  t.type(239, "Date", "'<M8[us]'", "dates (<M8[us])");
  t.type(239, "Span", "'<m8[D]'", "spans of time (<m8[D])");
  t.type(240, "LongDouble", "'<f16'", "long doubles (<f16)");
  t.type(240, "Float3", "'<f3'", "NumPy has no element type <f3", malformed);
  t.type(240, "Float1", "'<f1'", "NumPy has no element type <f1", malformed);
  t.type(240, "Int0", "'<i0'", "NumPy has no element type <i0", malformed);
  t.type(240, "Int16", "'<i16'", "NumPy has no element type <i16", malformed);
  t.type(240, "Int99999999999", "'<i99999999999'", "NumPy has no element type <i99999999999", malformed);
  t.type(240, "Bool2", "'<b2'", "NumPy has no element type <b2", malformed);
  t.type(240, "UnknownLetter", "'<x4'", "NumPy has no element type <x4", malformed);
  t.type(240, "LetterAlone", "'<f'", "NumPy has no element type <f", malformed);
  t.type(240, "NoOrder", "'f4'", "NumPy has no element type f4", malformed);
  t.type(240, "OrderForNone", "'|f4'", "NumPy has no element type |f4", malformed);
  t.type(240, "OrderOfTheMachine", "'=f4'", "NumPy has no element type =f4", malformed);
  t.type(240, "OrderAlone", "'<'", "NumPy has no element type <", malformed);
  t.type(240, "NoType", "''", "NumPy has no element type", malformed);
  t.type(240, "TypeIsNone", "None", "expected a quoted word, found None", malformed);
}

template <class T>
void accept_numbers(Table& t, const char* label, const std::string& descr, const std::vector<T>& values) {
  const std::vector<double> wanted(values.begin(), values.end());
  const auto size = static_cast<int64_t>(values.size());
  const std::string shape = "(" + std::to_string(size) + ",)", name = label;
  for (const bool big : {false, true}) {
    const std::string order = sizeof(T) == 1 ? "|" : big ? ">" : "<";
    t.accept((name + (big ? "Big" : "Little")).c_str(),
             npy(dictionary("'" + order + descr + "'", shape) + "\n", numbers(values, big)), {size}, wanted);
  }
}

void add_accepted_types(Table& t) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity(), kNan = std::numeric_limits<double>::quiet_NaN();
  // What is not 0 is true, as in NumPy and PyTorch.
  t.accept("Bool", npy(dictionary("'|b1'", "(4,)"), std::string("\0\1\2\xff", 4)), {4}, {0, 1, 1, 1});
  accept_numbers<int8_t>(t, "Int8", "i1", {0, 1, -1, 127, -128});
  accept_numbers<uint8_t>(t, "UInt8", "u1", {0, 1, 128, 255});
  accept_numbers<int16_t>(t, "Int16", "i2", {0, 258, -258, 32767, -32768});
  accept_numbers<uint16_t>(t, "UInt16", "u2", {0, 258, 65535});
  accept_numbers<int32_t>(t, "Int32", "i4", {0, 66051, -66051, 1 << 30, INT32_MIN});
  accept_numbers<uint32_t>(t, "UInt32", "u4", {0, 66051, 1u << 31});
  accept_numbers<int64_t>(t, "Int64", "i8", {0, 66051, -66051, int64_t{1} << 62, INT64_MIN});
  accept_numbers<uint64_t>(t, "UInt64", "u8", {0, 66051, uint64_t{1} << 63});
  accept_numbers<float>(t, "Float32", "f4", {0.5f, -1.25f, 3.4028234e38f, 1e-45f});
  accept_numbers<double>(t, "Float64", "f8", {0.5, -1.25, 0x1p-149, kInfinity, -kInfinity, kNan});
  // Rounded to nearest, ties to even.
  t.accept("Float64Rounded", npy(dictionary("'<f8'", "(3,)"), numbers<double>({0.1, 16777217.0, 16777219.0})), {3},
           {0.1f, 16777216.0, 16777220.0});
  t.accept("Int64Rounded", npy(dictionary("'<i8'", "(2,)"), numbers<int64_t>({16777217, 16777219})), {2},
           {16777216.0, 16777220.0});
  const std::vector<uint16_t> halves = {0x3C00, 0xC000, 0x7BFF, 0x0001, 0x7C00, 0x7E00, 0x3C01};
  for (const bool big : {false, true})
    t.accept(big ? "Float16Big" : "Float16Little",
             npy(dictionary(big ? "'>f2'" : "'<f2'", "(7,)"), numbers(halves, big)), {7},
             {1, -2, 65504, 0x1p-24, kInfinity, kNan, 1 + 0x1p-10});
}

void add_accepted_headers(Table& t) {
  t.accept("Good", good());
  t.accept("Padded", npy(dictionary() + std::string(54, ' ') + "\n", six_floats()));
  t.accept("Unpadded", npy(dictionary(), six_floats()));
  t.accept("Longest", npy(dictionary() + std::string(10'000 - dictionary().size(), ' '), six_floats()));
  t.accept("Version2", npy(dictionary() + "\n", six_floats(), 2));
  t.accept("Version3", npy(dictionary() + "\n", six_floats(), 3));
  t.accept("LongSuffix", good(dictionary("'<f4'", "(2L, 3L)")));
  t.accept("OneAxisWithSuffix", good(dictionary("'<f4'", "(6L,)")), {6});
  t.accept("OtherOrderOfKeys", good("{'shape': (2, 3), 'descr': '<f4', 'fortran_order': False}"));
  t.accept("OtherQuotesAndSpaces", good("  {\"shape\" :( 2 ,\t3 , ),\n\"fortran_order\":False,'descr':\"<f4\"}  \r\n"));
  t.accept("NoSpaces", good("{'descr':'<f4','fortran_order':False,'shape':(2,3)}"));
  t.accept("Scalar", npy(dictionary("'<f4'", "()") + "\n", floats({7})), {}, {7});
  t.accept("ScalarInFortranOrder", npy(dictionary("'<f4'", "()", "True") + "\n", floats({7})), {}, {7});
  t.accept("OneAxis", npy(dictionary("'<f4'", "(5,)") + "\n", floats({1, 2, 3, 4, 5})), {5}, {1, 2, 3, 4, 5});
  t.accept("NoElements", npy(dictionary("'<f4'", "(0,)") + "\n", ""), {0}, {});
  t.accept("NoElementsThreeAxes", npy(dictionary("'>f8'", "(3, 0, 7)", "True") + "\n", ""), {3, 0, 7}, {});
  t.accept("EightAxes", good(dictionary("'<f4'", "(1, 1, 2, 1, 1, 3, 1, 1)")), {1, 1, 2, 1, 1, 3, 1, 1});
  t.accept("Fortran", npy(dictionary("'<f4'", "(2, 3)", "True") + "\n", floats({0, 3, 1, 4, 2, 5})));
  t.accept("FortranBigEndian",
           npy(dictionary("'>f8'", "(2, 3)", "True") + "\n", numbers<double>({0, 3, 1, 4, 2, 5}, true)));
  t.accept("FortranOneAxis", good(dictionary("'<f4'", "(6,)", "True")), {6});
  // Place (a, b, c) of 2x3x4 holds 100 a + 10 b + c.
  std::vector<float> stored;
  std::vector<double> wanted;
  for (int c = 0; c < 4; ++c)
    for (int b = 0; b < 3; ++b)
      for (int a = 0; a < 2; ++a) stored.push_back(static_cast<float>(100 * a + 10 * b + c));
  for (int a = 0; a < 2; ++a)
    for (int b = 0; b < 3; ++b)
      for (int c = 0; c < 4; ++c) wanted.push_back(100 * a + 10 * b + c);
  t.accept("FortranThreeAxes", npy(dictionary("'<f4'", "(2, 3, 4)", "True") + "\n", floats(stored)), {2, 3, 4}, wanted);
}

}  // namespace

std::vector<Case> npy_cases() {
  Table table;
  add_beginnings(table);
  add_headers(table);
  add_sizes(table);
  add_types(table);
  add_accepted_headers(table);
  add_accepted_types(table);
  return table.cases;
}

}  // namespace furrow::testing
