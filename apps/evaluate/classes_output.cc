// The texts that an evaluation of several classes becomes.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/evaluate/classes.h"
#include "apps/evaluate/output.h"
#include "apps/evaluate/text.h"
#include "io/html.h"

namespace furrow::apps {
namespace {

using Json = nlohmann::ordered_json;
using io::html_text;
using io::table_row;

constexpr Rate kShown[] = {Rate::iou, Rate::f1, Rate::precision, Rate::recall};

std::string name_of(Rate rate) { return std::string(kRateNames[static_cast<size_t>(rate)]); }
const std::optional<double>& get(const Rates& rates, Rate rate) { return rates[static_cast<size_t>(rate)]; }
Json class_value(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }
std::string class_cell(const std::optional<double>& value) { return value ? shortest(*value) : "n/a"; }

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

Json rates_json(const Rates& rates) {
  Json out = Json::object();
  for (const Rate rate : kShown) out[name_of(rate)] = class_value(get(rates, rate));
  return out;
}

Json measured_json(const std::optional<double>& value, const std::optional<Interval>& interval) {
  return {{"value", class_value(value)},
          {"low", interval ? Json(interval->low) : Json(nullptr)},
          {"high", interval ? Json(interval->high) : Json(nullptr)}};
}

}  // namespace

std::string classes_json(const ClassesResult& result, int indent) {
  Json out = {{"schema", "furrow.evaluate-classes/1"}, {"settings", Json::object()}};
  for (const auto& [key, value] : result.settings) out["settings"][key] = value;
  out["failed"] = Json::array();
  for (const auto& [id, error] : result.failures) out["failed"].push_back({{"id", id}, {"error", error}});
  out["pictures"] = result.pictures.size();
  out["classes"] = Json::array();
  const std::vector<Rates> rates = class_rates(result.matrix);
  for (int k = 0; k < result.matrix.classes(); ++k) {
    const PixelCounts c = result.matrix.one_against_rest(k);
    Json one = {{"class", k}, {"mask_values", result.values[static_cast<size_t>(k)]}};
    one["counts"] = {{"tp", c.tp}, {"fp", c.fp}, {"fn", c.fn}, {"tn", c.tn}};
    one.update(rates_json(rates[static_cast<size_t>(k)]));
    out["classes"].push_back(std::move(one));
  }
  out["mean"] = rates_json(mean_class_rates(result.matrix));
  out["accuracy"] = class_value(pixel_accuracy(result.matrix));
  out["per_picture"] = {{"mean_iou", measured_json(result.mean_iou, result.mean_iou_interval)},
                        {"accuracy", measured_json(result.mean_accuracy, result.mean_accuracy_interval)}};
  out["confusion"] = Json::array();
  for (int truth = 0; truth < result.matrix.classes(); ++truth) {
    Json line = Json::array();
    for (int predicted = 0; predicted < result.matrix.classes(); ++predicted)
      line.push_back(result.matrix.at(truth, predicted));
    out["confusion"].push_back(std::move(line));
  }
  return out.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string classes_csv(const ClassesResult& result) {
  std::string out = "class,mask_values,tp,fp,fn,tn";
  for (const Rate rate : kShown) out += "," + name_of(rate);
  out += "\n";
  const auto add = [&](const Rates& rates) {
    for (const Rate rate : kShown) out += "," + class_cell(get(rates, rate));
    out += "\n";
  };
  const std::vector<Rates> rates = class_rates(result.matrix);
  for (int k = 0; k < result.matrix.classes(); ++k) {
    const PixelCounts c = result.matrix.one_against_rest(k);
    out += std::to_string(k) + "," + quoted(result.values[static_cast<size_t>(k)]);
    for (const PixelCount n : {c.tp, c.fp, c.fn, c.tn}) out += "," + std::to_string(n);
    add(rates[static_cast<size_t>(k)]);
  }
  out += "mean,,,,,";
  add(mean_class_rates(result.matrix));
  return out;
}

std::string confusion_csv(const ClassesResult& result) {
  std::string out = "true class";
  for (int k = 0; k < result.matrix.classes(); ++k) out += ",predicted " + std::to_string(k);
  out += "\n";
  for (int truth = 0; truth < result.matrix.classes(); ++truth) {
    out += std::to_string(truth);
    for (int k = 0; k < result.matrix.classes(); ++k) out += "," + std::to_string(result.matrix.at(truth, k));
    out += "\n";
  }
  return out;
}

std::string class_pictures_csv(const ClassesResult& result) {
  std::string out = "id,width,height,accuracy,mean_iou";
  for (int k = 0; k < result.matrix.classes(); ++k) out += ",iou_" + std::to_string(k);
  out += "\n";
  for (const ClassPicture& p : result.pictures) {
    out += (p.id.find_first_of(",\"\r\n") == std::string::npos ? p.id : quoted(p.id)) + "," + std::to_string(p.width) +
           "," + std::to_string(p.height) + "," + class_cell(p.accuracy) + "," + class_cell(p.mean_iou);
    for (const std::optional<double>& iou : p.iou) out += "," + class_cell(iou);
    out += "\n";
  }
  return out;
}

std::string classes_text(const ClassesResult& result) {
  const Rates mean = mean_class_rates(result.matrix);
  char text[160];
  std::string out = std::to_string(result.pictures.size()) + (result.pictures.size() == 1 ? " picture" : " pictures") +
                    ", " + setting(result.settings, "compared on") + ", " + setting(result.settings, "source") + "\n\n";
  out += "class  mask values   IoU     F1      precision  recall\n";
  const auto add = [&](const std::string& name, const std::string& values, const Rates& rates) {
    std::snprintf(text, sizeof text, "%-6s %-12.12s  %-6s  %-6s  %-9s  %s\n", name.c_str(), values.c_str(),
                  short_number(get(rates, Rate::iou)).c_str(), short_number(get(rates, Rate::f1)).c_str(),
                  short_number(get(rates, Rate::precision)).c_str(), short_number(get(rates, Rate::recall)).c_str());
    out += text;
  };
  const std::vector<Rates> rates = class_rates(result.matrix);
  for (size_t k = 0; k < rates.size(); ++k) add(std::to_string(k), result.values[k], rates[k]);
  add("mean", "", mean);
  return out + "\naccuracy of all pixels " + short_number(pixel_accuracy(result.matrix)) +
         "\nmean over pictures: IoU " + short_number(Measured{result.mean_iou, result.mean_iou_interval}) +
         ", accuracy " + short_number(Measured{result.mean_accuracy, result.mean_accuracy_interval}) + "\n";
}

std::string classes_report_html(const ClassesResult& result) {
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Evaluation</title>\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<style>"
      "body{font:15px/1.45 system-ui,sans-serif;max-width:72em;margin:2em auto;padding:0 1em;color:#1a1a1a}"
      "table{border-collapse:collapse}td,th{padding:.2em .9em .2em 0;text-align:left;font-variant-numeric:tabular-nums}"
      "th{border-bottom:1px solid #999}</style></head><body>\n";
  out += "<h1>Evaluation on " + std::to_string(result.pictures.size()) + " pictures, " +
         std::to_string(result.matrix.classes()) + " classes</h1>\n<table>";
  for (const auto& [name, value] : result.settings)
    if (!value.empty()) out += table_row({html_text(name), html_text(value)});
  out += "</table>\n<h2>Classes</h2>\n<table>" +
         table_row({"class", "mask values", "IoU", "F1", "precision", "recall"}, "th");
  const auto cells = [&](const std::string& name, const std::string& values, const Rates& rates) {
    std::vector<std::string> list = {name, values};
    for (const Rate rate : kShown) list.push_back(short_number(get(rates, rate)));
    return table_row(list);
  };
  const std::vector<Rates> rates = class_rates(result.matrix);
  for (size_t k = 0; k < rates.size(); ++k) out += cells(std::to_string(k), result.values[k], rates[k]);
  out += cells("mean", "", mean_class_rates(result.matrix)) + "</table>\n<p>Accuracy of all pixels " +
         short_number(pixel_accuracy(result.matrix)) + "; mean over pictures: IoU " +
         short_number(Measured{result.mean_iou, result.mean_iou_interval}) + ", accuracy " +
         short_number(Measured{result.mean_accuracy, result.mean_accuracy_interval}) +
         ".</p>\n<h2>Confusion</h2>\n<p>Pixels; a row for each true class.</p>\n<table>";
  std::vector<std::string> head = {"true"};
  for (size_t k = 0; k < rates.size(); ++k) head.push_back("predicted " + std::to_string(k));
  out += table_row(head, "th");
  for (int truth = 0; truth < result.matrix.classes(); ++truth) {
    std::vector<std::string> list = {std::to_string(truth)};
    for (int k = 0; k < result.matrix.classes(); ++k) list.push_back(std::to_string(result.matrix.at(truth, k)));
    out += table_row(list);
  }
  out += "</table>\n";
  if (!result.failures.empty()) {
    out += "<h2>Failed</h2>\n<ul>";
    for (const auto& [id, error] : result.failures) out += "<li>" + html_text(id) + ": " + html_text(error) + "</li>\n";
    out += "</ul>\n";
  }
  return out + "</body></html>\n";
}

}  // namespace furrow::apps
