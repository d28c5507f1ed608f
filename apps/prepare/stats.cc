// `furrow prepare stats`.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <mutex>
#include <numeric>
#include <optional>
#include <set>
#include <utility>

#include "apps/cli/inputs.h"
#include "apps/cli/signals.h"
#include "apps/cli/text.h"
#include "apps/evaluate/attributes.h"
#include "apps/evaluate/text.h"
#include "apps/prepare/chart.h"
#include "apps/prepare/datasets.h"
#include "apps/prepare/folder_job.h"
#include "data/pairs_header.h"
#include "io/atomic_file.h"
#include "io/picture.h"

namespace furrow::apps {
namespace {

constexpr int kDecades = 13;  // 0-9 .. 120 and more
constexpr size_t kShownValues = 32;

// Of all pictures together, or of one.
struct Counts {
  std::map<std::pair<int64_t, int64_t>, int64_t> sizes;
  std::array<uint64_t, 256> values{}, files{};  // pixels of each value; maps that have it
  int64_t maps = 0, without = 0;                // label maps and masks; those without a wrinkle
};

std::string sides_text(const std::pair<int64_t, int64_t>& size) {
  return cli::Text() << size.first << "x" << size.second;
}

std::string percent(uint64_t part, uint64_t whole) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g %%",
                whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole));
  return text;
}

class StatsRun {
 public:
  StatsRun(const StatsOptions& options, const cli::Common& common)
      : options_(options),
        common_(common),
        inputs_(cli::expand_inputs({options.folder}, "", &others_)),
        failed_(inputs_.size()) {
    const data::MaskRule rule = mask_rule_of(options.mask_kind);
    const data::MaskTable table(rule.kind == data::MaskKind::weak ? data::MaskRule{.kind = data::MaskKind::threshold}
                                                                  : rule);
    for (int v = 0; v < 256; ++v)
      wrinkle_[v] = table.knows(static_cast<uint8_t>(v)) && table.target(static_cast<uint8_t>(v)) != 0;
    if (!options.svg.empty()) refuse_existing(options.svg, options.force);
    if (!options.attributes.empty()) read_people();
  }

  int run() {
    ThreadPool pool(options_.threads);
    std::mutex mutex;
    for_files(pool, inputs_.size(), "pictures", common_, [&](size_t i) {
      Counts one;
      failed_[i] = failure_of(inputs_[i].path, [&] { count(inputs_[i].path, one); });
      if (!failed_[i].empty()) return FileEnd::failed;
      const std::lock_guard lock(mutex);
      add(one);
      return FileEnd::worked;
    });
    if (const int status = cli::interrupted(); status != 0) {
      cli::note(common_, "interrupted");
      return status;
    }
    return say();
  }

 private:
  void count(const std::string& path, Counts& one) const {
    const data::PictureHeader header = data::read_picture_header(path);
    std::optional<io::LabelMap> map;
    if (header.png) try {
        map = io::read_labels(path, options_.limits);
      } catch (const Error& error) {
        if (error.code() != ErrorCode::unsupported) throw;  // a picture in colour: a photo
      }
    one.sizes[{header.width, header.height}] = 1;
    if (!map) return;
    for (const uint8_t value : map->labels) ++one.values[value];
    one.maps = 1;
    one.without = wrinkle_of(one) == 0;
  }

  void add(const Counts& one) {
    for (const auto& [size, n] : one.sizes) all_.sizes[size] += n;
    all_.maps += one.maps, all_.without += one.without;
    for (size_t v = 0; v < 256; ++v) all_.values[v] += one.values[v], all_.files[v] += one.values[v] > 0;
  }

