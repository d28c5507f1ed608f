// `furrow prepare stats`.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <mutex>
#include <new>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <set>

#include "apps/cli/inputs.h"
#include "apps/cli/progress.h"
#include "apps/cli/signals.h"
#include "apps/evaluate/attributes.h"
#include "apps/evaluate/text.h"
#include "apps/prepare/chart.h"
#include "apps/prepare/datasets.h"
#include "apps/prepare/folder_job.h"
#include "data/pairs_header.h"
#include "io/atomic_file.h"
#include "io/picture.h"
#include "kernels/threads.h"

namespace furrow::apps {
namespace {

using nlohmann::ordered_json;

constexpr int kDecades = 13;  // 0-9 .. 120 and more
constexpr size_t kShownValues = 32;

// Of all pictures together, or of one.
struct Counts {
  std::map<std::pair<int64_t, int64_t>, int64_t> sizes;
  std::array<uint64_t, 256> values{}, files{};  // pixels of each value; maps that have it
  int64_t maps = 0, without = 0;                // label maps and masks; those without a wrinkle
};

std::string sides_text(int64_t width, int64_t height) { return std::to_string(width) + "x" + std::to_string(height); }

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
    std::error_code error;
    if (!options.svg.empty() && !options.force && std::filesystem::exists(options.svg, error))
      throw Error(ErrorCode::usage, "this file exists already").file(options.svg).hint("--force overwrites it");
    if (!options.attributes.empty()) read_people();
  }

