// Kernels with a bug each, for emulator_planted_test.cc: a program, for AddressSanitizer and UBSan end the process.
//
//   emulator_planted BUG     runs it under every schedule and both landings; prints a line for each: ok, WRONG, ERROR
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string_view>
#include <vector>

#include "kernels/cuda/simt.h"

namespace furrow::emulated {
namespace {

// Threads of a block, floats of `in` and `out`. Newer TSan runtimes (clang 14, GCC 13) tell 255 threads apart: in
// blocks of 256 the bugs of asynchronous copies go unseen.
constexpr int kSize = 128;
using Kernel = void (*)(float* out, const float* in);
int me() { return static_cast<int>(threadIdx.x); }

// ---- two that are right
__global__ void reversed(float* out, const float* in) {
  SHARED_ARRAY(float, s, [kSize]);
  s[me()] = in[me()];
  __syncthreads();
  out[me()] = s[kSize - 1 - me()];
}
__global__ void reversed_in_warp(float* out, const float* in) {
  SHARED_ARRAY(float, s, [kSize]);
  s[me()] = in[me()];
  __syncwarp();
  out[me()] = s[me() / 32 * 32 + 31 - me() % 32];
}

// ---- order
__global__ void no_barrier(float* out, const float* in) {
  SHARED_ARRAY(float, s, [kSize]);
  s[me()] = in[me()];
  out[me()] = s[kSize - 1 - me()];
}
__global__ void no_second_barrier(float* out, const float* in) {
  SHARED_ARRAY(float, s, [kSize]);
  float sum = 0;
  for (int i = 0; i < 2; ++i) {
    s[me()] = in[me()] * static_cast<float>(i + 1);
    __syncthreads();
    sum += s[(me() + 1) % kSize];
  }
  out[me()] = sum;
}
__global__ void no_syncwarp(float* out, const float* in) {
  SHARED_ARRAY(float, s, [kSize]);
  s[me()] = in[me()];
  out[me()] = s[me() / 32 * 32 + 31 - me() % 32];
}
__global__ void blocks_write_one_address(float* out, const float* in) { out[me()] = in[me()]; }
__global__ void sum_without_atomic(float* out, const float* in) { out[me() % 8] += in[me()]; }
__global__ void global_without_barrier(float* out, const float* in) {
  out[me()] = in[me()];
  __syncwarp();
  out[me()] = out[kSize - 1 - me()] * 0 + in[me()];
}

// ---- who takes part
__global__ void divergent_barrier(float* out, const float* in) {
  SHARED_ARRAY(float, s, [kSize]);
  s[me()] = in[me()];
  if (me() < kSize / 2) __syncthreads();
  else {
    __syncthreads();
  }
  out[me()] = s[kSize - 1 - me()];
}
__global__ void barrier_in_a_branch(float* out, const float* in) {
  if (me() % 2 == 1) __syncthreads();
  out[me()] = __shfl_xor_sync(~0u, in[me()], 1);
}
__global__ void early_exit(float* out, const float* in) {
  SHARED_ARRAY(float, s, [kSize]);
  if (me() >= 100) {
    out[me()] = in[me()];
    return;
  }
  s[me()] = in[me()];
  __syncthreads();
  out[me()] = s[me()];
}
__global__ void shuffle_with_left_lanes(float* out, const float* in) {
  if (me() % 32 >= 24) return;
  out[me()] = __shfl_down_sync(~0u, in[me()], 1);
}
__global__ void divergent_shuffle(float* out, const float* in) {
  float v = in[me()];
  if (me() % 2 == 1) v += __shfl_xor_sync(~0u, v, 2);
  else v -= __shfl_xor_sync(~0u, v, 2);
  out[me()] = v;
}
__global__ void shuffle_outside_mask(float* out, const float* in) {
  float v = in[me()];
  if (me() % 32 < 16) v = __shfl_down_sync(0xFFFFu, v, 8);
  out[me()] = v;
}

// ---- bounds, types
__global__ void shared_overrun_write(float* out, const float* in) {
  SHARED_ARRAY(float, s, [kSize]);
  float* p = s;
  p[me() + 1] = in[me()];
  __syncthreads();
  out[me()] = me() > 0 ? p[me()] : in[0];
}
__global__ void shared_overrun_read(float* out, const float* in) {
  SHARED_ARRAY(float, s, [kSize]);
  float* p = s;
  p[me()] = in[me()];
  __syncthreads();
  out[me()] = me() == kSize - 1 ? p[me() + 1] * 0 + in[me()] : p[me()];
}
__global__ void row_overrun(float* out, const float* in) {
  SHARED_ARRAY(float, s, [kSize / 16][16]);
  const int row = me() / 16, column = me() % 16;
  s[row][column] = in[me()];
  __syncthreads();
  out[me()] = column == 15 && row < kSize / 16 - 1 ? s[row][column + 1] * 0 + in[me()] : s[row][column];
}
__global__ void dynamic_overrun(float* out, const float* in) {
  DYNAMIC_SHARED(float, s);
  s[me() + (me() == kSize - 1)] = in[me()];
  __syncthreads();
  out[me()] = me() == kSize - 1 ? in[me()] : s[me()];
}
__global__ void global_overrun(float* out, const float* in) {
  out[me()] = in[me()];
  if (me() == kSize - 1) out[kSize] = 0;
}
__global__ void misaligned_float4(float* out, const float* in) {
  out[me()] = in[me()];
  if (me() < kSize / 4 - 1) {
    const float4& v = *reinterpret_cast<const float4*>(in + me() * 4 + 1);
    out[me()] += (v.x + v.w) * 0;
  }
}
__global__ void register_array_overrun(float* out, const float* in) {
  float a[4] = {in[me()], 0, 0, 0};
  const int i = me() % 8;
  out[me()] = i < 5 ? a[i] * 0 + in[me()] : in[me()];
}
__global__ void index_overflow(float* out, const float* in) {
  const int stride = 70000, i = me() * stride * 400;
  out[me()] = in[me()] + (i == 1 ? 1.0f : 0.0f);
}
__global__ void uninitialised_shared(float* out, const float* in) {
  SHARED_ARRAY(float, s, [kSize]);
  if (me() < kSize - 1) s[me()] = in[me()];
  __syncthreads();
  out[me()] = s[me()];
}
__global__ void too_much_shared(float* out, const float* in) {
  SHARED_ARRAY(float, s, [13000]);
  s[me()] = in[me()];
  __syncthreads();
  out[me()] = s[me()];
}
// 28000 + 30000 bytes: more than the usual 48 KB, which LAUNCH would not ask for.
__global__ void static_beside_dynamic(float* out, const float* in) {
  SHARED_ARRAY(float, s, [7000]);
  s[me()] = in[me()];
  __syncthreads();
  out[me()] = s[me()];
}

// ---- asynchronous copies
__global__ void copy_without_wait(float* out, const float* in) {
  SHARED_ARRAY(float, s, [kSize]);
  if (me() < kSize / 4) cp_async_16(&s[me() * 4], in + me() * 4, true);
  cp_async_commit();
  __syncthreads();
  out[me()] = s[me()];
  cp_async_wait<0>();
}
__global__ void copy_waits_for_wrong_group(float* out, const float* in) {
  SHARED_ARRAY(float, s, [2 * kSize]);
  for (int half = 0; half < 2; ++half) {
    if (me() < kSize / 4) cp_async_16(&s[half * kSize + me() * 4], in + me() * 4, true);
    cp_async_commit();
  }
  cp_async_wait<1>();
  __syncthreads();
  out[me()] = s[kSize + me()];
  cp_async_wait<0>();
}
__global__ void copy_without_barrier(float* out, const float* in) {
  SHARED_ARRAY(float, s, [kSize]);
  if (me() < kSize / 4) cp_async_16(&s[me() * 4], in + me() * 4, true);
  cp_async_commit();
  cp_async_wait<0>();
  out[me()] = s[me()];
}
__global__ void copy_misaligned(float* out, const float* in) {
  SHARED_ARRAY(float, s, [kSize + 16]);
  if (me() < kSize / 4) cp_async_16(&s[me() * 4 + 1], in + me() * 4, true);
  cp_async_commit();
  cp_async_wait<0>();
  out[me()] = in[me()];
}
__global__ void copy_past_the_end(float* out, const float* in) {
  SHARED_ARRAY(float, s, [kSize]);
  if (me() < kSize / 4) cp_async_16(&s[me() * 4], in + me() * 4 + 4, true);
  cp_async_commit();
  cp_async_wait<0>();
  out[me()] = in[me()];
}
__global__ void copy_of_nothing_from_null(float* out, const float* in) {
  SHARED_ARRAY(float, s, [kSize]);
  if (me() < kSize / 4) cp_async_16(&s[me() * 4], me() < kSize / 8 ? in + me() * 4 : nullptr, me() < kSize / 8);
  cp_async_commit();
  cp_async_wait<0>();
  out[me()] = in[me()];
}
__global__ void copy_of_nothing_misaligned(float* out, const float* in) {
  SHARED_ARRAY(float, s, [kSize]);
  if (me() < kSize / 4) cp_async_16(&s[me() * 4], in + 1, false);
  cp_async_commit();
  cp_async_wait<0>();
  out[me()] = in[me()];
}

struct Bug {
  const char* name;
  Kernel kernel;
  std::function<float(int)> want;   // out[t], where in[t] is t + 1
  unsigned blocks = 1;
  size_t dynamic_shared = 0;
};

const Bug* find(std::string_view name) {
  const auto same = [](int t) { return static_cast<float>(t + 1); };
  const auto back = [](int t) { return static_cast<float>(kSize - t); };
  const auto back_in_warp = [](int t) { return static_cast<float>(t / 32 * 32 + 32 - t % 32); };
  static const Bug bugs[] = {
      {"reversed", reversed, back},
      {"reversed_in_warp", reversed_in_warp, back_in_warp},
      {"no_barrier", no_barrier, back},
      {"no_second_barrier", no_second_barrier, [](int t) { return 3.0f * static_cast<float>((t + 1) % kSize + 1); }},
      {"no_syncwarp", no_syncwarp, back_in_warp},
      {"blocks_write_one_address", blocks_write_one_address, same, 4},
      {"sum_without_atomic", sum_without_atomic,
       [](int t) { return t < 8 ? 16.0f * static_cast<float>(t) + 976 : 0.0f; }},
      {"global_without_barrier", global_without_barrier, same},
      {"divergent_barrier", divergent_barrier, back},
      {"barrier_in_a_branch", barrier_in_a_branch, [](int t) { return static_cast<float>((t ^ 1) + 1); }},
      {"early_exit", early_exit, same},
      {"shuffle_with_left_lanes", shuffle_with_left_lanes, same},
      {"divergent_shuffle", divergent_shuffle, same},
      {"shuffle_outside_mask", shuffle_outside_mask, same},
      {"shared_overrun_write", shared_overrun_write, [](int t) { return static_cast<float>(t > 0 ? t : 1); }},
      {"shared_overrun_read", shared_overrun_read, same},
      {"row_overrun", row_overrun, same},
      {"dynamic_overrun", dynamic_overrun, same, 1, kSize * sizeof(float)},
      {"global_overrun", global_overrun, same},
      {"misaligned_float4", misaligned_float4, same},
      {"register_array_overrun", register_array_overrun, same},
      {"index_overflow", index_overflow, same},
      {"uninitialised_shared", uninitialised_shared, same},
      {"too_much_shared", too_much_shared, same},
      {"copy_without_wait", copy_without_wait, same},
      {"copy_waits_for_wrong_group", copy_waits_for_wrong_group, same},
      {"copy_without_barrier", copy_without_barrier, same},
      {"copy_misaligned", copy_misaligned, same},
      {"copy_past_the_end", copy_past_the_end, same},
      {"copy_of_nothing_from_null", copy_of_nothing_from_null, same},
      {"copy_of_nothing_misaligned", copy_of_nothing_misaligned, same},
      {"static_beside_dynamic", static_beside_dynamic, same, 1, 30000},
  };
  for (const Bug& bug : bugs)
    if (name == bug.name) return &bug;
  return nullptr;
}

void run(const Bug& bug) {
  auto* in = static_cast<float*>(std::aligned_alloc(16, kSize * sizeof(float)));
  auto* out = static_cast<float*>(std::aligned_alloc(16, kSize * sizeof(float)));
  for (int i = 0; i < kSize; ++i) in[i] = static_cast<float>(i + 1), out[i] = 0;
  try {
    launch_kernel({}, dim3(bug.blocks), dim3(kSize), bug.dynamic_shared, bug.name, bug.kernel, out, in);
    int wrong = -1;
    for (int i = 0; i < kSize && wrong < 0; ++i)
      if (!(out[i] == bug.want(i))) wrong = i;   // NaN is wrong
    if (wrong < 0) std::puts("ok");
    else
      std::printf("WRONG at %d: %g, not %g\n", wrong, static_cast<double>(out[wrong]),
                  static_cast<double>(bug.want(wrong)));
  } catch (const emu::KernelError& error) {
    std::printf("ERROR %s\n", error.what());
  }
  std::free(in);
  std::free(out);
}

}  // namespace
}  // namespace furrow::emulated

int main(int count, char** words) {
  using namespace furrow;
  const emulated::Bug* bug = count > 1 ? emulated::find(words[1]) : nullptr;
  if (bug == nullptr) {
    std::fputs("usage: emulator_planted BUG\n", stderr);
    return 2;
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  for (const emu::Order order : {emu::Order::forward, emu::Order::reverse, emu::Order::random, emu::Order::run_ahead})
    for (const emu::Landing landing : {emu::Landing::eager, emu::Landing::lazy}) {
      emu::options().order = order;
      emu::options().landing = landing;
      emulated::run(*bug);
    }
  return 0;
}
