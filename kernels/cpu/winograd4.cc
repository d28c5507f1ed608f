#include "kernels/cpu/winograd4.h"

#include <algorithm>

#include "kernels/arena.h"
#include "kernels/cpu/winograd4_run.h"

namespace furrow::cpu {
namespace {

constexpr int64_t kTileLanes = Winograd4Run::kLanes, kTileSide = Winograd4Run::kSide,
                  kTilePixels = Winograd4Run::kPixels, kTileWindow = Winograd4Run::kWindow;
constexpr int64_t kTileGroup = Winograd4Schedule::kGroup, kTileMatrices = Winograd4Schedule::kMatrices;

constexpr int64_t kTileTaps = 9;

int64_t blocks_of(int64_t channels) { return ceil_div(channels, kTileLanes); }
// A cache line more than needed: the 36 addresses of one value would often fall into one set of the cache.
int64_t padded_matrix(int64_t floats) { return floats + kTileLanes; }

// Whether a step keeps its weights as they are and transforms them in each run (Winograd4Run::run_parts()): those of many
// channels, which would take four times the memory, for pictures of a few tiles. A function of one image's shape.
bool transforms_anew(const ConvStep& step) {
  constexpr int64_t kMostTiles = 64, kLeastBlocks = 16;
  const Winograd4Schedule s(step);
  return !s.fused && step.head == 0 && s.high * s.wide <= kMostTiles && s.oc_blocks >= kLeastBlocks;
}

class PlannedRun : public Winograd4Run {
 public:
  PlannedRun(const Machine& m, const ConvStep& step, const PackedWeights& packed, const StepBuffers& buffers)
      : Winograd4Run(m, step),
        step_(step),
        packed_(packed),
        b_(buffers),
        x_{BlockedLayout(step.x[0]), BlockedLayout(step.x[1].c > 0 ? step.x[1] : Shape{0, 0, 0, 0})},
        y_(step.y()),
        pooled_(Shape{y_.shape.n, y_.shape.h / 2, y_.shape.w / 2, step.oc}),
        pools_(step.pool && pooled_.shape.pixels() > 0) {
    Tensor head = buffers.head;
    if (step.head > 0) head_ = head.values<float>().data();
  }

  void run() const {
    transforms_anew(step_) ? run_parts(floats(b_.workspace))
                           : Winograd4Run::run(packed_.w.values<float>().data(), floats(b_.workspace));
  }

 private:
  template <class Body>
  void for_runs(int64_t begin, int64_t end, const Body& body) const {
    cpu::for_runs(s_.high, s_.wide, begin, end, body);
  }

  void transform(int64_t panel, int64_t begin, int64_t end, int64_t base, float* v) const override {
    const int which = panel < s_.panels[0] ? 0 : 1;
    const int64_t block = which == 0 ? panel : panel - s_.panels[0];
    const int64_t lanes = std::min(kTileLanes, step_.x[which].c - block * kTileLanes);
    v += panel * s_.chunk * kTileLanes;
    for_runs(begin, end, [&](const TileRun& run) {
      const BlockedLayout& x = x_[which];
      // Windows end with the zero pixel after the row, where its width is a multiple of four; others are copied.
      const int64_t inside = std::clamp<int64_t>(x.shape.w / kTileSide - run.j, 0, run.count);
      float* to = v + (run.first - base) * kTileLanes;
      if (inside > 0) {
        TileRun whole = run;
        whole.count = inside;
        const float* from = floats(b_.x[which]) + (kTileSide * run.j - 1) * kTileLanes;
        transform_windows(
            m_, whole, x.shape.h, kTileLanes, [&](int64_t h) { return from + x.row(run.n, block, h); }, to,
            s_.source_matrix);
      }
      if (inside < run.count) {
        TileRun last = run;
        last.j += inside, last.count = 1;
        transform_edge(x, floats(b_.x[which]), block, last, to + inside * kTileLanes);
      }
      // Lanes past the last channel have no meaning, and only the last block of a sum may end before its 16th.
      if (lanes < kTileLanes && panel + 1 < s_.k / kTileLanes)
        for (int64_t matrix = 0; matrix < kTileMatrices; ++matrix)
          for (int64_t t = 0; t < run.count; ++t)
            std::fill(to + matrix * s_.source_matrix + t * kTileLanes + lanes,
                      to + matrix * s_.source_matrix + (t + 1) * kTileLanes, 0.0f);
    });
  }

