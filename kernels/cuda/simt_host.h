// The words of kernels/cuda/simt.h for the emulator (kernels/emu). Included by simt.h alone; includes no CUDA header.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <type_traits>

#include "kernels/cuda/stream.h"
#include "kernels/emu/engine.h"
#include "kernels/half.h"

#define __global__ static
#define __launch_bounds__(...)
#define SIMT_DEVICE inline
#define SIMT_BOTH inline
#define SIMT_UNROLL
// The lambda's local gives each place in the source, and each instance of a template, a key of its own.
#define SHARED_ARRAY(T, name, ...)                                                                    \
  using name##_array_type = T __VA_ARGS__;                                                            \
  auto& name = *static_cast<name##_array_type*>(::furrow::emu::static_shared(                         \
      []() -> const void* { static const char key = 0; return &key; }(), sizeof(name##_array_type), #name, ::furrow::emu::Site::here()))
#define DYNAMIC_SHARED(T, name) T* name = static_cast<T*>(::furrow::emu::dynamic_shared(::furrow::emu::Site::here()))
#define LAUNCH(stream, grid, block, shared_bytes, kernel, ...) \
  launch_kernel(stream, grid, block, shared_bytes, #kernel, kernel __VA_OPT__(, ) __VA_ARGS__)

namespace furrow::emulated {

struct uint3 { unsigned x, y, z; };
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}  // NOLINT: as CUDA's
};
// Rewritten at every change of thread. Variables, not macros, so that a debugger prints them and uses them in conditions.
extern thread_local constinit uint3 threadIdx, blockIdx;
extern thread_local constinit dim3 blockDim, gridDim;

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

using std::isfinite;
using std::isnan;
using std::max;
using std::min;

struct alignas(2) f16 { uint16_t bits; };
struct alignas(2) bf16 { uint16_t bits; };
inline float to_float(float x) { return x; }
inline float to_float(f16 x) { return f16_to_f32(x.bits); }
inline float to_float(bf16 x) { return bf16_to_f32(x.bits); }
template <class T> T from_float(float x);
template <> inline float from_float<float>(float x) { return x; }
template <> inline f16 from_float<f16>(float x) { return {f32_to_f16(x)}; }
template <> inline bf16 from_float<bf16>(float x) { return {f32_to_bf16(x)}; }
inline uint32_t to_tf32(float x) {
  const uint32_t u = std::bit_cast<uint32_t>(x);
  return (u & 0x7f800000u) == 0x7f800000u ? u : (u + 0x1000u) & 0xffffe000u;   // ties away from zero
}

inline void __syncthreads(emu::Site site = emu::Site::here()) { emu::sync_threads(site); }
inline int __syncthreads_count(int predicate, emu::Site site = emu::Site::here()) { return emu::sync_threads_count(predicate, site); }
inline void __syncwarp(uint32_t mask = ~0u, emu::Site site = emu::Site::here()) { emu::sync_warp(mask, site); }
template <class T> T shuffle_as(uint32_t mask, T value, emu::Shuffle how, int argument, int width, emu::Site site) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = emu::shuffle(mask, bits, how, argument, width, site);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
template <class T> T __shfl_sync(uint32_t mask, T v, int lane, int width = 32, emu::Site site = emu::Site::here()) {
  return shuffle_as(mask, v, emu::Shuffle::index, lane, width, site);
}
template <class T> T __shfl_up_sync(uint32_t mask, T v, unsigned by, int width = 32, emu::Site site = emu::Site::here()) {
  return shuffle_as(mask, v, emu::Shuffle::up, static_cast<int>(by), width, site);
}
template <class T> T __shfl_down_sync(uint32_t mask, T v, unsigned by, int width = 32, emu::Site site = emu::Site::here()) {
  return shuffle_as(mask, v, emu::Shuffle::down, static_cast<int>(by), width, site);
}
template <class T> T __shfl_xor_sync(uint32_t mask, T v, int bits, int width = 32, emu::Site site = emu::Site::here()) {
  return shuffle_as(mask, v, emu::Shuffle::exclusive_or, bits, width, site);
}
inline uint32_t __ballot_sync(uint32_t mask, int predicate, emu::Site site = emu::Site::here()) { return emu::ballot(mask, predicate, site); }
inline int __popc(unsigned x) { return std::popcount(x); }

// Real atomics, so that blocks may run on several operating-system threads.
inline unsigned atomicAdd(unsigned* p, unsigned v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }
inline int atomicAdd(int* p, int v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }
inline unsigned long long atomicAdd(unsigned long long* p, unsigned long long v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }
template <class T> T atomic_max(T* p, T v) {
  T old = __atomic_load_n(p, __ATOMIC_RELAXED);
  while (old < v && !__atomic_compare_exchange_n(p, &old, v, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
  return old;
}
inline unsigned atomicMax(unsigned* p, unsigned v) { return atomic_max(p, v); }
inline int atomicMax(int* p, int v) { return atomic_max(p, v); }

inline void cp_async_16(void* dst, const void* src, bool valid, emu::Site site = emu::Site::here()) { emu::cp_async(dst, src, 16, valid, site); }
inline void cp_async_4(void* dst, const void* src, bool valid, emu::Site site = emu::Site::here()) { emu::cp_async(dst, src, 4, valid, site); }
inline void cp_async_commit() { emu::cp_async_commit(); }
template <int N> void cp_async_wait(emu::Site site = emu::Site::here()) { emu::cp_async_wait(N, site); }
inline void ldmatrix_x4(uint32_t (&r)[4], const void* row, emu::Site site = emu::Site::here()) { emu::ldmatrix(r, 4, false, row, site); }
inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row, emu::Site site = emu::Site::here()) { emu::ldmatrix(r, 4, true, row, site); }
inline void ldmatrix_x2(uint32_t (&r)[2], const void* row, emu::Site site = emu::Site::here()) { emu::ldmatrix(r, 2, false, row, site); }

template <class D>
void mma_as(emu::MmaType type, D (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], emu::Site site) {
  emu::MmaOperands lane{{a[0], a[1], a[2], a[3]}, {b[0], b[1]}, {}};
  for (int i = 0; i < 4; ++i) lane.d[i] = std::bit_cast<uint32_t>(d[i]);
  emu::mma(type, lane, site);
  for (int i = 0; i < 4; ++i) d[i] = std::bit_cast<D>(lane.d[i]);
}
inline void mma_m16n8k16_f16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], emu::Site site = emu::Site::here()) {
  mma_as(emu::MmaType::f16, d, a, b, site);
}
inline void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], emu::Site site = emu::Site::here()) {
  mma_as(emu::MmaType::bf16, d, a, b, site);
}
inline void mma_m16n8k8_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], emu::Site site = emu::Site::here()) {
  mma_as(emu::MmaType::tf32, d, a, b, site);
}
inline void mma_m16n8k32_s8(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], emu::Site site = emu::Site::here()) {
  mma_as(emu::MmaType::s8, d, a, b, site);
}
inline void mma_m16n8k32_u8s8(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], emu::Site site = emu::Site::here()) {
  mma_as(emu::MmaType::u8s8, d, a, b, site);
}

// Throws emu::KernelError.
template <class... P, class... A>
void launch_kernel(gpu::Stream, dim3 grid, dim3 block, size_t shared_bytes, const char* name, void (*kernel)(P...), A&&... arguments) {
  struct Call {
    void (*kernel)(P...);
    std::tuple<P...> arguments;
  };
  const Call call{kernel, std::tuple<P...>(static_cast<P>(arguments)...)};
  const auto run = [](const void* closure) {
    const Call& c = *static_cast<const Call*>(closure);
    std::apply(c.kernel, c.arguments);
  };
  emu::run_grid(name, {grid.x, grid.y, grid.z}, {block.x, block.y, block.z}, shared_bytes, run, &call);
}

}  // namespace furrow::emulated
