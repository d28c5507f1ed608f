#include "apps/cli/report.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "kernels/shortened.h"

namespace furrow::cli {
namespace {

constexpr size_t kDetailLines = 18, kDetailBytes = 200, kLongestDetail = 500, kLeastPath = 48;

// A detail reads PATH: reason, or error[CODE]: PATH: reason. Where it is long, the path gives: of the parts between
// ": " that hold a slash the longest is cut in the middle, so that file name and reason stay.
std::string detail_line(const std::string& line) {
  if (printable(line, 4 * line.size()).size() <= kDetailBytes) return printable(line, kDetailBytes);
  size_t first = 0, length = 0;
  for (size_t at = 0; at < line.size();) {
    const size_t end = std::min(line.find(": ", at), line.size());
    if (line.find('/', at) < end && end - at > length) first = at, length = end - at;
    at = end + 2;
  }
  const std::string before = printable(line.substr(0, first), kLongestDetail),
                    after = printable(line.substr(first + length), kLongestDetail);
  if (length == 0) return printable(line, kLongestDetail);
  const size_t rest = before.size() + after.size();
  const size_t room = rest + kLeastPath < kDetailBytes ? kDetailBytes - rest : kLeastPath;
  return printable(before + shortened(line.substr(first, length), room) + after, kLongestDetail);
}

nlohmann::ordered_json to_json(const Error& error) {
  nlohmann::ordered_json out = {{"code", std::string(name(error.code()))}, {"exit", static_cast<int>(error.code())}};
  if (!error.file_name().empty()) out["file"] = error.file_name();
  if (error.byte()) out["byte"] = *error.byte();
  if (!error.entry().empty()) out["entry"] = error.entry();
  out["reason"] = printable(error.reason(), 2000);
  if (const auto over = error.limit_and_found()) {
    out["limit"] = over->limit;
    out["found"] = over->found;
  }
  if (!error.hint_text().empty()) out["hint"] = printable(error.hint_text(), 2000);
  if (!error.detail_lines().empty()) {
    auto& details = out["details"] = nlohmann::ordered_json::array();
    for (const std::string& line : error.detail_lines()) details.push_back(printable(line, 2000));
  }
  return out;
}

}  // namespace

std::string error_json(const Error& error) { return nlohmann::ordered_json{{"error", to_json(error)}}.dump(); }

int report(const Error& error, const Common& common) {
  if (common.json) {
    const std::string text = error_json(error) + "\n";
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  } else {
    std::fprintf(stderr, "%s\n", error.line().c_str());
    const auto& details = error.detail_lines();
    const size_t shown = details.size() > kDetailLines ? kDetailLines - 1 : details.size();
    for (size_t i = 0; i < shown; ++i) std::fprintf(stderr, "  %s\n", detail_line(details[i]).c_str());
    if (shown < details.size()) std::fprintf(stderr, "  ... and %zu more (all with --json)\n", details.size() - shown);
  }
  return static_cast<int>(error.code());
}

void note(const Common& common, std::string_view text) {
  if (!common.quiet) std::fprintf(stderr, "furrow: %s\n", printable(text, 2000).c_str());
}

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0 || std::ferror(stdout) != 0)
    throw Error(ErrorCode::io, std::string("cannot write the result: ") + std::strerror(errno)).file("standard output");
}

}  // namespace furrow::cli
