// CsvReader: tables as text, read row by row in bounded memory, strictly as RFC 4180 has them.
//
// The first row names the columns. Fields are separated by commas; a field in double quotes may hold commas, line ends
// and doubled quotes; lines end in LF or CR LF, the last one also without. Text is UTF-8, a byte order mark is skipped.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "io/limits.h"
#include "kernels/error.h"
#include "kernels/secret_hash.h"

namespace furrow::io {

// What a table must be, beyond its form.
struct CsvRules {
  std::vector<std::string> required;  // columns that must be there
  std::string key;                    // column whose values must differ from row to row; "" for none. Needs memory for
                                      // every row, so their number has a limit (csv_keys)
  std::vector<std::string> paths;     // columns of file names: relative, without "..", not empty
};

// Every fault throws an Error whose file is "NAME:LINE:COLUMN" (from 1, columns in bytes; of a field, where it begins)
// and whose entry is the field's column: ErrorCode::malformed; ErrorCode::limit for a row over csv_line bytes, over
// csv_columns columns or over csv_keys keys; ErrorCode::io for a file that the system refuses or that is no regular
// file.
class CsvReader {
 public:
  // Fills `to` with up to `size` bytes and returns how many; 0 at the end.
  using Source = std::function<size_t(char* to, size_t size)>;

  static CsvReader open(const std::string& path, CsvRules rules = {}, const Limits& limits = {});
  CsvReader(Source source, std::string_view name, CsvRules rules = {}, const Limits& limits = {});

  const std::vector<std::string>& columns() const { return columns_; }
  // The index of a column; ErrorCode::malformed with the columns there are, where it is missing.
  size_t column(std::string_view name) const;

  // Goes to the next row; false after the last. A table without rows is refused at its first call.
  bool next();
  // Field `i` of the row, quotes removed; valid until next().
  std::string_view operator[](size_t i) const {
    return std::string_view(row_).substr(fields_[i].first, fields_[i].size);
  }
  uint64_t line() const { return row_line_; }  // where the row begins

  // An error at field `i` of the row, for callers that find its value wrong.
  Error error_at(size_t i, std::string reason) const;

 private:
  struct Field {
    size_t first, size;
    uint64_t line, column;
  };
  bool read_row();
  int get();
  int peek();
  void finish_field(const Field& field);
  void check_header();
  [[noreturn]] void refuse(uint64_t line, uint64_t column, std::string reason, std::string hint = "") const;
  std::string place(uint64_t line, uint64_t column) const;

  Source source_;
  const std::string name_;
  const CsvRules rules_;
  const Limits limits_;
  std::unique_ptr<char[]> buffer_;
  size_t at_ = 0, filled_ = 0;
  uint64_t line_ = 1, column_ = 1;  // of the next byte
  uint64_t row_line_ = 0, row_bytes_ = 0, rows_ = 0;
  std::string row_;  // the fields' text, one after the other
  std::vector<Field> fields_;
  std::vector<std::string> columns_;
  std::vector<size_t> path_columns_;
  size_t key_column_ = SIZE_MAX;
  std::unordered_map<std::string, uint64_t, SecretHash> keys_;  // key -> line
};

}  // namespace furrow::io
