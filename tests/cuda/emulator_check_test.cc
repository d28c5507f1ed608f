// Every rule of the CUDA model that the emulator checks, broken on purpose: the launch ends with the right reason.
#include <vector>

#include "kernels/cuda/simt.h"
#include "tests/cuda/emulator_support.h"

namespace furrow::emulated {
namespace {

using emu::error_of;
using emu::in_all_schedules;
using emu::KeepOptions;
using emu::says;

// ---- barriers
__global__ void two_barriers(int split) {
  if (static_cast<int>(threadIdx.x) < split) __syncthreads();
  else {
    __syncthreads();
  }
}
TEST(Barriers, OfDifferentLinesAreDivergent) {
  in_all_schedules([] {
    EXPECT_TRUE(says(error_of([] { LAUNCH({}, dim3(2), dim3(128), 0, two_barriers, 64); }), "divergent barrier: "));
    EXPECT_TRUE(says(error_of([] { LAUNCH({}, dim3(1), dim3(32), 0, two_barriers, 5); }), "divergent barrier: "));
  });
}
TEST(Barriers, DivergenceNamesKernelBlockThreadAndLine) {
  const std::string reason = error_of([] { LAUNCH({}, dim3(1), dim3(64), 0, two_barriers, 32); });
  EXPECT_TRUE(
      says(reason, "kernel two_barriers: divergent barrier: 32 threads wait at the barrier emulator_check_test.cc:"));
  EXPECT_TRUE(says(reason, "[block (0,0,0) thread (32,0,0)] at emulator_check_test.cc:"));
}

__global__ void barrier_for_some(float* out) {
  if (threadIdx.x & 1) __syncthreads();
  out[threadIdx.x] = __shfl_xor_sync(~0u, 1.0f, 1);
}
TEST(Barriers, AgainstAShuffleIsADeadlockExplained) {
  std::vector<float> out(64);
  in_all_schedules([&] {
    const std::string reason = error_of([&] { LAUNCH({}, dim3(1), dim3(64), 0, barrier_for_some, out.data()); });
    EXPECT_TRUE(says(reason, "deadlock: 32 threads wait at the barrier emulator_check_test.cc:"));
    EXPECT_TRUE(says(reason, "32 threads wait in warp operations (warp 0 in shuffle at emulator_check_test.cc:"));
    EXPECT_TRUE(says(reason, "mask ffffffff, arrived 55555555, left 00000000); 0 have left"));
  });
}

__global__ void leaves_early(int* out, unsigned stay) {
  if (threadIdx.x >= stay) return;
  __syncthreads();
  out[threadIdx.x] = 1;
}
TEST(Barriers, MayNotBeMissedByALeavingThread) {
  std::vector<int> out(64);
  in_all_schedules([&] {
    const std::string reason = error_of([&] { LAUNCH({}, dim3(1), dim3(64), 0, leaves_early, out.data(), 40u); });
    EXPECT_TRUE(says(reason, "the kernel")) << "either the leaving or the coming thread is named";
    EXPECT_TRUE(says(reason, "barrier"));
  });
}
TEST(Barriers, CountLeftThreadsAsArrivedWhereThatIsAllowed) {
  const KeepOptions keep;
  in_all_schedules([] {
    emu::options().strict_exit = false;
    std::vector<int> out(64);
    LAUNCH({}, dim3(1), dim3(64), 0, leaves_early, out.data(), 40u);
    for (int i = 0; i < 64; ++i) EXPECT_EQ(out[static_cast<size_t>(i)], i < 40);
  });
}

// ---- warps
__global__ void shuffle_all(float* out, unsigned stay) {
  if (threadIdx.x % 32 >= stay) return;
  out[threadIdx.x] = __shfl_down_sync(~0u, 1.0f, 1);
}
TEST(Warps, MaskMayNotNameLeftLanes) {
  std::vector<float> out(64);
  in_all_schedules([&] {
    const std::string reason = error_of([&] { LAUNCH({}, dim3(1), dim3(64), 0, shuffle_all, out.data(), 24u); });
    EXPECT_TRUE(says(reason, "shuffle: "));
    EXPECT_TRUE(says(reason, "left the kernel"));
  });
}
TEST(Warps, MaskMayNotNameMissingLanes) {
  std::vector<float> out(64);
  const std::string reason = error_of([&] { LAUNCH({}, dim3(1), dim3(48), 0, shuffle_all, out.data(), 32u); });
  EXPECT_TRUE(says(reason, "the mask ffffffff names lanes ffff0000, which the block of 48 threads does not have"));
  EXPECT_TRUE(says(reason, "thread (32,0,0)"));
}

__global__ void own_mask(int* out) { out[threadIdx.x] = static_cast<int>(__ballot_sync(0xFFFEu, 1)); }
TEST(Warps, MaskMustNameTheCaller) {
  std::vector<int> out(32);
  EXPECT_TRUE(says(error_of([&] { LAUNCH({}, dim3(1), dim3(32), 0, own_mask, out.data()); }),
                   "__ballot_sync: lane 0 is not in its own mask 0000fffe"));
}

__global__ void different_masks() { __syncwarp(threadIdx.x == 3 ? 0xFFFFu : ~0u); }
__global__ void different_sites(float* out) {
  float v = out[threadIdx.x];
  if (threadIdx.x & 1) v += __shfl_xor_sync(~0u, v, 2);
  else v -= __shfl_xor_sync(~0u, v, 2);
  out[threadIdx.x] = v;
}
__global__ void different_operations(uint32_t* out) {
  if (threadIdx.x & 1) __syncwarp(); else out[threadIdx.x] = __ballot_sync(~0u, 1);
}
__global__ void different_shuffles(float* out) {
  out[threadIdx.x] = threadIdx.x & 1 ? __shfl_up_sync(~0u, 1.0f, 2) : __shfl_down_sync(~0u, 1.0f, 2);
}
TEST(Warps, LanesMustAgree) {
  std::vector<float> out(32);
  std::vector<uint32_t> votes(32);
  in_all_schedules([&] {
    EXPECT_TRUE(
        says(error_of([] { LAUNCH({}, dim3(1), dim3(32), 0, different_masks); }), "divergent warp operation: lanes "));
    EXPECT_TRUE(says(error_of([&] { LAUNCH({}, dim3(1), dim3(32), 0, different_sites, out.data()); }),
                     "divergent warp operation: lanes "));
    EXPECT_TRUE(says(error_of([&] { LAUNCH({}, dim3(1), dim3(32), 0, different_operations, votes.data()); }),
                     "divergent warp operation: lanes "));
    EXPECT_TRUE(says(error_of([&] { LAUNCH({}, dim3(1), dim3(32), 0, different_shuffles, out.data()); }),
                     "divergent warp operation: lanes "));
  });
}

__global__ void reads_outside(float* out) {
  float v = out[threadIdx.x];
  if (threadIdx.x % 32 < 16) v = __shfl_down_sync(0xFFFFu, v, 8);
  out[threadIdx.x] = v;
}
__global__ void odd_width(float* out) { out[threadIdx.x] = __shfl_sync(~0u, 1.0f, 0, 12); }
TEST(Warps, ShuffleReadsOnlyFromItsMask) {
  std::vector<float> out(32);
  EXPECT_TRUE(says(error_of([&] { LAUNCH({}, dim3(1), dim3(32), 0, reads_outside, out.data()); }),
                   "shuffle: lane 8 reads lane 16, which is not in the mask 0000ffff"));
  EXPECT_TRUE(says(error_of([&] { LAUNCH({}, dim3(1), dim3(32), 0, odd_width, out.data()); }),
                   "the width 12 is not a power of two"));
}

__global__ void waits_for_nobody(uint32_t* out) {
  if (threadIdx.x < 16) out[threadIdx.x] = __ballot_sync(~0u, 1);
  else __syncthreads();
}
TEST(Warps, WaitForABarrierIsADeadlock) {
  std::vector<uint32_t> out(32);
  EXPECT_TRUE(says(error_of([&] { LAUNCH({}, dim3(1), dim3(32), 0, waits_for_nobody, out.data()); }),
                   "deadlock: 16 threads wait at the barrier"));
}

__global__ void multiplies(float* out) {
  float d[4] = {};
  const uint32_t a[4] = {}, b[2] = {};
  mma_m16n8k16_bf16(d, a, b);
  out[threadIdx.x] = d[0];
}
TEST(Warps, MmaNeedsThirtyTwoLanes) {
  std::vector<float> out(32);
  EXPECT_TRUE(says(error_of([&] { LAUNCH({}, dim3(1), dim3(16), 0, multiplies, out.data()); }),
                   "mma: the mask ffffffff names lanes ffff0000"));
}

// ---- shared memory
__global__ void static_bytes(int big) {
  if (big == 0) {
    SHARED_ARRAY(float, fits, [12288]);
    fits[threadIdx.x] = 0;
  } else {
    SHARED_ARRAY(float, too_much, [12289]);
    too_much[threadIdx.x] = 0;
  }
}
TEST(SharedMemory, HasLimits) {
  EXPECT_EQ(error_of([] { LAUNCH({}, dim3(1), dim3(32), 0, static_bytes, 0); }), "");
  EXPECT_TRUE(says(error_of([] { LAUNCH({}, dim3(1), dim3(32), 0, static_bytes, 1); }),
                   "shared array 'too_much': 49168 bytes of shared arrays are more than the limit of 49152"));
  EXPECT_EQ(error_of([] { LAUNCH({}, dim3(1), dim3(32), 179 * 1024, static_bytes, 0); }), "");
  EXPECT_TRUE(says(error_of([] { LAUNCH({}, dim3(1), dim3(32), 179 * 1024 + 16, static_bytes, 0); }),
                   "232464 bytes of shared memory are more than the limit of 232448"));
  EXPECT_TRUE(says(error_of([] { LAUNCH({}, dim3(1), dim3(32), 227 * 1024 + 1, static_bytes, 0); }),
                   "232449 bytes of dynamic shared memory are more than the limit of 232448"));
}

#if !defined(__SANITIZE_ADDRESS__)   // AddressSanitizer ends the process at the write itself (emulator_planted_test.cc)
__global__ void overruns(int at, int with_barrier) {
  SHARED_ARRAY(uint8_t, first, [13]);
  SHARED_ARRAY(float, second, [8]);
  if (threadIdx.x == 0) second[0] = 0;
  if (threadIdx.x == 5) *(static_cast<uint8_t*>(first) + at) = 1;
  if (with_barrier) __syncthreads();
}
__global__ void overruns_dynamic(int at) {
  DYNAMIC_SHARED(float, memory);
  if (threadIdx.x == 0) memory[at] = 1;
}
TEST(SharedMemory, GuardBytesNameTheOverrunArray) {
  for (const int barrier : {0, 1}) {
    EXPECT_EQ(error_of([&] { LAUNCH({}, dim3(1), dim3(32), 0, overruns, 12, barrier); }), "");
    EXPECT_TRUE(says(error_of([&] { LAUNCH({}, dim3(1), dim3(32), 0, overruns, 13, barrier); }),
                     "shared array 'first' was overrun (guard bytes behind it changed)"));
    EXPECT_TRUE(says(error_of([&] { LAUNCH({}, dim3(1), dim3(32), 0, overruns, -1, barrier); }),
                     "shared array 'first' was overrun (guard bytes before it changed)"));
  }
  EXPECT_EQ(error_of([] { LAUNCH({}, dim3(1), dim3(32), 64, overruns_dynamic, 15); }), "");
  EXPECT_TRUE(says(error_of([] { LAUNCH({}, dim3(1), dim3(32), 64, overruns_dynamic, 16); }),
                   "dynamic shared memory was overrun"));
}
#endif

// ---- asynchronous copies, ldmatrix
__global__ void copies(float* out, const float* in, int shift, int bytes, int wait, int foreign) {
  SHARED_ARRAY(float, s, [160]);
  const int t = static_cast<int>(threadIdx.x);
  float* to = foreign ? out : s;
  if (bytes == 16) cp_async_16(to + 4 * t + shift, in + 4 * t, true);
  else cp_async_4(reinterpret_cast<uint8_t*>(to) + 4 * t + shift, in + 4 * t, true);
  cp_async_commit();
  if (wait) cp_async_wait<0>();
  __syncthreads();
}
__global__ void misaligned_source(const float* in) {
  SHARED_ARRAY(float, s, [128]);
  cp_async_16(s + 4 * threadIdx.x, in + 1 + 4 * threadIdx.x, true);
  cp_async_commit();
  cp_async_wait<0>();
}
TEST(AsyncCopies, AreChecked) {
  alignas(16) float in[160] = {}, out[160] = {};
  in_all_schedules([&] {
    EXPECT_EQ(error_of([&] { LAUNCH({}, dim3(1), dim3(32), 0, copies, out, in, 0, 16, 1, 0); }), "");
    EXPECT_EQ(error_of([&] { LAUNCH({}, dim3(1), dim3(32), 0, copies, out, in, 0, 4, 1, 0); }), "");
    EXPECT_TRUE(says(error_of([&] { LAUNCH({}, dim3(1), dim3(32), 0, copies, out, in, 1, 16, 1, 0); }),
                     "is not a multiple of 16"));
    EXPECT_TRUE(says(error_of([&] { LAUNCH({}, dim3(1), dim3(32), 0, copies, out, in, 2, 4, 1, 0); }),
                     "is not a multiple of 4"));
    EXPECT_TRUE(says(error_of([&] { LAUNCH({}, dim3(1), dim3(32), 0, misaligned_source, in); }),
                     "cp.async: the global address "));
    EXPECT_TRUE(says(error_of([&] { LAUNCH({}, dim3(1), dim3(32), 0, copies, out, in, 0, 16, 1, 1); }),
                     "are not in the block's shared memory"));
    EXPECT_TRUE(says(error_of([&] { LAUNCH({}, dim3(1), dim3(32), 0, copies, out, in, 60, 16, 1, 0); }),
                     "are not in the block's shared memory"));
    EXPECT_TRUE(says(error_of([&] { LAUNCH({}, dim3(1), dim3(32), 0, copies, out, in, 0, 16, 0, 0); }),
                     "leaves the kernel with 1 asynchronous copies not waited for"));
  });
}

__global__ void loads(uint32_t* out, int shift, int foreign) {
  SHARED_ARRAY(uint16_t, s, [256]);
  for (int i = static_cast<int>(threadIdx.x); i < 256; i += 32) s[i] = 0;
  __syncwarp();
  uint32_t r[4];
  ldmatrix_x4(r, foreign && threadIdx.x == 7 ? static_cast<const void*>(out)
                                             : &s[threadIdx.x * 8 + static_cast<unsigned>(shift)]);
  out[threadIdx.x] = r[0];
}
TEST(Ldmatrix, RowsAreAlignedAndInSharedMemory) {
  alignas(16) uint32_t out[32];
  EXPECT_EQ(error_of([&] { LAUNCH({}, dim3(1), dim3(32), 0, loads, out, 0, 0); }), "");
  EXPECT_TRUE(
      says(error_of([&] { LAUNCH({}, dim3(1), dim3(32), 0, loads, out, 4, 0); }), "ldmatrix: the shared address "));
  EXPECT_TRUE(says(error_of([&] { LAUNCH({}, dim3(1), dim3(32), 0, loads, out, 8, 0); }), "ldmatrix: 16 bytes at "));
  EXPECT_TRUE(says(error_of([&] { LAUNCH({}, dim3(1), dim3(32), 0, loads, out, 0, 1); }),
                   "are not in the block's shared memory [block (0,0,0) thread (7,0,0)]"));
}

// ---- launches
__global__ void nothing() {}
__global__ void launches_another() { LAUNCH({}, dim3(1), dim3(1), 0, nothing); }
TEST(Launches, HaveLimits) {
  const auto reason = [](dim3 grid, dim3 block) { return error_of([&] { LAUNCH({}, grid, block, 0, nothing); }); };
  EXPECT_EQ(reason(dim3(2, 3, 4), dim3(8, 4, 32)), "");
  EXPECT_TRUE(says(reason(1, dim3(33, 32)), "kernel nothing: the block (33,32,1) has more than 1024 threads"));
  EXPECT_TRUE(says(reason(1, 1025), "is over the limit of (1024,1024,64)"));
  EXPECT_TRUE(says(reason(1, dim3(1, 1, 65)), "is over the limit of (1024,1024,64)"));
  EXPECT_TRUE(says(reason(1, dim3(65536, 65536)), "is over the limit of (1024,1024,64)"));
  EXPECT_TRUE(says(reason(0, 1), "the grid (0,1,1) is empty"));
  EXPECT_TRUE(says(reason(1, dim3(1, 0)), "the block (1,0,1) is empty"));
  EXPECT_TRUE(says(reason(dim3(1, 65536), 1), "the grid (1,65536,1) is over the limit"));
  EXPECT_TRUE(says(reason(0x80000000u, 1), "is over the limit of (2147483647,65535,65535)"));
}
TEST(Launches, DoNotNest) {
  EXPECT_TRUE(says(error_of([] { LAUNCH({}, dim3(1), dim3(32), 0, launches_another); }),
                   "kernel launches_another: launches kernel nothing from inside a kernel"));
}
TEST(Launches, WordsOutsideAKernelAreRefused) {
  EXPECT_TRUE(says(error_of([] { __syncthreads(); }), "__syncthreads is called outside a kernel"));
  EXPECT_TRUE(says(error_of([] { (void)__ballot_sync(~0u, 1); }), "__ballot_sync is called outside a kernel"));
}

}  // namespace
}  // namespace furrow::emulated
