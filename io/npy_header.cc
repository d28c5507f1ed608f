#include "io/npy_header.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>

#include "kernels/error.h"

namespace furrow::io {
namespace {

constexpr std::string_view kBlanks = " \t\r\n", kDecimals = "0123456789";

// What NumPy has beside numbers and truth values. The letter that begins the type, behind its byte order.
struct OtherType {
  char letter;
  std::string_view what;
};
constexpr std::array kOthers = {OtherType{'O', "Python objects"}, OtherType{'c', "complex numbers"},
                                OtherType{'S', "text"},           OtherType{'a', "text"},
                                OtherType{'U', "text"},           OtherType{'M', "dates"},
                                OtherType{'m', "spans of time"},  OtherType{'V', "raw bytes"}};

class NpyHeaderReader {
 public:
  NpyHeaderReader(std::string_view text, uint64_t at, const Limits& limits) : text_(text), at_(at), limits_(limits) {}

  NpyHeader run() {
    expect('{');
    int seen = 0;
    while (!accept('}')) {
      const size_t key_at = next_;
      const std::string_view key = quoted();
      const int bit = key == "descr" ? 1 : key == "fortran_order" ? 2 : key == "shape" ? 4 : 0;
      if (bit == 0) fail(key_at, "an unknown key " + printable(key, 40));
      if ((seen & bit) != 0) fail(key_at, "the key " + std::string(key) + " twice");
      seen |= bit;
      expect(':');
      if (bit == 1) type();
      if (bit == 2) out_.fortran = boolean();
      if (bit == 4) shape();
      if (accept(',')) continue;
      expect('}');
      break;
    }
    for (const auto& [bit, key] : {std::pair(1, "descr"), std::pair(2, "fortran_order"), std::pair(4, "shape")})
      if ((seen & bit) == 0) fail(next_, std::string(key) + " is missing");
    blank();
    if (next_ != text_.size()) fail(next_, "something follows the dictionary");
    return std::move(out_);
  }

 private:
  [[noreturn]] void fail(size_t where, const std::string& what, ErrorCode code = ErrorCode::malformed,
                         const char* hint = "") const {
    throw Error(code, "the .npy header: " + what).at(at_ + where).in("header").hint(hint);
  }
  void blank() { next_ = std::min(text_.find_first_not_of(kBlanks, next_), text_.size()); }
  char peek() {
    blank();
    return next_ < text_.size() ? text_[next_] : '\0';
  }
  bool accept(char c) {
    if (peek() != c || next_ == text_.size()) return false;
    ++next_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(next_, std::string("expected ") + c + ", found " + word());
  }
  // What stands here, for messages.
  std::string word() const {
    if (next_ == text_.size()) return "its end";
    return printable(text_.substr(next_, text_.find_first_of(" \t\r\n,:(){}[]", next_ + 1) - next_), 40);
  }
  std::string_view quoted() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') fail(next_, "expected a quoted word, found " + word());
    const size_t end = text_.find(quote, next_ + 1);
    if (end == text_.npos) fail(next_, "a quoted word without an end");
    const std::string_view inside = text_.substr(next_ + 1, end - next_ - 1);
    next_ = end + 1;
    return inside;
  }
  bool boolean() {
    blank();
    for (const bool value : {false, true}) {
      const std::string_view spelling = value ? "True" : "False";
      if (!text_.substr(next_).starts_with(spelling)) continue;
      next_ += spelling.size();
      return value;
    }
    fail(next_, "fortran_order is neither True nor False but " + word());
  }

  // '<f4': byte order, letter, bytes.
  void type() {
    const char first = peek();
    const size_t where = next_;
    const auto unsupported = [&](const std::string& what, const char* hint) {
      fail(where, "elements that are " + what + "; numbers and truth values are read", ErrorCode::unsupported, hint);
    };
    if (first == '[' || first == '(') unsupported("records", "save each field as an array of its own");
    const std::string_view whole = quoted();
    const auto no_type = [&]() { fail(where, "NumPy has no element type " + printable(whole, 40)); };
    if (whole.size() < 2 || std::string_view("<>|").find(whole[0]) == std::string_view::npos) no_type();
    const char order = whole[0], letter = whole[1];
    const std::string_view size = whole.substr(2);
    for (const OtherType& other : kOthers)
      if (letter == other.letter)
        unsupported(std::string(other.what) + " (" + printable(whole, 40) + ")",
                    letter == 'O' ? "it holds a pickle, which was not opened" : "array.astype('float32')");
    const bool plain = size == "1" || size == "2" || size == "4" || size == "8";
    if (letter == 'f' && (size == "16" || size == "12"))
      unsupported("long doubles (" + std::string(whole) + ")", "array.astype('float64')");
    if (!plain) no_type();
    out_.width = static_cast<uint64_t>(size[0] - '0');
    switch (letter) {
      case 'b': out_.kind = NpyKind::boolean; break;
      case 'i': out_.kind = NpyKind::whole; break;
      case 'u': out_.kind = NpyKind::natural; break;
      case 'f': out_.kind = NpyKind::real; break;
      default: no_type();
    }
    const bool one = out_.width == 1;
    // More bytes than one have an order.
    if ((letter == 'b' && !one) || (letter == 'f' && one) || (order == '|' && !one)) no_type();
    out_.big_endian = order == '>' && !one;
  }

  // (), (5,), (2, 3), (2, 3,); Python 2 wrote 2L for large numbers.
  void shape() {
    const size_t where = next_;
    expect('(');
    bool comma = true;  // whether one stands behind the last size; (5) is a number in Python
    while (!accept(')')) {
      if (!comma) fail(next_, "expected , or ), found " + word());
      out_.dims.push_back(size());
      if (out_.dims.size() > limits_.rank)
        throw Error(ErrorCode::limit, "the .npy header: the array has too many axes")
            .at(at_ + where)
            .in("header")
            .limit(limits_.rank, out_.dims.size());
      comma = accept(',');
    }
    if (!comma && out_.dims.size() == 1) fail(where, "the shape is a number, not a tuple");
  }

  int64_t size() {
    blank();
    const std::string_view digits = text_.substr(next_, text_.find_first_not_of(kDecimals, next_) - next_);
    const size_t end = next_ + digits.size();
    const std::string_view rest = text_.substr(end).starts_with('L') ? text_.substr(end + 1) : text_.substr(end);
    const bool whole = rest.empty() || kBlanks.find(rest[0]) != kBlanks.npos || rest[0] == ',' || rest[0] == ')';
    // 007 is no number in Python.
    if (digits.empty() || !whole || (digits.size() > 1 && digits[0] == '0'))
      fail(next_, "expected a size, found " + word());
    int64_t value = 0;
    if (std::from_chars(digits.data(), digits.data() + digits.size(), value).ec != std::errc())
      fail(next_, "the size " + printable(digits, 40) + " does not fit 64 bits");
    next_ = text_.size() - rest.size();
    return value;
  }

  const std::string_view text_;
  const uint64_t at_;  // of the text in the file
  const Limits& limits_;
  size_t next_ = 0;
  NpyHeader out_;
};

}  // namespace

NpyHeader parse_npy_header(std::string_view text, uint64_t at, const Limits& limits) {
  return NpyHeaderReader(text, at, limits).run();
}

}  // namespace furrow::io
