// A bar chart as SVG.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace furrow::apps {

struct Chart {
  struct Series {
    std::string name;
    std::vector<int64_t> values;  // one per name of the chart, >= 0
  };
  std::string title;
  std::vector<std::string> names;  // under the groups of bars
  std::vector<Series> series;      // bars of a group
};

// Bars from 0 to the largest value, each with its number; a legend where there are several series. Any text is safe.
std::string draw(const Chart& chart);

}  // namespace furrow::apps
