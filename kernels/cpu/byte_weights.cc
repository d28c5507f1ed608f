#include "kernels/cpu/byte_weights.h"

#include <cmath>
#include <span>

namespace furrow::cpu {
namespace {

constexpr int64_t kLanes16 = BlockedLayout::kWide;

int64_t groups_of(int64_t channels) { return ceil_div(channels, kByteGroup); }

}  // namespace

ByteWeights::ByteWeights(PackedWeights epilogue, int64_t blocks, int64_t row_count, int64_t bytes)
    : PackedWeights(std::move(epilogue)),
      w8({1, 1, 1, blocks * bytes}, DType::u8),
      scale({1, 1, 1, blocks * kLanes16}),
      sums(static_cast<size_t>(blocks * row_count * kLanes16)),
      block_bytes(bytes),
      rows(row_count) {}

size_t ByteWeights::bytes() const {
  return PackedWeights::bytes() + w8.bytes() + scale.bytes() + sums.size() * sizeof(int32_t);
}

int64_t byte_block_bytes(const ByteKernels& kernels, int64_t rows, int64_t taps,
                         std::span<const WeightSource> sources) {
  int64_t groups = 0;
  for (const WeightSource& s : sources) groups += groups_of(s.channels);
  return groups * rows * taps * kLanes16 * kByteGroup * kernels.weight_bytes;
}

void pack_byte_block(const ByteKernels& kernels, const double* w, int64_t oc, int64_t taps, int64_t ic,
                     std::span<const WeightSource> sources, int64_t index, ByteWeights& to) {
  const int64_t rows = to.rows, lanes = std::min(kLanes16, oc - index * kLanes16);
  const auto at = [&](int64_t lane, int64_t row, int64_t tap) {
    return w + (((index * kLanes16 + lane) * rows + row) * taps + tap) * ic;
  };
  double inverse[kLanes16] = {};
  float* scale = to.scale.values<float>().data() + index * kLanes16;
  for (int64_t lane = 0; lane < lanes; ++lane) {
    double most = 0;
    for (const WeightSource& s : sources)
      for (int64_t rt = 0; rt < rows * taps; ++rt)
        for (int64_t c = 0; c < s.channels; ++c)
          most = std::max(most, std::abs(at(lane, 0, rt)[s.first + c]) * static_cast<double>(s.quantised.scale));
    scale[lane] = static_cast<float>(most / 127);
    inverse[lane] = scale[lane] > 0 ? 1 / static_cast<double>(scale[lane]) : 0;
  }
  int32_t* sums = to.sums.data() + index * rows * kLanes16;
  std::byte* out = to.block(index);
  for (const WeightSource& s : sources)
    for (int64_t c0 = 0; c0 < s.channels; c0 += kLanes16)
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t c = c0; c < std::min(c0 + kLanes16, s.channels); c += kByteGroup)
          for (int64_t tap = 0; tap < taps; ++tap, out += kLanes16 * kByteGroup * kernels.weight_bytes) {
            int8_t group[kLanes16][kByteGroup] = {};
            for (int64_t lane = 0; lane < lanes; ++lane)
              for (int64_t i = 0; i < std::min(kByteGroup, s.channels - c); ++i) {
                const double value = at(lane, row, tap)[s.first + c + i] * static_cast<double>(s.quantised.scale);
                group[lane][i] = static_cast<int8_t>(std::clamp(std::nearbyint(value * inverse[lane]), -127.0, 127.0));
                sums[row * kLanes16 + lane] += group[lane][i] * s.quantised.zero_point;
              }
            kernels.pack(group, out);
          }
}

}  // namespace furrow::cpu
