#include "kernels/cpu/byte_conv.h"

#include <cmath>

#include "kernels/cpu/byte_weights.h"
#include "kernels/cpu/conv_run.h"

namespace furrow::cpu {
namespace {

constexpr int64_t kWideLanes = BlockedLayout::kWide;

const ByteWeights& byte_weights(const PackedWeights& packed) {
  const auto* weights = dynamic_cast<const ByteWeights*>(&packed);
  require(weights != nullptr, "a step in 8 bits needs what prepare returned");
  return *weights;
}

// Sources that are not bytes yet are made so at the end of the workspace.
size_t source_bytes(const StepBytes& bytes, int source, const Shape& x) {
  return x.c == 0 || bytes.in_bytes[source] ? 0 : static_cast<size_t>(BlockedLayout(x).floats());
}

// The bytes of a source.
const uint8_t* source_as_bytes(const Machine& m, const StepBytes& bytes, int source, const Placed& x,
                               std::byte*& free) {
  if (bytes.in_bytes[source]) return reinterpret_cast<const uint8_t*>(x.data);
  const Placed to{free, x.shape, bytes.x[source]};
  free += BlockedLayout(x.shape).floats();
  quantise(m, floats(x), to);
  return reinterpret_cast<const uint8_t*>(to.data);
}

class ByteRun : public ConvRun {
 public:
  ByteRun(const Machine& m, const ConvStep& step, const ByteWeights& packed, const StepBuffers& buffers)
      : ConvRun(m, step, packed, buffers), weights_(packed) {
    std::byte* free = buffers.workspace + static_cast<size_t>(thread_count(m) * s_.worker_floats()) * sizeof(float);
    for (int i = 0; i < 2; ++i)
      x_[i] = step.x[i].c > 0 ? source_as_bytes(m, step.bytes, i, buffers.x[i], free) : nullptr;
  }

  void run() {
    if (!step_.bytes.y || s_.head) return ConvRun::run();
    for_tasks(m_.pool, s_.tasks(), [this](int64_t task, int worker) { run_as_bytes(task, worker); });
  }

 private:
  void compute_rows(int64_t n, int64_t block, int64_t, int64_t oh, float* y, int64_t) const override {
    compute_row(n, block, oh, y, {});
  }

  // A task whose results, and their maxima, are bytes all through. The maximum of bytes is the byte of the maximum.
  void run_as_bytes(int64_t task, int worker) const {
    const Quantised& how = step_.bytes.y;
    const auto [n, r0, r1, block0, block1] = s_.part(task);
    const int64_t width = s_.y.shape.w;
    auto* own = reinterpret_cast<uint8_t*>(floats(b_.workspace) + worker * s_.worker_floats());
    for (int64_t block = block0; block < block1; ++block) {
      const uint8_t* above = nullptr;
      for (int64_t r = r0; r < r1; ++r) {
        uint8_t* row = step_.store_y ? reinterpret_cast<uint8_t*>(b_.y.data) + s_.y.row(n, block, r)
                                     : own + (r - r0) * width * kBlock;
        compute_row(n, block, r, nullptr, {row, 1 / how.scale, static_cast<float>(how.zero_point)});
        if (step_.store_y) close_byte_row(s_.y, r, how, row);
        if (pools_ && (r - r0) % 2 == 1) {
          uint8_t* to = reinterpret_cast<uint8_t*>(b_.pooled.data) + s_.pooled.row(n, block, r / 2);
          m_.bytes->pool(above, row, s_.pooled.shape.w, to);
          close_byte_row(s_.pooled, r / 2, how, to);
        }
        above = row;
      }
    }
  }

