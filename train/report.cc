#include "train/report.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "io/atomic_file.h"
#include "io/html.h"
#include "kernels/error.h"
#include "train/chart.h"

namespace furrow::train {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kStyle =
    "body{font:14px/1.5 system-ui,sans-serif;max-width:1340px;margin:2em auto;padding:0 1em;color:#222;background:#fff}"
    "h1{font-size:1.4em}h2{font-size:1.1em;margin-top:1.5em}table{border-collapse:collapse}"
    "td{padding:.15em .8em .15em 0;vertical-align:top}td:first-child{color:#555}"
    ".charts,.pictures{display:flex;flex-wrap:wrap;gap:16px}figure{margin:0}svg{width:640px;max-width:100%}"
    "img{max-width:312px;display:block}"
    "figcaption{font-size:12px;color:#555}.warning{color:#a33}";

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<Json> lines(const std::string& path) {
  std::vector<Json> out;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    Json parsed = Json::parse(line, nullptr, false);
    if (parsed.is_object()) out.push_back(std::move(parsed));
  }
  return out;
}

// What run.json says, one row per value: "data.pairs" 80.
void rows(const Json& value, const std::string& key, std::string& out) {
  if (value.is_object()) {
    for (const auto& [name, inner] : value.items()) rows(inner, key.empty() ? name : key + "." + name, out);
  } else if (value.is_array() && value.size() > 12) {
    out += "<tr><td>" + io::html_text(key) + "</td><td>" + std::to_string(value.size()) + " entries</td></tr>";
  } else {
    const std::string text =
        value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, Json::error_handler_t::replace);
    out += "<tr><td>" + io::html_text(key) + "</td><td>" + io::html_text(text) + "</td></tr>";
  }
}

// The values of `field` in lines of one kind.
Curve curve(const std::vector<Json>& log, const char* kind, const char* field, std::string name) {
  Curve out{std::move(name), {}};
  for (const Json& line : log) {
    if (line.value("kind", "") != kind || !line.contains("step") || !line["step"].is_number()) continue;
    if (const auto found = line.find(field); found != line.end() && found->is_number())
      out.points.emplace_back(line["step"].get<double>(), found->get<double>());
  }
  return out;
}

std::vector<Chart> charts(const std::vector<Json>& log) {
  return {
      {"Loss", false, {curve(log, "train", "loss", "training"), curve(log, "validation", "loss", "validation")}},
      {"Parts of the training loss",
       false,
       {curve(log, "train", "dice", "dice"), curve(log, "train", "focal", "focal")}},
      {"Validation scores",
       false,
       {curve(log, "validation", "iou", "IoU"), curve(log, "validation", "f1", "F1"),
        curve(log, "validation", "precision", "precision"), curve(log, "validation", "recall", "recall")}},
      {"Learning rate", true, {curve(log, "train", "lr", "learning rate")}},
      {"Gradient norm before clipping", true, {curve(log, "train", "gradient_norm", "gradient norm")}},
  };
}

// The pictures of the newest epoch: overlays/epoch_0005_ID.png.
std::vector<fs::path> newest_overlays(const std::string& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (it->path().filename().string().starts_with("epoch_") && it->path().extension() == ".png")
      files.push_back(it->path());
  std::ranges::sort(files);
  if (files.empty()) return files;
  const auto epoch = [](const fs::path& path) {
    const std::string name = path.filename().string();
    return name.substr(0, name.find('_', 6));
  };
  const std::string last = epoch(files.back());
  std::erase_if(files, [&](const fs::path& path) { return epoch(path) != last; });
  return files;
}

}  // namespace

void write_report(const std::string& folder, const std::string& title) {
  const std::vector<Json> log = lines(folder + "/metrics.jsonl");
  std::string out = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>" + io::html_text(title) +
                    "</title>\n<style>" + kStyle + kChartStyle + "</style></head><body>\n<h1>" + io::html_text(title) +
                    "</h1>\n";
  std::string warnings;
  for (const Json& line : log)
    if (line.value("kind", "") == "warning")
      warnings += "<li class=\"warning\">step " + line.value("step", Json(0)).dump() + ": " +
                  io::html_text(line.value("text", "")) + "</li>";
  if (!warnings.empty()) out += "<h2>Warnings</h2><ul>" + warnings + "</ul>\n";
  out += "<h2>Curves</h2><div class=\"charts\">\n";
  for (const Chart& chart : charts(log))
    if (const std::string svg = chart_svg(chart); !svg.empty())
      out += "<figure>" + svg + "<figcaption>" + io::html_text(chart.title) + "</figcaption></figure>\n";
  out += "</div>\n";
  if (const auto pictures = newest_overlays(folder + "/overlays"); !pictures.empty()) {
    out += "<h2>Validation pictures</h2><p>Green: target. Red: prediction. Yellow: both.</p><div class=\"pictures\">\n";
    for (const fs::path& path : pictures) {
      const std::string picture = contents(path.string());
      out += "<figure><img alt=\"\" src=\"data:image/png;base64," + io::base64(std::as_bytes(std::span(picture))) +
             "\"><figcaption>" + io::html_text(printable(path.stem().string())) + "</figcaption></figure>\n";
    }
    out += "</div>\n";
  }
  const Json run = Json::parse(contents(folder + "/run.json"), nullptr, false);
  if (run.is_object()) {
    std::string table;
    rows(run, "", table);
    out += "<h2>Run</h2><table>" + table + "</table>\n";
  }
  out += "</body></html>\n";
  io::write_file_atomically(folder + "/report.html", std::as_bytes(std::span(out)));
}

}  // namespace furrow::train
