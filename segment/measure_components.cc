#include "segment/measure_components.h"

#include <algorithm>

#include "kernels/error.h"
#include "segment/measure_runs.h"

namespace furrow::detail {
namespace {

// A root holds kRoot | area (areas fit 31 bits), any other entry the index of a smaller run of the same component.
constexpr uint32_t kRoot = 0x80000000;

class RunForest {
 public:
  void add(int64_t length) { nodes_.push_back(kRoot | static_cast<uint32_t>(length)); }

  // Joins two runs; the smaller index becomes the root, so every parent precedes its children.
  void join(uint32_t a, uint32_t b) {
    a = find(a);
    b = find(b);
    if (a == b) return;
    if (b < a) std::swap(a, b);
    nodes_[a] += nodes_[b] & ~kRoot;
    nodes_[b] = a;
  }

  std::vector<uint32_t> take() { return std::move(nodes_); }

 private:
  uint32_t find(uint32_t i) {
    while (!(nodes_[i] & kRoot)) {
      const uint32_t parent = nodes_[i];
      if (!(nodes_[parent] & kRoot)) nodes_[i] = nodes_[parent];
      i = parent;
    }
    return i;
  }
  std::vector<uint32_t> nodes_;
};

struct Run {
  int64_t begin, end;
};

std::vector<uint32_t> build_forest(const io::Image& mask) {
  RunForest forest;
  std::vector<Run> above, here;
  uint32_t index = 0, above_first = 0;
  for (int64_t y = 0; y < mask.height; ++y) {
    const uint32_t here_first = index;
    here.clear();
    size_t k = 0;
    for_each_run(mask.row(y), mask.width, [&](int64_t begin, int64_t end) {
      forest.add(end - begin);
      here.push_back({begin, end});
      while (k < above.size() && above[k].end < begin) ++k;
      // Touching by a corner counts: [begin, end) meets every run above that reaches into [begin - 1, end + 1).
      for (size_t j = k; j < above.size() && above[j].begin <= end; ++j)
        forest.join(above_first + static_cast<uint32_t>(j), index);
      ++index;
    });
    above.swap(here);
    above_first = here_first;
  }
  return forest.take();
}

// The smallest area a component may have to be listed when at most `max_listed` are: exact below kBins, and beyond that
// there are fewer than 2^28 / kBins components.
int64_t listing_area(const std::vector<uint32_t>& nodes, int64_t min_area, int64_t max_listed) {
  constexpr int64_t kBins = 65'536;
  std::vector<int64_t> histogram(kBins, 0);
  for (const uint32_t node : nodes)
    if (node & kRoot) ++histogram[static_cast<size_t>(std::min<int64_t>(node & ~kRoot, kBins - 1))];
  int64_t listed = 0, area = kBins;
  while (area > min_area && area > 1 && listed + histogram[static_cast<size_t>(area - 1)] <= max_listed)
    listed += histogram[static_cast<size_t>(--area)];
  return std::max(area, min_area);
}

// Turns the forest into labels in place; parents precede children, so one pass is enough.
void resolve(int64_t min_area, int64_t max_listed, Components& out) {
  auto& nodes = out.label_of_run;
  const int64_t listing = listing_area(nodes, min_area, max_listed);
  for (uint32_t& node : nodes) {
    if (!(node & kRoot)) {
      node = nodes[node];
      continue;
    }
    const int64_t area = node & ~kRoot;
    out.pixels += area;
    if (area < min_area) {
      node = Components::kDropped;
      continue;
    }
    ++out.counted;
    out.counted_area += area;
    node = Components::kUnlisted;
    if (area < listing) continue;
    node = static_cast<uint32_t>(out.listed.size());
    out.listed.push_back({area, INT64_MAX, INT64_MAX, 0, 0});
  }
}

}  // namespace

Components label_components(const io::Image& mask, int64_t min_area, int64_t max_listed) {
  require(max_listed >= 65'536 && max_listed < kRoot, "label_components: max_listed out of range");
  Components out;
  out.label_of_run = build_forest(mask);
  resolve(std::max<int64_t>(min_area, 1), max_listed, out);
  size_t run = 0;
  for (int64_t y = 0; y < mask.height; ++y) {
    for_each_run(mask.row(y), mask.width, [&](int64_t begin, int64_t end) {
      const uint32_t label = out.label_of_run[run++];
      if (label >= Components::kUnlisted) return;
      Component& c = out.listed[label];
      c.x0 = std::min(c.x0, begin);
      c.x1 = std::max(c.x1, end);
      c.y0 = std::min(c.y0, y);
      c.y1 = y + 1;
    });
  }
  return out;
}

}  // namespace furrow::detail
