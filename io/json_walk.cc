#include "io/json_walk.h"

#include <nlohmann/json.hpp>

namespace furrow::io {
namespace {

// What nlohmann's parser hands its events to. A type that nobody else can name: the compiler then sees that only text
// is ever parsed, and leaves the library's binary formats out.
struct Forward {
  using string_t = std::string;
  using number_integer_t = int64_t;
  using number_unsigned_t = uint64_t;
  using number_float_t = double;
  using binary_t = nlohmann::ordered_json::binary_t;
  bool null() { return to.null(); }
  bool boolean(bool value) { return to.boolean(value); }
  bool number_integer(int64_t value) { return to.number_integer(value); }
  bool number_unsigned(uint64_t value) { return to.number_unsigned(value); }
  bool number_float(double value, const std::string& text) { return to.number_float(value, text); }
  bool string(std::string& value) { return to.string(value); }
  bool binary(binary_t&) { return false; }  // no JSON text holds any
  bool start_object(size_t) { return to.start_object(); }
  bool key(std::string& value) { return to.key(value); }
  bool end_object() { return to.end_object(); }
  bool start_array(size_t) { return to.start_array(); }
  bool end_array() { return to.end_array(); }
  bool parse_error(size_t at, const std::string& token, const nlohmann::detail::exception& error) {
    constexpr int kNumberOverflow = 406;
    return to.parse_error(at, token, error.id == kNumberOverflow, error.what());
  }
  JsonEvents& to;
};

}  // namespace

void walk_json(std::string_view text, JsonEvents& events) {
  Forward forward{events};
  nlohmann::ordered_json::sax_parse(text.begin(), text.end(), &forward);
}

}  // namespace furrow::io
