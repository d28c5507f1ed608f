// Each word of kernels/cuda/simt.h, run on raw words. One block is one sample; `lane` is the thread of a block of 32.
#include "tests/cuda/conformance/conformance.h"

#include <cstring>

#include "kernels/cuda/simt.h"

namespace furrow::SIMT_NS {
namespace {

using gpu::Word;

SIMT_DEVICE float as_float(uint32_t bits) {
  union { uint32_t u; float f; } both{bits};
  return both.f;
}
SIMT_DEVICE uint32_t as_bits(float value) {
  union { float f; uint32_t u; } both{value};
  return both.u;
}

template <class Half> SIMT_DEVICE Half from_bits(uint32_t bits) {
  const uint16_t low = static_cast<uint16_t>(bits);
  Half value;
  memcpy(static_cast<void*>(&value), &low, sizeof low);
  return value;
}
template <class Half> SIMT_DEVICE uint32_t bits_of(Half value) {
  uint16_t low;
  memcpy(&low, static_cast<const void*>(&value), sizeof low);
  return low;
}

// In: for each lane a[4], b[2], d[4]. Out: for each lane d[4].
template <Word kWord> __global__ void __launch_bounds__(32) mma_kernel(const uint32_t* in, uint32_t* out) {
  const int lane = static_cast<int>(threadIdx.x);
  in += blockIdx.x * 320 + lane * 10;
  out += blockIdx.x * 128 + lane * 4;
  const uint32_t a[4] = {in[0], in[1], in[2], in[3]}, b[2] = {in[4], in[5]};
  if constexpr (kWord == Word::mma_s8 || kWord == Word::mma_u8s8) {
    int32_t d[4];
    for (int i = 0; i < 4; ++i) d[i] = static_cast<int32_t>(in[6 + i]);
    if constexpr (kWord == Word::mma_s8) mma_m16n8k32_s8(d, a, b);
    else mma_m16n8k32_u8s8(d, a, b);
    for (int i = 0; i < 4; ++i) out[i] = static_cast<uint32_t>(d[i]);
  } else {
    float d[4];
    for (int i = 0; i < 4; ++i) d[i] = as_float(in[6 + i]);
    if constexpr (kWord == Word::mma_f16) mma_m16n8k16_f16(d, a, b);
    else if constexpr (kWord == Word::mma_bf16) mma_m16n8k16_bf16(d, a, b);
    else mma_m16n8k8_tf32(d, a, b);
    for (int i = 0; i < 4; ++i) out[i] = as_bits(d[i]);
  }
}

// In: 32 rows of 4 words, then the row that each lane names. Out: for each lane r[4] (x2: r[2]).
template <Word kWord> __global__ void __launch_bounds__(32) ldmatrix_kernel(const uint32_t* in, uint32_t* out) {
  SHARED_ARRAY(uint32_t, rows, [32][4]);
  const int lane = static_cast<int>(threadIdx.x);
  constexpr int kOut = kWord == Word::ldmatrix_x2 ? 2 : 4;
  in += blockIdx.x * 160;
  out += (blockIdx.x * 32 + lane) * kOut;
  for (int i = 0; i < 4; ++i) rows[lane][i] = in[lane * 4 + i];
  __syncthreads();
  uint32_t r[kOut];
  const uint32_t* row = rows[in[128 + lane]];
  if constexpr (kWord == Word::ldmatrix_x4) ldmatrix_x4(r, row);
  else if constexpr (kWord == Word::ldmatrix_x4_trans) ldmatrix_x4_trans(r, row);
  else ldmatrix_x2(r, row);
  for (int i = 0; i < kOut; ++i) out[i] = r[i];
}

// In: 2 groups of 32 pieces, then which of the 64 are valid. Out: the first group as it stands when at most one group
// is under way, then both when none is.
template <int kPiece> __global__ void __launch_bounds__(32) cp_async_kernel(const uint32_t* in, uint32_t* out) {
  SHARED_ARRAY(uint32_t, pieces, [64 * kPiece]);
  const int lane = static_cast<int>(threadIdx.x);
  in += blockIdx.x * (64 * kPiece + 64);
  out += blockIdx.x * (96 * kPiece);
  for (int group = 0; group < 2; ++group) {
    const int piece = group * 32 + lane;
    const bool valid = in[64 * kPiece + piece] != 0;
    if constexpr (kPiece == 4) cp_async_16(&pieces[piece * kPiece], &in[piece * kPiece], valid);
    else cp_async_4(&pieces[piece * kPiece], &in[piece * kPiece], valid);
    cp_async_commit();
  }
  cp_async_wait<1>();
  __syncthreads();
  for (int i = lane; i < 32 * kPiece; i += 32) out[i] = pieces[i];
  cp_async_wait<0>();
  __syncthreads();
  for (int i = lane; i < 64 * kPiece; i += 32) out[32 * kPiece + i] = pieces[i];
}

// In: a value for each lane, and an index (any int). Out: 32 words for each width and argument.
template <Word kWord> __global__ void __launch_bounds__(32) shuffle_kernel(const uint32_t* in, uint32_t* out) {
  const int lane = static_cast<int>(threadIdx.x);
  in += blockIdx.x * 64;
  out += blockIdx.x * (gpu::kShuffles * 32);
  const uint32_t value = in[lane];
  int row = 0;
  for (int width = 2; width <= 32; width *= 2)
    for (int by = 0; by < width; ++by, ++row) {
      uint32_t got;
      if constexpr (kWord == Word::shuffle_index)
        got = __shfl_sync(~0u, value, static_cast<int>(in[32 + lane]) + by, width);
      else if constexpr (kWord == Word::shuffle_up) got = __shfl_up_sync(~0u, value, static_cast<unsigned>(by), width);
      else if constexpr (kWord == Word::shuffle_down)
        got = __shfl_down_sync(~0u, value, static_cast<unsigned>(by), width);
      else got = __shfl_xor_sync(~0u, value, by, width);
      out[row * 32 + lane] = got;
    }
}
// 64-bit and floating-point values. In: two words for each lane. Out: the pair of lane^1 as unsigned long long, the
// first word of lane^2 as a float.
__global__ void __launch_bounds__(32) shuffle_64_kernel(const uint32_t* in, uint32_t* out) {
  const int lane = static_cast<int>(threadIdx.x);
  in += blockIdx.x * 64 + lane * 2;
  out += blockIdx.x * 96 + lane * 3;
  const unsigned long long pair = static_cast<unsigned long long>(in[1]) << 32 | in[0];
  const unsigned long long other = __shfl_xor_sync(~0u, pair, 1);
  out[0] = static_cast<uint32_t>(other);
  out[1] = static_cast<uint32_t>(other >> 32);
  out[2] = as_bits(__shfl_xor_sync(~0u, as_float(in[0]), 2));
}

// In: a word for each lane; its lowest bit is the predicate. Out: for each lane the ballot of the warp, of its half,
// and the number of bits of the word.
__global__ void __launch_bounds__(32) ballot_kernel(const uint32_t* in, uint32_t* out) {
  const int lane = static_cast<int>(threadIdx.x);
  const uint32_t value = in[blockIdx.x * 32 + lane];
  const int predicate = static_cast<int>(value & 1);
  out += blockIdx.x * 96 + lane * 3;
  out[0] = __ballot_sync(~0u, predicate);
  if (lane < 16) out[1] = __ballot_sync(0x0000ffffu, predicate);
  else out[1] = __ballot_sync(0xffff0000u, predicate);
  __syncwarp();
  out[2] = static_cast<uint32_t>(__popc(value));
}

// In: a predicate for each of 96 threads. Out: for each thread the count, twice with different predicates.
__global__ void __launch_bounds__(96) barrier_count_kernel(const uint32_t* in, uint32_t* out) {
  const int thread = static_cast<int>(threadIdx.x);
  const uint32_t value = in[blockIdx.x * 96 + thread];
  out += blockIdx.x * 192 + thread * 2;
  out[0] = static_cast<uint32_t>(__syncthreads_count(static_cast<int>(value & 1)));
  out[1] = static_cast<uint32_t>(__syncthreads_count(static_cast<int>(value & 6)));
}

// In: 128 words. Out: the function of each. 16-bit values are in the low half.
template <Word kWord> __global__ void __launch_bounds__(128) convert_kernel(const uint32_t* in, uint32_t* out) {
  const uint32_t i = blockIdx.x * 128 + threadIdx.x;
  if constexpr (kWord == Word::to_tf32) out[i] = to_tf32(as_float(in[i]));
  else if constexpr (kWord == Word::from_f16) out[i] = as_bits(to_float(from_bits<f16>(in[i])));
  else if constexpr (kWord == Word::from_bf16) out[i] = as_bits(to_float(from_bits<bf16>(in[i])));
  else if constexpr (kWord == Word::to_f16) out[i] = bits_of(from_float<f16>(as_float(in[i])));
  else out[i] = bits_of(from_float<bf16>(as_float(in[i])));
}

// In: 128 floats (powf: 128 pairs). Out: the function of each.
template <Word kWord> __global__ void __launch_bounds__(128) function_kernel(const uint32_t* in, uint32_t* out) {
  const uint32_t i = blockIdx.x * 128 + threadIdx.x;
  if constexpr (kWord == Word::expf) out[i] = as_bits(expf(as_float(in[i])));
  else if constexpr (kWord == Word::logf) out[i] = as_bits(logf(as_float(in[i])));
  else if constexpr (kWord == Word::log1pf) out[i] = as_bits(log1pf(as_float(in[i])));
  else out[i] = as_bits(powf(as_float(in[2 * i]), as_float(in[2 * i + 1])));
}

// In: 64 triples of floats x, y, z. Out, of each: fma, sqrt(|x|), min, max, floor, and a word of predicates.
__global__ void __launch_bounds__(64) exact_math_kernel(const uint32_t* in, uint32_t* out) {
  const uint32_t i = blockIdx.x * 64 + threadIdx.x;
  const float x = as_float(in[3 * i]), y = as_float(in[3 * i + 1]), z = as_float(in[3 * i + 2]);
  out += 6 * i;
  out[0] = as_bits(fmaf(x, y, z));
  out[1] = as_bits(sqrtf(fabsf(x)));
  out[2] = as_bits(fminf(x, y));
  out[3] = as_bits(fmaxf(x, y));
  out[4] = as_bits(floorf(x));
  out[5] = (isnan(x) ? 1u : 0u) | (isfinite(x) ? 2u : 0u) | (x < y ? 4u : 0u);
}

// In: a word for each of 64 threads. Out: their sum as unsigned, as int, as unsigned long long (two words), their
// maxima as unsigned and as int.
__global__ void __launch_bounds__(64) atomics_kernel(const uint32_t* in, uint32_t* out) {
  SHARED_ARRAY(unsigned long long, wide, [1]);
  SHARED_ARRAY(int, signed_words, [2]);
  const int thread = static_cast<int>(threadIdx.x);
  const uint32_t value = in[blockIdx.x * 64 + thread];
  out += blockIdx.x * 6;
  if (thread == 0) {
    out[0] = out[4] = 0;
    wide[0] = 0;
    signed_words[0] = 0;
    signed_words[1] = -2147483647 - 1;
  }
  __syncthreads();
  atomicAdd(&out[0], value);
  atomicAdd(&signed_words[0], static_cast<int>(value) >> 8);
  atomicAdd(&wide[0], static_cast<unsigned long long>(value) << 7);
  atomicMax(&out[4], value);
  atomicMax(&signed_words[1], static_cast<int>(value));
  __syncthreads();
  if (thread == 0) {
    out[1] = static_cast<uint32_t>(signed_words[0]);
    out[2] = static_cast<uint32_t>(wide[0]);
    out[3] = static_cast<uint32_t>(wide[0] >> 32);
    out[5] = static_cast<uint32_t>(signed_words[1]);
  }
}

template <class Kernel>
void launch(gpu::Stream stream, int samples, int threads, Kernel kernel, const uint32_t* in, uint32_t* out) {
  LAUNCH(stream, static_cast<unsigned>(samples), static_cast<unsigned>(threads), 0, kernel, in, out);
}

void run(gpu::Stream stream, Word word, const uint32_t* in, uint32_t* out, int samples) {
  const auto go = [&](int threads, auto kernel) { launch(stream, samples, threads, kernel, in, out); };
  switch (word) {
    case Word::mma_f16: return go(32, mma_kernel<Word::mma_f16>);
    case Word::mma_bf16: return go(32, mma_kernel<Word::mma_bf16>);
    case Word::mma_tf32: return go(32, mma_kernel<Word::mma_tf32>);
    case Word::mma_s8: return go(32, mma_kernel<Word::mma_s8>);
    case Word::mma_u8s8: return go(32, mma_kernel<Word::mma_u8s8>);
    case Word::ldmatrix_x4: return go(32, ldmatrix_kernel<Word::ldmatrix_x4>);
    case Word::ldmatrix_x4_trans: return go(32, ldmatrix_kernel<Word::ldmatrix_x4_trans>);
    case Word::ldmatrix_x2: return go(32, ldmatrix_kernel<Word::ldmatrix_x2>);
    case Word::cp_async_16: return go(32, cp_async_kernel<4>);
    case Word::cp_async_4: return go(32, cp_async_kernel<1>);
    case Word::shuffle_index: return go(32, shuffle_kernel<Word::shuffle_index>);
    case Word::shuffle_up: return go(32, shuffle_kernel<Word::shuffle_up>);
    case Word::shuffle_down: return go(32, shuffle_kernel<Word::shuffle_down>);
    case Word::shuffle_xor: return go(32, shuffle_kernel<Word::shuffle_xor>);
    case Word::shuffle_64: return go(32, shuffle_64_kernel);
    case Word::ballot: return go(32, ballot_kernel);
    case Word::barrier_count: return go(96, barrier_count_kernel);
    case Word::to_tf32: return go(128, convert_kernel<Word::to_tf32>);
    case Word::from_f16: return go(128, convert_kernel<Word::from_f16>);
    case Word::from_bf16: return go(128, convert_kernel<Word::from_bf16>);
    case Word::to_f16: return go(128, convert_kernel<Word::to_f16>);
    case Word::to_bf16: return go(128, convert_kernel<Word::to_bf16>);
    case Word::expf: return go(128, function_kernel<Word::expf>);
    case Word::logf: return go(128, function_kernel<Word::logf>);
    case Word::log1pf: return go(128, function_kernel<Word::log1pf>);
    case Word::powf: return go(128, function_kernel<Word::powf>);
    case Word::exact_math: return go(64, exact_math_kernel);
    case Word::atomics: return go(64, atomics_kernel);
  }
}

}  // namespace

const gpu::ConformanceKernels conformance_kernels{.run = run};

}  // namespace furrow::SIMT_NS
