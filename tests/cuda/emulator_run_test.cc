// Correct kernels on the emulator: right under every schedule, the same for any number of workers, counted exactly, and
// still right after launches that failed.
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "kernels/cuda/simt.h"
#include "tests/cuda/emulator_support.h"

namespace furrow::emulated {
namespace {

using emu::error_of;
using emu::in_all_schedules;
using emu::KeepOptions;
using emu::says;

// Sum of 0 .. 255 per block, by shared memory, shuffles and an atomic.
__global__ void sum_block(int* out) {
  SHARED_ARRAY(int, parts, [8]);
  const int t = static_cast<int>(threadIdx.x);
  int v = t;
  for (int k = 16; k > 0; k /= 2) v += __shfl_xor_sync(~0u, v, k);
  if (t % 32 == 0) parts[t / 32] = v;
  __syncthreads();
  if (t < 32) {
    v = t < 8 ? parts[t] : 0;
    for (int k = 4; k > 0; k /= 2) v += __shfl_down_sync(~0u, v, static_cast<unsigned>(k));
    if (t == 0) atomicAdd(out, v);
  }
}
TEST(Runs, Reduction) {
  in_all_schedules([] {
    int out = 0;
    LAUNCH({}, dim3(3, 2), dim3(256), 0, sum_block, &out);
    EXPECT_EQ(out, 6 * 255 * 128);
  });
}

// Two stages of 64 floats, the next one on its way while the other is used.
__global__ void running_sum(float* out, const float* in, int stages) {
  SHARED_ARRAY(float, tile, [2][64]);
  const int t = static_cast<int>(threadIdx.x);
  const auto fetch = [&](int stage) {
    if (t < 16 && stage < stages) cp_async_16(&tile[stage % 2][4 * t], in + stage * 64 + 4 * t, true);
    cp_async_commit();
  };
  float sum = 0;
  fetch(0);
  for (int stage = 0; stage < stages; ++stage) {
    fetch(stage + 1);
    cp_async_wait<1>();
    __syncthreads();
    sum += tile[stage % 2][63 - t];
    __syncthreads();
  }
  out[t] = sum;
}
__global__ void copy_zeros(float* out, const float* in) {
  SHARED_ARRAY(float, s, [64]);
  const int t = static_cast<int>(threadIdx.x);
  cp_async_4(&s[t], in + t, t % 3 != 0);
  cp_async_commit();
  cp_async_wait<0>();
  out[t] = s[t];
}
TEST(Runs, DoubleBuffer) {
  alignas(16) float in[7 * 64];
  std::iota(std::begin(in), std::end(in), 1.0f);
  in_all_schedules([&] {
    std::vector<float> out(64, NAN);
    LAUNCH({}, dim3(1), dim3(64), 0, running_sum, out.data(), in, 7);
    for (int t = 0; t < 64; ++t) EXPECT_EQ(out[static_cast<size_t>(t)], 7.0f * static_cast<float>(64 - t) + 64 * 21);
    LAUNCH({}, dim3(1), dim3(64), 0, copy_zeros, out.data(), in);
    for (int t = 0; t < 64; ++t) EXPECT_EQ(out[static_cast<size_t>(t)], t % 3 == 0 ? 0.0f : static_cast<float>(t + 1));
  });
}

// The two halves of a warp in operations of their own; a partial warp with a mask of its lanes.
__global__ void halves(int* out) {
  const int t = static_cast<int>(threadIdx.x);
  int v = t;
  if (t % 32 < 16) v = __shfl_xor_sync(0xFFFFu, v, 1);
  else v = __shfl_up_sync(0xFFFF0000u, v, 1, 16);
  __syncwarp(t < 32 ? ~0u : 0xFFFFu);
  out[t] = v;
}
TEST(Runs, DisjointMasks) {
  in_all_schedules([] {
    std::vector<int> out(48);
    LAUNCH({}, dim3(1), dim3(48), 0, halves, out.data());
    for (int t = 0; t < 48; ++t)
      EXPECT_EQ(out[static_cast<size_t>(t)], t % 32 < 16 ? t ^ 1 : (t % 16 == 0 ? t : t - 1)) << t;
  });
}

// Every kind of shuffle in segments of eight; out holds four results per thread.
__global__ void shuffles(int* out) {
  const int t = static_cast<int>(threadIdx.x);
  out[4 * t] = __shfl_sync(~0u, t, 11, 8);
  out[4 * t + 1] = __shfl_up_sync(~0u, t, 3, 8);
  out[4 * t + 2] = __shfl_down_sync(~0u, t, 3, 8);
  out[4 * t + 3] = __shfl_xor_sync(~0u, t, 12, 8);
}
TEST(Runs, ShufflesInSegments) {
  std::vector<int> out(128);
  LAUNCH({}, dim3(1), dim3(32), 0, shuffles, out.data());
  for (int t = 0; t < 32; ++t) {
    const size_t i = 4 * static_cast<size_t>(t);
    EXPECT_EQ(out[i], t / 8 * 8 + 3);
    EXPECT_EQ(out[i + 1], t % 8 < 3 ? t : t - 3);
    EXPECT_EQ(out[i + 2], t % 8 > 4 ? t : t + 3);
    EXPECT_EQ(out[i + 3], (t ^ 12) < t / 8 * 8 + 8 ? t ^ 12 : t);   // an earlier segment may be read, a later one not
  }
}

__global__ void votes(uint32_t* out) {
  const int t = static_cast<int>(threadIdx.x);
  const int odd = __syncthreads_count(t % 2), few = __syncthreads_count(t < 5);
  out[t] = __ballot_sync(~0u, t % 3 == 0) + static_cast<uint32_t>(odd * 1000 + few);
}
TEST(Runs, VotesAndCounts) {
  in_all_schedules([] {
    std::vector<uint32_t> out(64);
    LAUNCH({}, dim3(1), dim3(64), 0, votes, out.data());
    for (uint32_t t = 0; t < 64; ++t) EXPECT_EQ(out[t], (t < 32 ? 0x49249249u : 0x92492492u) + 32 * 1000 + 5);
  });
}

struct Indices { unsigned thread[3], block[3], grid[3], size[3]; };
__global__ void indices(Indices* out) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  __syncthreads();
  out[block * blockDim.x * blockDim.y * blockDim.z + thread] = {{threadIdx.x, threadIdx.y, threadIdx.z},
                                                                {blockIdx.x, blockIdx.y, blockIdx.z},
                                                                {gridDim.x, gridDim.y, gridDim.z},
                                                                {blockDim.x, blockDim.y, blockDim.z}};
}
TEST(Runs, EveryIndexOnce) {
  in_all_schedules([] {
    std::vector<Indices> out(2 * 3 * 2 * 5 * 3 * 2);
    LAUNCH({}, dim3(2, 3, 2), dim3(5, 3, 2), 0, indices, out.data());
    size_t i = 0;
    for (unsigned bz = 0; bz < 2; ++bz) for (unsigned by = 0; by < 3; ++by) for (unsigned bx = 0; bx < 2; ++bx)
      for (unsigned tz = 0; tz < 2; ++tz) for (unsigned ty = 0; ty < 3; ++ty) for (unsigned tx = 0; tx < 5; ++tx, ++i) {
        const Indices& x = out[i];
        EXPECT_TRUE(x.thread[0] == tx && x.thread[1] == ty && x.thread[2] == tz && x.block[0] == bx &&
                    x.block[1] == by && x.block[2] == bz);
        EXPECT_TRUE(x.grid[0] == 2 && x.grid[1] == 3 && x.grid[2] == 2 && x.size[0] == 5 && x.size[1] == 3 &&
                    x.size[2] == 2);
      }
  });
}

__global__ void unwritten(float* out) {
  SHARED_ARRAY(float, s, [32]);
  DYNAMIC_SHARED(float, dynamic);
  out[threadIdx.x] = s[threadIdx.x];
  out[32 + threadIdx.x] = dynamic[threadIdx.x];
  s[threadIdx.x] = dynamic[threadIdx.x] = 1;   // the next block must not find it
}
TEST(Runs, SharedMemoryBeginsAsNan) {
  const KeepOptions keep;
  std::vector<float> out(64);
  for (int i = 0; i < 3; ++i) {
    LAUNCH({}, dim3(1), dim3(32), 128, unwritten, out.data());
    for (const float x : out) EXPECT_TRUE(std::isnan(x));
  }
}

// Who comes first, written down: the schedule is what the options say, and a seed repeats.
__global__ void order_of_arrival(unsigned* next, unsigned* out) {
  out[threadIdx.x] = atomicAdd(next, 1u);
  __syncthreads();
  out[blockDim.x + threadIdx.x] = atomicAdd(next, 1u);
}
TEST(Schedules, AreWhatTheySay) {
  const KeepOptions keep;
  const auto run = [](emu::Order order, uint64_t seed) {
    emu::options().order = order;
    emu::options().seed = seed;
    std::vector<unsigned> out(128);
    unsigned next = 0;
    LAUNCH({}, dim3(1), dim3(64), 0, order_of_arrival, &next, out.data());
    return out;
  };
  const auto forward = run(emu::Order::forward, 1), reverse = run(emu::Order::reverse, 1);
  for (unsigned i = 0; i < 64; ++i) {
    EXPECT_EQ(forward[i], i);
    EXPECT_EQ(forward[64 + i], 64 + i);
    EXPECT_EQ(reverse[i], 63 - i);
  }
  EXPECT_EQ(run(emu::Order::random, 5), run(emu::Order::random, 5));
  EXPECT_NE(run(emu::Order::random, 5), run(emu::Order::random, 6));
  EXPECT_NE(run(emu::Order::random, 5), forward);
}

// A released warp runs to its end before the warps that have not started.
__global__ void first_warp_ahead(unsigned* next, unsigned* out) {
  __syncwarp();
  out[threadIdx.x] = atomicAdd(next, 1u);
}
TEST(Schedules, RunAheadRunsAhead) {
  const KeepOptions keep;
  unsigned next = 0;
  std::vector<unsigned> order;
  emu::options().order = emu::Order::run_ahead;
  emu::reset_counters();
  std::vector<unsigned> out(64);
  LAUNCH({}, dim3(1), dim3(64), 0, first_warp_ahead, &next, out.data());
  for (unsigned i = 0; i < 32; ++i) EXPECT_LT(out[i], 32u);
}

TEST(Workers, DoNotChangeResults) {
  const KeepOptions keep;
  for (const unsigned workers : {1u, 2u, 5u}) {
    emu::options().workers = workers;
    int out = 0;
    LAUNCH({}, dim3(40), dim3(256), 0, sum_block, &out);
    EXPECT_EQ(out, 40 * 255 * 128);
  }
}

// Blocks 7 and 8 fail; with several workers 7 waits until 8 has begun, and 8 takes longer.
__global__ void two_blocks_fail(unsigned* begun, int alone) {
  if (threadIdx.x != 1) return;
  if (blockIdx.x == 7 && alone == 0)
    for (int i = 0; i < 10'000'000 && atomicAdd(begun, 0u) == 0; ++i) {}
  if (blockIdx.x == 8) {
    atomicAdd(begun, 1u);
    for (int i = 0; i < 1'000'000; ++i) atomicAdd(begun, 1u);
  }
  if (blockIdx.x == 7 || blockIdx.x == 8) (void)__ballot_sync(1u, 1);
}
TEST(Workers, ReportTheFirstFailingBlock) {
  const KeepOptions keep;
  for (const unsigned workers : {1u, 2u, 4u}) {
    emu::options().workers = workers;
    for (int i = 0; i < 3; ++i) {
      unsigned begun = 0;
      EXPECT_TRUE(says(error_of([&] { LAUNCH({}, dim3(64), dim3(32), 0, two_blocks_fail, &begun, workers == 1); }),
                       "[block (7,0,0) thread (1,0,0)]"));
    }
  }
}

TEST(Counters, AreExact) {
  emu::reset_counters();
  int out = 0;
  LAUNCH({}, dim3(3), dim3(256), 0, sum_block, &out);
  const emu::Counters c = emu::counters();
  EXPECT_EQ(c.launches, 1u);
  EXPECT_EQ(c.blocks, 3u);
  EXPECT_EQ(c.threads, 3u * 256);
  EXPECT_EQ(c.barriers, 3u);
  EXPECT_EQ(c.warp_operations, 3u * (8 * 5 + 3));
  EXPECT_EQ(c.shared_peak, 32u);
  EXPECT_EQ(c.mma + c.ldmatrix + c.ldmatrix_conflicts + c.async_copies, 0u);
  EXPECT_GT(c.switches, 0u);
}

__global__ void no_waiting(int* out) { out[blockIdx.x * 256 + threadIdx.x] = 1; }
TEST(Counters, ShowThatThreadsWithoutBarriersShareOneStack) {
  std::vector<int> out(10 * 256);
  emu::reset_counters();
  LAUNCH({}, dim3(10), dim3(256), 0, no_waiting, out.data());
#if !defined(__SANITIZE_THREAD__)   // there every thread has its own
  EXPECT_EQ(emu::counters().switches, 20u);   // in and out, per block
#endif
  EXPECT_EQ(std::accumulate(out.begin(), out.end(), 0), 2560);
}

// ---- failures
__global__ void throws(int at) {
  __syncthreads();
  if (static_cast<int>(threadIdx.x) == at) throw std::out_of_range("from a kernel");
  __syncthreads();
}
TEST(Failures, ExceptionsReachTheCaller) {
  const KeepOptions keep;
  for (const unsigned workers : {1u, 2u}) {
    emu::options().workers = workers;
    in_all_schedules([] {
      try {
        LAUNCH({}, dim3(2), dim3(64), 0, throws, 17);
        ADD_FAILURE() << "no exception";
      } catch (const std::out_of_range& error) {
        EXPECT_STREQ(error.what(), "from a kernel");
      }
      EXPECT_EQ(error_of([] { LAUNCH({}, dim3(2), dim3(64), 0, throws, -1); }), "");
    });
  }
}

__global__ void deadlocks(float* out) {
  if (threadIdx.x < 40) __syncthreads();
  out[blockIdx.x * blockDim.x + threadIdx.x] = __shfl_xor_sync(~0u, 1.0f, 1);
}
__global__ void diverges() {
  if (threadIdx.x < 64) __syncthreads();
  else {
    __syncthreads();
  }
}
TEST(Failures, LeaveLaterLaunchesAlone) {
  const KeepOptions keep;
  std::vector<float> floats(6 * 96);
  for (const unsigned workers : {1u, 2u}) {
    emu::options().workers = workers;
    for (int round = 0; round < 5; ++round)
      in_all_schedules([&] {
        EXPECT_NE(error_of([&] { LAUNCH({}, dim3(6), dim3(96), 0, deadlocks, floats.data()); }), "");
        EXPECT_NE(error_of([] { LAUNCH({}, dim3(6), dim3(128), 0, diverges); }), "");
        int out = 0;
        LAUNCH({}, dim3(6), dim3(256), 0, sum_block, &out);
        EXPECT_EQ(out, 6 * 255 * 128);
      });
  }
}

__global__ void dumps() {
  if (threadIdx.x < 3) __syncthreads();
  if (threadIdx.x == 3) emu::dump();
  __syncthreads();
}
TEST(Dump, SaysWhereThreadsStand) {
  testing::internal::CaptureStderr();
  EXPECT_NE(error_of([] { LAUNCH({}, dim3(1), dim3(8), 0, dumps); }), "");
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_TRUE(says(text, "kernel dumps, block (0,0,0), 8 threads:"));
  EXPECT_TRUE(says(text, "(0,0,0) to (2,0,0): waits at the barrier, emulator_run_test.cc:"));
  EXPECT_TRUE(says(text, "(3,0,0): running"));
  EXPECT_TRUE(says(text, "(4,0,0) to (7,0,0): not started"));
}

}  // namespace
}  // namespace furrow::emulated
