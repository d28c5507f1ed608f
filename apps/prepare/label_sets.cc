#include "apps/prepare/label_sets.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <mutex>
#include <optional>

#include "apps/cli/signals.h"
#include "apps/cli/text.h"
#include "apps/prepare/labels.h"
#include "kernels/error.h"
#include "segment/face_classes.h"

namespace furrow::apps {
namespace {

constexpr size_t kClasses = kFaceClasses.size();

// Of one map, or of all.
struct ClassCounts {
  std::array<uint64_t, kClasses> pixels{}, files{};
  std::array<std::array<uint64_t, kClasses>, kClasses> pairs{};  // [ours][theirs]; of maps that are compared alone
  int64_t maps = 0, compared = 0;

  void operator+=(const ClassCounts& other) {
    for (size_t i = 0; i < kClasses; ++i) {
      pixels[i] += other.pixels[i], files[i] += other.files[i];
      for (size_t j = 0; j < kClasses; ++j) pairs[i][j] += other.pairs[i][j];
    }
    maps += other.maps, compared += other.compared;
  }
};

// What the pairs say.
struct Agreement {
  double equal = 0, mean_iou = 0;  // shares
  std::array<std::optional<double>, kClasses> iou{};  // of classes that either set has
  int classes = 0;

  explicit Agreement(const ClassCounts& counts) {
    uint64_t all = 0, same = 0;
    for (size_t i = 0; i < kClasses; ++i) {
      uint64_t ours = 0, theirs = 0;
      for (size_t j = 0; j < kClasses; ++j) ours += counts.pairs[i][j], theirs += counts.pairs[j][i];
      const uint64_t both = counts.pairs[i][i];
      all += ours, same += both;
      if (ours + theirs == 0) continue;
      iou[i] = static_cast<double>(both) / static_cast<double>(ours + theirs - both);
      mean_iou += *iou[i];
      ++classes;
    }
    if (all > 0) equal = static_cast<double>(same) / static_cast<double>(all);
    if (classes > 0) mean_iou /= classes;
  }
};

std::string format(const char* how, double value) {
  char text[32];
  std::snprintf(text, sizeof text, how, value);
  return text;
}

class LabelSetRun {
 public:
  LabelSetRun(const LabelSetOptions& options, const cli::Common& common)
      : options_(options),
        common_(common),
        maps_(options.folder, options.limits),
        number_(by_name(class_names("--class-order", options.order))),
        their_number_(by_name(class_names("--against-order", options.against_order))) {
    if (!options.against.empty()) against_.emplace(options.against, options.limits);
  }

  int run() {
    std::vector<const FilesByStem::value_type*> stems;
    for (const auto& entry : maps_.files()) stems.push_back(&entry);
    if (against_ && std::ranges::none_of(stems, [&](const auto* one) { return against_->files().contains(one->first); }))
      throw Error(ErrorCode::usage, "no label map there has the name of one here").file(options_.against);
    failed_.resize(stems.size());
    ThreadPool pool(options_.threads);
    std::mutex mutex;
    for_files(pool, stems.size(), "label maps", common_, [&](size_t i) {
      ClassCounts one;
      const auto& [stem, paths] = *stems[i];
      failed_[i] = failure_of(paths[0], [&] { count(stem, paths, one); });
      if (!failed_[i].empty()) return FileEnd::failed;
      const std::lock_guard lock(mutex);
      total_ += one;
      if (against_ && one.compared == 0) without_.push_back(paths[0]);
      return FileEnd::worked;
    });
    if (const int status = cli::interrupted(); status != 0) {
      cli::note(common_, "interrupted");
      return status;
    }
    std::ranges::sort(without_);
    std::erase(failed_, "");
    cli::print(common_.json ? json() + "\n" : text());
    if (!failed_.empty())
      throw Error(ErrorCode::malformed, cli::Text() << static_cast<int64_t>(failed_.size()) << " of "
                                                    << static_cast<int64_t>(stems.size()) << " label maps failed")
          .details(failed_);
    return 0;
  }

 private:
  static const std::string& single(const std::vector<std::string>& paths) {
    if (paths.size() > 1) throw Error(ErrorCode::malformed, "another label map has the same name: " + paths[1]);
    return paths[0];
  }

