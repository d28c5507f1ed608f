// `furrow prepare check`.
#include <algorithm>
#include <cstdio>
#include <map>
#include <optional>
#include <sstream>

#include "apps/cli/signals.h"
#include "apps/cli/text.h"
#include "apps/cli/words.h"
#include "apps/prepare/datasets.h"
#include "apps/prepare/folder_job.h"
#include "data/near_duplicates.h"
#include "data/pairs.h"
#include "data/split.h"
#include "io/picture.h"

namespace furrow::apps {
namespace {

constexpr size_t kShownWarnings = 8;

std::string with_part(const std::string& id, const std::string& part) {
  return cli::Text() << printable(id) << (part.empty() ? "" : " (") << part << (part.empty() ? "" : ")");
}

class CheckRun {
 public:
  CheckRun(const CheckOptions& options, const cli::Common& common)
      : options_(options), common_(common), pool_(options.threads) {}

  int run() {
    find_pairs();
    const std::vector<data::PairFiles> photos = photos_of_folder();
    if (!options_.split.empty()) read_split(photos);
    if (options_.near >= 0) compare(photos);
    if (const int status = cli::interrupted(); status != 0) {
      cli::note(common_, "interrupted");
      return status;
    }
    return say(options_.near >= 0 ? photos.size() : 0);
  }

 private:
  void find_pairs() {
    data::PairOptions pairs{.images = options_.images,
                            .masks = options_.masks,
                            .textures = options_.textures,
                            .rule = mask_rule_of(options_.mask_kind),
                            .check = options_.near >= 0 ? data::PairCheck::masks
                                                        : data::PairCheck::all,  // compare() decodes every photo too
                            .limits = options_.limits};
    std::stringstream words(options_.accept);
    for (std::string word; std::getline(words, word, ',');)
      switch (cli::choose_word("--accept", word, "photo mask size value file")) {
        case 0: pairs.photo_without_mask = data::Policy::warn; break;
        case 1: pairs.mask_without_photo = data::Policy::warn; break;
        case 2: pairs.other_size = data::Policy::warn; break;
        case 3: pairs.strange_value = data::Policy::warn; break;
        default: pairs.unread_file = data::Policy::accept;
      }
    try {
      const data::Pairing found = data::find_pairs(pairs, &pool_);
      pairs_ = static_cast<int64_t>(found.pairs.size()), empty_ = found.empty_masks, warnings_ = found.warnings;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::malformed || error.detail_lines().empty()) throw;
      findings_ = error.detail_lines();
    }
  }

  // Nothing where names say that the folder is not in order: that is a finding already.
  std::vector<data::PairFiles> photos_of_folder() const {
    try {
      return data::find_pairs(
                 {.images = options_.images, .check = data::PairCheck::names, .unread_file = data::Policy::accept})
          .pairs;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::malformed) throw;
      return {};
    }
  }

  void read_split(const std::vector<data::PairFiles>& photos) {
    data::Split split = data::read_split(options_.split);
    std::vector<std::string> ids;
    for (const data::PairFiles& photo : photos) ids.push_back(photo.id);
    const data::SplitDifference difference = data::restrict_split(split, ids);
    for (const std::string& id : difference.absent)
      findings_.push_back(options_.split + ": " + printable(id) + ": no photo of this name");
    for (const std::string& id : difference.unassigned)
      warnings_.push_back(printable(id) + ": in no part of the split");
    for (const auto& [name, part] : {std::pair{"train", &split.train}, {"val", &split.val}, {"test", &split.test}})
      for (const std::string& id : *part) part_[id] = name;
  }

