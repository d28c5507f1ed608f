// The texts that an evaluation of several classes becomes.
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

Json class_measured(const Measured& measured) {
  return {{"value", class_value(measured.value)},
          {"low", measured.interval ? Json(measured.interval->low) : Json(nullptr)},
          {"high", measured.interval ? Json(measured.interval->high) : Json(nullptr)}};
}

std::string measured_cells(const Measured& measured) {
  const auto end = [&](double Interval::*which) {
    return measured.interval ? std::optional((*measured.interval).*which) : std::nullopt;
  };
  return class_cell(measured.value) + "," + class_cell(end(&Interval::low)) + "," + class_cell(end(&Interval::high));
}

std::string text_cell(const std::string& text) {
  return text.find_first_of(",\"\r\n") == std::string::npos ? text : quoted(text);
}

// Of a set of pictures: what "groups" and the whole have in common.
Json set_json(const ClassSet& set) {
  Json out;
  out["mean"] = rates_json(mean_class_rates(set.matrix));
  out["accuracy"] = class_value(pixel_accuracy(set.matrix));
  out["per_picture"] = {{"mean_iou", class_measured(set.mean_iou)}, {"accuracy", class_measured(set.accuracy)}};
  return out;
}

}  // namespace

std::string classes_json(const ClassesRecord& record, const ClassesSummary& summary, int indent) {
  const ConfusionMatrix& matrix = summary.all.matrix;
  Json out = {{"schema", "furrow.evaluate-classes/1"}, {"settings", Json::object()}};
  for (const auto& [key, value] : record.settings) out["settings"][key] = value;
  out["failed"] = Json::array();
  for (const Failure& failure : record.failures)
    out["failed"].push_back({{"id", failure.id}, {"error", failure.error}});
  out["pictures"] = record.rows.size();
  out["classes"] = Json::array();
  const std::vector<Rates> rates = class_rates(matrix);
  for (int k = 0; k < matrix.classes(); ++k) {
    const PixelCounts c = matrix.one_against_rest(k);
    Json one = {{"class", k}, {"mask_values", record.values[static_cast<size_t>(k)]}};
    one["counts"] = {{"tp", c.tp}, {"fp", c.fp}, {"fn", c.fn}, {"tn", c.tn}};
    one.update(rates_json(rates[static_cast<size_t>(k)]));
    out["classes"].push_back(std::move(one));
  }
  out.update(set_json(summary.all));
  out["confusion"] = Json::array();
  for (int truth = 0; truth < matrix.classes(); ++truth) {
    Json line = Json::array();
    for (int predicted = 0; predicted < matrix.classes(); ++predicted) line.push_back(matrix.at(truth, predicted));
    out["confusion"].push_back(std::move(line));
  }
  out["groups"] = Json::array();
  for (const ClassGroup& group : summary.groups) {
    Json one = {{"field", group.field}, {"bin", group.bin}, {"pictures", group.set.pictures}};
    one["iou"] = Json::array();
    for (const std::optional<double>& iou : class_iou(group.set.matrix)) one["iou"].push_back(class_value(iou));
    one.update(set_json(group.set));
    out["groups"].push_back(std::move(one));
  }
  return out.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string classes_csv(const ClassesRecord& record, const ClassesSummary& summary) {
  const ConfusionMatrix& matrix = summary.all.matrix;
  std::string out = "class,mask_values,tp,fp,fn,tn";
  for (const Rate rate : kShown) out += "," + name_of(rate);
  out += "\n";
  const auto add = [&](const Rates& rates) {
    for (const Rate rate : kShown) out += "," + class_cell(get(rates, rate));
    out += "\n";
  };
  const std::vector<Rates> rates = class_rates(matrix);
  for (int k = 0; k < matrix.classes(); ++k) {
    const PixelCounts c = matrix.one_against_rest(k);
    out += std::to_string(k) + "," + quoted(record.values[static_cast<size_t>(k)]);
    for (const PixelCount n : {c.tp, c.fp, c.fn, c.tn}) out += "," + std::to_string(n);
    add(rates[static_cast<size_t>(k)]);
  }
  out += "mean,,,,,";
  add(mean_class_rates(matrix));
  return out;
}

std::string class_groups_csv(const ClassesSummary& summary) {
  const int classes = summary.all.matrix.classes();
  std::string out = "field,bin,pictures,accuracy,mean_iou";
  for (int k = 0; k < classes; ++k) out += ",iou_" + std::to_string(k);
  for (const char* number : {"mean_iou", "accuracy"})
    for (const char* end : {"", "_low", "_high"}) out += std::string(",per_picture_") + number + end;
  out += "\n";
  const auto add = [&](const std::string& field, const std::string& bin, const ClassSet& set) {
    out += text_cell(field) + "," + text_cell(bin) + "," + std::to_string(set.pictures) + "," +
           class_cell(pixel_accuracy(set.matrix)) + "," + class_cell(mean_iou(set.matrix));
    for (const std::optional<double>& iou : class_iou(set.matrix)) out += "," + class_cell(iou);
    out += "," + measured_cells(set.mean_iou) + "," + measured_cells(set.accuracy) + "\n";
  };
  add("all", "all", summary.all);
  for (const ClassGroup& group : summary.groups) add(group.field, group.bin, group.set);
  return out;
}

std::string confusion_csv(const ClassesSummary& summary) {
  const ConfusionMatrix& matrix = summary.all.matrix;
  std::string out = "true class";
  for (int k = 0; k < matrix.classes(); ++k) out += ",predicted " + std::to_string(k);
  out += "\n";
  for (int truth = 0; truth < matrix.classes(); ++truth) {
    out += std::to_string(truth);
    for (int k = 0; k < matrix.classes(); ++k) out += "," + std::to_string(matrix.at(truth, k));
    out += "\n";
  }
  return out;
}

std::string class_pictures_csv(const ClassesRecord& record, const ClassesSummary& summary) {
  std::string out = "id,width,height,accuracy,mean_iou";
  for (int k = 0; k < record.classes(); ++k) out += ",iou_" + std::to_string(k);
  for (const std::string& by : record.by) out += "," + text_cell(by);
  out += "\n";
  for (size_t i = 0; i < record.rows.size(); ++i) {
    const ClassRow& row = record.rows[i];
    const ClassPicture& picture = summary.pictures[i];
    out += text_cell(row.id) + "," + std::to_string(row.width) + "," + std::to_string(row.height) + "," +
           class_cell(picture.accuracy) + "," + class_cell(picture.mean_iou);
    for (const std::optional<double>& iou : picture.iou) out += "," + class_cell(iou);
    for (const std::optional<std::string>& value : row.attributes) out += "," + text_cell(value.value_or("n/a"));
    out += "\n";
  }
  return out;
}

namespace {

std::string groups_text(const ClassesSummary& summary) {
  std::string out, field;
  for (const ClassGroup& group : summary.groups) {
    if (group.field != field)
      out += "\n" + padded(group.field, 24) + padded("pictures", 10) + padded("mean IoU", 10) + "accuracy\n";
    field = group.field;
    out += padded("  " + group.bin, 24) + padded(std::to_string(group.set.pictures), 10) +
           padded(short_number(mean_iou(group.set.matrix)), 10) + short_number(pixel_accuracy(group.set.matrix)) + "\n";
  }
  return out;
}

}  // namespace

std::string classes_text(const ClassesRecord& record, const ClassesSummary& summary) {
  const ConfusionMatrix& matrix = summary.all.matrix;
  const Rates mean = mean_class_rates(matrix);
  std::string out = std::to_string(record.rows.size()) + (record.rows.size() == 1 ? " picture" : " pictures") + ", " +
                    setting(record.settings, "compared on") + ", " + setting(record.settings, "source") + "\n\n";
  out += "class  mask values   IoU     F1      precision  recall\n";
  const auto add = [&](const std::string& name, const std::string& values, const Rates& rates) {
    out += padded(name, 7) + padded(values, 14) + padded(short_number(get(rates, Rate::iou)), 8) +
           padded(short_number(get(rates, Rate::f1)), 8) + padded(short_number(get(rates, Rate::precision)), 11) +
           short_number(get(rates, Rate::recall)) + "\n";
  };
  const std::vector<Rates> rates = class_rates(matrix);
  for (size_t k = 0; k < rates.size(); ++k) add(std::to_string(k), record.values[k], rates[k]);
  add("mean", "", mean);
  return out + "\naccuracy of all pixels " + short_number(pixel_accuracy(matrix)) + "\nmean over pictures: IoU " +
         short_number(summary.all.mean_iou) + ", accuracy " + short_number(summary.all.accuracy) + "\n" +
         groups_text(summary);
}

std::string classes_report_html(const ClassesRecord& record, const ClassesSummary& summary) {
  const ConfusionMatrix& matrix = summary.all.matrix;
  std::string out =
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Evaluation</title>\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n<style>"
      "body{font:15px/1.45 system-ui,sans-serif;max-width:72em;margin:2em auto;padding:0 1em;color:#1a1a1a}"
      "table{border-collapse:collapse}td,th{padding:.2em .9em .2em 0;text-align:left;font-variant-numeric:tabular-nums}"
      "th{border-bottom:1px solid #999}</style></head><body>\n";
  out += "<h1>Evaluation on " + std::to_string(record.rows.size()) + " pictures, " + std::to_string(matrix.classes()) +
         " classes</h1>\n<table>";
  for (const auto& [name, value] : record.settings)
    if (!value.empty()) out += table_row({html_text(name), html_text(value)});
  out += "</table>\n<h2>Classes</h2>\n<table>" +
         table_row({"class", "mask values", "IoU", "F1", "precision", "recall"}, "th");
  const auto cells = [&](const std::string& name, const std::string& values, const Rates& rates) {
    std::vector<std::string> list = {name, html_text(values)};
    for (const Rate rate : kShown) list.push_back(short_number(get(rates, rate)));
    return table_row(list);
  };
  const std::vector<Rates> rates = class_rates(matrix);
  for (size_t k = 0; k < rates.size(); ++k) out += cells(std::to_string(k), record.values[k], rates[k]);
  out += cells("mean", "", mean_class_rates(matrix)) + "</table>\n<p>Accuracy of all pixels " +
         short_number(pixel_accuracy(matrix)) + "; mean over pictures: IoU " + short_number(summary.all.mean_iou) +
         ", accuracy " + short_number(summary.all.accuracy) +
         ".</p>\n<h2>Confusion</h2>\n<p>Pixels; a row for each true class.</p>\n<table>";
  std::vector<std::string> head = {"true"};
  for (size_t k = 0; k < rates.size(); ++k) head.push_back("predicted " + std::to_string(k));
  out += table_row(head, "th");
  for (int truth = 0; truth < matrix.classes(); ++truth) {
    std::vector<std::string> list = {std::to_string(truth)};
    for (int k = 0; k < matrix.classes(); ++k) list.push_back(std::to_string(matrix.at(truth, k)));
    out += table_row(list);
  }
  out += "</table>\n";
  if (!summary.groups.empty()) {
    out += "<h2>Groups</h2>\n<table>" + table_row({"field", "group", "pictures", "mean IoU", "accuracy"}, "th");
    for (const ClassGroup& group : summary.groups)
      out += table_row({html_text(group.field), html_text(group.bin), std::to_string(group.set.pictures),
                        short_number(mean_iou(group.set.matrix)), short_number(pixel_accuracy(group.set.matrix))});
    out += "</table>\n";
  }
  if (!record.failures.empty()) {
    out += "<h2>Failed</h2>\n<ul>";
    for (const Failure& f : record.failures) out += "<li>" + html_text(f.id) + ": " + html_text(f.error) + "</li>\n";
    out += "</ul>\n";
  }
  return out + "</body></html>\n";
}

}  // namespace furrow::apps
