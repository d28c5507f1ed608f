#include "apps/cli/inputs.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "data/strict_json.h"
#include "kernels/error.h"

namespace furrow::cli {
namespace {

namespace fs = std::filesystem;

constexpr size_t kListLine = 4096;
constexpr size_t kLongestSuffix = 12, kShownSuffixes = 8;

std::string suffix_of(const fs::path& path) {
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(), [](unsigned char c) { return std::tolower(c); });
  return extension;
}

bool is_photo_name(const fs::path& path) {
  const std::string suffix = suffix_of(path);
  return suffix == ".png" || suffix == ".jpg" || suffix == ".jpeg" || suffix == ".jpe" || suffix == ".jfif";
}

[[noreturn]] void cannot_read(const std::string& path, const std::error_code& error) {
  throw Error(ErrorCode::io, "cannot read: " + error.message()).file(path);
}

// Whether a file is the JSON that `furrow segment` writes and names a picture beside it.
bool names_picture(const std::string& path, const std::string& picture) {
  if (!begins_with(path, std::string(R"({"schema":")") + kResultSchema + '"')) return false;
  try {
    const nlohmann::ordered_json result = nlohmann::ordered_json::parse(data::read_json_text(path, kResultBytes));
    const auto files = result.find("files");
    return files != result.end() && files->is_object() &&
           std::ranges::any_of(*files, [&](const nlohmann::ordered_json& name) { return name == picture; });
  } catch (const Error&) {  // damaged, or not to be read: no word for it
    return false;
  } catch (const nlohmann::ordered_json::exception&) {
    return false;
  }
}

// A picture that `furrow segment` wrote is no photo: one of its names in the folder for results, or that its JSON names.
bool is_result_picture(const fs::path& path, bool holds_results) {
  const std::string name = path.string();
  for (const char* end : {".mask.png", ".prob.png", ".overlay.png"})
    if (name.ends_with(end))
      return holds_results || names_picture(name.substr(0, name.size() - std::strlen(end)) + ".json",
                                            printable(path.filename().string(), 4096));
  return false;
}

// What is neither a photo nor something that Furrow wrote (results, shards); hostile suffixes are nobody's to read.
void note_other(const fs::path& path, std::map<std::string, std::string>& others) {
  std::string suffix = suffix_of(path);
  if (suffix == ".json" && begins_with(path.string(), R"({"schema":"furrow.)")) return;
  if (!suffix.empty()) suffix.erase(0, 1);
  const bool plain = std::ranges::all_of(suffix, [](unsigned char c) { return c < 0x80 && std::isalnum(c) != 0; });
  std::error_code error;
  const fs::path canonical = fs::weakly_canonical(path, error);
  others[error ? path.string() : canonical.string()] =
      suffix.empty() ? "no suffix" : plain && suffix.size() <= kLongestSuffix ? suffix : "odd suffixes";
}

struct Expansion {
  fs::path results;           // canonical; never searched for photos
  std::vector<Input> inputs;
  std::map<std::string, std::string> others;  // files of other types, by canonical path
};

void add_folder(const std::string& folder, Expansion& out) {
  std::error_code error, ignored;
  std::vector<fs::path> found;
  const bool holds_results = fs::weakly_canonical(folder, ignored) == out.results;
  fs::recursive_directory_iterator it(folder, error), end;
  for (; !error && it != end; it.increment(error)) {
    const fs::path& path = it->path();
    const bool is_folder = it->is_directory(ignored);
    if (path.filename().string().starts_with('.') || (is_folder && fs::weakly_canonical(path, ignored) == out.results)) {
      if (is_folder) it.disable_recursion_pending();
      continue;
    }
    if (is_result_picture(path, holds_results)) continue;
    if (is_folder) continue;
    // Links to nothing and pipes too: reading them fails in its turn, and is reported.
    if (is_photo_name(path)) found.push_back(path);
    else note_other(path, out.others);
  }
  if (error) cannot_read(folder, error);
  std::ranges::sort(found);
  for (const fs::path& path : found)
    out.inputs.push_back({path.string(), path.lexically_relative(folder).replace_extension().string(), true});
}

void add_word(const std::string& word, bool lists, Expansion& out);

void add_list(const std::string& path, Expansion& out) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) {
    if (error) cannot_read(path, error);
    throw Error(ErrorCode::io, "not a list of paths: not a regular file").file(path);
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(ErrorCode::io, "cannot open the list").file(path);
  std::string line;
  for (size_t number = 1; std::getline(file, line); ++number) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.size() > kListLine || line.find('\0') != std::string::npos)
      throw Error(ErrorCode::malformed, "not a list of paths").file(path).in("line " + std::to_string(number)).limit(kListLine, line.size());
    if (!line.empty()) add_word(line, false, out);
  }
}

void add_word(const std::string& word, bool lists, Expansion& out) {
  if (word == "-") return out.inputs.push_back({"-", "stdin"});
  if (lists && word.starts_with('@')) return add_list(word.substr(1), out);
  std::error_code error;
  const fs::file_status status = fs::status(word, error);
  // What cannot be looked at stays in the list: reading it fails in its turn, and the others go on.
  if (!error && fs::is_directory(status)) return add_folder(word, out);
  out.inputs.push_back({word, fs::path(word).filename().replace_extension().string()});
}

// The same file under two spellings counts as one.
void drop_repeats(std::vector<Input>& inputs, std::set<std::string>& seen) {
  std::erase_if(inputs, [&](const Input& input) {
    std::error_code error;
    const fs::path canonical = input.path == "-" ? fs::path("-") : fs::weakly_canonical(input.path, error);
    return !seen.insert(error ? input.path : canonical.string()).second;
  });
}

void make_bases_unique(std::vector<Input>& inputs) {
  std::map<std::string, int> count;
  for (const Input& input : inputs) ++count[input.base];
  for (Input& input : inputs)
    if (count[input.base] > 1) input.base += fs::path(input.path).extension().string();
  std::set<std::string> used;
  for (Input& input : inputs) {
    std::string base = input.base;
    for (int n = 2; !used.insert(base).second; ++n) base = input.base + "-" + std::to_string(n);
    input.base = base;
  }
}

}  // namespace