  void compute_row(int64_t n, int64_t block, int64_t oh, float* y, const ByteResult& bytes) const {
    const ConvGeometry& g = step_.geometry;
    const int64_t top = oh * g.stride - g.pad;
    ByteRow r;
    r.w = weights_.block(block);
    r.scale = weights_.scale.values<float>().data() + block * kBlock;
    r.bias = weights_.b.values<float>().data() + block * kBlock;
    r.kernel_h = g.kernel_h, r.kernel_w = g.kernel_w, r.stride = g.stride, r.relu = step_.act == Activation::relu;
    r.kh_begin = std::clamp<int64_t>(-top, 0, g.kernel_h);
    r.kh_end = std::clamp<int64_t>(step_.x[0].h - top, r.kh_begin, g.kernel_h);
    // Outside the picture a byte is its zero point: rows there, and their part of the sum, are left out.
    int32_t start[kWideLanes] = {};
    for (int64_t kh = r.kh_begin; kh < r.kh_end; ++kh)
      for (int64_t lane = 0; lane < kBlock; ++lane) start[lane] -= weights_.row_sums(block, kh)[lane];
    r.start = start;
    for (int i = 0; i < 2; ++i) {
      if (x_[i] == nullptr) continue;
      const BlockedLayout& x = s_.x[i];
      const int64_t row = r.kh_begin < r.kh_end ? top + r.kh_begin : 0;
      r.source[i] = {x_[i] + x.row(n, 0, row), x.row_stride, x.block_stride, x.shape.c};
    }
    r.first_column = -g.pad;
    r.width = s_.y.shape.w;
    r.y = y, r.bytes = bytes;
    g.kernel_w == 3 && g.stride == 1 ? m_.bytes->conv3(r) : m_.bytes->conv(r);
  }

