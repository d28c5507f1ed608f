#include "apps/evaluate/output.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/evaluate/text.h"
#include "kernels/error.h"

namespace furrow::apps {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kEvaluateSchema = "furrow.evaluate/1";
constexpr const char* kRateLabels[kRates] = {"IoU", "F1 (Dice)", "precision", "recall", "specificity", "accuracy"};

Json value_json(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Json measured_json(const Measured& measured) {
  Json out = {{"value", value_json(measured.value)}};
  out["low"] = measured.interval ? Json(measured.interval->low) : Json(nullptr);
  out["high"] = measured.interval ? Json(measured.interval->high) : Json(nullptr);
  return out;
}

Json rates_json(const std::array<Measured, kRates>& rates) {
  Json out = Json::object();
  for (size_t i = 0; i < kRates; ++i) out[std::string(kRateNames[i])] = measured_json(rates[i]);
  return out;
}

Json counts_json(const PixelCounts& c) { return {{"tp", c.tp}, {"fp", c.fp}, {"fn", c.fn}, {"tn", c.tn}}; }

Json near_json(const SetSummary::Near& near) {
  return {{"precision", measured_json(near.precision)},
          {"recall", measured_json(near.recall)},
          {"f1", measured_json(near.f1)}};
}

Json set_json(const SetSummary& set, const std::vector<int>& radii) {
  Json out = {{"pictures", set.pictures},
              {"counts", counts_json(set.counts)},
              {"pooled", rates_json(set.pooled)},
              {"per_picture", rates_json(set.mean)}};
  out["per_picture"]["auroc"] = measured_json(set.mean_auroc);
  out["per_picture"]["ap"] = measured_json(set.mean_ap);
  out["tolerance"] = Json::array();
  for (size_t k = 0; k < radii.size(); ++k)
    out["tolerance"].push_back({{"radius_px", radii[k]},
                                {"pooled", near_json(set.near_pooled[k])},
                                {"per_picture", near_json(set.near_mean[k])}});
  return out;
}

Json area_json(const std::optional<Area>& area) {
  if (!area) return nullptr;
  return {{"value", area->value}, {"at_least", area->low}, {"at_most", area->high}};
}

Json sweep_json(const Record& record, const Summary& summary, size_t i) {
  const Rates rates = pooled_rates(summary.sweep[i]);
  Json out = {{"threshold", record.thresholds[i]}};
  for (const Rate rate : {Rate::iou, Rate::f1, Rate::precision, Rate::recall})
    out[std::string(kRateNames[static_cast<size_t>(rate)])] = value_json(rates[static_cast<size_t>(rate)]);
  return out;
}

std::string cell(const std::optional<double>& value) { return value ? shortest(*value) : "n/a"; }

std::string cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

std::string interval_cells(const Measured& measured) {
  const auto end = [&](bool high) {
    return measured.interval ? cell(std::optional(high ? measured.interval->high : measured.interval->low))
                             : std::string("n/a");
  };
  return "," + cell(measured.value) + "," + end(false) + "," + end(true);
}

std::string line(const std::string& label, const std::string& pooled, const std::string& mean) {
  std::string text = padded(label, 18) + padded(pooled, 30) + mean;
  text.erase(text.find_last_not_of(' ') + 1);
  return text + "\n";
}

std::string area_text(const std::optional<Area>& area) {
  if (!area) return "n/a";
  char text[64];
  if (area->high - area->low < 1e-6)
    std::snprintf(text, sizeof text, "%.4f", area->value);
  else
    std::snprintf(text, sizeof text, "%.4f (%.5f to %.5f)", area->value, area->low, area->high);
  return text;
}

}  // namespace

std::string short_number(const std::optional<double>& value) {
  if (!value) return "n/a";
  char text[32];
  std::snprintf(text, sizeof text, "%.4f", *value);
  return text;
}

std::string short_number(const Measured& measured) {
  if (!measured.interval) return short_number(measured.value);
  return short_number(measured.value) + " [" + short_number(std::optional(measured.interval->low)) + ", " +
         short_number(std::optional(measured.interval->high)) + "]";
}

std::string summary_json(const Record& record, const Summary& summary, int indent) {
  Json out = {{"schema", kEvaluateSchema}, {"settings", Json::object()}};
  for (const auto& [key, value] : record.settings) out["settings"][key] = value;
  out["threshold"] = record.threshold;
  out["confidence"] = {{"level", 0.95}, {"resamples", record.resamples}, {"seed", record.seed}};
  out["failed"] = Json::array();
  for (const Failure& failure : record.failures)
    out["failed"].push_back({{"id", failure.id}, {"error", failure.error}});
  out.update(set_json(summary.all, record.radii));
  out["auroc"] = area_json(summary.auroc);
  out["ap"] = area_json(summary.ap);
  out["sweep"] = Json::array();
  for (size_t i = 0; i < record.thresholds.size(); ++i) out["sweep"].push_back(sweep_json(record, summary, i));
  out["best"] = summary.sweep.empty() ? Json(nullptr) : sweep_json(record, summary, summary.best);
  out["groups"] = Json::array();
  for (const GroupSummary& group : summary.groups) {
    Json entry = {{"field", group.field}, {"bin", group.bin}};
    entry.update(set_json(group.set, record.radii));
    out["groups"].push_back(std::move(entry));
  }
  return out.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string pictures_csv(const Record& record) {
  std::string out = "id,width,height,tp,fp,fn,tn";
  for (const std::string_view rate : kRateNames) out += "," + std::string(rate);
  out += ",auroc,ap";
  for (const int radius : record.radii)
    for (const char* rate : {"precision", "recall", "f1"}) out += ",within_" + std::to_string(radius) + "px_" + rate;
  for (const std::string& by : record.by) out += "," + cell(by);
  out += "\n";
  for (const PictureRow& row : record.rows) {
    out += cell(row.id) + "," + std::to_string(row.width) + "," + std::to_string(row.height);
    for (const PixelCount count : {row.counts.tp, row.counts.fp, row.counts.fn, row.counts.tn})
      out += "," + std::to_string(count);
    for (const std::optional<double>& rate : picture_rates(row.counts)) out += "," + cell(rate);
    out += "," + cell(row.auroc) + "," + cell(row.ap);
    for (const NearCounts& near : row.near) {
      const NearRates rates = picture_near_rates(near);
      for (const double rate : {rates.precision, rates.recall, rates.f1}) out += "," + cell(std::optional(rate));
    }
    for (const std::optional<std::string>& value : row.attributes) out += "," + cell(value.value_or("n/a"));
    out += "\n";
  }
  return out;
}

std::string groups_csv(const Summary& summary) {
  std::string out = "field,bin,pictures,tp,fp,fn,tn";
  for (const char* way : {"pooled", "per_picture"})
    for (const std::string_view rate : kRateNames)
      for (const char* end : {"", "_low", "_high"}) out += "," + std::string(way) + "_" + std::string(rate) + end;
  out += "\n";
  const auto add = [&](const std::string& field, const std::string& bin, const SetSummary& set) {
    out += cell(field) + "," + cell(bin) + "," + std::to_string(set.pictures);
    for (const PixelCount count : {set.counts.tp, set.counts.fp, set.counts.fn, set.counts.tn})
      out += "," + std::to_string(count);
    for (const auto* rates : {&set.pooled, &set.mean})
      for (const Measured& rate : *rates) out += interval_cells(rate);
    out += "\n";
  };
  add("all", "all", summary.all);
  for (const GroupSummary& group : summary.groups) add(group.field, group.bin, group.set);
  return out;
}

std::string summary_text(const Record& record, const Summary& summary, bool sweep) {
  const SetSummary& all = summary.all;
  std::string out = std::to_string(all.pictures) + (all.pictures == 1 ? " picture" : " pictures") + ", " +
                    setting(record.settings, "compared on") + ", threshold " + cell(std::optional(record.threshold)) +
                    ", " + setting(record.settings, "source") + "\n\n";
  out += line("", "pooled", "mean over pictures");
  for (size_t i = 0; i < kRates; ++i)
    out += line(kRateLabels[i], short_number(all.pooled[i]), short_number(all.mean[i]));
  out += line("AUROC", area_text(summary.auroc), short_number(all.mean_auroc));
  out += line("average precision", area_text(summary.ap), short_number(all.mean_ap));
  for (size_t k = 0; k < record.radii.size(); ++k)
    for (const auto& [label, field] : {std::pair{"precision", &SetSummary::Near::precision},
                                       {"recall", &SetSummary::Near::recall},
                                       {"F1", &SetSummary::Near::f1}})
      out += line(std::string(label) + " (" + std::to_string(record.radii[k]) + " px)",
                  short_number(all.near_pooled[k].*field), short_number(all.near_mean[k].*field));
  if (record.resamples > 0 && all.pictures > 1)
    out += "\nin brackets: 95 % of " + std::to_string(record.resamples) + " resamples of the pictures\n";
  if (!summary.sweep.empty() && all.pictures > 0) {
    const Rates best = pooled_rates(summary.sweep[summary.best]);
    out += "best threshold on these pictures: " + cell(std::optional(record.thresholds[summary.best])) +
           " (pooled F1 " + short_number(best[static_cast<size_t>(Rate::f1)]) + ", IoU " +
           short_number(best[static_cast<size_t>(Rate::iou)]) + ")\n";
  }
  std::string field;
  for (const GroupSummary& group : summary.groups) {
    if (group.field != field)
      out += "\n" + padded(group.field, 24) + padded("pictures", 10) + padded("pooled F1", 26) + "mean F1\n";
    field = group.field;
    constexpr auto kF1 = static_cast<size_t>(Rate::f1);
    out += padded("  " + group.bin, 24) + padded(std::to_string(group.set.pictures), 10) +
           padded(short_number(group.set.pooled[kF1]), 26) + short_number(group.set.mean[kF1]) + "\n";
  }
  if (sweep) {
    out += "\nthreshold  IoU     F1      precision  recall\n";
    for (size_t i = 0; i < summary.sweep.size(); ++i) {
      const Rates rates = pooled_rates(summary.sweep[i]);
      char text[96];
      std::snprintf(text, sizeof text, "%.2f       %.4f  %.4f  %.4f     %.4f\n", record.thresholds[i], *rates[0],
                    *rates[1], *rates[2], *rates[3]);
      out += text;
    }
  }
  return out;
}

}  // namespace furrow::apps
