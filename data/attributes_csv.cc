// Attributes from comma-separated tables.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "data/attributes.h"
#include "io/mapped_file.h"
#include "io/utf8.h"
#include "kernels/error.h"

namespace furrow::data {
namespace {

constexpr uint64_t kLongestLine = 64 << 10;

Error wrong(size_t line, const std::string& reason) {
  return Error(ErrorCode::malformed, reason).in("line " + std::to_string(line));
}

// The lines of a file, one at a time.
class Lines {
 public:
  explicit Lines(std::string_view text) : text_(text) {
    if (text_.starts_with("\xEF\xBB\xBF")) text_.remove_prefix(3);
    if (text_.starts_with("\xFF\xFE") || text_.starts_with("\xFE\xFF")) throw wrong(1, "UTF-16 text; save it as UTF-8");
  }

  // Empty lines are passed over. False at the end.
  bool next(std::string_view& line) {
    while (!text_.empty()) {
      const size_t end = std::min(text_.find('\n'), text_.size());
      line = text_.substr(0, end);
      text_.remove_prefix(std::min(end + 1, text_.size()));
      ++number_;
      if (line.ends_with('\r')) line.remove_suffix(1);
      if (line.size() > kLongestLine) {
        throw Error(ErrorCode::limit, "a line of this length")
            .in("line " + std::to_string(number_))
            .limit(kLongestLine, line.size());
      }
      if (line.find('\0') != std::string_view::npos) throw wrong(number_, "a NUL byte in a table of text");
      if (!io::is_utf8(line)) throw wrong(number_, "not UTF-8");
      if (!line.empty()) return true;
    }
    return false;
  }
  size_t number() const { return number_; }

 private:
  std::string_view text_;
  size_t number_ = 0;
};

// Takes the quoted value at the front of `rest`, closing quote included; "" stands for one quote.
std::string take_quoted(std::string_view& rest, size_t number) {
  std::string value;
  for (size_t i = 1; i < rest.size(); ++i) {
    if (rest[i] != '"') {
      value += rest[i];
    } else if (i + 1 < rest.size() && rest[i + 1] == '"') {
      value += rest[++i];
    } else {
      rest.remove_prefix(i + 1);
      if (!rest.empty() && rest[0] != ',') throw wrong(number, "text behind a closing quote");
      return value;
    }
  }
  throw wrong(number, "a quote that is not closed on its line");
}

std::vector<std::string> split_line(std::string_view line, size_t number) {
  std::vector<std::string> values;
  for (std::string_view rest = line;;) {
    if (rest.starts_with('"')) {
      values.push_back(take_quoted(rest, number));
    } else {
      const size_t end = std::min(rest.find(','), rest.size());
      values.emplace_back(rest.substr(0, end));
      if (values.back().find('"') != std::string::npos)
        throw wrong(number, "a quote inside a value that has none around it");
      rest.remove_prefix(end);
    }
    if (rest.empty()) return values;
    rest.remove_prefix(1);  // the comma
  }
}

// Position of `id_column`, after the header has been found sound.
size_t check_header(const std::vector<std::string>& header, const std::string& id_column, size_t number) {
  std::set<std::string> seen;
  for (const std::string& name : header) {
    if (name.empty()) throw wrong(number, "a column without a name");
    if (!seen.insert(name).second) throw wrong(number, "column " + printable(name, 60) + " stands twice");
  }
  const auto found = std::ranges::find(header, id_column);
  if (found != header.end()) return static_cast<size_t>(found - header.begin());
  Error error = wrong(number, "no column " + id_column);
  if (header.size() == 1 && header[0].find(';') != std::string::npos)
    throw std::move(error).hint("commas must separate, not semicolons");
  throw error;
}

std::string image_id(std::string value, size_t digits) {
  std::string lower = value;
  std::ranges::transform(lower, lower.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const std::string_view extension : {".png", ".jpg", ".jpeg"})
    if (lower.ends_with(extension)) value.resize(value.size() - extension.size());
  const bool number = std::ranges::all_of(value, [](unsigned char c) { return std::isdigit(c) != 0; });
  if (number && value.size() < digits) value.insert(0, digits - value.size(), '0');
  return value;
}

// std::from_chars: the same in every locale, and nothing but a number.
AttributeValue value_of(const std::string& text) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc() && at == end && std::isfinite(number)) return number;
  return text;
}

Attributes parse(std::string_view text, const std::string& id_column, size_t digits,
                 const std::set<std::string>* only) {
  Lines lines(text);
  std::string_view line;
  if (!lines.next(line)) throw Error(ErrorCode::malformed, "the file is empty").at(0);
  const std::vector<std::string> header = split_line(line, lines.number());
  const size_t id_at = check_header(header, id_column, lines.number());
  Attributes out;
  std::map<std::string, size_t> first_line;
  while (lines.next(line)) {
    std::vector<std::string> values = split_line(line, lines.number());
    if (values.size() != header.size()) {
      throw wrong(lines.number(),
                  std::to_string(values.size()) + " values for " + std::to_string(header.size()) + " columns");
    }
    const std::string id = image_id(values[id_at], digits);
    if (id.empty()) throw wrong(lines.number(), "a row without its image");
    const auto [earlier, is_new] = first_line.emplace(id, lines.number());
    if (!is_new)
      throw wrong(lines.number(),
                  "image " + printable(id, 60) + " stands already in line " + std::to_string(earlier->second));
    if (only != nullptr && !only->contains(id)) continue;
    Attributes::Fields& fields = out.row(id);
    for (size_t i = 0; i < values.size(); ++i)
      if (i != id_at && !values[i].empty()) fields[header[i]] = value_of(values[i]);
  }
  if (first_line.empty()) throw wrong(lines.number(), "a header and no row");
  return out;
}

}  // namespace

Attributes read_attributes_csv(const std::string& path, const std::string& id_column, size_t digits,
                               const std::set<std::string>* only) {
  return with_file(path, [&] {
    const auto file = io::MappedFile::open(path);
    const auto bytes = file->bytes();
    Attributes out = parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, id_column, digits, only);
    file->check_unchanged();
    return out;
  });
}

Attributes read_ffhq_aging(const std::string& path, const std::set<std::string>* only) {
  return read_attributes_csv(path, "image_number", 5, only);
}

}  // namespace furrow::data
