// AdamW and SGD over flat buffers, with a 16-bit copy of the result. And the family's table.
//
// One kernel, and a rule for each optimiser: how many moments a parameter has, and what becomes of parameter and
// moments. All float32; what depends on the step alone is computed in float64, once a block.
#include <algorithm>

#include "kernels/cuda/optim_launch.h"
#include "kernels/error.h"

namespace furrow::SIMT_NS {
namespace {

// x^n by squaring.
SIMT_DEVICE double whole_power(double x, int64_t n) {
  double result = 1;
  for (; n > 0; n /= 2, x *= x)
    if (n % 2 == 1) result *= x;
  return result;
}

// What every thread of a block knows about the step.
struct StepValues {
  float factor, lr, per_correction1, per_root2;
};

struct AdamWRule {
  static constexpr int kMoments = 2;
  float beta1, one_less_beta1, beta2, one_less_beta2, eps;
  double exact_beta1, exact_beta2;
  SIMT_DEVICE void step(int64_t t, StepValues& s) const {
    s.per_correction1 = static_cast<float>(1 / (1 - whole_power(exact_beta1, t)));
    s.per_root2 = static_cast<float>(1 / sqrt(1 - whole_power(exact_beta2, t)));
  }
  SIMT_DEVICE void update(const StepValues& s, float lr, float decay, float g, float& p, float& m, float& v) const {
    p *= 1.0f - lr * decay;
    m = beta1 * m + one_less_beta1 * g;
    v = beta2 * v + one_less_beta2 * g * g;
    p -= lr * s.per_correction1 * m / (sqrtf(v) * s.per_root2 + eps);
  }
};

template <bool kMomentum>
struct SgdRule {
  static constexpr int kMoments = kMomentum ? 1 : 0;
  float momentum;
  bool nesterov;
  SIMT_DEVICE void step(int64_t, StepValues& s) const { s.per_correction1 = s.per_root2 = 1; }
  SIMT_DEVICE void update(const StepValues&, float lr, float decay, float g, float& p, float& buffer, float&) const {
    g += decay * p;
    if constexpr (kMomentum) {
      buffer = momentum * buffer + g;
      g = nesterov ? g + momentum * buffer : buffer;
    }
    p -= lr * g;
  }
};

// The last segment that begins at or before `i`.
SIMT_DEVICE int segment_of(const OptimSegment* __restrict__ segments, int count, int64_t i) {
  int low = 0, high = count;  // segments[low].first <= i < segments[high].first
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (segments[middle].first <= i)
      low = middle;
    else
      high = middle;
  }
  return low;
}

// Four 16-bit values written at once.
template <class S>
struct alignas(8) FourOf {
  S value[4];
};

// Rule's step (kernels/optim_ops.h) for every parameter alone: no sums. Grid: {at most 2048}, block 256, each thread 4
// neighbours in every 1024 * grid; 16 bytes shared. Bytes per parameter: gradient 4, parameter and each moment 4 read
// and 4 written, shadow 2. S: the shadow's type, or float for none.
template <class Rule, class S>
__global__ void __launch_bounds__(kOptimThreads)
    update(Rule rule, gpu::OptimBuffers b, bool wide, float* __restrict__ first_moment,
           float* __restrict__ second_moment) {
  SHARED_ARRAY(StepValues, shared, [1]);
  if (threadIdx.x == 0) {
    StepValues s{static_cast<float>(b.state->factor), static_cast<float>(*b.lr), 1, 1};
    rule.step(b.state->step, s);
    shared[0] = s;
  }
  __syncthreads();
  if (b.state->skip != 0) return;
  const StepValues s = shared[0];
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kOptimThreads * 4;
  for (int64_t i = (static_cast<int64_t>(blockIdx.x) * kOptimThreads + threadIdx.x) * 4; i < b.count; i += stride) {
    const int n = static_cast<int>(min(b.count - i, static_cast<int64_t>(4)));
    float g[4], p[4], m[4] = {}, v[4] = {};
    load4(b.gradient + i, n, wide, g);
    load4(b.parameters + i, n, wide, p);
    if constexpr (Rule::kMoments > 0) load4(first_moment + i, n, wide, m);
    if constexpr (Rule::kMoments > 1) load4(second_moment + i, n, wide, v);
    int at = segment_of(b.segments, b.segment_count, i);
    SIMT_UNROLL
    for (int k = 0; k < 4; ++k) {
      while (at + 1 < b.segment_count && b.segments[at + 1].first <= i + k) ++at;
      rule.update(s, s.lr * b.segments[at].lr_scale, b.segments[at].weight_decay, g[k] * s.factor, p[k], m[k], v[k]);
    }
    store4(p, n, wide, b.parameters + i);
    if constexpr (Rule::kMoments > 0) store4(m, n, wide, first_moment + i);
    if constexpr (Rule::kMoments > 1) store4(v, n, wide, second_moment + i);
    if constexpr (sizeof(S) == 2) {
      S* to = static_cast<S*>(b.shadow) + i;
      if (wide && n == 4) {
        *reinterpret_cast<FourOf<S>*>(to) = {
            {from_float<S>(p[0]), from_float<S>(p[1]), from_float<S>(p[2]), from_float<S>(p[3])}};
      } else {
        for (int k = 0; k < n; ++k) to[k] = from_float<S>(p[k]);
      }
    }
  }
}

template <class Rule>
void launch(gpu::Stream stream, const Rule& rule, const gpu::OptimBuffers& b, float* first, float* second) {
  require(b.gradient != nullptr && b.parameters != nullptr && b.count > 0 && b.segments != nullptr &&
              b.segment_count > 0 && b.lr != nullptr && b.state != nullptr &&
              (Rule::kMoments < 1 || first != nullptr) && (Rule::kMoments < 2 || second != nullptr),
          "optimiser: arguments");
  bool wide = true;  // a null pointer lies on 16 bytes
  for (const void* p :
       {static_cast<const void*>(b.gradient), static_cast<const void*>(b.parameters),
        static_cast<const void*>(b.shadow), static_cast<const void*>(first), static_cast<const void*>(second)})
    wide = wide && starts_on_16_bytes(p);
  const int64_t per_block = kOptimThreads * 4;
  const auto blocks = static_cast<unsigned>(std::min<int64_t>((b.count + per_block - 1) / per_block, 2048));
  if (b.shadow == nullptr) {
    LAUNCH(stream, blocks, kOptimThreads, 0, (update<Rule, float>), rule, b, wide, first, second);
  } else if (b.shadow_type == DType::f16) {
    LAUNCH(stream, blocks, kOptimThreads, 0, (update<Rule, f16>), rule, b, wide, first, second);
  } else {
    require(b.shadow_type == DType::bf16, "optimiser: a shadow of another type");
    LAUNCH(stream, blocks, kOptimThreads, 0, (update<Rule, bf16>), rule, b, wide, first, second);
  }
}

void adamw(gpu::Stream stream, const gpu::AdamWArgs& a) {
  const AdamW& o = a.options;
  const AdamWRule rule{static_cast<float>(o.beta1),
                       static_cast<float>(1 - o.beta1),
                       static_cast<float>(o.beta2),
                       static_cast<float>(1 - o.beta2),
                       static_cast<float>(o.eps),
                       o.beta1,
                       o.beta2};
  launch(stream, rule, a.buffers, a.m, a.v);
}

void sgd(gpu::Stream stream, const gpu::SgdArgs& a) {
  const auto momentum = static_cast<float>(a.options.momentum);
  if (a.options.momentum == 0)
    launch(stream, SgdRule<false>{0, false}, a.buffers, nullptr, nullptr);
  else
    launch(stream, SgdRule<true>{momentum, a.options.nesterov}, a.buffers, a.buffer, nullptr);
}

}  // namespace

const gpu::OptimKernels optim_kernels{.prepare = optim_prepare, .adamw = adamw, .sgd = sgd};

}  // namespace furrow::SIMT_NS