  // Numbers of `order` become those of kFaceClasses.
  static void rename(io::Image& map, const std::array<uint8_t, kClasses>& number) {
    for (size_t i = 0; i < map.pixels.size(); ++i) {
      uint8_t& label = map.pixels[i];
      if (label >= kClasses)
        throw Error(ErrorCode::malformed, cli::Text() << "label " << static_cast<int>(label) << " has no name")
            .in((cli::Text() << "row " << static_cast<int64_t>(i) / map.width << ", column "
                             << static_cast<int64_t>(i) % map.width)
                    .str())
            .hint("the classes are 0 to 18");
      label = number[label];
    }
  }

  void count(const std::string& stem, const std::vector<std::string>& paths, ClassCounts& out) const {
    io::Image ours = read_label_map(single(paths), options_.limits);
    rename(ours, number_);
    ++out.maps;
    for (const uint8_t label : ours.pixels) ++out.pixels[label];
    for (size_t i = 0; i < kClasses; ++i) out.files[i] = out.pixels[i] > 0;
    if (!against_) return;
    const auto found = against_->files().find(stem);
    if (found == against_->files().end()) return;
    with_file(single(found->second), [&] {
      io::Image theirs = read_label_map(found->second[0], options_.limits);
      rename(theirs, their_number_);
      if (theirs.width > ours.width)
        ours = replicate(ours, theirs.width, theirs.height, "counterpart");
      else
        theirs = replicate(theirs, ours.width, ours.height, "counterpart");
      for (size_t i = 0; i < ours.pixels.size(); ++i) ++out.pairs[ours.pixels[i]][theirs.pixels[i]];
      out.compared = 1;
    });
  }

  uint64_t all_pixels() const {
    uint64_t sum = 0;
    for (const uint64_t n : total_.pixels) sum += n;
    return sum;
  }

  std::string json() const {
    const Agreement agreement(total_);
    const double all = static_cast<double>(std::max<uint64_t>(1, all_pixels()));
    std::vector<std::string> classes;
    for (size_t i = 0; i < kClasses; ++i) {
      cli::JsonObject one;
      one.text("name", kFaceClasses[i]).number("pixels", static_cast<int64_t>(total_.pixels[i]));
      one.number("share", static_cast<double>(total_.pixels[i]) / all);
      one.number("files", static_cast<int64_t>(total_.files[i]));
      if (against_ && agreement.iou[i]) one.number("iou", *agreement.iou[i]);
      if (against_ && !agreement.iou[i]) one.raw("iou", "");
      classes.push_back(one.str());
    }
    cli::JsonObject out;
    out.text("schema", "furrow.prepare.labels/1").number("maps", total_.maps).raws("classes", classes);
    if (against_) {
      out.number("compared", total_.compared).number("equal", agreement.equal);
      out.number("mean_iou", agreement.mean_iou).number("mean_over", int64_t{agreement.classes});
      out.texts("without", without_);
    }
    return out.texts("failed", failed_).str();
  }

  std::string text() const {
    const Agreement agreement(total_);
    const double all = static_cast<double>(std::max<uint64_t>(1, all_pixels()));
    cli::Text out;
    out << count_text(total_.maps, "label map") << "\n";
    out << "class         % of pixels     files" << (against_ ? "       IoU\n" : "\n");
    for (size_t i = 0; i < kClasses; ++i) {
      if (total_.pixels[i] == 0 && !(against_ && agreement.iou[i])) continue;
      std::string name(kFaceClasses[i]);
      name.resize(12, ' ');
      out << name << format("%13.3f", 100.0 * static_cast<double>(total_.pixels[i]) / all)
          << format("%10.0f", static_cast<double>(total_.files[i]));
      if (against_) out << (agreement.iou[i] ? format("%10.4f", *agreement.iou[i]) : "         -");
      out << "\n";
    }
    if (against_) {
      out << format("%.4f", 100 * agreement.equal) << " % of the pixels of " << count_text(total_.compared, "map")
          << " are equal; mean IoU " << format("%.4f", agreement.mean_iou) << " over "
          << agreement.classes << (agreement.classes == 1 ? " class\n" : " classes\n");
      if (!without_.empty()) out << count_text(static_cast<int64_t>(without_.size()), "map") << " without a counterpart\n";
    }
    return out;
  }

  const LabelSetOptions& options_;
  const cli::Common& common_;
  LabelFolder maps_;
  std::optional<LabelFolder> against_;
  std::array<uint8_t, kClasses> number_, their_number_;
  ClassCounts total_;
  std::vector<std::string> failed_, without_;
};

}  // namespace

int prepare_labels(const LabelSetOptions& options, const cli::Common& common) {
  return LabelSetRun(options, common).run();
}

}  // namespace furrow::apps
