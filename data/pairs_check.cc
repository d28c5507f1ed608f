// What the files of a pair say about each other.
#include "data/pairs_check.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "data/pairs_header.h"
#include "io/picture.h"
#include "kernels/error.h"

namespace furrow::data {
namespace {

// Of one pair; each is written by one task.
struct Outcome {
  std::vector<Finding> findings;
  bool usable = true;
  std::array<uint64_t, 256> target_pixels{};
  bool counted = false, empty = false;
};

std::string sides(int64_t width, int64_t height) { return std::to_string(width) + "x" + std::to_string(height); }

class PairChecker {
 public:
  PairChecker(const PairOptions& options, const MaskTable& table, const PairFiles& files, Outcome& out)
      : options_(options), table_(table), files_(files), out_(out) {}

  void run() {
    const PictureHeader photo = header(files_.image);
    const PictureHeader mask = files_.mask.empty() ? PictureHeader{} : header(files_.mask);
    const PictureHeader texture = files_.texture.empty() ? PictureHeader{} : header(files_.texture);
    compare(photo, mask, files_.mask, "mask");
    compare(photo, texture, files_.texture, "texture map");
    if (photo.orientation != 1) {
      refuse(files_.image, "EXIF turns this photo (orientation " + std::to_string(photo.orientation) +
                               "), and no mask says whether it was drawn before or after; save the photo upright");
    }
    if (options_.check >= PairCheck::masks && known(mask)) read([&] { count(); });
    if (options_.check < PairCheck::all) return;
    if (known(photo)) read([&] { io::read_picture(files_.image, io::Background::drop, options_.limits); });
    if (known(texture)) read([&] { io::read_picture(files_.texture, io::Background::drop, options_.limits); });
  }

 private:
  void find(std::string text, Policy policy) { out_.findings.push_back({files_.id, std::move(text), policy}); }
  void refuse(const std::string& path, const std::string& text) {
    find(shown(path) + ": " + text, Policy::refuse);
    out_.usable = false;
  }

  // Runs `body`; its Error becomes a finding (without the prefix that belongs to an error's own line).
  template <class Body>
  void read(Body&& body) {
    try {
      body();
    } catch (const Error& error) {
      const std::string line = error.line();
      find(line.substr(line.find(": ") + 2), Policy::refuse);
      out_.usable = false;
    }
  }

  PictureHeader header(const std::string& path) {
    // Apart from what is assigned to: g++ 12 was seen to leave half a result there where the function throws.
    std::optional<PictureHeader> found;
    read([&] { found.emplace(read_picture_header(path)); });
    return found.value_or(PictureHeader{});
  }

  // A file whose header could not be read is reported already; an absent one has no sides either.
  static bool known(const PictureHeader& header) { return header.width != 0; }

  void compare(const PictureHeader& photo, const PictureHeader& other, const std::string& path, const char* what) {
    if (!known(photo) || !known(other)) return;
    if (other.width == photo.upright_width() && other.height == photo.upright_height()) return;
    const std::string text = std::string("the ") + what + " is " + sides(other.width, other.height) + ", its photo " +
                             sides(photo.upright_width(), photo.upright_height());
    if (same_proportions(other.width, other.height, photo.upright_width(), photo.upright_height()))
      find(shown(path) + ": " + text, options_.other_size);
    else
      refuse(path, text + "; one is not the other at another scale");
  }

  void count() {
    const ValueCounts counts = count_values(read_mask(files_.mask, options_.rule, options_.limits));
    const std::string strange = strange_values(counts, table_);
    if (!strange.empty()) {
      find(shown(files_.mask) + ": the mask holds what its rule does not name: " + strange, options_.strange_value);
      out_.usable = false;
      return;
    }
    uint64_t positive = 0;
    for (size_t v = 0; v < 256; ++v) {
      if (counts[v] == 0) continue;
      const uint8_t target = table_.target(static_cast<uint8_t>(v));
      out_.target_pixels[target] += counts[v];
      if (target != 0) positive += counts[v];
    }
    out_.counted = true;
    out_.empty = positive == 0;
  }

  const PairOptions& options_;
  const MaskTable& table_;
  const PairFiles& files_;
  Outcome& out_;
};

}  // namespace

std::string shown(const std::string& path) { return printable(path, 1000); }

std::vector<Finding> check_contents(const PairOptions& options, Pairing& pairing, ThreadPool* pool) {
  const MaskTable table(options.rule);
  std::vector<Outcome> outcomes(pairing.pairs.size());
  parallel_for(pool, static_cast<int64_t>(outcomes.size()), [&](int64_t i, int) {
    const auto at = static_cast<size_t>(i);
    PairChecker(options, table, pairing.pairs[at], outcomes[at]).run();
  });
  std::vector<Finding> findings;
  std::vector<PairFiles> usable;
  for (size_t i = 0; i < outcomes.size(); ++i) {
    Outcome& outcome = outcomes[i];
    std::ranges::move(outcome.findings, std::back_inserter(findings));
    if (!outcome.usable) continue;
    usable.push_back(std::move(pairing.pairs[i]));
    for (size_t v = 0; v < 256; ++v) pairing.target_pixels[v] += outcome.target_pixels[v];
    pairing.empty_masks += outcome.counted && outcome.empty;
  }
  pairing.pairs = std::move(usable);
  return findings;
}

}  // namespace furrow::data
