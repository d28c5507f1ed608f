// A split as a JSON file.
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "data/split.h"
#include "data/strict_json.h"
#include "io/atomic_file.h"
#include "io/utf8.h"
#include "kernels/error.h"

namespace furrow::data {
namespace {

using json = nlohmann::ordered_json;

constexpr uint64_t kLargestFile = uint64_t{64} << 20;

std::vector<std::string> ids(const json& file, const char* part) {
  const auto found = file.find(part);
  if (found == file.end() || !found->is_array()) throw Error(ErrorCode::malformed, "no list of ids").in(part);
  std::vector<std::string> list;
  for (const json& id : *found) {
    if (!id.is_string())
      throw Error(ErrorCode::malformed, "an id that is no text: " + printable(id.dump(), 40)).in(part);
    list.push_back(id.get<std::string>());
  }
  return list;
}

// An example in two parts would be trained on and then measured.
void check_once(const Split& split) {
  std::map<std::string_view, int> count;
  for (const auto* part : {&split.train, &split.val, &split.test})
    for (const std::string& id : *part) ++count[id];
  std::vector<std::string> repeated;
  for (const auto& [id, times] : count)
    if (times > 1) repeated.push_back(printable(id) + ": listed " + std::to_string(times) + " times");
  if (!repeated.empty())
    throw Error(ErrorCode::malformed, "ids that stand more than once: " + std::to_string(repeated.size()))
        .details(std::move(repeated));
}

}  // namespace

void write_split(const std::string& path, const Split& split) {
  for (const auto* part : {&split.train, &split.val, &split.test})
    for (const std::string& id : *part)
      if (!io::is_utf8(id))
        throw Error(ErrorCode::unsupported, "an id that is not UTF-8 cannot be stored: " + printable(id)).file(path);
  json file;
  file["rule"] = split.rule;
  file["train"] = split.train;
  file["val"] = split.val;
  file["test"] = split.test;
  const std::string text = file.dump(1) + "\n";
  io::write_file_atomically(path, std::as_bytes(std::span(text.data(), text.size())));
}

Split read_split(const std::string& path) {
  return with_file(path, [&] {
    const json file = json::parse(read_json_text(path, kLargestFile));
    if (!file.is_object()) throw Error(ErrorCode::malformed, "not a split: no JSON object");
    Split split;
    const auto rule = file.find("rule");
    if (rule == file.end() || !rule->is_string()) throw Error(ErrorCode::malformed, "no text").in("rule");
    split.rule = rule->get<std::string>();
    split.train = ids(file, "train");
    split.val = ids(file, "val");
    split.test = ids(file, "test");
    check_once(split);
    return split;
  });
}

}  // namespace furrow::data
