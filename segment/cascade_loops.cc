#include "segment/cascade_loops.h"

#include <cmath>
#include <cstdlib>
#include <string_view>

#if defined(__x86_64__)
#define FURROW_SCAN_AVX2 __attribute__((target("avx2")))
#endif

namespace furrow {
namespace {

using Stump = CascadeTable::Stump;

// The loops are plain, so that the compiler vectorises them; each is inlined into a function per instruction set.

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
    norm[i] = ((spread > 0) & (area * inverse < 1e-1)) ? inverse : -1.0f;
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

void normalise_portable(const uint32_t* sum, const uint32_t* square, const int* corner, float area, int n,
                        float* norm) {
  normalise(sum, square, corner, area, n, norm);
}
void vote_row_portable(const Stump* s, int stumps, const uint32_t* sum, const float* norm, int n, int32_t* votes) {
  vote_all(s, stumps, sum, InOrder{}, norm, n, votes);
}
void vote_listed_portable(const Stump* s, int stumps, const uint32_t* sum, const int32_t* column, const float* norm,
                          int n, int32_t* votes) {
  vote_all(s, stumps, sum, Listed{column}, norm, n, votes);
}
constexpr CascadeLoops kPortable{normalise_portable, vote_row_portable, vote_listed_portable};

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
constexpr CascadeLoops kAvx2{normalise_avx2, vote_row_avx2, vote_listed_avx2};
#endif

// ---- one window ----

}  // namespace

ScanIsa best_scan_isa() {
#if defined(FURROW_SCAN_AVX2)
  static const bool avx2 = [] {
    const char* forced = std::getenv("FURROW_ISA");
    return __builtin_cpu_supports("avx2") && (forced == nullptr || std::string_view(forced) != "portable");
  }();
  if (avx2) return ScanIsa::avx2;
#endif
  return ScanIsa::portable;
}

const CascadeLoops& cascade_loops(ScanIsa isa) {
#if defined(FURROW_SCAN_AVX2)
  if (isa == ScanIsa::avx2) return kAvx2;
#endif
  (void)isa;
  return kPortable;
}

}  // namespace furrow
