#include "io/json_walk.h"

namespace furrow::io {
namespace {

// The parser is compiled for this type, which nobody else can name: the compiler then sees that only text is ever
// parsed, and leaves nlohmann's binary formats out.
struct Events {
  using number_integer_t = JsonSax::number_integer_t;
  using number_unsigned_t = JsonSax::number_unsigned_t;
  using number_float_t = JsonSax::number_float_t;
  using string_t = JsonSax::string_t;
  using binary_t = JsonSax::binary_t;
  bool null() { return to.null(); }
  bool boolean(bool value) { return to.boolean(value); }
  bool number_integer(number_integer_t value) { return to.number_integer(value); }
  bool number_unsigned(number_unsigned_t value) { return to.number_unsigned(value); }
  bool number_float(number_float_t value, const string_t& text) { return to.number_float(value, text); }
  bool string(string_t& value) { return to.string(value); }
  bool binary(binary_t& value) { return to.binary(value); }
  bool start_object(std::size_t count) { return to.start_object(count); }
  bool key(string_t& value) { return to.key(value); }
  bool end_object() { return to.end_object(); }
  bool start_array(std::size_t count) { return to.start_array(count); }
  bool end_array() { return to.end_array(); }
  bool parse_error(std::size_t at, const std::string& token, const nlohmann::detail::exception& error) {
    return to.parse_error(at, token, error);
  }
  JsonSax& to;
};

}  // namespace

void walk_json(std::string_view text, JsonSax& events) {
  Events forward{events};
  nlohmann::ordered_json::sax_parse(text.begin(), text.end(), &forward);
}

}  // namespace furrow::io
