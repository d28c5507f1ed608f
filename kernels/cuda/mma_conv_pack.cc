// Weights into the shared-memory images of the tensor-core convolution, on the host.
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/cuda/mma_conv.h"
#include "kernels/half.h"

namespace furrow::gpu {
namespace {

// One element, rounded to nearest from float64 by way of float32 (f32: to TensorFloat-32, ties away from zero).
void store(DType type, double value, std::byte* to) {
  const auto wide = static_cast<float>(value);
  if (type == DType::f32) {
    const uint32_t bits = std::bit_cast<uint32_t>(wide),
                   rounded = std::isfinite(wide) ? (bits + 0x1000u) & 0xffffe000u : bits;
    std::memcpy(to, &rounded, sizeof rounded);
  } else {
    const uint16_t bits = type == DType::f16 ? f32_to_f16(wide) : f32_to_bf16(wide);
    std::memcpy(to, &bits, sizeof bits);
  }
}

// In 16 bits.
bool is_finite_in(DType type, double value) {
  const auto wide = static_cast<float>(value);
  return std::isfinite(type == DType::f16 ? f16_to_f32(f32_to_f16(wide)) : bf16_to_f32(f32_to_bf16(wide)));
}

// Where weight (oc, ky, kx, ic) lies among dense ones.
struct Dense {
  int64_t oc_stride, ky_stride, kx_stride, first = 0;
};

void pack(const MmaConvLayout& l, std::span<const double> values, const Dense& dense, std::byte* out) {
  const MmaConvShape& s = l.shape;
  std::memset(out, 0, l.bytes());
  const int per_vector = 16 / l.element();
  for (int oc = 0; oc < s.oc; ++oc)
    for (int ky = 0; ky < s.kernel_h; ++ky)
      for (int kx = 0; kx < s.kernel_w; ++kx)
        for (int ic = 0; ic < s.c[0] + s.c[1]; ++ic) {
          const bool second = ic >= s.c[0];
          const int own = second ? ic - s.c[0] : ic, row = oc % l.block_oc;
          const int64_t from = dense.first + oc * dense.oc_stride + ky * dense.ky_stride + kx * dense.kx_stride + ic;
          for (const int channel : {own, own + kSplitChannels}) {
            const double value = values[static_cast<size_t>(from)];
            if (channel != own && (!l.splits(second ? 1 : 0) || !is_finite_in(s.type, value))) continue;
            const int within = channel % l.row_channels(),
                      chunk = channel / l.row_channels() + (second ? l.chunks[0] : 0);
            const int64_t step = (static_cast<int64_t>(oc / l.block_oc) * l.all_chunks() + chunk) * s.kernel_w + kx;
            const int64_t at = step * static_cast<int64_t>(l.step_bytes()) +
                               (static_cast<int64_t>(ky) * l.block_oc + row) * l.row_bytes +
                               l.swizzled(row, within / per_vector) * 16 + within % per_vector * l.element();
            store(s.type, value, out + at);
          }
        }
}

}  // namespace

void pack_mma_conv(const MmaConvLayout& l, const Tensor& w, void* packed) {
  const MmaConvShape& s = l.shape;
  const int64_t ic = s.c[0] + s.c[1];
  require(w.shape() == Shape{s.oc, s.kernel_h, s.kernel_w, ic}, "pack_mma_conv: the weights are not the layout's");
  pack(l, w.values<double>(), {s.kernel_h * s.kernel_w * ic, s.kernel_w * ic, ic}, static_cast<std::byte*>(packed));
}

void pack_mma_upconv(const MmaUpconvLayout& l, const Tensor& w, void* packed) {
  const MmaConvShape& s = l.phase.shape;
  require(w.shape() == Shape{s.oc, 2, 2, s.c[0]}, "pack_mma_upconv: the weights are not the layout's");
  for (int phase = 0; phase < 4; ++phase)
    pack(l.phase, w.values<double>(), {4 * int64_t{s.c[0]}, 0, 0, phase * int64_t{s.c[0]}},
         static_cast<std::byte*>(packed) + static_cast<size_t>(phase) * l.phase.bytes());
}

}  // namespace furrow::gpu
