#include <algorithm>

#include "io/config_parsers.h"
#include "io/utf8.h"

namespace furrow::io {

ConfigAt at_offset(std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const size_t newline = before.rfind('\n');
  return {static_cast<uint32_t>(std::count(before.begin(), before.end(), '\n')) + 1,
          static_cast<uint32_t>(before.size() - (newline == before.npos ? 0 : newline + 1)) + 1};
}

bool check_config_text(std::string_view& text, const std::string& source, const Limits& limits,
                       ConfigProblems& problems) {
  const auto refuse = [&](size_t offset, std::string reason, std::string hint = "") {
    const ConfigAt at = at_offset(text, offset);
    problems.add({source, at.line, at.column}, "", std::move(reason), std::move(hint));
    return false;
  };
  if (text.size() > limits.config_bytes)
    return refuse(0, "too large for settings; limit " + std::to_string(limits.config_bytes) + " bytes, found " +
                         std::to_string(text.size()));
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF"))
    return refuse(0, "the text is UTF-16", "save it as UTF-8");
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == 0) return refuse(i, "a zero byte: no text, or UTF-16", "save it as UTF-8");
    if (c == 0x7F || (c < 0x20 && c != '\t' && c != '\n' && c != '\r'))
      return refuse(i, "control character \\x" + std::string(1, "0123456789abcdef"[c >> 4]) +
                           std::string(1, "0123456789abcdef"[c & 15]) + ": is this a text file?");
    if (c == '\r' && (i + 1 == text.size() || text[i + 1] != '\n'))
      return refuse(i, "a carriage return without a line feed", "save it with LF or CR LF line ends");
  }
  if (is_utf8(text)) return true;
  // The first byte that cannot continue valid text: found by halving, since every prefix that ends before it is valid
  // up to a sequence of at most 3 bytes.
  size_t line = 0;
  while (line < text.size()) {
    const size_t end = std::min(text.find('\n', line), text.size());
    if (!is_utf8(text.substr(line, end - line))) break;
    line = end + 1;
  }
  size_t bad = line;
  for (size_t end = line; end < text.size() && text[end] != '\n'; ++end)
    if (is_utf8(text.substr(line, end - line))) bad = end;
  return refuse(bad, "not valid UTF-8", "save it as UTF-8");
}

}  // namespace furrow::io
