#include "segment/cascade_scan.h"

#include <cmath>

#include "kernels/error.h"

#if defined(__x86_64__)
#define FURROW_SCAN_AVX2 __attribute__((target("avx2")))
#endif

namespace furrow {
namespace {

using Stump = CascadeTable::Stump;
using Stage = CascadeTable::Stage;

// Votes are added in 32-bit fixed point, because that vectorises well on every machine. Its rounding error is known, so
// it decides only where the exact sum cannot disagree; the rare rest is added in double precision, as the reference does.
constexpr double kFixedOne = 1 << 20;

// Below this many windows the vector loops no longer pay.
constexpr int kFewWindows = 8;

// ---- loops over windows; each is compiled once per instruction set ----

struct InOrder {
  int operator()(int i) const { return i; }
};
struct Listed {
  const int32_t* __restrict column;
  int operator()(int i) const { return column[i]; }
};

// norm[i] = 1 / (area * deviation) of window i's inner pixels, or -1 where the window is flat.
[[gnu::always_inline]] inline void normalise(const uint32_t* __restrict sum, const uint32_t* __restrict square,
                                             const int* corner, float inner_area, int count, float* __restrict norm) {
  const double area = inner_area;
  const int a = corner[0], b = corner[1], c = corner[2], d = corner[3];
  for (int i = 0; i < count; ++i) {
    const double s = static_cast<int32_t>(sum[a + i] - sum[b + i] - sum[c + i] + sum[d + i]);
    const double s2 = static_cast<int32_t>(square[a + i] - square[b + i] - square[c + i] + square[d + i]);
    const double spread = area * s2 - s * s;
    const float inverse = static_cast<float>(1.0 / std::sqrt(spread > 0 ? spread : 1.0));
    norm[i] = (spread > 0) & (area * inverse < 1e-1) ? inverse : -1.0f;
  }
}

// votes[i] += the stump's vote on window at(i), for i < count.
template <bool kThird, class At>
[[gnu::always_inline]] inline void vote(const Stump& stump, const uint32_t* __restrict sum, At at,
                                        const float* __restrict norm, int count, int32_t* __restrict votes) {
  const auto& r = stump.corner;
  const uint32_t *a0 = sum + r[0][0], *b0 = sum + r[0][1], *c0 = sum + r[0][2], *d0 = sum + r[0][3];
  const uint32_t *a1 = sum + r[1][0], *b1 = sum + r[1][1], *c1 = sum + r[1][2], *d1 = sum + r[1][3];
  const uint32_t *a2 = sum + r[2][0], *b2 = sum + r[2][1], *c2 = sum + r[2][2], *d2 = sum + r[2][3];
  const float w0 = stump.weight[0], w1 = stump.weight[1], w2 = stump.weight[2], threshold = stump.threshold;
  const int32_t right = stump.vote_right, more = stump.vote_more;
  for (int i = 0; i < count; ++i) {
    const int x = at(i);
    float value = w0 * static_cast<float>(static_cast<int32_t>(a0[x] - b0[x] - c0[x] + d0[x])) +
                  w1 * static_cast<float>(static_cast<int32_t>(a1[x] - b1[x] - c1[x] + d1[x]));
    if constexpr (kThird) value += w2 * static_cast<float>(static_cast<int32_t>(a2[x] - b2[x] - c2[x] + d2[x]));
    votes[i] += right + (value * norm[i] < threshold ? more : 0);
  }
}

template <class At>
[[gnu::always_inline]] inline void vote_all(const Stump* stumps, int stump_count, const uint32_t* sum, At at,
                                            const float* norm, int count, int32_t* votes) {
  for (int i = 0; i < count; ++i) votes[i] = 0;
  for (int s = 0; s < stump_count; ++s) {
    if (stumps[s].weight[2] != 0)
      vote<true>(stumps[s], sum, at, norm, count, votes);
    else
      vote<false>(stumps[s], sum, at, norm, count, votes);
  }
}

// The three loops for one instruction set.
struct Loops {
  void (*normalise)(const uint32_t*, const uint32_t*, const int*, float, int, float*);
  void (*vote_row)(const Stump*, int, const uint32_t*, const float*, int, int32_t*);
  void (*vote_listed)(const Stump*, int, const uint32_t*, const int32_t*, const float*, int, int32_t*);
};

void normalise_portable(const uint32_t* sum, const uint32_t* square, const int* corner, float area, int n, float* norm) {
  normalise(sum, square, corner, area, n, norm);
}
void vote_row_portable(const Stump* s, int stumps, const uint32_t* sum, const float* norm, int n, int32_t* votes) {
  vote_all(s, stumps, sum, InOrder{}, norm, n, votes);
}
void vote_listed_portable(const Stump* s, int stumps, const uint32_t* sum, const int32_t* column, const float* norm,
                          int n, int32_t* votes) {
  vote_all(s, stumps, sum, Listed{column}, norm, n, votes);
}
constexpr Loops kPortable{normalise_portable, vote_row_portable, vote_listed_portable};

#if defined(FURROW_SCAN_AVX2)
FURROW_SCAN_AVX2 void normalise_avx2(const uint32_t* sum, const uint32_t* square, const int* corner, float area, int n,
                                     float* norm) {
  normalise(sum, square, corner, area, n, norm);
}
FURROW_SCAN_AVX2 void vote_row_avx2(const Stump* s, int stumps, const uint32_t* sum, const float* norm, int n,
                                    int32_t* votes) {
  vote_all(s, stumps, sum, InOrder{}, norm, n, votes);
}
FURROW_SCAN_AVX2 void vote_listed_avx2(const Stump* s, int stumps, const uint32_t* sum, const int32_t* column,
                                       const float* norm, int n, int32_t* votes) {
  vote_all(s, stumps, sum, Listed{column}, norm, n, votes);
}
constexpr Loops kAvx2{normalise_avx2, vote_row_avx2, vote_listed_avx2};
#endif

// ---- one window ----

// The stage's exact sum of votes on one window.
double exact_votes(const CascadeTable& table, const Stage& stage, const uint32_t* window, float norm) {
  double total = 0;
  const Stump* stumps = table.stumps(stage);
  for (int s = 0; s < stage.count; ++s) {
    const Stump& stump = stumps[s];
    float value = 0;
    for (int r = 0; r < (stump.weight[2] != 0 ? 3 : 2); ++r) {
      const int* c = stump.corner[r];
      value += stump.weight[r] * static_cast<float>(static_cast<int32_t>(window[c[0]] - window[c[1]] - window[c[2]] +
                                                                        window[c[3]]));
    }
    total += static_cast<double>(value * norm < stump.threshold ? stump.left : stump.right);
  }
  return total;
}

bool passes(const CascadeTable& table, const Stage& stage, int32_t votes, const uint32_t* window, float norm) {
  const int32_t margin = votes - stage.fixed_threshold;
  if (margin > stage.doubt) return true;
  if (margin < -stage.doubt) return false;
  return exact_votes(table, stage, window, norm) >= static_cast<double>(stage.threshold);
}

// Stages [from, end) on one window; false where it fails. `score` is the last stage's sum.
bool finish_window(const CascadeTable& table, size_t from, const uint32_t* window, float norm, float& score) {
  for (size_t s = from; s < table.stages().size(); ++s) {
    const double total = exact_votes(table, table.stages()[s], window, norm);
    if (total < static_cast<double>(table.stages()[s].threshold)) return false;
    score = static_cast<float>(total);
  }
  return true;
}

}  // namespace

CascadeTable::CascadeTable(const Cascade& cascade, int stride, int step) {
  IntegralBand layout;
  layout.stride = stride;
  layout.step = step;
  const auto corners = [&](int x, int y, int w, int h, int* out) {
    out[0] = y * stride + layout.column(x);
    out[1] = y * stride + layout.column(x + w);
    out[2] = (y + h) * stride + layout.column(x);
    out[3] = (y + h) * stride + layout.column(x + w);
  };
  for (const CascadeStump& from : cascade.stumps) {
    Stump to{};
    for (int r = 0; r < 3; ++r) {
      corners(from.rect[r].x, from.rect[r].y, from.rect[r].w, from.rect[r].h, to.corner[r]);
      to.weight[r] = from.weight[r];
    }
    to.threshold = from.threshold;
    to.left = from.left;
    to.right = from.right;
    to.vote_right = static_cast<int32_t>(std::lrint(from.right * kFixedOne));
    to.vote_more = static_cast<int32_t>(std::lrint(from.left * kFixedOne)) - to.vote_right;
    stumps_.push_back(to);
  }
  for (const CascadeStage& from : cascade.stages) {
    double largest = std::fabs(from.threshold);
    for (const CascadeStump& s : cascade.stumps.subspan(static_cast<size_t>(from.first), static_cast<size_t>(from.count)))
      largest += std::fmax(std::fabs(s.left), std::fabs(s.right));
    require(largest * kFixedOne < 2e9, "CascadeTable: votes fit into 32-bit fixed point");
    // Every vote and the threshold is off by half a unit at most.
    stages_.push_back({from.first, from.count, from.threshold,
                       static_cast<int32_t>(std::lrint(from.threshold * kFixedOne)), from.count / 2 + 2});
  }
  corners(1, 1, cascade.window - 2, cascade.window - 2, inner_);
  inner_area_ = static_cast<float>((cascade.window - 2) * (cascade.window - 2));
}

ScanIsa best_scan_isa() {
#if defined(FURROW_SCAN_AVX2)
  static const bool avx2 = __builtin_cpu_supports("avx2");
  if (avx2) return ScanIsa::avx2;
#endif
  return ScanIsa::portable;
}

void scan_row(const CascadeTable& table, const uint32_t* sum, const uint32_t* square, int columns, ScanScratch& scratch,
              std::vector<CascadeHit>& hits, ScanIsa isa) {
#if defined(FURROW_SCAN_AVX2)
  const Loops& loops = isa == ScanIsa::avx2 ? kAvx2 : kPortable;
#else
  const Loops& loops = kPortable;
#endif
  const size_t room = static_cast<size_t>(columns);
  if (scratch.norm.size() < room) {
    scratch.norm.resize(room), scratch.alive_norm.resize(room);
    scratch.votes.resize(room), scratch.alive.resize(room);
  }
  float* norm = scratch.norm.data();
  float* alive_norm = scratch.alive_norm.data();
  int32_t* votes = scratch.votes.data();
  int32_t* alive = scratch.alive.data();

  loops.normalise(sum, square, table.inner(), table.inner_area(), columns, norm);
  const std::vector<Stage>& stages = table.stages();
  loops.vote_row(table.stumps(stages[0]), stages[0].count, sum, norm, columns, votes);
  int count = 0;
  for (int x = 0; x < columns; ++x) {
    if (norm[x] < 0) continue;
    if (!passes(table, stages[0], votes[x], sum + x, norm[x])) {
      ++x;
      continue;
    }
    alive[count] = x;
    alive_norm[count++] = norm[x];
  }
  size_t stage = 1;
  for (; stage < stages.size() && count >= kFewWindows; ++stage) {
    loops.vote_listed(table.stumps(stages[stage]), stages[stage].count, sum, alive, alive_norm, count, votes);
    int kept = 0;
    for (int i = 0; i < count; ++i) {
      if (!passes(table, stages[stage], votes[i], sum + alive[i], alive_norm[i])) continue;
      alive[kept] = alive[i];
      alive_norm[kept++] = alive_norm[i];
    }
    count = kept;
  }
  // The last stage is repeated where the vector loops ran to the end, for its exact sum.
  stage = std::min(stage, stages.size() - 1);
  for (int i = 0; i < count; ++i) {
    float score = 0;
    if (finish_window(table, stage, sum + alive[i], alive_norm[i], score)) hits.push_back({alive[i], score});
  }
}

}  // namespace furrow
