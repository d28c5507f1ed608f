// report.html: what a run did, in one file that needs no other.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace furrow::train {

// One curve: points in order of the step.
struct Curve {
  std::string name;
  std::vector<std::pair<double, double>> points;  // step, value; values that are not finite leave a gap
};

struct Chart {
  std::string title;
  bool logarithmic = false;  // the value axis; points at or below 0 are left out
  std::vector<Curve> curves;
};

// An <svg> element: axes with round numbers, one line and one legend entry per curve; curves of more than 2,000 points
// are drawn from the least and greatest of each column. "" where no curve has a point.
std::string chart_svg(const Chart& chart);

// Standard base64 with padding (RFC 4648).
std::string base64(const std::string& bytes);

// Writes `folder`/report.html (atomically) from what lies there: run.json as a table, metrics.jsonl as curves (loss and
// its parts, scores, learning rate, gradient norm), the pictures of overlays/ that belong to the newest epoch, and the
// warnings of metrics.jsonl. Lines that are no JSON are passed over. ErrorCode::io where it cannot be written.
void write_report(const std::string& folder, const std::string& title);

// Text as it may stand in HTML and SVG, in attributes too.
std::string html_escaped(const std::string& text);

}  // namespace furrow::train
