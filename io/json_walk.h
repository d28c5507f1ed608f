// nlohmann's parser, met event by event, compiled once for every reader of JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

namespace furrow::io {

using JsonSax = nlohmann::json_sax<nlohmann::ordered_json>;

// Hands the parts of `text` to `events` in order, until one of them returns false or throws. Not valid JSON: its
// parse_error(), with the byte and the parser's reason.
void walk_json(std::string_view text, JsonSax& events);

}  // namespace furrow::io
