#include "data/strict_json.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "io/json_walk.h"
#include "io/mapped_file.h"
#include "kernels/error.h"

namespace furrow::data {
namespace {

// Meets the parts of a text one after another and keeps nothing but the keys of the objects that are open.
class Watcher : public io::JsonEvents {
 public:
  Watcher(int depth, size_t outermost) : depth_(static_cast<size_t>(depth)), outermost_(outermost) {}
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(int64_t) override { return true; }
  bool number_unsigned(uint64_t) override { return true; }
  bool number_float(double, const std::string&) override { return true; }
  bool string(std::string&) override { return true; }
  bool start_object() override { return open(); }
  bool start_array() override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(std::string& name) override {
    const size_t most = keys_.size() == 1 ? outermost_ : kObjectMembers;
    if (keys_.back().size() == most) throw Error(ErrorCode::limit, "members of a JSON object").limit(most, most + 1);
    if (keys_.back().insert(name).second) return true;
    throw Error(ErrorCode::malformed, "a key that stands twice in one object").in(name);
  }
  bool parse_error(size_t byte, const std::string&, bool out_of_range, const std::string&) override {
    throw Error(ErrorCode::malformed, out_of_range ? "a number that is too large" : "not JSON").at(byte);
  }

 private:
  bool open() {
    if (keys_.size() == depth_)
      throw Error(ErrorCode::limit, "JSON values inside each other").limit(depth_, depth_ + 1);
    keys_.emplace_back();
    return true;
  }
  bool close() {
    keys_.pop_back();
    return true;
  }
  size_t depth_, outermost_;
  std::vector<std::set<std::string>> keys_;
};

size_t after_space(std::string_view text, size_t at) {
  return std::min(text.find_first_not_of(" \t\r\n", at), text.size());
}

// Behind the text whose opening quote is at `at`.
size_t after_text(std::string_view text, size_t at) {
  for (++at; text[at] != '"'; at = text.find_first_of("\"\\", at))
    if (text[at] == '\\') at += 2;
  return at + 1;
}

// Behind the value that begins at `at`.
size_t after_value(std::string_view text, size_t at) {
  if (text[at] == '"') return after_text(text, at);
  if (text[at] != '{' && text[at] != '[') return text.find_first_of(",}] \t\r\n", at);
  for (size_t open = 0;; at = text.find_first_of("\"{}[]", at)) {
    if (text[at] == '"') {
      at = after_text(text, at);
      continue;
    }
    open += text[at] == '{' || text[at] == '[' ? 1 : -1;
    ++at;
    if (open == 0) return at;
  }
}

}  // namespace

void check_json(std::string_view text, uint64_t largest, int depth, size_t outermost) {
  if (text.size() > largest) throw Error(ErrorCode::limit, "bytes of JSON").limit(largest, text.size());
  Watcher watcher(depth, outermost);
  io::walk_json(text, watcher);
}

std::string read_text_within(const std::string& path, uint64_t largest, const char* what) {
  std::error_code error;
  if (std::filesystem::is_regular_file(path, error)) {  // anything else is refused by open()
    const uint64_t size = std::filesystem::file_size(path, error);
    if (!error && size > largest) throw Error(ErrorCode::limit, what).limit(largest, size);
  }
  const auto file = io::MappedFile::open(path, io::MappedFile::Access::copy);
  file->check_unchanged();
  const auto bytes = file->bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string read_json_text(const std::string& path, uint64_t largest, int depth, size_t outermost) {
  std::string text = read_text_within(path, largest, "bytes of JSON");
  check_json(text, largest, depth, outermost);
  return text;
}

std::optional<std::vector<JsonMember>> json_members(std::string_view text) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  size_t at = after_space(text, 0);
  if (text[at] != '{') return std::nullopt;
  std::vector<JsonMember> members;
  for (at = after_space(text, at + 1); text[at] != '}'; at = after_space(text, at + (text[at] == ','))) {
    const size_t key_end = after_text(text, at);
    const std::string_view key = text.substr(at, key_end - at);
    const size_t begin = after_space(text, after_space(text, key_end) + 1);
    at = after_value(text, begin);
    members.push_back({nlohmann::ordered_json::parse(key).get<std::string>(), text.substr(begin, at - begin)});
    at = after_space(text, at);
  }
  return members;
}

}  // namespace furrow::data
