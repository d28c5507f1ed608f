#include "data/strict_json.h"

#include <filesystem>
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
  explicit Watcher(int depth) : depth_(static_cast<size_t>(depth)) {}
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
  size_t depth_;
  std::vector<std::set<std::string>> keys_;
};

}  // namespace

void check_json(std::string_view text, uint64_t largest, int depth) {
  if (text.size() > largest) throw Error(ErrorCode::limit, "bytes of JSON").limit(largest, text.size());
  Watcher watcher(depth);
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

std::string read_json_text(const std::string& path, uint64_t largest, int depth) {
  std::string text = read_text_within(path, largest, "bytes of JSON");
  check_json(text, largest, depth);
  return text;
}

}  // namespace furrow::data
