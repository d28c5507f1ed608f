#include "io/config_problems.h"

#include <algorithm>

namespace furrow::io {

std::string ConfigPlace::text() const {
  return line == 0 ? source : source + ":" + std::to_string(line) + ":" + std::to_string(column);
}

std::string place_name(std::string_view path) {
  constexpr size_t kMost = 120;
  const std::string name =
      path.size() > kMost ? "..." + std::string(path.substr(path.size() - kMost)) : std::string(path);
  return printable(name, kMost + 3);
}

void ConfigProblems::add(const ConfigPlace& place, std::string_view key, std::string reason, std::string hint) {
  problems_.push_back({place, printable(key, 80), std::move(reason), std::move(hint)});
}

void ConfigProblems::add(ConfigProblems more) {
  for (Problem& problem : more.problems_) problems_.push_back(std::move(problem));
}

void ConfigProblems::drop_lines() {
  for (Problem& problem : problems_) problem.place.line = 0;
}

void ConfigProblems::raise() const {
  if (problems_.empty()) return;
  std::vector<const Problem*> order;
  for (const Problem& problem : problems_) order.push_back(&problem);
  // Overrides (line 0) come after the file, however they were added.
  const auto rank = [](const Problem* problem) {
    return std::pair(problem->place.line == 0 ? UINT32_MAX : problem->place.line, problem->place.column);
  };
  std::stable_sort(order.begin(), order.end(), [&](const auto* a, const auto* b) { return rank(a) < rank(b); });

  std::vector<std::string> details;
  for (size_t i = 1; i < std::min(order.size(), kMost); ++i) {
    std::string line = order[i]->place.text() + ": ";
    if (!order[i]->key.empty()) line += order[i]->key + ": ";
    line += order[i]->reason;
    if (!order[i]->hint.empty()) line += "; " + order[i]->hint;
    details.push_back(printable(line, 480));
  }
  if (order.size() > kMost) details.push_back("and " + std::to_string(order.size() - kMost) + " more");

  const Problem& first = *order[0];
  Error error(ErrorCode::configuration, first.reason);
  error.set_file(first.place.text());
  std::string hint = first.hint;
  if (order.size() > 1) hint += (hint.empty() ? "" : "; ") + std::to_string(order.size()) + " problems in all";
  if (first.key.empty()) throw std::move(error).hint(hint).details(std::move(details));
  throw std::move(error).in(first.key).hint(hint).details(std::move(details));
}

}  // namespace furrow::io
