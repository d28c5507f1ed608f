// ldmatrix and mma: fragments are spread over the lanes as the PTX ISA documents it (9.7.14, "Matrix fragments for
// mma.m16n8k16 / m16n8k8 / m16n8k32" and "ldmatrix"), the products are plain loops.
//
// With g = lane / 4 and t = lane % 4, and for elements of 16 bits; e is the element within a register:
//   A 16 x 16   register i: row g + 8 (i % 2), column 2t + e + 8 (i / 2)
//   B 16 x  8   register i: row 2t + e + 8 i,  column g
//   D 16 x  8   register i: row g + 8 (i / 2), column 2t + i % 2        (for every type)
// tf32 has one element per register and half of the depth (t for 2t + e, 4 for 8), bytes four per register and twice
// the depth (4t + e, 16).
#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/emu/block.h"

namespace furrow::emu {
namespace {

constexpr int kRows = 16, kColumns = 8;

template <class T, int kDepth>
struct Matrices {
  T a[kRows][kDepth], b[kDepth][kColumns];
};

// unpack(register, element) gives one element of type T; kPer elements to a register.
template <class T, int kDepth, int kPer, class UnpackA, class UnpackB>
void gather(const Warp& w, Matrices<T, kDepth>& m, UnpackA unpack_a, UnpackB unpack_b) {
  for (int lane = 0; lane < static_cast<int>(kWarp); ++lane) {
    const MmaOperands& in = *w.operands[lane];
    const int g = lane / 4, t = lane % 4;
    for (int i = 0; i < 4; ++i)
      for (int e = 0; e < kPer; ++e) m.a[g + 8 * (i % 2)][kPer * t + e + kDepth / 2 * (i / 2)] = unpack_a(in.a[i], e);
    for (int i = 0; i < 2; ++i)
      for (int e = 0; e < kPer; ++e) m.b[kPer * t + e + kDepth / 2 * i][g] = unpack_b(in.b[i], e);
  }
}

// d += a * b, products in order of k; each row of d stays in registers. D: float, or uint32_t, which wraps as int32
// does.
template <class D, class T, int kDepth>
void multiply(const Warp& w, const Matrices<T, kDepth>& m) {
  for (int row = 0; row < kRows; ++row) {
    D sum[kColumns];
    const auto place = [&](int column) -> uint32_t& {
      return w.operands[row % 8 * 4 + column / 2]->d[row / 8 * 2 + column % 2];
    };
    for (int c = 0; c < kColumns; ++c) sum[c] = std::bit_cast<D>(place(c));
    for (int k = 0; k < kDepth; ++k) {
      const T factor = m.a[row][k];
      for (int c = 0; c < kColumns; ++c) sum[c] += static_cast<D>(factor * m.b[k][c]);
    }
    for (int c = 0; c < kColumns; ++c) place(c) = std::bit_cast<uint32_t>(sum[c]);
  }
}

// The same with Options::cut_mma. Products of 11 bits each are exact in double, and so are sums of multiples of one
// unit.
template <int kDepth>
void multiply_cut(const Warp& w, const Matrices<float, kDepth>& m) {
  for (int row = 0; row < kRows; ++row)
    for (int c = 0; c < kColumns; ++c) {
      uint32_t& place = w.operands[row % 8 * 4 + c / 2]->d[row / 8 * 2 + c % 2];
      double terms[kDepth + 1], largest = 0, plain = 0;
      terms[kDepth] = std::bit_cast<float>(place);
      for (int k = 0; k < kDepth; ++k) terms[k] = static_cast<double>(m.a[row][k]) * m.b[k][c];
      for (const double term : terms) plain += term, largest = std::max(largest, std::abs(term));
      double sum = 0;
      if (std::isfinite(plain) && largest > 0) {
        const double unit = std::ldexp(1.0, std::max(std::ilogb(largest) - 23, -149));
        for (const double term : terms) sum += std::trunc(term / unit) * unit;
        const double last = std::ldexp(1.0, std::max(sum == 0 ? -149 : std::ilogb(sum) - 23, -149));
        sum = std::trunc(sum / last) * last;
      } else {
        sum = plain;
      }
      place = std::bit_cast<uint32_t>(static_cast<float>(sum));
    }
}

// Without branches, for it runs 12 times per lane. The exponent is scaled by a product, which also serves subnormals.
float from_f16(uint32_t bits) {
  const uint32_t magnitude = (bits & 0x7FFFu) << 13, sign = (bits & 0x8000u) << 16;
  const uint32_t scaled = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) * 0x1p112f);
  const bool special = (bits & 0x7C00u) == 0x7C00u;
  return std::bit_cast<float>(sign | (special ? magnitude | 0x7F800000u : scaled));
}

