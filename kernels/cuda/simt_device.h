// The words of kernels/cuda/simt.h for a GPU: PTX instructions, each behind one function. Included by simt.h alone.
// Source of every layout and constraint: PTX ISA 9.0, "Warp-level matrix instructions" and "cp.async".
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "kernels/cuda/stream.h"
#include "kernels/error.h"

#define SIMT_DEVICE __device__ __forceinline__
#define SIMT_BOTH __host__ __device__ __forceinline__
#define SIMT_UNROLL _Pragma("unroll")
#define SHARED_ARRAY(T, name, ...) __shared__ __align__(16) T name __VA_ARGS__
#define DYNAMIC_SHARED(T, name)                                      \
  extern __shared__ __align__(128) unsigned char simt_dynamic_shared[]; \
  T* name = reinterpret_cast<T*>(simt_dynamic_shared)
#define LAUNCH(stream, grid, block, shared_bytes, kernel, ...) \
  launch_kernel(stream, grid, block, shared_bytes, #kernel, kernel, __VA_ARGS__)

namespace furrow::cuda {

using bf16 = __nv_bfloat16;
using f16 = __half;

SIMT_BOTH float to_float(float x) { return x; }
SIMT_BOTH float to_float(f16 x) { return __half2float(x); }
SIMT_BOTH float to_float(bf16 x) { return __bfloat162float(x); }
template <class T> SIMT_BOTH T from_float(float x);
template <> SIMT_BOTH float from_float<float>(float x) { return x; }
template <> SIMT_BOTH f16 from_float<f16>(float x) { return __float2half_rn(x); }
template <> SIMT_BOTH bf16 from_float<bf16>(float x) { return __float2bfloat16_rn(x); }

// The bits of x rounded to TensorFloat-32 (10 bits of fraction, ties away from zero), as mma_m16n8k8_tf32 takes them.
SIMT_DEVICE uint32_t to_tf32(float x) {
  uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return bits;
}

SIMT_DEVICE uint32_t shared_address(const void* p) { return static_cast<uint32_t>(__cvta_generic_to_shared(p)); }

// dst[0..15] = valid ? src[0..15] : 0, some time before the cp_async_wait that covers its group. Both 16-byte aligned;
// dst in shared, src in global memory, and a valid address even where `valid` is false.
SIMT_DEVICE void cp_async_16(void* dst, const void* src, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(dst)), "l"(src), "r"(valid ? 16 : 0) : "memory");
}
// The same for 4 bytes.
SIMT_DEVICE void cp_async_4(void* dst, const void* src, bool valid) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared_address(dst)), "l"(src), "r"(valid ? 4 : 0) : "memory");
}
// Closes this thread's group of copies.
SIMT_DEVICE void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Returns when at most N of this thread's newest groups are still under way.
template <int N> SIMT_DEVICE void cp_async_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }

// Loads 8x8 matrices of 16-bit elements: lane 8*m + r names row r of matrix m (16 bytes, aligned, shared memory); lane l
// receives in r[m] the elements 2*(l%4), 2*(l%4)+1 of row l/4 (transposed: of column l/4).
SIMT_DEVICE void ldmatrix_x4(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}
SIMT_DEVICE void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}
// Two matrices; lanes 16 to 31 name no rows, but pass a valid address.
SIMT_DEVICE void ldmatrix_x2(uint32_t (&r)[2], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];" : "=r"(r[0]), "=r"(r[1]) : "r"(shared_address(row)) : "memory");
}

// D += A * B by one warp; A is 16 x K row-major, B is K x 8, D is 16 x 8. With g = lane/4, t = lane%4:
//   d[0] d[1]: row g,   columns 2t, 2t+1      d[2] d[3]: row g+8, the same columns
//   16-bit (K 16):  a[i]: row g + 8*(i&1), columns 2t + 8*(i>>1) and the next;  b[i]: rows 2t + 8*i and the next, column g
//   tf32 (K 8):     a[i]: row g + 8*(i&1), column t + 4*(i>>1);                 b[i]: row t + 4*i, column g
//   8-bit (K 32):   a[i]: row g + 8*(i&1), columns 4t + 16*(i>>1) .. +3;        b[i]: rows 4t + 16*i .. +3, column g
SIMT_DEVICE void mma_m16n8k16_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
SIMT_DEVICE void mma_m16n8k16_f16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
SIMT_DEVICE void mma_m16n8k8_tf32(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
SIMT_DEVICE void mma_m16n8k32_s8(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
SIMT_DEVICE void mma_m16n8k32_u8s8(int32_t (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// Throws ErrorCode::device naming the kernel where the launch is refused; a refusal is forgotten, so that the next call
// does not report it again. What cannot be forgotten is no refusal but the end of the context by earlier work: DeviceLost.
inline void check_launch(cudaError_t status, const char* name) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  const std::string cause = cudaGetErrorString(status);
  size_t free = 0, total = 0;
  if (cudaMemGetInfo(&free, &total) == cudaSuccess)
    throw Error(ErrorCode::device, std::string("kernel ") + name + " was not launched: " + cause);
  cudaGetLastError();
  throw DeviceLost(Error(ErrorCode::device, std::string("the GPU was lost before kernel ") + name + ": " + cause).hint(gpu::kDeviceLostHint));
}

// Lets the kernel use as much dynamic shared memory as the calling thread's GPU grants, once for each kernel and GPU: never
// less later, so that threads which launch it with different sizes cannot undo each other. No work of any stream, so it may
// happen while one records.
inline void grant_shared_memory(const void* kernel, const char* name) {
  static std::mutex mutex;
  static std::set<std::pair<const void*, int>> granted;   // kernel, GPU
  int device = 0, most = 0;
  check_launch(cudaGetDevice(&device), name);
  const std::lock_guard lock(mutex);
  if (granted.count({kernel, device}) > 0) return;
  cudaFuncAttributes attributes{};
  check_launch(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), name);
  check_launch(cudaFuncGetAttributes(&attributes, kernel), name);
  const int dynamic = most - static_cast<int>(attributes.sharedSizeBytes);
  check_launch(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, dynamic), name);
  granted.insert({kernel, device});
}

// The stream's GPU must be the calling thread's (Runtime::use).
template <class... P, class... A>
void launch_kernel(gpu::Stream stream, dim3 grid, dim3 block, size_t shared_bytes, const char* name, void (*kernel)(P...), A&&... arguments) {
  if (shared_bytes > 48 * 1024) grant_shared_memory(reinterpret_cast<const void*>(kernel), name);   // up to there always granted
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared_bytes;
  config.stream = static_cast<cudaStream_t>(stream.handle);
  check_launch(cudaLaunchKernelEx(&config, kernel, static_cast<P>(arguments)...), name);
}

}  // namespace furrow::cuda
