#include "apps/evaluate/report.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "apps/evaluate/output.h"
#include "io/html.h"
#include "kernels/error.h"
#include "train/chart.h"

namespace furrow::apps {
namespace {

using io::html_text;
using io::table_row;

constexpr const char* kHead = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Evaluation</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<style>
body { font: 15px/1.45 system-ui, sans-serif; max-width: 72em; margin: 2em auto; padding: 0 1em; color: #1a1a1a; background: #fff; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; } td, th { padding: .2em .9em .2em 0; text-align: left; font-variant-numeric: tabular-nums; }
th { border-bottom: 1px solid #999; } tr.field td { padding-top: .8em; font-weight: 600; }
svg { width: 330px; max-width: 100%; } .charts, .pictures { display: flex; flex-wrap: wrap; gap: 1.2em; } figure { margin: 0; } figcaption { font-size: .85em; color: #444; }
.pictures img { max-width: 22em; height: auto; display: block; } .key { display: inline-block; width: .9em; height: .9em; margin: 0 .3em 0 1em; vertical-align: -1px; }
.bar { background: #0072b2; height: .55em; } .track { position: relative; width: 12em; height: .55em; background: #e6e6e6; } .whisker { position: absolute; top: .2em; height: .15em; background: #1a1a1a; }
)";

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", value);
  return text;
}

std::string figure(const train::Chart& chart) {
  const std::string svg = chart_svg(chart);
  return svg.empty() ? "" : "<figure>" + svg + "<figcaption>" + html_text(chart.title) + "</figcaption></figure>\n";
}

std::string charts(const Record& record, const Summary& summary) {
  train::Curve roc{"ROC", {{0, 0}}}, pr{"PR", {}};
  for (const CurvePoint& point : summary.curve) {
    roc.points.emplace_back(point.false_positive_rate, point.recall);
    // Average precision is the area of a staircase: a step at each recall.
    if (!pr.points.empty()) pr.points.emplace_back(pr.points.back().first, point.precision);
    pr.points.emplace_back(point.recall, point.precision);
  }
  std::vector<train::Curve> sweep = {{"F1", {}}, {"IoU", {}}, {"precision", {}}, {"recall", {}}};
  for (size_t i = 0; i < summary.sweep.size(); ++i) {
    const Rates rates = pooled_rates(summary.sweep[i]);
    const Rate shown[] = {Rate::f1, Rate::iou, Rate::precision, Rate::recall};
    for (size_t k = 0; k < sweep.size(); ++k)
      sweep[k].points.emplace_back(record.thresholds[i], *rates[static_cast<size_t>(shown[k])]);
  }
  const auto square = [](const std::string& title, std::vector<train::Curve> curves, const char* x, const char* y,
                         bool diagonal) {
    return figure(
        {.title = title, .curves = std::move(curves), .x = x, .y = y, .unit_square = true, .diagonal = diagonal});
  };
  std::string out = "<div class=\"charts\">\n";
  if (summary.ap)
    out +=
        square("Precision and recall, all pixels; average precision " + short_number(std::optional(summary.ap->value)),
               {pr}, "recall", "precision", false);
  if (summary.auroc)
    out += square("ROC, all pixels; area " + short_number(std::optional(summary.auroc->value)), {roc},
                  "false positive rate", "recall", true);
  return out + square("Pooled numbers at every threshold", sweep, "threshold", "", false) + "</div>\n";
}

std::string area_cell(const std::optional<Area>& area) {
  if (!area) return "n/a";
  char text[96];
  std::snprintf(text, sizeof text, "%.6f, surely from %.6f to %.6f", area->value, area->low, area->high);
  return text;
}

std::string numbers(const Record& record, const Summary& summary) {
  const SetSummary& all = summary.all;
  std::string out = "<table>" + table_row({"", "pooled over pixels", "mean over pictures"}, "th");
  constexpr std::array<const char*, kRates> kLabels = {"IoU",    "F1 (Dice)",   "precision",
                                                       "recall", "specificity", "accuracy"};
  for (size_t i = 0; i < kRates; ++i)
    out += table_row({kLabels[i], short_number(all.pooled[i]), short_number(all.mean[i])});
  out += table_row({"AUROC", area_cell(summary.auroc), short_number(all.mean_auroc)});
  out += table_row({"average precision", area_cell(summary.ap), short_number(all.mean_ap)});
  for (size_t k = 0; k < record.radii.size(); ++k) {
    const std::string within = " within " + std::to_string(record.radii[k]) + " px";
    out += table_row(
        {"precision" + within, short_number(all.near_pooled[k].precision), short_number(all.near_mean[k].precision)});
    out +=
        table_row({"recall" + within, short_number(all.near_pooled[k].recall), short_number(all.near_mean[k].recall)});
    out += table_row({"F1" + within, short_number(all.near_pooled[k].f1), short_number(all.near_mean[k].f1)});
  }
  out += "</table>\n<p>Brackets: 95&#8239;% percentile interval of " + std::to_string(record.resamples) +
         " resamples of the pictures.";
  if (!summary.sweep.empty() && all.pictures > 0)
    out += " The best threshold on these pictures is " + number(record.thresholds[summary.best]) + " (pooled F1 " +
           short_number(pooled_rates(summary.sweep[summary.best])[static_cast<size_t>(Rate::f1)]) +
           "); chosen on them, it flatters.";
  return out + "</p>\n";
}

// F1 as a bar with its interval as a whisker.
std::string bar(const Measured& measured) {
  if (!measured.value) return "";
  std::string out =
      "<div class=\"track\"><div class=\"bar\" style=\"width:" + number(100 * *measured.value) + "%\"></div>";
  if (measured.interval)
    out += "<div class=\"whisker\" style=\"left:" + number(100 * measured.interval->low) +
           "%;width:" + number(100 * (measured.interval->high - measured.interval->low)) + "%\"></div>";
  return out + "</div>";
}

std::string groups(const Summary& summary) {
  constexpr auto kIoU = static_cast<size_t>(Rate::iou), kF1 = static_cast<size_t>(Rate::f1),
                 kPrecision = static_cast<size_t>(Rate::precision), kRecall = static_cast<size_t>(Rate::recall);
  std::string out = "<table>" +
                    table_row({"", "pictures", "pooled F1", "", "pooled IoU", "precision", "recall", "mean F1"}, "th"),
              field;
  for (const GroupSummary& group : summary.groups) {
    if (group.field != field) out += "<tr class=\"field\"><td colspan=\"8\">" + html_text(group.field) + "</td></tr>\n";
    field = group.field;
    const SetSummary& set = group.set;
    out += table_row({html_text(group.bin), std::to_string(set.pictures), short_number(set.pooled[kF1]),
                      bar(set.pooled[kF1]), short_number(set.pooled[kIoU]), short_number(set.pooled[kPrecision]),
                      short_number(set.pooled[kRecall]), short_number(set.mean[kF1])});
  }
  return out + "</table>\n";
}

std::string pictures(const std::vector<OverlayPicture>& list) {
  std::string out = "<div class=\"pictures\">\n";
  for (const OverlayPicture& picture : list)
    out += "<figure><img alt=\"" + html_text(picture.id) + "\" src=\"data:image/png;base64," + picture.png +
           "\"><figcaption>" + html_text(picture.id) + ", IoU " + short_number(std::optional(picture.iou)) +
           "</figcaption></figure>\n";
  return out + "</div>\n";
}

std::string key(const std::string& colour, const char* text) {
  return "<span class=\"key\" style=\"background:" + colour + "\"></span>" + text;
}

}  // namespace

std::string report_html(const Record& record, const Summary& summary) {
  std::string out = std::string(kHead) + train::kChartStyle + "\n</style></head><body>\n";
  out += "<h1>Evaluation on " + std::to_string(summary.all.pictures) +
         (summary.all.pictures == 1 ? " picture" : " pictures") + "</h1>\n<table>";
  for (const auto& [name, value] : record.settings)
    if (!value.empty()) out += table_row({html_text(name), html_text(value)});
  out += "</table>\n<h2>Numbers</h2>\n" + numbers(record, summary) + "<h2>Curves</h2>\n" + charts(record, summary) +
         "<h2>Groups</h2>\n" + groups(summary);
  if (!record.overlays.worst().empty()) {
    out += "<h2>Worst pictures</h2>\n<p>By IoU, among pictures with a wrinkle in the mask." +
           key("rgb(0,158,115)", "found") + key("rgb(213,94,0)", "marked where there is none") +
           key("rgb(240,228,66)", "missed") + "</p>\n" + pictures(record.overlays.worst()) +
           "<h2>Best pictures</h2>\n" + pictures(record.overlays.best());
  }
  if (!record.failures.empty()) {
    out += "<h2>Failed</h2>\n<ul>";
    for (const Failure& failure : record.failures)
      out += "<li>" + html_text(failure.id) + ": " + html_text(failure.error) + "</li>\n";
    out += "</ul>\n";
  }
  return out + "</body></html>\n";
}

}  // namespace furrow::apps