  void compare(const std::vector<data::PairFiles>& photos) {
    std::vector<data::PhotoPrint> prints(photos.size());
    std::vector<std::string> failed(photos.size());
    for_files(pool_, photos.size(), "photos", common_, [&](size_t i) {
      failed[i] = failure_of(photos[i].image, [&] {
        prints[i] = data::print_of(io::read_picture(photos[i].image, io::Background::drop, options_.limits).image);
      });
      failed[i].erase(0, failed[i].find(": ") + (failed[i].empty() ? 1 : 2));  // the prefix of an error's own line
      return failed[i].empty() ? FileEnd::worked : FileEnd::failed;
    });
    std::vector<size_t> whole;  // those that could be read
    std::vector<data::PhotoPrint> compared;
    for (size_t i = 0; i < photos.size(); ++i) {
      if (failed[i].empty()) {
        whole.push_back(i), compared.push_back(prints[i]);
      } else if (std::ranges::find(findings_, failed[i]) == findings_.end()) {  // the header may have said it already
        findings_.push_back(failed[i]);
      }
    }
    for (const data::NearPair& near :
         data::near_pairs(compared, options_.near, &pool_, [] { return cli::interrupted() != 0; })) {
      const std::string &a = photos[whole[near.first]].id, &b = photos[whole[near.second]].id;
      const std::string part_a = part_[a], part_b = part_[b];
      const bool across = !part_a.empty() && !part_b.empty() && part_a != part_b;
      char r[16];
      std::snprintf(r, sizeof r, "%.4g", near.correlation);
      (across ? findings_ : warnings_)
          .push_back(cli::Text() << with_part(a, part_a) << " and " << with_part(b, part_b)
                                 << ": near-duplicate photos, " << near.bits << " of 64 bits differ, correlation "
                                 << r);
      near_.push_back(cli::JsonObject()
                          .text("a", a)
                          .text("b", b)
                          .number("bits", int64_t{near.bits})
                          .number("correlation", near.correlation)
                          .texts("parts", {part_a, part_b})
                          .raw("across", across ? "true" : "false")
                          .str());
    }
  }

  int say(size_t photos) {
    const std::string found = cli::Text() << count_text(static_cast<int64_t>(findings_.size()), "finding") << ", "
                                          << count_text(static_cast<int64_t>(warnings_.size()), "warning");
    const auto compared = static_cast<int64_t>(photos);
    if (common_.json) {
      cli::JsonObject out;
      out.text("schema", "furrow.prepare.check/1");
      out.raw("pairs", pairs_ ? std::to_string(*pairs_) : "").raw("empty_masks", pairs_ ? std::to_string(empty_) : "");
      out.number("photos_compared", compared).texts("findings", findings_).texts("warnings", warnings_);
      cli::print(out.raws("near_duplicates", near_).str() + "\n");
    } else {
      cli::Text text;
      if (pairs_) text << count_text(*pairs_, "pair") << " (" << empty_ << " with an empty mask), ";
      cli::print((text << count_text(compared, "photo") << " compared: " << found << "\n").str());
      for (size_t i = 0; i < std::min(warnings_.size(), kShownWarnings); ++i)
        cli::note(common_, "warning: " + warnings_[i]);
      if (warnings_.size() > kShownWarnings)
        cli::note(
            common_,
            (cli::Text() << "and " << warnings_.size() - kShownWarnings << " more warnings (all with --json)").str());
    }
    if (findings_.empty()) return 0;
    throw Error(ErrorCode::malformed, "the data set is not in order: " + found)
        .file(options_.images)
        .details(findings_);
  }

  const CheckOptions& options_;
  const cli::Common& common_;
  ThreadPool pool_;
  std::optional<int64_t> pairs_;  // not known where something does not fit
  int64_t empty_ = 0;
  std::vector<std::string> findings_, warnings_;
  std::map<std::string, std::string> part_;
  std::vector<std::string> near_;  // JSON
};

}  // namespace

data::MaskRule mask_rule_of(const std::string& kind) {
  if (kind.find_first_of("0123456789") == 0) {
    data::MaskRule rule{.kind = data::MaskKind::values};
    for (const int value : parse_labels(kind, "--mask-kind")) rule.wrinkle.push_back(static_cast<uint8_t>(value));
    return rule;
  }
  constexpr data::MaskKind kKinds[] = {data::MaskKind::binary, data::MaskKind::threshold, data::MaskKind::unit,
                                       data::MaskKind::weak};
  return {.kind = kKinds[cli::choose_word("--mask-kind", kind, "binary threshold unit weak")]};
}

int prepare_check(const CheckOptions& options, const cli::Common& common) { return CheckRun(options, common).run(); }

}  // namespace furrow::apps