  void transform_edge(const BlockedLayout& x, const float* from, int64_t block, const TileRun& run, float* to) const {
    alignas(64) float window[kTileWindow * kTileWindow * kTileLanes];
    Winograd4Source source;
    for (int64_t i = 0; i < kTileWindow; ++i) {
      const int64_t h = kTileSide * run.i - 1 + i;
      float* row = window + i * kTileWindow * kTileLanes;
      for (int64_t p = 0; p < kTileWindow; ++p) {
        const int64_t w = kTileSide * run.j - 1 + p;
        if (h >= 0 && h < x.shape.h && w >= 0 && w < x.shape.w)
          std::copy_n(from + x.row(run.n, block, h) + w * kTileLanes, kTileLanes, row + p * kTileLanes);
        else
          std::fill_n(row + p * kTileLanes, kTileLanes, 0.0f);
      }
      source.row[i] = row, source.pixel[i] = kTileLanes;
    }
    source.tiles = 1, source.v = to, source.matrix = s_.source_matrix;
    m_.tiles->winograd4_source(source);
  }

  // Of what pack_taps() packed.
  void transform_weights(int64_t block, int64_t first, int64_t last, float* u, int64_t matrix) const override {
    const float* w = packed_.w.values<float>().data() + (block * s_.k + first * kTileLanes) * kTileTaps * kTileLanes;
    for (int64_t c = 0; c < (last - first) * kTileLanes; ++c)
      m_.tiles->winograd4_weights_of(w + c * kTileTaps * kTileLanes, kTileLanes, u + c * kTileLanes, matrix);
  }

  // y, its maxima, and where there is a head `held`, of one block of tiles [begin, end).
  void store(int64_t block, int64_t begin, int64_t end, const float* m, int64_t matrix, float* held) const override {
    Winograd4Result r;
    r.matrix = matrix;
    r.bias = packed_.b.values<float>().data() + block * kTileLanes;
    r.relu = step_.act == Activation::relu;
    if (step_.head > 0) {
      r.m = m, r.tiles = end - begin, r.y = held + block * s_.held_tiles * kTilePixels * kTileLanes,
      r.y_tile = kTilePixels * kTileLanes, r.y_row = kTileSide * kTileLanes;
      m_.tiles->winograd4_result(r);
    }
    if (!step_.store_y && !pools_) return;
    r.y_tile = kTileSide * kTileLanes, r.y_row = y_.row_stride, r.pooled_row = pooled_.row_stride;
    for_runs(begin, end, [&](const TileRun& run) {
      const int64_t h = kTileSide * run.i, w = kTileSide * run.j;
      float* y = step_.store_y ? floats(b_.y.data) + y_.row(run.n, block, h) : nullptr;
      float* pooled =
          pools_ && h / 2 < pooled_.shape.h ? floats(b_.pooled.data) + pooled_.row(run.n, block, h / 2) : nullptr;
      r.height = std::min(kTileSide, y_.shape.h - h);
      const int64_t whole = std::min(run.count, y_.shape.w / kTileSide - run.j);
      const auto emit = [&](int64_t t, int64_t count, int64_t width) {
        r.m = m + (run.first - begin + t) * kTileLanes, r.tiles = count, r.width = width;
        r.y = y == nullptr ? nullptr : y + (w + kTileSide * t) * kTileLanes;
        r.pooled = pooled == nullptr ? nullptr : pooled + (w / 2 + 2 * t) * kTileLanes;
        m_.tiles->winograd4_result(r);
      };
      if (whole > 0) emit(0, whole, kTileSide);
      if (whole < run.count) emit(whole, 1, y_.shape.w % kTileSide);
      if (run.j > 0) return;  // padding is written with the first tile of its rows
      if (y != nullptr)
        for (int64_t i = 0; i < r.height; ++i) y_.close_row(y + i * y_.row_stride, h + i);
      if (pooled != nullptr)
        for (int64_t i = 0; i < r.height / 2; ++i) pooled_.close_row(pooled + i * pooled_.row_stride, h / 2 + i);
    });
  }

