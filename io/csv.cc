#include "io/csv.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <unordered_set>

#include "io/closest.h"
#include "io/config_problems.h"
#include "io/utf8.h"
#include "kernels/secret_hash.h"

namespace furrow::io {
namespace {

constexpr size_t kBuffer = 64 << 10;
constexpr int kEnd = -1;

// The bytes of a regular file, read as they are wanted.
class FileSource {
 public:
  explicit FileSource(const std::string& path) : path_(path) {
    if (path.find('\0') != path.npos) refuse("a file name with a zero byte in it");
    // O_NONBLOCK: opening a FIFO without a writer must not wait.
    fd_ = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd_ < 0) refuse("cannot open: " + std::string(std::strerror(errno)));
    struct stat status {};
    if (::fstat(fd_, &status) == 0 && S_ISREG(status.st_mode)) return;
    ::close(fd_);
    refuse("not a regular file");
  }
  ~FileSource() { ::close(fd_); }
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;

  size_t read(char* to, size_t size) const {
    for (;;) {
      const ssize_t got = ::read(fd_, to, size);
      if (got >= 0) return static_cast<size_t>(got);
      if (errno != EINTR) refuse("cannot read: " + std::string(std::strerror(errno)));
    }
  }

 private:
  [[noreturn]] void refuse(std::string reason) const { throw Error(ErrorCode::io, std::move(reason)).file(path_); }
  const std::string path_;
  int fd_ = -1;
};

std::string listed(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return printable(out, 200);
}

// Relative, and nothing of it climbs out.
bool safe_path(std::string_view path) {
  if (path.empty() || path.front() == '/' || path.find('\\') != path.npos) return false;
  for (size_t start = 0; start <= path.size();) {
    const size_t end = std::min(path.find('/', start), path.size());
    if (path.substr(start, end - start) == "..") return false;
    start = end + 1;
  }
  return true;
}

}  // namespace

CsvReader CsvReader::open(const std::string& path, CsvRules rules, const Limits& limits) {
  const auto file = std::make_shared<const FileSource>(path);
  return CsvReader([file](char* to, size_t size) { return file->read(to, size); }, path, std::move(rules), limits);
}

CsvReader::CsvReader(Source source, std::string_view name, CsvRules rules, const Limits& limits)
    : source_(std::move(source)),
      name_(place_name(name)),
      rules_(std::move(rules)),
      limits_(limits),
      buffer_(std::make_unique_for_overwrite<char[]>(kBuffer)) {
  filled_ = source_(buffer_.get(), kBuffer);
  const std::string_view head(buffer_.get(), filled_);
  if (head.starts_with("\xFF\xFE") || head.starts_with("\xFE\xFF"))
    refuse(1, 1, "the text is UTF-16", "save it as UTF-8");
  if (head.starts_with("\xEF\xBB\xBF")) at_ = 3;
  const std::string_view text = head.substr(at_);
  if (const size_t first = text.find_first_not_of(" \t\r\n"); first != text.npos && text[first] == '<')
    refuse(1, 1, "this is a web page or XML, not a table", "download the file itself");
  if (!read_row()) refuse(1, 1, "the table is empty", "its first line names the columns");
  check_header();
}

std::string CsvReader::place(uint64_t line, uint64_t column) const {
  return name_ + ":" + std::to_string(line) + ":" + std::to_string(column);
}

void CsvReader::refuse(uint64_t line, uint64_t column, std::string reason, std::string hint) const {
  throw Error(ErrorCode::malformed, std::move(reason)).file(place(line, column)).hint(std::move(hint));
}

Error CsvReader::error_at(size_t i, std::string reason) const {
  return Error(ErrorCode::malformed, std::move(reason)).file(place(fields_[i].line, fields_[i].column)).in(columns_[i]);
}

int CsvReader::peek() {
  if (at_ == filled_) {
    at_ = 0;
    filled_ = source_(buffer_.get(), kBuffer);
    if (filled_ == 0) return kEnd;
  }
  return static_cast<unsigned char>(buffer_[at_]);
}

int CsvReader::get() {
  const int c = peek();
  if (c == kEnd) return c;
  ++at_;
  if (c == 0) refuse(line_, column_, "a zero byte: no text, or UTF-16", "save it as UTF-8");
  if (++row_bytes_ > limits_.csv_line)
    throw Error(ErrorCode::limit, "row too long").file(place(row_line_, 1)).limit(limits_.csv_line, row_bytes_);
  if (c == '\n') {
    ++line_;
    column_ = 1;
  } else {
    ++column_;
  }
  return c;
}

