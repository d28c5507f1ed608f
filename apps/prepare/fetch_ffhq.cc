#include "apps/prepare/fetch_ffhq.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>

#include "apps/cli/text.h"
#include "apps/prepare/folder_job.h"
#include "data/strict_json.h"
#include "io/mapped_file.h"
#include "kernels/error.h"

namespace furrow::apps {
namespace {

constexpr int kMostId = 69'999;
constexpr size_t kEntryBytes = 64 << 10;              // of one photo's entry; 68 landmarks and texts take 5 KiB
constexpr uint64_t kPhotoBytes = uint64_t{64} << 20;  // a PNG of 1024 x 1024 has at most 3 MiB
constexpr size_t kWindow = size_t{16} << 20;          // of the file, before its pages are given back
constexpr uint64_t kListBytes = uint64_t{1} << 20;

// The number that `text` is, digits alone; -1: none.
int id_of(std::string_view text) {
  int id = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  const bool whole = error == std::errc() && end == text.data() + text.size() && text.front() != '-';
  return whole && id <= kMostId ? id : -1;
}

// Adds the numbers of "0,5,10-20" to `ids`; false where it is no such list.
bool add_ids(std::string_view list, std::set<int>& ids) {
  while (true) {
    const std::string_view word = list.substr(0, list.find(','));
    const size_t dash = word.find('-');
    const int first = id_of(word.substr(0, dash));
    const int last = dash == std::string_view::npos ? first : id_of(word.substr(dash + 1));
    if (first < 0 || last < first) return false;
    for (int id = first; id <= last; ++id) ids.insert(id);
    if (word.size() == list.size()) return true;
    list.remove_prefix(word.size() + 1);
  }
}

// Steps through {"0": {...}, "1": {...}} without building it.
class Entries {
 public:
  explicit Entries(const io::MappedFile& map)
      : map_(map), text_(reinterpret_cast<const char*>(map.bytes().data()), map.bytes().size()) {
    expect('{');
  }

  // The next number (-1: a key that is none) and its value, an object. False: there are no more.
  bool next(int& id, std::string_view& value) {
    if (peek() == '}') return false;
    if (begun_) expect(',');
    begun_ = true;
    expect('"');
    const size_t end = text_.find('"', at_);
    if (end == std::string_view::npos || end - at_ > 100) refuse("no short key");
    id = id_of(text_.substr(at_, end - at_));
    at_ = end + 1;
    expect(':');
    if (peek() != '{') refuse("no object");
    const size_t begin = at_;
    skip_object();
    value = text_.substr(begin, at_ - begin);
    if (begin - forgotten_ > kWindow) {
      map_.forget(map_.bytes().subspan(forgotten_, begin - forgotten_));
      forgotten_ = begin;
    }
    return true;
  }
  size_t at() const { return at_; }

 private:
  [[noreturn]] void refuse(const char* what) const {
    throw Error(ErrorCode::malformed, std::string(what) + " where FFHQ's metadata has one").at(at_);
  }
  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t'))
      ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  void expect(char wanted) {
    const char words[] = {'n', 'o', ' ', wanted, '\0'};
    if (peek() != wanted) refuse(words);
    ++at_;
  }
  void skip_object() {
    const size_t end = std::min(text_.size(), at_ + kEntryBytes);
    int depth = 0;
    for (bool in_text = false; at_ < end; ++at_) {
      const char c = text_[at_];
      if (c == '"') in_text = !in_text;
      if (in_text && c == '\\') ++at_;
      if (!in_text && c == '{') ++depth;
      if (!in_text && c == '}' && --depth == 0) {
        ++at_;
        return;
      }
    }
    refuse("no end of an entry (of at most 64 KiB)");
  }