  // A 1x1 convolution of the held pixels, whose first lanes go into the dense tensor.
  void head(int64_t begin, int64_t end, const float* held, float* scratch) const override {
    const Shape& s = y_.shape;
    ConvRow r;
    r.source[0] = {held, 0, s_.held_tiles * kTilePixels * kTileLanes, kTileLanes, step_.oc};
    r.kernel_h = r.kernel_w = r.kh_end = r.kw_end = 1;
    r.part = part_of(step_.oc);
    r.width = (end - begin) * kTilePixels, r.y = scratch;
    for (int64_t k = 0; k < step_.head; k += kTileLanes) {
      r.w = packed_.head_w.values<float>().data() + k * step_.oc;
      r.bias = packed_.head_b.values<float>().data() + k;
      r.lanes = std::min(kTileLanes, step_.head - k);
      is_short_sum(step_.oc) ? m_.rows->conv_short(r) : m_.rows->conv(r);
      for_runs(begin, end, [&](const TileRun& run) {
        for (int64_t t = 0; t < run.count; ++t)
          for (int64_t p = 0; p < kTilePixels; ++p) {
            const int64_t h = kTileSide * run.i + p / kTileSide, w = kTileSide * (run.j + t) + p % kTileSide;
            if (h >= s.h || w >= s.w) continue;
            const float* from = scratch + ((run.first - begin + t) * kTilePixels + p) * kTileLanes;
            float* to = head_ + ((run.n * s.h + h) * s.w + w) * step_.head + k;
            for (int64_t i = 0; i < r.lanes; ++i) to[i] = from[i];
          }
      });
    }
  }

