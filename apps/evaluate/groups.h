// Pictures by the value of a field: which groups `--by FIELD[:BINS]` makes of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace furrow::apps {

// FIELD            the field's own default (below); else its values as they are where they are words or few different
//                  numbers (at most 10), and quartiles where they are many
// FIELD:20,40,60   edges: below 20, 20 to below 40, 40 to below 60, 60 and above
// FIELD:q5         quantiles: five groups as equal in number as ties allow
struct GroupSpec {
  std::string field;  // as typed, and as it is looked up first
  std::vector<double> edges;
  int quantiles = 0;  // 0: not asked for
};
// Errors: ErrorCode::usage for an empty field, edges that do not increase, quantiles outside 2..20.
GroupSpec parse_group(const std::string& text);

// The columns that hold a known field, in order of preference, and its default edges. Names are those of FFHQ-features
// (as data/attributes.h reads it) and of the FFHQ-Aging CSV:
//   age        age (in decades) | age_group (as it is)
//   gender, glasses
//   smile      smile (at 0.5)
//   pose       headPose.yaw | head_yaw, without its sign (at 10, 20, 30 degrees)
//   blur       blur.blurLevel
//   occlusion  occlusion.eyeOccluded | the larger of left_eye_occluded and right_eye_occluded
struct KnownField {
  std::string name;
  std::vector<std::string> columns;  // "a+b": the larger of two numbers
  std::vector<double> edges;         // for numbers; empty: no default
  bool without_sign = false;
};
const KnownField* known_field(const std::string& name);

struct Group {
  std::string bin;  // "20 to < 40", "ReadingGlasses", "unknown"
  std::vector<uint32_t> rows;
};
// values[i]: of row i, nothing where it is unknown. Groups in order: numbers by size, words by their leading number
// (age groups) and then bytewise, "unknown" last. Every row is in exactly one group; empty groups are left out.
std::vector<Group> make_groups(const GroupSpec& spec, const std::vector<std::optional<std::string>>& values);

}  // namespace furrow::apps