  int run() {
    ThreadPool pool(options_.threads);
    cli::Progress progress(static_cast<int64_t>(inputs_.size()), "pictures", !common_.quiet && !common_.json);
    std::mutex mutex;
    int64_t done = 0, failed = 0;
    parallel_for(&pool, static_cast<int64_t>(inputs_.size()), [&](int64_t i, int) {
      const auto at = static_cast<size_t>(i);
      if (cli::interrupted() != 0) return;
      Counts one;
      try {
        count(inputs_[at].path, one);
      } catch (const Error& error) { failed_[at] = error.line(); } catch (const std::bad_alloc&) {
        failed_[at] = inputs_[at].path + ": out of memory";
      }
      const std::lock_guard lock(mutex);
      if (failed_[at].empty()) add(one);
      progress.update(++done, failed += failed_[at].empty() ? 0 : 1);
    });
    progress.clear();
    if (const int status = cli::interrupted(); status != 0) return status;
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
    return d + 1 == kDecades ? std::to_string(10 * d) + "+" : std::to_string(10 * d) + "-" + std::to_string(10 * d + 9);
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

  ordered_json as_json() const {
    ordered_json out{{"schema", "furrow.prepare.stats/1"},
                     {"folder", printable(options_.folder, 4096)},
                     {"pictures", inputs_.size()}};
    for (const auto& [size, n] : all_.sizes) out["sizes"][sides_text(size.first, size.second)] = n;
    if (all_.maps > 0) {
      ordered_json& masks = out["masks"] = {{"masks", all_.maps},
                                            {"empty", all_.without},
                                            {"pixels", pixels()},
                                            {"wrinkle", wrinkle()},
                                            {"background", pixels() - wrinkle()}};
      masks["wrinkle_share"] = pixels() == 0 ? 0 : static_cast<double>(wrinkle()) / static_cast<double>(pixels());
      masks["background_to_wrinkle"] =
          wrinkle() == 0 ? ordered_json()
                         : ordered_json(static_cast<double>(pixels() - wrinkle()) / static_cast<double>(wrinkle()));
      for (size_t v = 0; v < 256; ++v)
        if (all_.values[v] > 0)
          masks["values"][std::to_string(v)] = {{"pixels", all_.values[v]}, {"masks", all_.files[v]}};
    }
    if (!options_.attributes.empty()) {
      const auto [first, last] = decades();
      ordered_json& ages = out["age_by_gender"] = ordered_json::object();
      for (const auto& [gender, counts] : people_)
        for (size_t d = first; d < last; ++d) ages[gender][decade_name(d)] = counts[d];
      out["age_unknown"] = unknown_;
    }
    return out;
  }

  std::string as_text() const {
    std::string text = count_text(static_cast<int64_t>(inputs_.size()), "picture");
    for (const auto& [size, n] : all_.sizes)
      text += (&size == &all_.sizes.begin()->first ? ": " : ", ") + std::to_string(n) + " of " +
              sides_text(size.first, size.second);
    text += "\n";
    if (all_.maps > 0) {
      text += count_text(all_.maps, "mask") + ", " + std::to_string(all_.without) + " without a wrinkle; " +
              std::to_string(pixels()) + " pixels: background " + std::to_string(pixels() - wrinkle()) + " (" +
              percent(pixels() - wrinkle(), pixels()) + "), wrinkle " + std::to_string(wrinkle()) + " (" +
              percent(wrinkle(), pixels()) + ") by --mask-kind " + options_.mask_kind + "\n";
      size_t shown = 0;
      for (size_t v = 0; v < 256; ++v)
        if (all_.values[v] > 0 && ++shown <= kShownValues)
          text += "  value " + padded(std::to_string(v), 5) + padded(std::to_string(all_.values[v]) + " pixels", 20) +
                  padded(percent(all_.values[v], pixels()), 12) + "in " +
                  count_text(static_cast<int64_t>(all_.files[v]), "mask") + "\n";
      if (shown > kShownValues)
        text += "  and " + std::to_string(shown - kShownValues) + " more values (all with --json)\n";
    }
    if (options_.attributes.empty()) return text;
    const auto [first, last] = decades();
    text += padded("age", 10);
    for (const auto& [gender, counts] : people_) text += padded(gender, std::max<size_t>(gender.size() + 2, 10));
    for (size_t d = first; d < last; ++d) {
      text += "\n" + padded(decade_name(d), 10);
      for (const auto& [gender, counts] : people_)
        text += padded(std::to_string(counts[d]), std::max<size_t>(gender.size() + 2, 10));
    }
    return text + "\n" + std::to_string(unknown_) + " without an age\n";
  }

  std::string as_svg() const {
    Chart chart;
    if (!options_.attributes.empty()) {
      chart.title = "Age by gender: " + std::to_string(inputs_.size() - static_cast<size_t>(unknown_)) + " pictures, " +
                    std::to_string(unknown_) + " without an age";
      const auto [first, last] = decades();
      for (size_t d = first; d < last; ++d) chart.names.push_back(decade_name(d));
      for (const auto& [gender, counts] : people_)
        chart.series.push_back({gender,
                                {counts.begin() + static_cast<std::ptrdiff_t>(first),
                                 counts.begin() + static_cast<std::ptrdiff_t>(last)}});
      return draw(chart);
    }
    chart.title = all_.maps > 0 ? "Pixels of each value in " + count_text(all_.maps, "mask") + ": wrinkle " +
                                      percent(wrinkle(), pixels())
                                : "Sizes of " + count_text(static_cast<int64_t>(inputs_.size()), "picture");
    chart.series.resize(1);
    if (all_.maps == 0)
      for (const auto& [size, n] : all_.sizes)
        chart.names.push_back(sides_text(size.first, size.second)), chart.series[0].values.push_back(n);
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
    cli::print(common_.json ? as_json().dump() + "\n" : as_text());
    if (all_.maps > 0 && wrinkle() == 0 && pixels() > all_.values[0])
      cli::note(common_,
                "no value is wrinkle by --mask-kind " + options_.mask_kind + ", yet not all are 0: another kind?");
    if (const std::string others = cli::other_files_text(others_); !others.empty())
      cli::note(common_, others + " skipped");
    if (!failures.empty())
      throw Error(ErrorCode::malformed,
                  std::to_string(failures.size()) + " of " + std::to_string(inputs_.size()) + " pictures failed")
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
