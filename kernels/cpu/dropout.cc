// Dropout by the counter-based generator: four numbers a draw, rows of fixed size shared out over the pool.
#include <algorithm>
#include <cmath>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/random.h"

namespace furrow::cpu {

void CpuBackend::dropout(const Tensor& x, const Dropout& draw, Tensor& y, Grad mode) {
  require(y.shape() == x.shape(), "dropout: shapes");
  require(draw.p >= 0 && draw.p < 1, "dropout: p is not in [0, 1)");
  constexpr int64_t kTaskElements = 16384;
  const float* from = x.values<float>().data();
  float* to = y.values<float>().data();
  const int64_t count = x.shape().elements();
  // u >= p in whole numbers: u is a multiple of 2^-24.
  const auto threshold = static_cast<uint32_t>(std::ceil(draw.p * 0x1p24));
  const auto factor = static_cast<float>(1 / (1 - draw.p));
  const Philox numbers(draw.seed);
  parallel_for(pool_, (count + kTaskElements - 1) / kTaskElements, [&](int64_t task, int) {
    const int64_t end = std::min((task + 1) * kTaskElements, count);
    Philox::Block words{};
    for (int64_t e = task * kTaskElements; e < end; ++e) {
      const uint64_t index = draw.first + static_cast<uint64_t>(e), block = index / 4;
      if (e == task * kTaskElements || index % 4 == 0)
        words = numbers({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32),
                         static_cast<uint32_t>(draw.stream), static_cast<uint32_t>(draw.stream >> 32)});
      const float value = words[index % 4] >> 8 >= threshold ? from[e] * factor : 0;
      to[e] = mode == Grad::accumulate ? to[e] + value : value;
    }
  });
}

}  // namespace furrow::cpu
