#include "bench/peak.h"

#include <time.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/cpu/isa.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace furrow::bench {
namespace {

double seconds(clockid_t clock) {
  timespec t;
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// Each loop runs `rounds` times 16 independent operations, more than latency times ports of any CPU it was tried on,
// and returns the floating-point operations it did. The empty asm keeps the compiler from folding the loop.
constexpr int kChains = 16;

#if defined(__x86_64__)
__attribute__((target("avx512f"))) double avx512_loop(int64_t rounds) {
  __m512 sums[kChains], a = _mm512_set1_ps(1e-3f), b = _mm512_set1_ps(1e-3f);
  for (__m512& s : sums) s = _mm512_setzero_ps();
  for (int64_t i = 0; i < rounds; ++i) {
    asm volatile("" : "+v"(a), "+v"(b));
    for (int j = 0; j < kChains; ++j) sums[j] = _mm512_fmadd_ps(a, b, sums[j]);
  }
  for (__m512& s : sums) asm volatile("" : "+v"(s));
  return 2.0 * 16 * kChains * static_cast<double>(rounds);
}

// 12 chains: with 16, the accumulators alone would fill the registers.
__attribute__((target("avx2,fma"))) double avx2_loop(int64_t rounds) {
  constexpr int kFewer = 12;
  __m256 sums[kFewer], a = _mm256_set1_ps(1e-3f), b = _mm256_set1_ps(1e-3f);
  for (__m256& s : sums) s = _mm256_setzero_ps();
  for (int64_t i = 0; i < rounds; ++i) {
    asm volatile("" : "+x"(a), "+x"(b));
    for (int j = 0; j < kFewer; ++j) sums[j] = _mm256_fmadd_ps(a, b, sums[j]);
  }
  for (__m256& s : sums) asm volatile("" : "+x"(s));
  return 2.0 * 8 * kFewer * static_cast<double>(rounds);
}
#endif

double portable_loop(int64_t rounds) {
  typedef float Vec __attribute__((vector_size(16)));
  constexpr int kFewer = 8;
  Vec sums[kFewer] = {}, a = {1e-3f, 1e-3f, 1e-3f, 1e-3f}, b = a;
  for (int64_t i = 0; i < rounds; ++i) {
    asm volatile("" : : "r"(&a), "r"(&b) : "memory");
    for (Vec& s : sums) s = s + a * b;
  }
  asm volatile("" : : "r"(sums) : "memory");
  return 2.0 * 4 * kFewer * static_cast<double>(rounds);
}

double loop(int64_t rounds) {
  static const cpu::Isa isa = cpu::choose_isa();
  switch (isa) {
#if defined(__x86_64__)
    case cpu::Isa::avx512: return avx512_loop(rounds);
    case cpu::Isa::avx2: return avx2_loop(rounds);
#endif
    default: return portable_loop(rounds);
  }
}

}  // namespace

double thread_seconds() { return seconds(CLOCK_THREAD_CPUTIME_ID); }
double process_seconds() { return seconds(CLOCK_PROCESS_CPUTIME_ID); }
double wall_seconds() { return seconds(CLOCK_MONOTONIC); }

double fma_burst(double milliseconds) {
  const double start = thread_seconds();
  double flops = 0, elapsed = 0;
  while (elapsed < milliseconds * 1e-3) {
    flops += loop(10000);
    elapsed = thread_seconds() - start;
  }
  return flops / elapsed;
}

double copy_burst() {
  constexpr size_t kBytes = size_t{64} << 20;
  static std::vector<char> from(kBytes, 1), to(kBytes, 2);
  const double start = thread_seconds();
  std::memcpy(to.data(), from.data(), kBytes);
  asm volatile("" : : "r"(to.data()) : "memory");
  return 2.0 * static_cast<double>(kBytes) / (thread_seconds() - start);
}

}  // namespace furrow::bench
