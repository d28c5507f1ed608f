#include "apps/evaluate/groups.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <set>

#include "apps/evaluate/text.h"
#include "kernels/error.h"

namespace furrow::apps {
namespace {

constexpr size_t kFewValues = 10;  // as many different numbers are shown one by one
constexpr int kDefaultQuantiles = 4;

const std::vector<KnownField>& known_fields() {
  static const std::vector<KnownField> fields = {
      {"age", {"age", "age_group"}, {10, 20, 30, 40, 50, 60, 70}, false},
      {"gender", {"gender"}, {}, false},
      {"smile", {"smile"}, {0.5}, false},
      {"pose", {"headPose.yaw", "head_yaw"}, {10, 20, 30}, true},
      {"blur", {"blur.blurLevel"}, {}, false},
      {"glasses", {"glasses"}, {}, false},
      {"occlusion", {"occlusion.eyeOccluded", "left_eye_occluded+right_eye_occluded"}, {}, false},
  };
  return fields;
}

std::optional<double> as_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

// "20-29" -> 20; words have none and come last.
double leading_number(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end != text.data() ? value : INFINITY;
}

std::string bin_name(const std::vector<double>& edges, size_t i) {
  if (i == 0) return "< " + shortest(edges.front());
  if (i == edges.size()) return ">= " + shortest(edges.back());
  return shortest(edges[i - 1]) + " to < " + shortest(edges[i]);
}

// Edges at which as many values as possible lie evenly on both sides; ties stay together.
std::vector<double> quantile_edges(std::vector<double> values, int quantiles) {
  std::ranges::sort(values);
  std::set<double> edges;
  for (int q = 1; q < quantiles; ++q) {
    const double edge = values[values.size() * static_cast<size_t>(q) / static_cast<size_t>(quantiles)];
    if (edge > values.front()) edges.insert(edge);
  }
  return {edges.begin(), edges.end()};
}

std::vector<Group> by_edges(const std::vector<double>& edges, const std::vector<std::optional<double>>& numbers) {
  std::vector<Group> groups(edges.size() + 1);
  for (size_t i = 0; i < groups.size(); ++i) groups[i].bin = edges.empty() ? "all" : bin_name(edges, i);
  for (uint32_t row = 0; row < numbers.size(); ++row)
    if (numbers[row])
      groups[static_cast<size_t>(std::ranges::upper_bound(edges, *numbers[row]) - edges.begin())].rows.push_back(row);
  return groups;
}

std::vector<Group> by_words(const std::vector<std::optional<std::string>>& values) {
  std::map<std::pair<double, std::string>, Group> groups;
  for (uint32_t row = 0; row < values.size(); ++row) {
    if (!values[row]) continue;
    Group& group = groups[{leading_number(*values[row]), *values[row]}];
    group.bin = *values[row];
    group.rows.push_back(row);
  }
  std::vector<Group> list;
  for (auto& [key, group] : groups) list.push_back(std::move(group));
  return list;
}

}  // namespace

GroupSpec parse_group(const std::string& text) {
  const auto refuse = [&](const char* why) -> Error {
    return Error(ErrorCode::usage, "--by " + printable(text) + ": " + why)
        .hint("write FIELD, FIELD:20,40,60 or FIELD:q4");
  };
  const size_t colon = text.rfind(':');
  GroupSpec spec{.field = text.substr(0, colon), .edges = {}, .quantiles = 0};
  if (spec.field.empty()) throw refuse("no field");
  if (colon == std::string::npos) return spec;
  const std::string bins = text.substr(colon + 1);
  if (bins.starts_with('q')) {
    const auto quantiles = as_number(std::string_view(bins).substr(1));
    if (!quantiles || *quantiles < 2 || *quantiles > 20 || *quantiles != std::floor(*quantiles))
      throw refuse("quantiles are a number from 2 to 20");
    spec.quantiles = static_cast<int>(*quantiles);
    return spec;
  }
  for (size_t at = 0; at <= bins.size();) {
    const size_t comma = std::min(bins.find(',', at), bins.size());
    const auto edge = as_number(std::string_view(bins).substr(at, comma - at));
    if (!edge || (!spec.edges.empty() && *edge <= spec.edges.back())) throw refuse("edges are numbers that increase");
    spec.edges.push_back(*edge);
    at = comma + 1;
  }
  return spec;
}

const KnownField* known_field(const std::string& name) {
  const auto found = std::ranges::find(known_fields(), name, &KnownField::name);
  return found == known_fields().end() ? nullptr : &*found;
}

std::vector<Group> make_groups(const GroupSpec& spec, const std::vector<std::optional<std::string>>& values) {
  std::vector<std::optional<double>> numbers(values.size());
  std::vector<double> present;
  bool numeric = true;
  size_t known = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!values[i]) continue;
    ++known;
    numbers[i] = as_number(*values[i]);
    numeric = numeric && numbers[i];
    if (numbers[i]) present.push_back(*numbers[i]);
  }
  std::vector<Group> groups;
  const KnownField* field = known_field(spec.field);
  if (known > 0 && (!spec.edges.empty() || spec.quantiles > 0) && !numeric)
    throw Error(ErrorCode::usage, "--by " + printable(spec.field) + ": bins, but its values are no numbers")
        .hint("leave the bins away");
  if (known > 0) {
    if (!spec.edges.empty()) {
      groups = by_edges(spec.edges, numbers);
    } else if (spec.quantiles > 0) {
      groups = by_edges(quantile_edges(present, spec.quantiles), numbers);
    } else if (numeric && field != nullptr && !field->edges.empty()) {
      groups = by_edges(field->edges, numbers);
    } else if (numeric && std::set<double>(present.begin(), present.end()).size() > kFewValues) {
      groups = by_edges(quantile_edges(present, kDefaultQuantiles), numbers);
    } else {
      groups = by_words(values);
    }
  }
  std::erase_if(groups, [](const Group& group) { return group.rows.empty(); });
  Group unknown{.bin = "unknown", .rows = {}};
  for (uint32_t row = 0; row < values.size(); ++row)
    if (!values[row]) unknown.rows.push_back(row);
  if (!unknown.rows.empty()) groups.push_back(std::move(unknown));
  return groups;
}

}  // namespace furrow::apps
