#include "kernels/error.h"

#include <algorithm>
#include <array>

#include "kernels/shortened.h"

namespace furrow {
namespace {

constexpr size_t kMaxLine = 500;

// Length of the valid UTF-8 sequence at `p` (1..4), or 0. Rejects overlong forms, surrogates and values over U+10FFFF.
size_t utf8_length(const unsigned char* p, size_t left) {
  if (p[0] < 0x80) return 1;
  const size_t n = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : p[0] >= 0xC2 ? 2 : 0;
  if (n == 0 || p[0] > 0xF4 || n > left) return 0;
  for (size_t i = 1; i < n; ++i)
    if ((p[i] & 0xC0) != 0x80) return 0;
  if (p[0] == 0xE0 && p[1] < 0xA0) return 0;
  if (p[0] == 0xED && p[1] > 0x9F) return 0;
  if (p[0] == 0xF0 && p[1] < 0x90) return 0;
  if (p[0] == 0xF4 && p[1] > 0x8F) return 0;
  return n;
}

}  // namespace

std::string_view name(ErrorCode code) {
  static constexpr std::array<std::string_view, 12> kNames = {
      "ok", "internal", "usage", "configuration", "malformed", "unsupported",
      "limit", "io", "device", "checksum", "no_face", "different"};
  return kNames.at(static_cast<size_t>(code));
}

std::string printable(std::string_view text, size_t max_bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(std::min(text.size(), max_bytes));
  for (size_t i = 0; i < text.size();) {
    const auto* p = reinterpret_cast<const unsigned char*>(text.data()) + i;
    const size_t n = utf8_length(p, text.size() - i);
    // C0 and C1 controls can drive a terminal; C1 controls are the two-byte sequences C2 80 .. C2 9F.
    const bool control = n == 0 || p[0] < 0x20 || p[0] == 0x7F || (n == 2 && p[0] == 0xC2 && p[1] < 0xA0);
    if (out.size() + (control ? 4 : n) > max_bytes) return out + "...";
    if (control) out.append({'\\', 'x', kDigits[p[0] >> 4], kDigits[p[0] & 15]});
    else out.append(text, i, n);
    i += control ? 1 : n;
  }
  return out;
}

std::string shortened(std::string_view text, size_t max_bytes) {
  std::string whole = printable(text, 4 * text.size());
  if (whole.size() <= max_bytes) return whole;
  const auto inside = [&](size_t at) { return (static_cast<unsigned char>(whole[at]) & 0xC0) == 0x80; };
  size_t head = (max_bytes - 3) / 2, tail = whole.size() - (max_bytes - 3 - head);
  while (head > 0 && inside(head)) --head;
  while (tail < whole.size() && inside(tail)) ++tail;
  return whole.substr(0, head) + "..." + whole.substr(tail);
}

void Error::set_file(std::string_view path) {
  if (file_.empty()) file_ = shortened(path, 160);
}

void Error::set_place(uint64_t byte, std::string_view entry) {
  if (!byte_) byte_ = byte;
  if (entry_.empty()) entry_ = printable(entry);
}

std::string Error::line() const {
  std::string out = "error[" + std::string(name(code_)) + "]: ";
  if (!file_.empty()) out += file_ + ": ";
  if (byte_) out += "at byte " + std::to_string(*byte_) + (entry_.empty() ? ": " : " (" + entry_ + "): ");
  else if (!entry_.empty()) out += "in " + entry_ + ": ";
  out += reason_;
  if (limit_) out += "; limit " + std::to_string(limit_->limit) + ", found " + std::to_string(limit_->found);
  if (!hint_.empty()) out += "; " + hint_;
  return printable(out, kMaxLine - 3);
}

const char* Error::what() const noexcept {
  try {
    line_ = line();
    return line_.c_str();
  } catch (...) {
    return "error[internal]: out of memory while reporting an error";
  }
}

void require(bool condition, const char* text, const char* file, int line) {
  if (condition) return;
  const std::string path = file;
  const size_t cut = path.find_last_of('/');
  throw Error(ErrorCode::internal, std::string("precondition broken: ") + text + " [" +
                                       path.substr(cut == std::string::npos ? 0 : cut + 1) + ":" +
                                       std::to_string(line) + "]");
}

}  // namespace furrow
