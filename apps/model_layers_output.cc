// A report of layers as table, JSON, Chrome trace and SVG.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>

#include "apps/model_layers.h"
#include "io/crc32c.h"
#include "io/html.h"
#include "segment/face_classes.h"

namespace furrow::apps {
namespace {

using Json = nlohmann::ordered_json;

template <class... Values>
std::string format(const char* pattern, Values... values) {
  char text[64];
  std::snprintf(text, sizeof text, pattern, values...);
  return text;
}

std::string hex(uint32_t value) { return format("%08x", static_cast<unsigned>(value)); }

uint32_t mask_checksum(const LayersReport& report) { return io::crc32c(std::as_bytes(std::span(report.mask))); }

std::string size_text(int64_t w, int64_t h) { return std::to_string(w) + "x" + std::to_string(h); }

struct Totals {
  uint64_t parameters = 0, macs = 0, bytes = 0;
  double milliseconds = 0;
  explicit Totals(const LayerAudit& audit) {
    for (const AuditedStep& s : audit.steps) {
      parameters += s.parameters;
      macs += s.macs;
      bytes += s.bytes;
      milliseconds += s.milliseconds;
    }
  }
};

double share(double part, double whole) { return whole > 0 ? part / whole : 0; }

bool unfused(const LayersReport& report) { return report.options.layers == "all"; }

std::string headline(const LayersReport& report) {
  const std::string steps = std::to_string(report.audit.steps.size() - 1);
  return report.info.name + " (" + report.info.architecture + ") on " + report.device + ", " +
         (unfused(report) ? "the unfused tape: " + steps + " operations; segment runs the plan"
                          : (report.parser ? "the plan: " : "the plan that segment runs: ") + steps +
                                " steps behind the input");
}

std::string picture(const LayersReport& report) {
  const std::string name =
      report.options.photo.empty() ? "the synthetic picture" : printable(report.options.photo, 4096);
  const NetworkView& v = report.view;
  const Shape& s = v.input.shape();
  const std::string from = name + ", " + size_text(v.grid.crop.side_w, v.grid.crop.side_h) + " pixels at (" +
                           std::to_string(v.grid.crop.x) + ", " + std::to_string(v.grid.crop.y) + "), as ";
  if (!report.options.tile) return from + size_text(s.w, s.h);
  return from + size_text(v.grid.columns, v.grid.rows) + ", of it window " + std::to_string(v.window) + " of " +
         std::to_string(v.windows) + ", " + size_text(s.w, s.h) + " at (" + std::to_string(v.x) + ", " +
         std::to_string(v.y) + ")";
}

// Of what the mask counts.
std::string counted(const LayersReport& report) {
  const auto pixels = static_cast<int64_t>(report.mask.size());
  std::string text = std::to_string(report.marked()) + " of " + std::to_string(report.of_photo) + " pixels";
  if (report.of_photo < pixels) text += " that lie in the photo (" + std::to_string(pixels) + " in all)";
  if (report.options.labels != "none") text += ", of kept labels alone";
  return text;
}

// How many pixels have each label that there is, the most first.
std::vector<std::pair<size_t, uint64_t>> label_counts(const LayersReport& report) {
  std::array<uint64_t, 256> pixels{};
  for (const uint8_t label : report.mask) ++pixels[label];
  std::vector<std::pair<size_t, uint64_t>> out;
  for (size_t label = 0; label < pixels.size(); ++label)
    if (pixels[label] > 0) out.emplace_back(label, pixels[label]);
  std::ranges::stable_sort(out, std::greater{}, &std::pair<size_t, uint64_t>::second);
  return out;
}

// Of the published parser's classes the name, of others the number.
std::string label_name(const LayersReport& report, size_t label) {
  const bool known = report.audit.logits.shape().c == static_cast<int64_t>(kFaceClasses.size());
  return known ? std::string(kFaceClasses.at(label)) : std::to_string(label);
}

// "skin 102400, hair 8192 of 262144 pixels".
std::string labels_counted(const LayersReport& report) {
  std::string text;
  for (const auto& [label, pixels] : label_counts(report))
    text += (text.empty() ? "" : ", ") + label_name(report, label) + " " + std::to_string(pixels);
  return text + " of " + std::to_string(report.mask.size()) + " pixels";
}

Json parsed_json(const LayersReport& report) {
  Json out = {
      {"pixels", report.mask.size()}, {"of_photo", report.of_photo}, {"crc32c", hex(mask_checksum(report))}};
  for (const auto& [label, pixels] : label_counts(report)) out["labels"][label_name(report, label)] = pixels;
  return out;
}

Json number_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json steps_json(const LayersReport& report, const LayerAudit& audit, bool compared) {
  const Totals totals(audit);
  Json steps = Json::array();
  for (const AuditedStep& s : audit.steps) {
    Json one = {
        {"modules", s.where},         {"op", s.op},           {"problem", s.problem},
        {"parameters", s.parameters}, {"macs", s.macs},       {"bytes", s.bytes},
        {"algorithm", s.algorithm},   {"ms", s.milliseconds}, {"share", share(s.milliseconds, totals.milliseconds)}};
    one["outputs"] = Json::array();
    for (const AuditedValue& v : s.values) {
      Json value = {{"name", v.name},
                    {"shape", {v.shape.n, v.shape.c, v.shape.h, v.shape.w}},
                    {"min", v.least},
                    {"max", v.greatest},
                    {"not_finite", v.not_finite},
                    {"crc32c", hex(v.checksum)}};
      if (const ComparedValue* c = compared ? report.comparison(v.name) : nullptr; c != nullptr) {
        value["difference"] = number_or_null(c->largest);
        value["departs"] = c->departs;
      }
      one["outputs"].push_back(std::move(value));
    }
    steps.push_back(std::move(one));
  }
  return steps;
}

// Columns as wide as their widest cell, left-aligned.
std::string aligned(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (size_t c = 0; c < row.size(); ++c) line += row[c] + std::string(widths[c] - row[c].size() + 2, ' ');
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

void trace_steps(Json& events, const LayerAudit& audit, const std::string& device, int thread) {
  events.push_back({{"name", "thread_name"}, {"ph", "M"}, {"pid", 1}, {"tid", thread}, {"args", {{"name", device}}}});
  double at = 0;
  for (const AuditedStep& s : audit.steps) {
    const double microseconds = s.milliseconds * 1000;
    events.push_back(
        {{"name", s.where},
         {"cat", s.op},
         {"ph", "X"},
         {"ts", at},
         {"dur", microseconds},
         {"pid", 1},
         {"tid", thread},
         {"args",
          {{"op", s.op}, {"problem", s.problem}, {"algorithm", s.algorithm}, {"macs", s.macs}, {"bytes", s.bytes}}}});
    at += microseconds;
  }
}

}  // namespace

std::string layers_table(const LayersReport& report) {
  const Totals totals(report.audit);
  const bool compared = !report.beside.empty();
  std::vector<std::vector<std::string>> rows = {{"step", "modules", "op", "shapes", "parameters", "MACs", "bytes",
                                                 "algorithm", "ms", "share", "least", "greatest", "crc32c"}};
  if (compared) rows[0].emplace_back("difference");
  for (size_t i = 0; i < report.audit.steps.size(); ++i) {
    const AuditedStep& s = report.audit.steps[i];
    for (size_t v = 0; v < s.values.size(); ++v) {
      const AuditedValue& value = s.values[v];
      std::vector<std::string> row(10);
      if (v == 0)
        row = {std::to_string(i),
               s.where,
               s.op,
               s.problem,
               std::to_string(s.parameters),
               std::to_string(s.macs),
               std::to_string(s.bytes),
               s.algorithm,
               format("%.3f", s.milliseconds),
               format("%.1f%%", 100 * share(s.milliseconds, totals.milliseconds))};
      else
        row[1] = "  and " + value.name;  // a second result of the same step
      row.push_back(format("%.4g", value.least));
      row.push_back(format("%.4g", value.greatest));
      row.push_back(hex(value.checksum));
      if (const ComparedValue* c = report.comparison(value.name); c != nullptr)
        row.push_back(format("%.2e", c->largest) + (c->departs ? " departs" : ""));
      rows.push_back(std::move(row));
      if (value.not_finite > 0)
        rows.push_back({"", "  " + std::to_string(value.not_finite) + " elements of it are not finite"});
    }
  }
  std::string text = headline(report) + "\n" + picture(report) + "\n" + aligned(rows);
  text += "total: " + std::to_string(totals.parameters) + " parameters, " + std::to_string(totals.macs) + " MACs, " +
          std::to_string(totals.bytes) + " bytes, " + format("%.3f ms", totals.milliseconds) +
          (report.parser ? "\nlabels: " + labels_counted(report) : "\nmask: " + counted(report)) + ", crc32c " + hex(mask_checksum(report)) + "\n";
  if (compared)
    text += "difference is max|a-b| / max|b| beside " + printable(report.beside, 4096) + ", allowed " +
            format("%.2e", report.allowed) + "\n";
  return text;
}

std::string layers_json(const LayersReport& report) {
  const Totals totals(report.audit);
  Json out = {{"schema", "furrow.layers/1"},
              {"file", printable(report.options.model, 4096)},
              {"photo", report.options.photo.empty() ? Json(nullptr) : Json(printable(report.options.photo, 4096))},
              {"model", report.info.name},
              {"architecture", report.info.architecture},
              {"device", report.device},
              {"layers", report.options.layers}};
  const NetworkView& view = report.view;
  const Crop& crop = view.grid.crop;
  out["crop"] = {{"x", crop.x}, {"y", crop.y}, {"w", crop.side_w}, {"h", crop.side_h}};
  out["labels"] = report.options.labels == "none" ? Json(nullptr) : Json(printable(report.options.labels, 4096));
  if (report.options.tile)
    out["window"] = {{"number", view.window}, {"of", view.windows},     {"x", view.x},
                     {"y", view.y},           {"w", view.grid.columns}, {"h", view.grid.rows}};
  out["rounds"] = report.options.rounds;
  out["totals"] = {
      {"parameters", totals.parameters}, {"macs", totals.macs}, {"bytes", totals.bytes}, {"ms", totals.milliseconds}};
  if (report.parser)
    out["parsed"] = parsed_json(report);
  else
    out["mask"] = {{"marked", report.marked()},
                   {"pixels", report.mask.size()},
                   {"of_photo", report.of_photo},
                   {"crc32c", hex(mask_checksum(report))}};
  out["notes"] = Json::array();
  for (const std::string& note : report.notes) out["notes"].push_back(printable(note, 500));
  out["steps"] = steps_json(report, report.audit, true);
  if (report.in_fp16) out["in_fp16"] = steps_json(report, *report.in_fp16, false);
  if (!report.beside.empty()) {
    out["beside"] = {{"name", printable(report.beside, 4096)},
                     {"allowed", report.allowed},
                     {"compared", report.compared.size()},
                     {"agrees", !report.first.has_value()},
                     {"first", report.first ? Json(report.compared[*report.first].name) : Json(nullptr)}};
    if (report.other) out["beside"]["steps"] = steps_json(report, *report.other, false);
  }
  if (const auto departure = report.departure()) out["error"] = Json::parse(cli::error_json(*departure))["error"];
  return out.dump() + "\n";
}

std::string layers_trace(const LayersReport& report) {
  Json out = {{"displayTimeUnit", "ms"}, {"traceEvents", Json::array()}};
  trace_steps(out["traceEvents"], report.audit, report.device, 1);
  if (report.other) trace_steps(out["traceEvents"], *report.other, report.beside, 2);
  return out.dump() + "\n";
}

std::string layers_svg(const LayersReport& report) {
  constexpr int kRow = 18, kLeft = 360, kBar = 480, kTop = 56, kWidth = kLeft + kBar + 120;
  const Totals totals(report.audit);
  const auto& steps = report.audit.steps;
  double most = 0;  // the longest bar fills its room
  for (const AuditedStep& s : steps)
    most = std::max({most, share(s.milliseconds, totals.milliseconds),
                     share(static_cast<double>(s.bytes), static_cast<double>(totals.bytes))});
  const int height = kTop + kRow * static_cast<int>(steps.size()) + 12;
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + std::to_string(kWidth) + "\" height=\"" +
                    std::to_string(height) + "\" font-family=\"sans-serif\" font-size=\"11\">\n<title>" +
                    io::html_text(headline(report)) + "</title>\n<text x=\"8\" y=\"18\" font-size=\"13\">" +
                    io::html_text(headline(report)) + "</text>\n<text x=\"8\" y=\"38\">" +
                    io::html_text("share of " + format("%.3f ms", totals.milliseconds) + " (dark) and of " +
                                  std::to_string(totals.bytes) + " bytes (light)") +
                    "</text>\n";
  int y = kTop;
  for (const AuditedStep& s : steps) {
    const std::string tip = s.where + ": " + s.op + ", " + s.problem + ", " + s.algorithm;
    std::string label = s.where.size() > 54 ? s.where.substr(0, 51) + "..." : s.where;
    svg += "<g><title>" + io::html_text(tip) + "</title><text x=\"8\" y=\"" + std::to_string(y + 11) + "\">" +
           io::html_text(label) + "</text>";
    const double time = share(s.milliseconds, totals.milliseconds),
                 bytes = share(static_cast<double>(s.bytes), static_cast<double>(totals.bytes));
    int below = y;
    for (const auto& [part, colour] : {std::pair{time, "#2b5d8a"}, std::pair{bytes, "#9fc3e0"}}) {
      svg += "<rect x=\"" + std::to_string(kLeft) + "\" y=\"" + std::to_string(below) + "\" width=\"" +
             format("%.1f", most > 0 ? kBar * part / most : 0) + "\" height=\"7\" fill=\"" + colour + "\"/>";
      below += 7;
    }
    svg += "<text x=\"" + std::to_string(kLeft + kBar + 8) + "\" y=\"" + std::to_string(y + 11) + "\">" +
           format("%.1f%%, %.1f%%", 100 * time, 100 * bytes) + "</text></g>\n";
    y += kRow;
  }
  return svg + "</svg>\n";
}

}  // namespace furrow::apps