  void read_people() {
    std::set<std::string> ids;
    for (const cli::Input& input : inputs_) ids.insert(stem_of(input.path));
    const AttributeTable table = read_attributes(options_.attributes, ids, options_.limits);
    table.require_field("age");
    for (const std::string& id : ids) {
      const auto age = table.value(id, "age");
      double years = 0;  // "20-29" counts as 20
      if (!age || std::from_chars(age->data(), age->data() + age->size(), years).ec != std::errc() || !(years >= 0)) {
        ++unknown_;
        continue;
      }
      const auto decade = static_cast<size_t>(std::min<double>(years / 10, kDecades - 1));
      ++people_[shown_name(table.value(id, "gender").value_or("unknown"), 40)][decade];
    }
  }

  static std::string decade_name(size_t d) {
    return d + 1 == kDecades ? cli::Text() << 10 * d << "+" : cli::Text() << 10 * d << "-" << 10 * d + 9;
  }

  uint64_t pixels() const { return std::accumulate(all_.values.begin(), all_.values.end(), uint64_t{0}); }
  uint64_t wrinkle() const { return wrinkle_of(all_); }
  uint64_t wrinkle_of(const Counts& counts) const {
    uint64_t n = 0;
    for (size_t v = 0; v < 256; ++v) n += wrinkle_[v] ? counts.values[v] : 0;
    return n;
  }

  // Decades somebody is in, and all between.
  std::pair<size_t, size_t> decades() const {
    size_t first = kDecades, last = 0;
    for (const auto& [gender, counts] : people_)
      for (size_t d = 0; d < kDecades; ++d)
        if (counts[d] > 0) first = std::min(first, d), last = std::max(last, d + 1);
    return {std::min(first, last), last};
  }

  std::string masks_json() const {
    const uint64_t marked = wrinkle(), whole = pixels();
    const auto ratio = [](uint64_t part, uint64_t of) { return static_cast<double>(part) / static_cast<double>(of); };
    cli::JsonObject out, values;
    out.number("masks", all_.maps).number("empty", all_.without).number("pixels", static_cast<int64_t>(whole));
    out.number("wrinkle", static_cast<int64_t>(marked)).number("background", static_cast<int64_t>(whole - marked));
    out.number("wrinkle_share", ratio(marked, whole)).number("background_to_wrinkle", ratio(whole - marked, marked));
    for (size_t v = 0; v < 256; ++v)
      if (all_.values[v] > 0)
        values.raw(std::to_string(v), cli::JsonObject()
                                          .number("pixels", static_cast<int64_t>(all_.values[v]))
                                          .number("masks", static_cast<int64_t>(all_.files[v]))
                                          .str());
    return out.raw("values", values.str()).str();
  }

  std::string as_json() const {
    cli::JsonObject out, sizes, people;
    out.text("schema", "furrow.prepare.stats/1").text("folder", options_.folder);
    out.number("pictures", static_cast<int64_t>(inputs_.size()));
    for (const auto& [size, n] : all_.sizes) sizes.number(sides_text(size), n);
    out.raw("sizes", sizes.str());
    if (all_.maps > 0) out.raw("masks", masks_json());
    if (!options_.attributes.empty()) {
      const auto [first, last] = decades();
      for (const auto& [gender, counts] : people_) {
        cli::JsonObject ages;
        for (size_t d = first; d < last; ++d) ages.number(decade_name(d), counts[d]);
        people.raw(gender, ages.str());
      }
      out.raw("age_by_gender", people.str()).number("age_unknown", unknown_);
    }
    return out.str() + "\n";
  }

