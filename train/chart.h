// Curves as SVG: of a run's report, and of an evaluation's.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace furrow::train {

// One curve, drawn through its points in their order.
struct Curve {
  std::string name;
  std::vector<std::pair<double, double>> points;  // x, y; values y that are not finite are left out
};

struct Chart {
  std::string title;
  bool logarithmic = false;  // the value axis; points at or below 0 are left out
  std::vector<Curve> curves;
  std::string x = "step", y = {};  // names of the axes
  bool unit_square = false;        // both axes from 0 to 1 on a square, whatever the curves; else as far as they reach
  bool diagonal = false;           // of a unit square, dashed
};

// An <svg> element: axes with round numbers, one line per curve and, of several, one legend entry each; curves of more
// than 2,000 points are drawn from the least and greatest of each column. "" where no curve has a point. Its style:
// "svg text", ".grid", ".dashed".
std::string chart_svg(const Chart& chart);
constexpr const char* kChartStyle =
    "svg text{font-size:11px;fill:#444}.grid{stroke:#ddd;stroke-width:1}.dashed{stroke:#999;stroke-dasharray:4 4}";

}  // namespace furrow::train