bool begins_with(const std::string& path, const std::string& begin) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return false;
  std::string text(begin.size(), '\0');
  std::ifstream file(path, std::ios::binary);
  return file.read(text.data(), static_cast<std::streamsize>(text.size())) && text == begin;
}

std::string other_files_text(const OtherFiles& others) {
  std::vector<std::pair<int64_t, std::string>> kinds;  // the most frequent first
  int64_t all = 0;
  for (const auto& [suffix, count] : others) kinds.emplace_back(-count, suffix), all += count;
  if (kinds.empty()) return "";
  std::ranges::sort(kinds);
  std::string list;
  for (size_t i = 0; i < std::min(kinds.size(), kShownSuffixes); ++i)
    list += (i > 0 ? ", " : "") + kinds[i].second + " " + std::to_string(-kinds[i].first);
  if (kinds.size() > kShownSuffixes) list += ", ...";
  return std::to_string(all) + (all == 1 ? " file of another type (" : " files of other types (") + list + ")";
}

std::vector<Input> expand_inputs(const std::vector<std::string>& words, const std::string& results,
                                 OtherFiles* others) {
  std::error_code error;
  Expansion expansion{fs::weakly_canonical(results, error), {}, {}};
  for (const std::string& word : words) add_word(word, true, expansion);
  std::vector<Input> inputs = std::move(expansion.inputs);
  std::set<std::string> used;
  drop_repeats(inputs, used);
  OtherFiles passed_over;
  for (const auto& [path, kind] : expansion.others)
    if (!used.contains(path)) ++passed_over[kind];
  if (const std::string text = other_files_text(passed_over); inputs.empty())
    throw Error(ErrorCode::usage, "no photo to work on" + (text.empty() ? "" : ", but " + text))
        .hint("name PNG or JPEG files, folders that hold some (" + std::string(kPhotoSuffixes) + "), or @LIST");
  if (others != nullptr) *others = std::move(passed_over);
  make_bases_unique(inputs);
  return inputs;
}

}  // namespace furrow::cli
