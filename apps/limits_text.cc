#include "apps/limits_text.h"

#include <charconv>
#include <cstdint>
#include <vector>

#include "io/closest.h"
#include "kernels/error.h"

namespace furrow::apps {
namespace {

struct Row {
  const char* name;
  uint64_t io::Limits::*field;
};

constexpr Row kRows[] = {
    {"zip_entries", &io::Limits::zip_entries},
    {"pickle_bytes", &io::Limits::pickle_bytes},
    {"pickle_opcodes", &io::Limits::pickle_opcodes},
    {"pickle_stack", &io::Limits::pickle_stack},
    {"pickle_memo", &io::Limits::pickle_memo},
    {"pickle_depth", &io::Limits::pickle_depth},
    {"pickle_objects", &io::Limits::pickle_objects},
    {"pickle_values", &io::Limits::pickle_values},
    {"name_bytes", &io::Limits::name_bytes},
    {"tensors", &io::Limits::tensors},
    {"rank", &io::Limits::rank},
    {"expand_factor", &io::Limits::expand_factor},
    {"expand_slack", &io::Limits::expand_slack},
    {"inflate_ratio", &io::Limits::inflate_ratio},
    {"safetensors_header", &io::Limits::safetensors_header},
    {"npy_header", &io::Limits::npy_header},
    {"picture_pixels", &io::Limits::picture_pixels},
    {"picture_side", &io::Limits::picture_side},
    {"jpeg_scans", &io::Limits::jpeg_scans},
    {"config_bytes", &io::Limits::config_bytes},
    {"config_depth", &io::Limits::config_depth},
    {"config_keys", &io::Limits::config_keys},
    {"csv_line", &io::Limits::csv_line},
    {"csv_columns", &io::Limits::csv_columns},
    {"csv_keys", &io::Limits::csv_keys},
};

}  // namespace

std::string limits_text(const io::Limits& limits, bool json) {
  std::string text;
  for (const auto& [name, field] : kRows)
    text += json ? (text.empty() ? "{\"" : ", \"") + std::string(name) + "\": " + std::to_string(limits.*field)
                 : std::string(name) + " " + std::to_string(limits.*field) + "\n";
  return json ? text + "}\n" : text;
}

void set_limit(std::string_view assignment, io::Limits& limits) {
  const size_t cut = assignment.find('=');
  const std::string_view name = assignment.substr(0, cut);
  const std::string_view value = cut == std::string_view::npos ? std::string_view() : assignment.substr(cut + 1);
  std::vector<std::string> known;
  for (const auto& [row_name, field] : kRows) {
    known.emplace_back(row_name);
    if (row_name != name) continue;
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || end != value.data() + value.size() || value.empty())
      throw Error(ErrorCode::usage, "--limit " + printable(assignment) + ": the value is not a whole number")
          .hint("write --limit NAME=NUMBER");
    limits.*field = number;
    return;
  }
  const std::string close = io::closest_word(name, known);
  throw Error(ErrorCode::usage, "--limit: there is no limit named '" + printable(name) + "'")
      .hint(close.empty() ? "see furrow --limits" : "did you mean " + close + "?");
}

}  // namespace furrow::apps
