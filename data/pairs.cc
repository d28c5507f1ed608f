#include "data/pairs.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <set>
#include <string_view>
#include <system_error>

#include "data/pairs_check.h"
#include "kernels/error.h"

namespace furrow::data {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRead[] = {".png", ".jpg", ".jpeg"};
constexpr std::string_view kKnownPictures[] = {".bmp", ".gif", ".tif", ".tiff", ".webp", ".heic", ".heif", ".avif",
                                               ".jp2", ".pgm", ".ppm", ".pbm",  ".tga",  ".jfif", ".jpe"};

// What one folder holds.
struct Listing {
  std::map<std::string, std::vector<std::string>> files;  // stem -> paths, bytewise
  std::vector<std::string> unread, subfolders, strange;   // strange: with the reason
};

bool is_thousand(const std::string& name) {
  return name.size() == 5 && name.ends_with("000") && std::isdigit(static_cast<unsigned char>(name[0])) &&
         std::isdigit(static_cast<unsigned char>(name[1]));
}

template <size_t N>
bool contains(const std::string_view (&list)[N], const std::string& word) {
  return std::ranges::find(list, word) != std::end(list);
}

void add_file(const fs::path& path, Stem rule, Listing& listing) {
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (contains(kKnownPictures, extension)) return listing.unread.push_back(path.string());
  if (!contains(kRead, extension)) return;
  const std::string name = path.filename().string();
  const size_t end = rule == Stem::whole ? name.rfind('.') : name.find('.');
  listing.files[name.substr(0, end)].push_back(path.string());
}

// Why an entry that is neither file nor folder is none: "" where its name is no picture's.
std::string why_no_file(const fs::directory_entry& entry) {
  std::string extension = entry.path().extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (!contains(kRead, extension) && !contains(kKnownPictures, extension)) return "";
  std::error_code error;
  switch (entry.status(error).type()) {
    case fs::file_type::not_found: return "a link to a file that is not there";
    case fs::file_type::fifo: return "a pipe, not a file";
    case fs::file_type::socket: return "a socket, not a file";
    case fs::file_type::block:
    case fs::file_type::character: return "a device, not a file";
    default: return error ? error.message() : "not a file";
  }
}

void list_folder(const fs::path& folder, bool inside_thousand, Stem rule, Listing& listing) {
  std::error_code error, ignored;
  fs::directory_iterator it(folder, error), end;
  for (; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.starts_with('.')) continue;
    if (it->is_directory(ignored)) {
      if (!inside_thousand && is_thousand(name))
        list_folder(it->path(), true, rule, listing);
      else
        listing.subfolders.push_back(it->path().string());
    } else if (it->is_regular_file(ignored)) {
      add_file(it->path(), rule, listing);
    } else if (const std::string why = why_no_file(*it); !why.empty()) {
      listing.strange.push_back(shown(it->path().string()) + ": " + why);
    }
  }
  if (error) throw Error(ErrorCode::io, "cannot list the folder: " + error.message()).file(folder.string());
}

// `what`: "photo", "mask" ...
Listing list(const std::string& folder, const char* what, const PairOptions& options, std::vector<Finding>& findings) {
  Listing listing;
  list_folder(folder, false, options.stem, listing);
  std::ranges::sort(listing.unread);
  std::ranges::sort(listing.subfolders);
  std::ranges::sort(listing.strange);
  for (const std::string& text : listing.strange) findings.push_back({"", text, options.unread_file});
  for (const std::string& path : listing.unread)
    findings.push_back({"", shown(path) + ": not read; convert it to PNG", options.unread_file});
  for (const std::string& path : listing.subfolders)
    findings.push_back({"", shown(path) + ": folder not searched", options.unread_file});
  for (auto& [stem, paths] : listing.files) {
    std::ranges::sort(paths);
    if (paths.size() < 2) continue;
    std::string text = std::to_string(paths.size()) + " files are " + what + " " + printable(stem) + ":";
    for (const std::string& path : paths) text += " " + shown(path);
    findings.push_back({stem, text, Policy::refuse});
  }
  if (listing.files.empty())
    findings.push_back({"", shown(folder) + ": no " + what + " (.png, .jpg or .jpeg) in this folder", Policy::refuse});
  return listing;
}

// Reports what is in `have` and not in `other`.
void report_orphans(const Listing& have, const Listing& other, const char* text, Policy policy,
                    std::vector<Finding>& findings) {
  for (const auto& [stem, paths] : have.files)
    if (!other.files.contains(stem)) findings.push_back({stem, shown(paths.front()) + ": " + text, policy});
}

void pair_names(const PairOptions& options, Pairing& pairing, std::vector<Finding>& findings) {
  const Listing photos = list(options.images, "photo", options, findings);
  const bool masked = !options.masks.empty();
  Listing masks, textures;
  if (masked) masks = list(options.masks, "mask", options, findings);
  if (!options.textures.empty()) textures = list(options.textures, "texture map", options, findings);
  std::error_code ignored;
  if (masked && fs::equivalent(options.images, options.masks, ignored))
    findings.push_back({"", shown(options.masks) + ": photos and masks are one folder", Policy::refuse});
  if (masked) report_orphans(photos, masks, "photo without a mask", options.photo_without_mask, findings);
  report_orphans(masks, photos, "mask without a photo", options.mask_without_photo, findings);
  for (const auto& [stem, paths] : photos.files) {
    const auto mask = masks.files.find(stem);
    if (masked && mask == masks.files.end()) continue;
    PairFiles pair{stem, paths.front(), masked ? mask->second.front() : "", ""};
    if (!options.textures.empty()) {
      const auto texture = textures.files.find(stem);
      if (texture == textures.files.end()) {
        findings.push_back({stem, shown(paths.front()) + ": pair without a texture map", options.mask_without_photo});
        continue;
      }
      pair.texture = texture->second.front();
    }
    pairing.pairs.push_back(std::move(pair));
  }
}

}  // namespace

Pairing find_pairs(const PairOptions& options, ThreadPool* pool) {
  Pairing pairing;
  std::vector<Finding> findings;
  pair_names(options, pairing, findings);
  if (options.check != PairCheck::names) {
    const auto more = check_contents(options, pairing, pool);
    findings.insert(findings.end(), more.begin(), more.end());
  }
  std::ranges::stable_sort(findings, {}, &Finding::id);
  std::vector<std::string> refused;
  for (const Finding& finding : findings) {
    if (finding.policy == Policy::refuse) refused.push_back(finding.text);
    if (finding.policy == Policy::warn) pairing.warnings.push_back(finding.text);
  }
  if (refused.empty() && pairing.pairs.empty()) refused.push_back("no photo has a mask of its name");
  if (!refused.empty()) {
    const std::string count = std::to_string(refused.size()) + (refused.size() == 1 ? " finding" : " findings");
    throw Error(ErrorCode::malformed, "photos and masks do not pair up: " + count)
        .file(options.masks.empty() ? options.images : options.masks)
        .details(std::move(refused));
  }
  return pairing;
}

}  // namespace furrow::data
