// `furrow --limits` and `--limit NAME=VALUE`.
#pragma once

#include <string>
#include <string_view>

#include "io/limits.h"

namespace furrow::apps {

// One line per limit, "name value", or one JSON object.
std::string limits_text(const io::Limits& limits, bool json);

// Applies "NAME=VALUE", VALUE a whole number; throws ErrorCode::usage for anything else.
void set_limit(std::string_view assignment, io::Limits& limits);

}  // namespace furrow::apps