float unpack_f16(uint32_t r, int e) { return from_f16(r >> (16 * e) & 0xFFFFu); }
float unpack_bf16(uint32_t r, int e) { return std::bit_cast<float>(r >> (16 * e) << 16); }
float unpack_tf32(uint32_t r, int) { return std::bit_cast<float>(r & 0xFFFFE000u); }   // hardware ignores 13 bits
int32_t unpack_s8(uint32_t r, int e) { return static_cast<int8_t>(r >> (8 * e) & 0xFFu); }
int32_t unpack_u8(uint32_t r, int e) { return static_cast<int32_t>(r >> (8 * e) & 0xFFu); }

// The stages of 32 banks of 4 bytes that eight rows of 16 bytes take beyond one.
uint64_t conflicts(const void* const* rows) {
  unsigned banks[32] = {}, worst = 0;
  for (int r = 0; r < 8; ++r) {
    const auto bank = static_cast<unsigned>(reinterpret_cast<uintptr_t>(rows[r]) / 4 % 32);
    bool repeated = false;   // rows at one address are read once
    for (int earlier = 0; earlier < r; ++earlier) repeated = repeated || rows[earlier] == rows[r];
    if (repeated) continue;
    for (unsigned k = 0; k < 4; ++k) {
      const unsigned used = ++banks[(bank + k) % 32];
      worst = used > worst ? used : worst;
    }
  }
  return worst - 1;
}

}  // namespace

void complete_ldmatrix(Block& b, Warp& w, int matrices, bool transposed) {
  ++b.counters.ldmatrix;
  for (int m = 0; m < matrices; ++m) {
    const void* const* rows = w.row + 8 * m;
    b.counters.ldmatrix_conflicts += conflicts(rows);
    const auto at = [&](int row, int column) -> uint32_t { return static_cast<const uint16_t*>(rows[row])[column]; };
    for (int lane = 0; lane < static_cast<int>(kWarp); ++lane) {
      const int g = lane / 4, t = 2 * (lane % 4);
      w.fragment[lane][m] = transposed ? at(t, g) | at(t + 1, g) << 16 : at(g, t) | at(g, t + 1) << 16;
    }
  }
}

void complete_mma(Block& b, Warp& w, MmaType type) {
  ++b.counters.mma;
  if (type == MmaType::f16 || type == MmaType::bf16) {
    Matrices<float, 16> m;
    if (type == MmaType::f16) gather<float, 16, 2>(w, m, unpack_f16, unpack_f16);
    else gather<float, 16, 2>(w, m, unpack_bf16, unpack_bf16);
    b.launch.options.cut_mma ? multiply_cut(w, m) : multiply<float>(w, m);
  } else if (type == MmaType::tf32) {
    Matrices<float, 8> m;
    gather<float, 8, 1>(w, m, unpack_tf32, unpack_tf32);
    b.launch.options.cut_mma ? multiply_cut(w, m) : multiply<float>(w, m);
  } else {
    Matrices<int32_t, 32> m;
    if (type == MmaType::s8) gather<int32_t, 32, 4>(w, m, unpack_s8, unpack_s8);
    else gather<int32_t, 32, 4>(w, m, unpack_u8, unpack_s8);
    multiply<uint32_t>(w, m);
  }
}

void ldmatrix(uint32_t* r, int matrices, bool transposed, const void* row, Site site) {
  Block& b = inside("ldmatrix");
  const unsigned lane = b.thread->lane();
  if (lane < 8u * static_cast<unsigned>(matrices)) {   // the others' addresses are not used
    require_shared(b, row, 16, "ldmatrix", site);
    record_read(row, 16);
  }
  WarpOperation& op = meet(b, ~0u, WarpKind::ldmatrix, matrices + (transposed ? 8 : 0), site);
  Warp& w = b.warps[b.thread->warp()];
  w.row[lane] = row;
  w.fragment[lane] = r;
  arrive_in_warp(b, op);
}

void mma(MmaType type, MmaOperands& lane, Site site) {
  Block& b = inside("mma");
  WarpOperation& op = meet(b, ~0u, WarpKind::mma, static_cast<int>(type), site);
  b.warps[b.thread->warp()].operands[b.thread->lane()] = &lane;
  arrive_in_warp(b, op);
}

}  // namespace furrow::emu
