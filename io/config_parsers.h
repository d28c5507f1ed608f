// The parts of the configuration reader; used by io/config.cc alone.
#pragma once

#include <string>
#include <string_view>

#include "io/config_builder.h"

namespace furrow::io {

// Where byte `offset` of `text` lies.
ConfigAt at_offset(std::string_view text, size_t offset);

// Refuses what no settings file holds (too large, NUL, UTF-16, broken UTF-8, control characters): one problem, and
// false. Otherwise true, and a UTF-8 byte order mark is cut off `text`.
bool check_config_text(std::string_view& text, const std::string& source, const Limits& limits,
                       ConfigProblems& problems);

// Both throw ConfigStop after a problem that ends the reading. `text` has passed check_config_text.
void parse_yaml(std::string_view text, ConfigBuilder& builder);
void parse_json(std::string_view text, ConfigBuilder& builder);

}  // namespace furrow::io
