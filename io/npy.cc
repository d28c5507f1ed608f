#include "io/npy.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "io/atomic_file.h"
#include "io/cursor.h"
#include "io/mapped_file.h"
#include "kernels/checked.h"

namespace furrow::io {
namespace {

constexpr std::string_view kNpyMagic = "\x93NUMPY";
constexpr size_t kMostDimensions = 8;

// The header: a Python dictionary of three keys, as NumPy writes it, white space free.
class NpyHeader {
 public:
  NpyHeader(std::string_view text, uint64_t at) : text_(text), at_(at) {}

  std::string type;
  bool fortran = false;
  std::vector<int64_t> dims;

  void parse() {
    expect('{');
    int seen = 0;
    while (!accept('}')) {
      const std::string key = quoted();
      expect(':');
      const int bit = key == "descr" ? 1 : key == "fortran_order" ? 2 : key == "shape" ? 4 : 0;
      if (bit == 0) fail("an unknown key " + printable(key));
      if ((seen & bit) != 0) fail("the key " + key + " twice");
      seen |= bit;
      if (bit == 1) type = quoted();
      if (bit == 2) fortran = boolean();
      if (bit == 4) shape();
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    if (seen != 7) fail("descr, fortran_order or shape is missing");
    blank();
    if (next_ != text_.size()) fail("more than a dictionary");
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorCode::malformed, "the .npy header: " + what).at(at_ + next_).in("header");
  }
  void blank() {
    while (next_ < text_.size() && (text_[next_] == ' ' || text_[next_] == '\n')) ++next_;
  }
  bool accept(char c) {
    blank();
    if (next_ == text_.size() || text_[next_] != c) return false;
    ++next_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(std::string("expected ") + c);
  }
  std::string quoted() {
    blank();
    const char quote = next_ < text_.size() ? text_[next_] : '\0';
    if (quote != '\'' && quote != '"') fail("expected a quoted word");
    const size_t end = text_.find(quote, next_ + 1);
    if (end == std::string_view::npos) fail("a word without an end");
    std::string word(text_.substr(next_ + 1, end - next_ - 1));
    next_ = end + 1;
    return word;
  }
  bool boolean() {
    blank();
    for (const bool value : {false, true}) {
      const std::string_view word = value ? "True" : "False";
      if (!text_.substr(next_).starts_with(word)) continue;
      next_ += word.size();
      return value;
    }
    fail("expected True or False");
  }
  void shape() {
    expect('(');
    while (!accept(')')) {
      blank();
      uint64_t value = 0;
      const char* const first = text_.data() + next_;
      const auto [end, error] = std::from_chars(first, text_.data() + text_.size(), value);
      if (error != std::errc() || value > static_cast<uint64_t>(INT64_MAX)) fail("expected a size");
      if (dims.size() == kMostDimensions) fail("more than 8 dimensions");
      dims.push_back(static_cast<int64_t>(value));
      next_ += static_cast<size_t>(end - first);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
  }

  std::string_view text_;
  uint64_t at_;  // of the text in the file
  size_t next_ = 0;
};

}  // namespace

void write_npy(const std::string& path, std::span<const int64_t> dims, std::span<const float> values) {
  int64_t elements = 1;
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (";
  for (const int64_t d : dims) {
    elements *= d;
    header += std::to_string(d) + ", ";
  }
  require(dims.size() <= kMostDimensions && elements == static_cast<int64_t>(values.size()), "write_npy: the dims");
  header += "), }";
  constexpr size_t kBefore = 10, kAlignment = 64;
  header.resize((header.size() + 1 + kBefore + kAlignment - 1) / kAlignment * kAlignment - kBefore, ' ');
  header.back() = '\n';
  AtomicFile file(path);
  const auto size = static_cast<uint16_t>(header.size());
  file.write(std::string(kNpyMagic) + std::string("\x01\x00", 2) + static_cast<char>(size & 255) +
             static_cast<char>(size >> 8) + header);
  file.write(std::as_bytes(values));
  file.commit();
}

NpyArray parse_npy(std::span<const std::byte> bytes) {
  Cursor cursor(bytes, 0, "the .npy header");
  if (cursor.left() < kNpyMagic.size() || cursor.text(kNpyMagic.size()) != kNpyMagic)
    throw Error(ErrorCode::malformed, "no .npy file").at(0);
  const int major = cursor.u8(), minor = cursor.u8();
  if (major != 1 || minor != 0)
    throw Error(ErrorCode::unsupported, ".npy version " + std::to_string(major) + "." + std::to_string(minor))
        .at(kNpyMagic.size())
        .hint("numpy.save writes version 1.0");
  const uint16_t size = cursor.u16();
  const uint64_t at = cursor.at();
  NpyHeader header(cursor.text(size), at);
  header.parse();
  if (header.fortran)
    throw Error(ErrorCode::unsupported, "an array in Fortran's order").in("header").hint("numpy.ascontiguousarray");
  const bool wide = header.type == "<f8";
  if (!wide && header.type != "<f4")
    throw Error(ErrorCode::unsupported, "elements of type " + printable(header.type))
        .in("header")
        .hint("it takes <f4 and <f8");
  Checked elements = 1;
  for (const int64_t d : header.dims) elements *= Checked::from_signed(d);
  const uint64_t expected = (elements * (wide ? sizeof(double) : sizeof(float))).value();
  if (expected != cursor.left())
    throw Error(ErrorCode::malformed, "the shape " + dims_to_string(header.dims) + " wants " +
                                          std::to_string(expected) + " bytes, " + std::to_string(cursor.left()) +
                                          " follow")
        .at(cursor.at());
  NpyArray out{std::move(header.dims), std::vector<float>(elements.size())};
  const auto data = cursor.take(expected);
  if (wide) {
    for (size_t i = 0; i < out.values.size(); ++i) {
      double value;
      std::memcpy(&value, data.data() + i * sizeof value, sizeof value);
      out.values[i] = static_cast<float>(value);
    }
  } else if (!data.empty()) {
    std::memcpy(out.values.data(), data.data(), data.size());
  }
  return out;
}

NpyArray read_npy(const std::string& path) {
  return with_file(path, [&] {
    const auto file = MappedFile::open(path);
    NpyArray array = parse_npy(file->bytes());
    file->check_unchanged();
    return array;
  });
}

}  // namespace furrow::io
