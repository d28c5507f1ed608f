// JSON met part by part: nlohmann's parser, compiled once for every reader that builds no values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace furrow::io {

// The parts of a JSON text in order. A function that returns false ends the walk; so does one that throws. Texts may
// be moved from.
class JsonEvents {
 public:
  virtual ~JsonEvents() = default;
  virtual bool null() = 0;
  virtual bool boolean(bool value) = 0;
  virtual bool number_integer(int64_t value) = 0;  // below 0
  virtual bool number_unsigned(uint64_t value) = 0;
  virtual bool number_float(double value, const std::string& text) = 0;
  virtual bool string(std::string& value) = 0;
  virtual bool start_object() = 0;
  virtual bool key(std::string& value) = 0;
  virtual bool end_object() = 0;
  virtual bool start_array() = 0;
  virtual bool end_array() = 0;
  // Not valid JSON at byte `at`, counted from 1: `token` was read last, `reason` is the parser's. out_of_range: a
  // number beyond a 64-bit float.
  virtual bool parse_error(size_t at, const std::string& token, bool out_of_range, const std::string& reason) = 0;
};

void walk_json(std::string_view text, JsonEvents& events);

}  // namespace furrow::io