void CsvReader::finish_field(const Field& field) {
  if (fields_.size() >= limits_.csv_columns)
    throw Error(ErrorCode::limit, "too many columns")
        .file(place(field.line, field.column))
        .limit(limits_.csv_columns, fields_.size() + 1);
  fields_.push_back({field.first, row_.size() - field.first, field.line, field.column});
}

// Reads one row into row_ and fields_; false at the end of the text.
bool CsvReader::read_row() {
  row_.clear();
  fields_.clear();
  row_line_ = line_;
  row_bytes_ = 0;
  if (peek() == kEnd) return false;
  for (;;) {
    const Field field{row_.size(), 0, line_, column_};
    int c;
    if (peek() == '"') {
      get();
      for (;;) {
        c = get();
        if (c == kEnd) refuse(field.line, field.column, "a quote that is never closed");
        if (c != '"') {
          row_ += static_cast<char>(c);
        } else if (peek() == '"') {
          row_ += static_cast<char>(get());
        } else {
          break;
        }
      }
      c = get();
      if (c != kEnd && c != ',' && c != '\n' && c != '\r')
        refuse(line_, column_ - 1, "text after a closing quote", "double every quote inside a quoted field");
    } else {
      while ((c = get()) != kEnd && c != ',' && c != '\n' && c != '\r') {
        if (c == '"')
          refuse(line_, column_ - 1, "a quote inside a field that does not begin with one",
                 "put the field in quotes and double those inside");
        row_ += static_cast<char>(c);
      }
    }
    if (const uint64_t here = column_ - 1; c == '\r' && (c = get()) != '\n')
      refuse(line_, here, "a carriage return without a line feed");
    finish_field(field);
    if (c != ',') break;
  }
  if (!is_utf8(row_)) refuse(row_line_, 1, "not valid UTF-8", "save it as UTF-8");
  return true;
}

void CsvReader::check_header() {
  for (size_t i = 0; i < fields_.size(); ++i) columns_.emplace_back((*this)[i]);
  const std::string& first = columns_.at(0);
  if (columns_.size() == 1 && first.find(';') != first.npos)
    refuse(1, 1, "the fields are separated by semicolons", "save it with commas");
  if (columns_.size() == 1 && first.find('\t') != first.npos)
    refuse(1, 1, "the fields are separated by tabs", "save it with commas");
  std::unordered_set<std::string_view, SecretHash> seen;
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i].empty()) refuse(fields_[i].line, fields_[i].column, "a column without a name");
    if (printable(columns_[i], columns_[i].size()) != columns_[i])
      refuse(fields_[i].line, fields_[i].column, "control characters in a column's name: is this a text file?");
    if (!seen.insert(columns_[i]).second) throw error_at(i, "a column of the same name as an earlier one");
  }
  for (const std::string& name : rules_.required) column(name);
  for (const std::string& name : rules_.paths) path_columns_.push_back(column(name));
  if (!rules_.key.empty()) key_column_ = column(rules_.key);
}

size_t CsvReader::column(std::string_view name) const {
  for (size_t i = 0; i < columns_.size(); ++i)
    if (columns_[i] == name) return i;
  const std::string close = closest_word(name, columns_);
  refuse(1, 1, "there is no column '" + printable(name, 60) + "'; the columns are " + listed(columns_),
         close.empty() ? "" : "is it called " + printable(close, 60) + "?");
}

bool CsvReader::next() {
  if (!read_row()) {
    if (rows_ == 0) refuse(line_, 1, "the table has columns but no rows");
    return false;
  }
  ++rows_;
  if (fields_.size() == 1 && fields_[0].size == 0 && columns_.size() > 1) refuse(row_line_, 1, "an empty line");
  if (fields_.size() != columns_.size()) {
    const Field& last = fields_[std::min(fields_.size(), columns_.size() + 1) - 1];
    refuse(last.line, last.column,
           std::to_string(fields_.size()) + " fields in a table of " + std::to_string(columns_.size()) + " columns");
  }
  for (const size_t i : path_columns_)
    if (!safe_path((*this)[i]))
      throw error_at(i, "'" + printable((*this)[i], 80) + "' is no relative path inside the data folder");
  if (key_column_ == SIZE_MAX) return true;
  const std::string key((*this)[key_column_]);
  if (keys_.size() >= limits_.csv_keys)
    throw Error(ErrorCode::limit, "too many rows to compare their keys")
        .file(place(row_line_, 1))
        .limit(limits_.csv_keys, keys_.size() + 1);
  if (const auto [earlier, first] = keys_.emplace(key, row_line_); !first)
    throw error_at(key_column_, "'" + printable(key, 60) + "' occurs twice, on lines " +
                                    std::to_string(earlier->second) + " and " + std::to_string(row_line_));
  return true;
}

}  // namespace furrow::io
