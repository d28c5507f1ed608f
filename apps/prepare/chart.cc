#include "apps/prepare/chart.h"

#include <algorithm>

#include "apps/cli/text.h"
#include "io/html.h"

namespace furrow::apps {
namespace {

// Okabe and Ito's colours: told apart by everybody.
constexpr const char* kColours[] = {"#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"};
constexpr int64_t kBar = 34, kGap = 20, kHeight = 220, kTop = 60, kLeft = 20;

std::string text_at(int64_t x, int64_t y, const std::string& text, const char* anchor = "middle") {
  return cli::Text() << "<text x='" << x << "' y='" << y << "' text-anchor='" << anchor << "'>" << io::html_text(text)
                     << "</text>\n";
}

std::string rectangle(int64_t x, int64_t y, int64_t width, int64_t height, size_t series) {
  return cli::Text() << "<rect x='" << x << "' y='" << y << "' width='" << width << "' height='" << height << "' fill='"
                     << kColours[series % std::size(kColours)] << "'/>\n";
}

}  // namespace

std::string draw(const Chart& chart) {
  const auto bars = static_cast<int64_t>(std::max<size_t>(chart.series.size(), 1)),
             groups = static_cast<int64_t>(chart.names.size());
  const int64_t group = std::max<int64_t>(bars * kBar + kGap, 70);
  const int64_t width = std::max<int64_t>(kLeft * 2 + groups * group, 560), base = kTop + kHeight;
  int64_t most = 1;
  for (const Chart::Series& series : chart.series)
    for (const int64_t value : series.values) most = std::max(most, value);
  cli::Text out;
  out << "<svg xmlns='http://www.w3.org/2000/svg' width='" << width << "' height='" << base + 40
      << "' font-family='sans-serif' font-size='11'>\n<rect width='100%' height='100%' fill='white'/>\n"
      << text_at(kLeft, 20, chart.title, "start");
  for (size_t s = 0; s < chart.series.size(); ++s) {
    const auto at = static_cast<int64_t>(s);
    if (chart.series.size() > 1)
      out << rectangle(kLeft + at * 110, 30, 10, 10, s)
          << text_at(kLeft + at * 110 + 14, 39, chart.series[s].name, "start");
    for (int64_t g = 0; g < groups; ++g) {
      const int64_t value = chart.series[s].values[static_cast<size_t>(g)];
      const auto height = static_cast<int64_t>(static_cast<double>(value) / static_cast<double>(most) * kHeight + 0.5);
      const int64_t x = kLeft + g * group + (group - bars * kBar) / 2 + at * kBar;
      out << rectangle(x + 2, base - height, kBar - 4, height, s)
          << text_at(x + kBar / 2, base - height - 3, std::to_string(value));
    }
  }
  for (int64_t g = 0; g < groups; ++g)
    out << text_at(kLeft + g * group + group / 2, base + 16, chart.names[static_cast<size_t>(g)]);
  return out << "</svg>\n";
}

}  // namespace furrow::apps