  const ByteWeights& weights_;
  const uint8_t* x_[2];
};

// Bytes would hide that a network is broken: what is not finite becomes some byte.
void check_finite(const StepWeights& weights) {
  for (const Tensor* t : {&weights.w, &weights.b, &weights.head_w, &weights.head_b})
    if (!t->empty() && !std::ranges::all_of(t->values<double>(), [](double v) { return std::isfinite(v); }))
      throw Error(ErrorCode::malformed, "weights of the network are not finite: it cannot be computed in 8 bits")
          .hint("furrow model audit --precision fp32 shows where");
}

// Of the sources of a convolution.
std::vector<WeightSource> weight_sources(const ConvStep& s) {
  std::vector<WeightSource> out{{0, s.x[0].c, s.bytes.x[0]}};
  if (s.x[1].c > 0) out.push_back({s.x[0].c, s.x[1].c, s.bytes.x[1]});
  return out;
}

std::string byte_algorithm(const Machine& m, const char* kind) {
  return std::string(kind) + " int8 " + m.bytes->isa + " nChw16c " + std::to_string(m.bytes->tile) + "x" +
         std::to_string(m.bytes->lanes);
}

}  // namespace

std::unique_ptr<PackedWeights> pack_byte_conv(const Machine& m, const ConvStep& step, const StepWeights& weights) {
  require(fits_bytes(step), "ConvStep: not in 8 bits");
  check_finite(weights);
  const ConvGeometry& g = step.geometry;
  const std::vector<WeightSource> sources = weight_sources(step);
  const int64_t blocks = ceil_div(step.oc, kWideLanes);
  auto packed = std::make_unique<ByteWeights>(std::move(*pack_epilogue(step, weights)), blocks, g.kernel_h,
                                              byte_block_bytes(*m.bytes, g.kernel_h, g.kernel_w, sources));
  for_tasks(m.pool, blocks, [&](int64_t block, int) {
    pack_byte_block(*m.bytes, weights.w.values<double>().data(), step.oc, g.kernel_w, step.x[0].c + step.x[1].c,
                    sources, block, *packed);
  });
  return packed;
}

size_t byte_conv_workspace(const Machine& m, const ConvStep& step) {
  return conv_workspace(m, step) + source_bytes(step.bytes, 0, step.x[0]) + source_bytes(step.bytes, 1, step.x[1]);
}

void run_byte_conv(const Machine& m, const ConvStep& step, const PackedWeights& packed, const StepBuffers& buffers) {
  check_conv(step, buffers);
  require(buffers.workspace != nullptr || byte_conv_workspace(m, step) == 0, "ConvStep: no workspace");
  ByteRun(m, step, byte_weights(packed), buffers).run();
}

std::string byte_conv_algorithm(const Machine& m, const ConvStep&) { return byte_algorithm(m, "direct"); }

std::unique_ptr<PackedWeights> pack_byte_upconv(const Machine& m, const UpconvStep& step, const StepWeights& weights) {
  require(fits_bytes(step), "UpconvStep: not in 8 bits");
  check_finite(weights);
  const WeightSource source[] = {{0, step.x.c, step.bytes.x[0]}};
  const int64_t blocks = ceil_div(step.y.c, kWideLanes);
  auto packed = std::make_unique<ByteWeights>(std::move(*pack_epilogue(step, weights)), blocks, 4,
                                              4 * byte_block_bytes(*m.bytes, 1, 1, source));
  for_tasks(m.pool, blocks, [&](int64_t block, int) {
    pack_byte_block(*m.bytes, weights.w.values<double>().data(), step.y.c, 1, step.x.c, source, block, *packed);
  });
  return packed;
}

size_t byte_upconv_workspace(const Machine& m, const UpconvStep& step) {
  check_upconv(step);
  return static_cast<size_t>(thread_count(m) * 2 * step.x.w * kWideLanes) * sizeof(float) +
         source_bytes(step.bytes, 0, step.x);
}

// Row 2h + i of the result is made of row h by two of the four taps, aside where it is not stored as it is; from there
// the part inside y is stored.
void run_byte_upconv(const Machine& m, const UpconvStep& step, const PackedWeights& packed,
                     const StepBuffers& buffers) {
  check_upconv(step, buffers);
  require(buffers.workspace != nullptr, "UpconvStep: no workspace");
  const ByteWeights& weights = byte_weights(packed);
  const BlockedLayout x(step.x), y(step.y);
  const int64_t own_floats = 2 * step.x.w * kWideLanes;
  std::byte* free = buffers.workspace + static_cast<size_t>(thread_count(m) * own_floats) * sizeof(float);
  const uint8_t* from = source_as_bytes(m, step.bytes, 0, buffers.x[0], free);
  const int64_t left = std::clamp<int64_t>(step.left, 0, step.y.w);
  const int64_t right = std::clamp<int64_t>(step.left + 2 * step.x.w, left, step.y.w);
  const bool whole = step.left == 0 && right == step.y.w && right == 2 * step.x.w;
  const Quantised& how = step.bytes.y;
  for_tasks(m.pool, step.y.n * step.y.h, [&](int64_t task, int worker) {
    const int64_t n = task / step.y.h, h = task % step.y.h, row = h - step.top;  // row of the 2h computed ones
    float* wide = floats(buffers.workspace) + worker * own_floats;
    const bool inside = row >= 0 && row < 2 * step.x.h;
    for (int64_t block = 0; block < y.blocks; ++block) {
      const int64_t at = y.row(n, block, h);
      auto* bytes = how && whole && inside ? reinterpret_cast<uint8_t*>(buffers.y.data) + at : nullptr;
      if (inside) {
        ByteRow r;
        // The taps are packed as four kernel rows, of which a call computes two.
        r.source[0] = {from + x.row(n, 0, row / 2), x.row_stride, x.block_stride, step.x.c};
        r.w = weights.block(block);
        r.kernel_h = 4, r.kernel_w = 1, r.kh_begin = row % 2 * 2, r.kh_end = r.kh_begin + 2;
        int32_t start[2 * kWideLanes];
        for (int64_t lane = 0; lane < kWideLanes; ++lane)
          for (int64_t j = 0; j < 2; ++j) start[j * kWideLanes + lane] = -weights.row_sums(block, r.kh_begin + j)[lane];
        r.start = start;
        r.scale = weights.scale.values<float>().data() + block * kWideLanes;
        r.bias = weights.b.values<float>().data() + block * kWideLanes;
        r.width = step.x.w;
        if (bytes != nullptr)
          r.bytes = {bytes, 1 / how.scale, static_cast<float>(how.zero_point)};
        else
          r.y = wide;
        m.bytes->up(r);
      }
      if (bytes != nullptr)
        close_byte_row(y, h, how, bytes);
      else
        store_row(m, wide + (left - step.left) * kWideLanes, inside ? left : 0, inside ? right : 0, y, at, h,
                  buffers.y);
    }
  });
}

std::string byte_upconv_algorithm(const Machine& m, const UpconvStep&) { return byte_algorithm(m, "gemm"); }

}  // namespace furrow::cpu