  const io::MappedFile& map_;
  std::string_view text_;
  size_t at_ = 0, forgotten_ = 0;
  bool begun_ = false;
};

// The JSON of the member `key`; "" where `object` is none, or has none.
std::string_view member(std::string_view object, std::string_view key) {
  if (const auto members = data::json_members(object))
    for (const data::JsonMember& each : *members)
      if (each.key == key) return each.value;
  return {};
}

PublishedFile photo_of(int id, std::string_view entry, const PublishedFile& item) {
  const auto refuse = [&](const char* what) { throw Error(ErrorCode::malformed, what).in(std::to_string(id)); };
  data::check_json(entry, kEntryBytes);
  const std::string_view image = member(entry, "image");
  if (!image.starts_with('{')) refuse("an entry without \"image\"");
  // No escapes: an address, a path or a hash that needs one is none.
  const auto text = [&](const char* key) {
    const std::string_view value = member(image, key);
    if (value.size() < 3 || value.front() != '"' || value.find('\\') != std::string_view::npos)
      refuse("an image without address, path or md5");
    return std::string(value.substr(1, value.size() - 2));
  };
  std::string number = std::to_string(id);
  number.insert(0, 5 - number.size(), '0');
  PublishedFile photo = item;
  photo.name = number, photo.origin = text("file_url"), photo.md5 = text("file_md5");
  photo.file = "images1024x1024/" + number.substr(0, 2) + "000/" + number + ".png";
  if (text("file_path") != photo.file) refuse("an image with another path than its number's");
  if (photo.md5.size() != 32 || photo.md5.find_first_not_of("0123456789abcdef") != std::string::npos)
    refuse("not an md5");
  const std::string_view size = member(image, "file_size");
  uint64_t bytes = 0;
  const auto [end, error] = std::from_chars(size.data(), size.data() + size.size(), bytes);
  if (error != std::errc() || end != size.data() + size.size() || bytes == 0 || bytes > kPhotoBytes)
    refuse("not the size of a photo");
  photo.size = bytes;
  return photo;
}

}  // namespace

std::set<int> parse_ids(const std::string& word) {
  namespace fs = std::filesystem;
  std::set<int> ids;
  std::error_code none;
  if (fs::is_directory(word, none)) {
    for (const auto& [stem, paths] : files_by_stem(word, {".png"}))
      if (const int id = id_of(stem); id >= 0) ids.insert(id);
    if (ids.empty()) throw Error(ErrorCode::usage, "no PNG file here is named by a number of FFHQ").file(word);
  } else if (fs::exists(word, none)) {
    std::string list = with_file(word, [&] { return data::read_text_within(word, kListBytes, "a list of numbers"); });
    std::erase(list, '\r');
    while (list.ends_with('\n')) list.pop_back();
    std::ranges::replace(list, '\n', ',');
    if (!add_ids(list, ids))
      throw Error(ErrorCode::malformed, "not a list of numbers from 0 to 69999, one a line").file(word);
  } else if (!add_ids(word, ids)) {
    throw Error(ErrorCode::usage, "--ids " + printable(word) + ": no file, no folder and no list")
        .hint("write numbers from 0 to 69999, e.g. --ids 0,5,10-20");
  }
  return ids;
}

std::vector<PublishedFile> ffhq_photos(const std::string& metadata, const std::set<int>& ids, size_t most,
                                       const PublishedFile& item) {
  return with_file(metadata, [&] {
    const auto map = io::MappedFile::open(metadata);
    Entries entries(*map);
    std::set<int> wanted = ids;
    if (most != 0 && wanted.size() > most)
      wanted.erase(std::next(wanted.begin(), static_cast<std::ptrdiff_t>(most)), wanted.end());
    const size_t enough = ids.empty() ? SIZE_MAX : wanted.size();
    std::map<int, PublishedFile> found;
    int id = 0;
    std::string_view value;
    while (found.size() < enough && entries.next(id, value)) {
      if (id < 0 || (!ids.empty() && !wanted.contains(id))) continue;
      if (ids.empty() && most != 0 && found.size() == most) {  // the first by number, whatever the order of the file
        if (id > found.rbegin()->first) continue;
        found.erase(std::prev(found.end()));
      }
      const PublishedFile photo = with_place(entries.at(), "", [&] { return photo_of(id, value, item); });
      if (!found.emplace(id, photo).second)
        throw Error(ErrorCode::malformed, "a number that stands twice").at(entries.at()).in(std::to_string(id));
    }
    for (const int each : wanted)
      if (!found.contains(each)) throw Error(ErrorCode::usage, "the metadata has no photo " + std::to_string(each));
    std::vector<PublishedFile> photos;
    for (auto& [each, photo] : found) photos.push_back(std::move(photo));
    return photos;
  });
}

}  // namespace furrow::apps