  std::string as_text() const {
    cli::Text text;
    text << count_text(static_cast<int64_t>(inputs_.size()), "picture");
    const char* before = ": ";
    for (const auto& [size, n] : all_.sizes) text << std::exchange(before, ", ") << n << " of " << sides_text(size);
    text << "\n";
    if (all_.maps > 0) {
      const uint64_t marked = wrinkle(), whole = pixels();
      text << count_text(all_.maps, "mask") << ", " << all_.without << " without a wrinkle; " << whole
           << " pixels: background " << whole - marked << " (" << percent(whole - marked, whole) << "), wrinkle "
           << marked << " (" << percent(marked, whole) << ") by --mask-kind " << options_.mask_kind << "\n";
      size_t shown = 0;
      for (size_t v = 0; v < 256; ++v)
        if (all_.values[v] > 0 && ++shown <= kShownValues)
          text << "  value " << padded(std::to_string(v), 5) << padded(std::to_string(all_.values[v]), 14)
               << padded(percent(all_.values[v], whole), 12) << "in "
               << count_text(static_cast<int64_t>(all_.files[v]), "mask") << "\n";
      if (shown > kShownValues) text << "  and " << shown - kShownValues << " more values (all with --json)\n";
    }
    if (options_.attributes.empty()) return text;
    const auto [first, last] = decades();
    text << padded("age", 10);
    for (const auto& [gender, counts] : people_) text << padded(gender + "  ", 10);
    for (size_t d = first; d < last; ++d) {
      text << "\n" << padded(decade_name(d), 10);
      for (const auto& [gender, counts] : people_)
        text << padded(std::to_string(counts[d]), std::max<size_t>(gender.size() + 2, 10));
    }
    return text << "\n" << unknown_ << " without an age\n";
  }

  std::string as_svg() const {
    Chart chart;
    if (!options_.attributes.empty()) {
      chart.title = cli::Text() << "Age by gender: " << inputs_.size() - static_cast<size_t>(unknown_) << " pictures, "
                                << unknown_ << " without an age";
      const auto [first, last] = decades();
      for (size_t d = first; d < last; ++d) chart.names.push_back(decade_name(d));
      for (const auto& [gender, counts] : people_)
        chart.series.push_back({gender,
                                {counts.begin() + static_cast<std::ptrdiff_t>(first),
                                 counts.begin() + static_cast<std::ptrdiff_t>(last)}});
      return draw(chart);
    }
    chart.title = all_.maps > 0 ? cli::Text() << "Pixels of each value in " << all_.maps << " masks, wrinkle "
                                              << percent(wrinkle(), pixels())
                                : cli::Text() << "Sizes of " << inputs_.size() << " pictures";
    chart.series.resize(1);
    if (all_.maps == 0)
      for (const auto& [size, n] : all_.sizes)
        chart.names.push_back(sides_text(size)), chart.series[0].values.push_back(n);
    for (size_t v = 0; v < 256 && all_.maps > 0; ++v)
      if (all_.values[v] > 0)
        chart.names.push_back(std::to_string(v)),
            chart.series[0].values.push_back(static_cast<int64_t>(all_.values[v]));
    return draw(chart);
  }

  int say() const {
    std::vector<std::string> failures;
    for (const std::string& line : failed_)
      if (!line.empty()) failures.push_back(line);
    if (!options_.svg.empty()) {
      const std::string drawing = as_svg();
      io::write_file_atomically(options_.svg, std::as_bytes(std::span(drawing.data(), drawing.size())), options_.force);
    }
    cli::print(common_.json ? as_json() : as_text());
    if (all_.maps > 0 && wrinkle() == 0 && pixels() > all_.values[0])
      cli::note(common_, (cli::Text() << "no value is wrinkle by --mask-kind " << options_.mask_kind
                                      << ", yet not all are 0: another kind?")
                             .str());
    if (const std::string others = cli::other_files_text(others_); !others.empty())
      cli::note(common_, others + " skipped");
    if (!failures.empty())
      throw Error(ErrorCode::malformed, cli::Text()
                                            << failures.size() << " of " << inputs_.size() << " pictures failed")
          .details(std::move(failures));
    return 0;
  }

  const StatsOptions& options_;
  const cli::Common& common_;
  cli::OtherFiles others_;
  std::vector<cli::Input> inputs_;
  std::vector<std::string> failed_;
  Counts all_;
  bool wrinkle_[256] = {};                                       // by --mask-kind
  std::map<std::string, std::array<int64_t, kDecades>> people_;  // by gender
  int64_t unknown_ = 0;
};

}  // namespace

int prepare_stats(const StatsOptions& options, const cli::Common& common) { return StatsRun(options, common).run(); }

}  // namespace furrow::apps
