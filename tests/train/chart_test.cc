// The labels of a chart's axes: round numbers, no two alike, whatever the range.
#include "train/chart.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <regex>
#include <set>

namespace furrow::train {
namespace {

// What stands at the value axis, whose labels alone end where they stand.
std::vector<std::string> labels(const std::vector<double>& values, bool logarithmic) {
  Chart chart{.title = "t", .logarithmic = logarithmic, .curves = {{"c", {}}}};
  for (size_t i = 0; i < values.size(); ++i) chart.curves[0].points.emplace_back(static_cast<double>(i), values[i]);
  const std::string svg = chart_svg(chart);
  std::vector<std::string> out;
  const std::regex form("text-anchor=\"end\">([^<]*)<");
  for (std::sregex_iterator at(svg.begin(), svg.end(), form), end; at != end; ++at) out.push_back((*at)[1]);
  return out;
}

using Labels = std::vector<std::string>;

TEST(Chart, LabelsAreRoundNumbers) {
  EXPECT_EQ(labels({0, 1}, false), (Labels{"0", "0.2", "0.4", "0.6", "0.8", "1"}));
  EXPECT_EQ(labels({-3, 12}, false), (Labels{"0", "5", "10"}));
  EXPECT_EQ(labels({1.019, 1.0243}, false), (Labels{"1.02", "1.022", "1.024"}));
  EXPECT_EQ(labels({2e-7, 9e-7}, false), (Labels{"2e-07", "4e-07", "6e-07", "8e-07"}));
  EXPECT_EQ(labels({2.1e7, 2.4e7}, false), (Labels{"2.1e+07", "2.2e+07", "2.3e+07", "2.4e+07"}));
  EXPECT_EQ(labels({0, 0}, false), (Labels{"-1", "-0.5", "0", "0.5", "1"}));
  EXPECT_EQ(labels({0.03, 2.1}, true), (Labels{"0.05", "0.1", "0.2", "0.5", "1", "2"}));
  EXPECT_EQ(labels({1e-5, 2}, true), (Labels{"1e-05", "0.0001", "0.001", "0.01", "0.1", "1"}));
  EXPECT_EQ(labels({1.019, 1.0243}, true), (Labels{"1.02", "1.022", "1.024"}));
}

TEST(Chart, NoTwoLabelsAreAlikeAndAllAreInTheRange) {
  for (const bool logarithmic : {false, true})
    for (const double from : {1e-9, 0.0123, 0.7, 1.0, 1.02, 9.99, 345.6, 123456.7, 3e9})
      for (double range = 1e-17; range < 1e6; range *= 7) {
        const double to = from * (1 + range);
        const Labels found = labels({from, to, from}, logarithmic);
        ASSERT_GE(found.size(), 2u) << from << " to " << to << (logarithmic ? ", logarithmic" : "");
        ASSERT_LE(found.size(), 12u) << from << " to " << to;
        EXPECT_EQ(std::set<std::string>(found.begin(), found.end()).size(), found.size()) << from << " to " << to;
        double before = -INFINITY;
        for (const std::string& label : found) {
          const double value = std::strtod(label.c_str(), nullptr);
          EXPECT_GT(value, before);
          before = value;
          if (range < 1e-6) continue;  // a wider axis than the values need
          EXPECT_GE(value, from * (1 - 1e-12)) << label;
          EXPECT_LE(value, to * (1 + 1e-12)) << label;
        }
      }
}

}  // namespace
}  // namespace furrow::train