  const ConvStep& step_;
  const PackedWeights& packed_;
  const StepBuffers& b_;
  BlockedLayout x_[2], y_, pooled_;
  bool pools_;
  float* head_ = nullptr;  // the head's tensor
};

// The weights of 16 x 16 channels, from w {oc,3,3,ic}; zeros past `inputs` and `outputs`.
struct TapTile {
  alignas(64) double g[kTileLanes][kTileTaps][kTileLanes] = {};  // [ic][tap][oc]
  TapTile(const double* w, int64_t ic, int64_t inputs, int64_t outputs) {
    for (int64_t oc = 0; oc < outputs; ++oc)
      for (int64_t tap = 0; tap < kTileTaps; ++tap)
        for (int64_t c = 0; c < inputs; ++c) g[c][tap][oc] = w[(oc * kTileTaps + tap) * ic + c];
  }
  // G g G^T, [matrix][ic][oc].
  void transform(const TileKernels& tiles, float* to, int64_t matrix) const {
    for (int64_t c = 0; c < kTileLanes; ++c) tiles.winograd4_weights(&g[c][0][0], to + c * kTileLanes, matrix);
  }
  // As they are, rounded.
  void copy(float* to) const {
    for (int64_t i = 0; i < kTileLanes * kTileTaps * kTileLanes; ++i) to[i] = static_cast<float>((&g[0][0][0])[i]);
  }
};

}  // namespace

Winograd4Schedule::Winograd4Schedule(const ConvStep& step)
    : high(ceil_div(step.x[0].h, kTileSide)),
      wide(ceil_div(step.x[0].w, kTileSide)),
      tiles(step.x[0].n * high * wide),
      panels{blocks_of(step.x[0].c), blocks_of(step.x[1].c)},
      k((panels[0] + panels[1]) * kTileLanes),
      oc_blocks(blocks_of(step.oc)) {
  // What a task keeps at a time, in bytes 144 (rows k + rows 16 group + k 16 group), should fit a second-level cache of
  // 1 to 2 MiB; where V alone does not, stages lose less, whose products keep 4 rows k bytes.
  constexpr int64_t kFusedRows = 36, kFusedChannels = 128, kChunk = 256, kRows = 96, kRegisterRows = 12;
  fused = k <= kFusedChannels && high * wide >= 8 * kFusedRows;
  chunk = ceil_div(tiles, ceil_div(tiles, fused ? kFusedRows : kChunk));  // evenly
  rows = fused ? chunk : ceil_div(chunk, ceil_div(chunk, kRows));
  rows = ceil_div(rows, kRegisterRows) * kRegisterRows;
  if (fused) chunk = rows;
  source_matrix = padded_matrix(k * chunk);
  result_matrix = padded_matrix((fused ? std::min(kTileGroup, oc_blocks) : oc_blocks) * chunk * kTileLanes);
  if (step.head > 0) held_tiles = fused ? rows : kStrip;
  // Halves of short sums, of 64 terms at least: longer chains were seen to err by more than kWinograd4Error of
  // tests/kernels/compare.h. Fifths, as direct convolutions have them, would go through memory too often.
  part = std::clamp<int64_t>(ceil_div(k / 2, kTileLanes) * kTileLanes, 64, 128);
  part_u_matrix = padded_matrix(kTogether * part * kTileLanes);
  part_m_matrix = padded_matrix(kTogether * chunk * kTileLanes);
}

int64_t Winograd4Schedule::held_floats() const { return oc_blocks * held_tiles * kTilePixels * kTileLanes; }

int64_t Winograd4Schedule::worker_floats() const {
  return (fused ? matrices_floats() : 0) + held_floats() + held_tiles * kTilePixels * kTileLanes;
}

bool winograd4_fits(const ConvStep& step) {
  constexpr int64_t kLeastTiles = 16;
  const Shape& x = step.x[0];
  const int64_t tiles = ceil_div(x.h, kTileSide) * ceil_div(x.w, kTileSide);
  return 2 * x.h * x.w >= tiles * kTilePixels && step.geometry == ConvGeometry{3, 3, 1, 1} &&
         step.x[0].c + step.x[1].c >= kTileLanes && step.oc >= kTileLanes &&
         std::max(step.x[0].c, step.x[1].c) > BlockedLayout::kNarrow &&
         (step.x[1].c == 0 || std::min(step.x[0].c, step.x[1].c) > BlockedLayout::kNarrow) && tiles >= kLeastTiles;
}

std::unique_ptr<PackedWeights> pack_winograd4(const Machine& m, const ConvStep& step, const StepWeights& weights) {
  auto packed = pack_epilogue(step, weights);
  const Winograd4Schedule s(step);
  const bool anew = transforms_anew(step);
  packed->block_floats = (anew ? kTileTaps : kTileMatrices) * s.k * kTileLanes;
  const int64_t all = s.oc_blocks * packed->block_floats;
  // Huge pages save time where there is much to touch; a whole one for a few weights would be mostly empty.
  constexpr int64_t kHugeFloats = int64_t{16 << 20} / sizeof(float);
  packed->w = all < kHugeFloats ? Tensor({1, 1, 1, all})
                                : Arena(static_cast<size_t>(all) * sizeof(float)).take({1, 1, 1, all}, DType::f32);
  const double* w = weights.w.values<double>().data();
  float* to = packed->w.values<float>().data();
  const int64_t ic = step.x[0].c + step.x[1].c, panels = s.k / kTileLanes;
  for_tasks(m.pool, s.oc_blocks * panels, [&](int64_t task, int) {
    const int64_t block = task / panels, panel = task % panels, which = panel < s.panels[0] ? 0 : 1;
    const int64_t channel = (which == 0 ? panel : panel - s.panels[0]) * kTileLanes;
    const double* from = w + block * kTileLanes * kTileTaps * ic + (which == 0 ? 0 : step.x[0].c) + channel;
    TapTile tile(from, ic, std::min(kTileLanes, step.x[which].c - channel),
                 std::min(kTileLanes, step.oc - block * kTileLanes));
    if (anew) return tile.copy(to + task * kTileLanes * kTileTaps * kTileLanes);
    const int64_t first = block / kTileGroup * kTileGroup, together = std::min(kTileGroup, s.oc_blocks - first);
    tile.transform(*m.tiles, to + first * packed->block_floats + ((block - first) * s.k + panel * kTileLanes) * kTileLanes,
                   together * s.k * kTileLanes);
  });
  return packed;
}

size_t winograd4_packed_bytes(const ConvStep& step) {
  const Winograd4Schedule s(step);
  const int64_t values = transforms_anew(step) ? kTileTaps : kTileMatrices;
  return static_cast<size_t>(s.oc_blocks * kTileLanes * (values * s.k + 1)) * sizeof(float);
}

size_t winograd4_workspace(const Machine& m, const ConvStep& step) {
  check_conv(step);
  const Winograd4Schedule s(step);
  const int64_t all = transforms_anew(step) ? s.parts_floats(thread_count(m))
                                            : s.shared_floats() + thread_count(m) * s.worker_floats();
  return static_cast<size_t>(all) * sizeof(float);
}

void run_winograd4(const Machine& m, const ConvStep& step, const PackedWeights& packed, const StepBuffers& buffers) {
  check_conv(step, buffers);
  require(buffers.workspace != nullptr, "ConvStep: no workspace");
  PlannedRun(m, step, packed, buffers).run();
}

std::string winograd4_algorithm(const Machine& m, const ConvStep& step) {
  check_conv(step);
  return std::string("winograd 4x4 ") + m.tiles->isa + " nChw16c " + std::to_string(m.tiles->rows) + "x" +
         std::to_string(m.tiles->columns) + (transforms_anew(step) ? ", weights anew" : "");
}

}  // namespace furrow::cpu
