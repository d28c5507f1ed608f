#include "segment/cascade_group.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

namespace furrow {
namespace {

bool alike(const Candidate& a, const Candidate& b, double eps) {
  const double delta = eps * (std::min(a.w, b.w) + std::min(a.h, b.h)) * 0.5;
  return std::abs(a.x - b.x) <= delta && std::abs(a.y - b.y) <= delta && std::abs(a.x + a.w - b.x - b.w) <= delta &&
         std::abs(a.y + a.h - b.y - b.h) <= delta;
}

// Sets of candidates, joined two at a time; a set is named by its smallest member.
class Sets {
 public:
  explicit Sets(size_t count) : parent_(count) { std::iota(parent_.begin(), parent_.end(), size_t{0}); }
  size_t find(size_t i) {
    while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
    return i;
  }
  void join(size_t a, size_t b) {
    a = find(a), b = find(b);
    parent_[std::max(a, b)] = std::min(a, b);
  }

 private:
  std::vector<size_t> parent_;
};

void join_alike(const std::vector<Candidate>& candidates, double eps, Sets& sets) {
  std::vector<size_t> by_x(candidates.size());
  std::iota(by_x.begin(), by_x.end(), size_t{0});
  std::stable_sort(by_x.begin(), by_x.end(), [&](size_t a, size_t b) { return candidates[a].x < candidates[b].x; });
  for (size_t i = 0; i < by_x.size(); ++i) {
    const Candidate& a = candidates[by_x[i]];
    const double reach = eps * (a.w + a.h) * 0.5;  // no candidate alike to this one begins further right
    for (size_t j = i + 1; j < by_x.size() && candidates[by_x[j]].x - a.x <= reach; ++j)
      if (alike(a, candidates[by_x[j]], eps)) sets.join(by_x[i], by_x[j]);
  }
}

// Whether `small` lies inside `big` and counts for less.
bool swallowed(const CandidateGroup& small, const CandidateGroup& big, double eps) {
  const int dx = static_cast<int>(std::lrint(big.w * eps)), dy = static_cast<int>(std::lrint(big.h * eps));
  return small.x >= big.x - dx && small.y >= big.y - dy && small.x + small.w <= big.x + big.w + dx &&
         small.y + small.h <= big.y + big.h + dy && (big.members > std::max(3, small.members) || small.members < 3);
}

}  // namespace

std::vector<CandidateGroup> group_candidates(const std::vector<Candidate>& candidates, int threshold, double eps) {
  Sets sets(candidates.size());
  join_alike(candidates, eps, sets);
  std::vector<CandidateGroup> sums(candidates.size());  // at the set's first member; others stay without members
  for (size_t i = 0; i < candidates.size(); ++i) {
    const Candidate& c = candidates[i];
    CandidateGroup& g = sums[sets.find(i)];
    g.score = g.members == 0 ? c.score : std::max(g.score, c.score);
    g.x += c.x, g.y += c.y, g.w += c.w, g.h += c.h;
    ++g.members;
  }
  std::vector<CandidateGroup> groups;
  for (const CandidateGroup& g : sums) {
    if (g.members == 0 || g.members <= threshold) continue;
    const float share = 1.0f / static_cast<float>(g.members);
    const auto mean = [&](int sum) { return static_cast<int>(std::lrintf(static_cast<float>(sum) * share)); };
    groups.push_back({mean(g.x), mean(g.y), mean(g.w), mean(g.h), g.members, g.score});
  }
  std::vector<CandidateGroup> kept;
  for (const CandidateGroup& g : groups)
    if (std::none_of(groups.begin(), groups.end(),
                     [&](const CandidateGroup& big) { return &big != &g && swallowed(g, big, eps); }))
      kept.push_back(g);
  return kept;
}

}  // namespace furrow
