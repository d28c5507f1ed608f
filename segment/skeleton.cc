#include "segment/skeleton.h"

#include <algorithm>
#include <array>
#include <bit>

#include "segment/measure_runs.h"

namespace furrow::detail {
namespace {

// Yokoi's connectivity number for 8-connected objects is 1: removing the pixel neither splits, nor joins, nor opens a
// hole.
constexpr bool is_simple(unsigned n) {
  int number = 0;
  for (unsigned k = 0; k < 8; k += 2) {
    const bool a = !(n >> k & 1), b = !(n >> (k + 1) & 1), c = !(n >> ((k + 2) & 7) & 1);
    number += a - (a && b && c);
  }
  return number == 1;
}

// Two neighbours side by side: the tip of a staircase, or a corner one pixel wide.
constexpr bool is_tip(unsigned n) { return std::popcount(n) == 2 && (n & ((n << 1 | n >> 7) & 0xFF)) != 0; }

constexpr uint16_t kFar = 0xFFFF;  // not reached yet; a square of 2^28 pixels is 5 * 8,192 deep

enum : uint8_t { kRemovable = 1, kRemovableInside = 2 };
constexpr std::array<uint8_t, 256> make_rules() {
  std::array<uint8_t, 256> rules{};
  for (unsigned n = 0; n < 256; ++n) {
    if (!is_simple(n) || std::popcount(n) <= 1) continue;
    rules[n] = static_cast<uint8_t>(kRemovable | (is_tip(n) ? 0 : kRemovableInside));
  }
  return rules;
}
constexpr std::array<uint8_t, 256> kRules = make_rules();

// Sets the window to the box around the set pixels; false where there are none.
bool find_window(const io::Image& mask, Skeleton& s) {
  int64_t x0 = mask.width, x1 = 0, y0 = -1, y1 = 0;
  for (int64_t y = 0; y < mask.height; ++y) {
    const uint8_t* row = mask.row(y);
    const int64_t first = next_set(row, 0, mask.width);
    if (first == mask.width) continue;
    int64_t last = mask.width;
    while (row[last - 1] == 0) --last;
    if (y0 < 0) y0 = y;
    y1 = y + 1;
    x0 = std::min(x0, first);
    x1 = std::max(x1, last);
  }
  if (y0 < 0) return false;
  s.x0 = x0, s.y0 = y0, s.width = x1 - x0, s.height = y1 - y0;
  return true;
}

// Lowers cell i by the chamfer steps that lie on one side of it: dir = +1 looks up and left, -1 down and right.
inline void relax(std::vector<uint16_t>& cells, int64_t i, int64_t stride, int64_t dir) {
  const uint16_t* c = cells.data() + i;
  const int64_t up = -stride * dir, left = -dir;
  int v = c[0];
  v = std::min({v, c[left] + 5, c[up] + 5, c[up + left] + 7, c[up - left] + 7});
  v = std::min({v, c[2 * up + left] + 11, c[2 * up - left] + 11, c[up + 2 * left] + 11, c[up - 2 * left] + 11});
  cells[static_cast<size_t>(i)] = static_cast<uint16_t>(v);
}

// Fills the cells with chamfer distances; two raster passes over the set pixels.
void measure_distance(const io::Image& mask, Skeleton& s) {
  const int64_t stride = s.stride();
  s.cells.assign(static_cast<size_t>(stride * (s.height + 2 * Skeleton::kBorder)), 0);
  for (int64_t y = s.y0; y < s.y0 + s.height; ++y) {
    const int64_t first = s.index(s.x0, y);
    for_each_run(mask.row(y) + s.x0, s.width, [&](int64_t begin, int64_t end) {
      std::fill(s.cells.begin() + first + begin, s.cells.begin() + first + end, kFar);
      for (int64_t i = first + begin; i < first + end; ++i) relax(s.cells, i, stride, 1);
    });
  }
  for (int64_t y = s.y0 + s.height - 1; y >= s.y0; --y) {
    const int64_t first = s.index(s.x0, y);
    for (int64_t i = first + s.width - 1; i >= first; --i)
      if (s.cells[static_cast<size_t>(i)] != 0) relax(s.cells, i, stride, -1);
  }
}

// Removes from list[begin, end) what the rule allows, one border side after the other; side by side means that a line
// two pixels thick loses one side only. Returns the new end; survivors keep their order.
size_t peel(Skeleton& s, std::vector<uint32_t>& list, size_t begin, size_t end, uint8_t rule) {
  std::vector<uint8_t> bare;  // whether the cell's neighbour on this side was clear before the side was touched
  for (const int side : {0, 4, 2, 6}) {
    const int64_t step = s.step(side);
    bare.resize(end - begin);
    for (size_t k = begin; k < end; ++k) bare[k - begin] = !s.on(list[k] + step);
    size_t kept = begin;
    for (size_t k = begin; k < end; ++k) {
      const uint32_t i = list[k];
      if (bare[k - begin] && (kRules[s.neighbours(i)] & rule)) {
        s.cells[i] = 0;
      } else {
        list[kept++] = i;
      }
    }
    end = kept;
  }
  return end;
}

// All set cells, nearest to the outline first, raster order among equals (a counting sort).
std::vector<uint32_t> sort_by_distance(const Skeleton& s, std::vector<size_t>& bucket_end) {
  bucket_end.assign(kFar + 2, 0);
  for (const uint16_t v : s.cells) ++bucket_end[v + size_t{1}];
  bucket_end[1] = 0;  // clear cells are not listed
  for (size_t v = 1; v < bucket_end.size(); ++v) bucket_end[v] += bucket_end[v - 1];
  std::vector<uint32_t> list(bucket_end.back());
  for (size_t i = 0; i < s.cells.size(); ++i)
    if (s.cells[i] != 0) list[bucket_end[s.cells[i]]++] = static_cast<uint32_t>(i);
  return list;
}

// Removes the cells of `list` that were needed when their layer was peeled and no longer are. Three passes leave
// nothing that matters.
void tidy(Skeleton& s, std::vector<uint32_t>& list) {
  std::vector<uint32_t> removable;
  for (int pass = 0; pass < 3; ++pass) {
    removable.clear();
    for (const uint32_t i : list)
      if (s.on(i) && (kRules[s.neighbours(i)] & kRemovableInside)) removable.push_back(i);
    if (removable.empty()) break;
    peel(s, removable, 0, removable.size(), kRemovableInside);
  }
  std::erase_if(list, [&](uint32_t i) { return !s.on(i); });
}

// Thins layer by layer; returns the cells that stay.
std::vector<uint32_t> thin(Skeleton& s) {
  std::vector<size_t> bucket_end;
  std::vector<uint32_t> list = sort_by_distance(s, bucket_end);
  size_t kept = 0, begin = 0;
  for (size_t v = 1; v <= kFar; ++v) {
    const size_t end = bucket_end[v];
    if (begin == end) continue;
    const size_t stay = peel(s, list, begin, end, kRemovable);
    for (size_t k = begin; k < stay; ++k) list[kept++] = list[k];
    begin = end;
  }
  list.resize(kept);
  tidy(s, list);
  return list;
}

// Walks from the end cell `from` to a junction. Returns how many cells to remove: 0 where the branch is long or free.
int64_t spur_length(const Skeleton& s, int64_t from) {
  int64_t before = -1, here = from, cells = 0;
  double length = 0;
  while (true) {
    const unsigned links = s.links(here);
    if (kBitCount[links] > 2) {
      const double half_width = double(s.cells[static_cast<size_t>(here)]) / Skeleton::kUnit;
      return length <= 1.5 * half_width + 1 ? cells : 0;
    }
    ++cells;
    int64_t next = -1;
    for (int k = 0; k < 8; ++k) {
      if (!(links >> k & 1) || here + s.step(k) == before) continue;
      next = here + s.step(k);
      length += k & 1 ? 1.41421356 : 1;
    }
    if (next < 0) return 0;  // the other end of a line without junctions
    before = here;
    here = next;
  }
}

// Removes short branches, all decided before the first goes, so that a fork at a blunt end loses both its legs. False
// where there was none.
bool prune(Skeleton& s, std::vector<uint32_t>& list) {
  std::vector<std::pair<uint32_t, int64_t>> spurs;
  for (const uint32_t i : list)
    if (s.degree(i) == 1)
      if (const int64_t cells = spur_length(s, i); cells > 0) spurs.push_back({i, cells});
  for (const auto& [from, cells] : spurs) {
    int64_t here = from;
    for (int64_t k = 0; k < cells; ++k) {
      const unsigned links = s.links(here);
      s.cells[static_cast<size_t>(here)] = 0;
      if (links == 0) break;
      here += s.step(std::countr_zero(links));
    }
  }
  if (spurs.empty()) return false;
  tidy(s, list);
  return true;
}

}  // namespace

Skeleton skeletonize(const io::Image& mask) {
  Skeleton s;
  if (!find_window(mask, s)) return s;
  for (int k = 0; k < 8; ++k) s.steps[k] = kDy[k] * s.stride() + kDx[k];
  measure_distance(mask, s);
  std::vector<uint32_t> list = thin(s);
  for (const uint32_t i : list) s.cells[i] = std::min(s.cells[i], Skeleton::kDistance);  // makes room for the flags
  if (prune(s, list)) prune(s, list);  // a pruned fork may have been the branch of another
  return s;
}

}  // namespace furrow::detail
