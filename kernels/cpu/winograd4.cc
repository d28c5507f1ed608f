#include "kernels/cpu/winograd4.h"

#include <algorithm>
#include <array>

#include "kernels/arena.h"

namespace furrow::cpu {
namespace {

constexpr int64_t kBlock = BlockedLayout::kWide, kSide = 4, kPixels = kSide * kSide, kWindow = 6;
constexpr int64_t kStrip = 16;  // tiles of a task that transforms, in stages
constexpr int64_t kGroup = Winograd4Schedule::kGroup, kMatrices = Winograd4Schedule::kMatrices;
constexpr int64_t kProductBlocks = 16;  // of a task of products, in stages

int64_t blocks_of(int64_t channels) { return ceil_div(channels, kBlock); }
// A cache line more than needed: the 36 addresses of one value would often fall into one set of the cache.
int64_t padded_matrix(int64_t floats) { return floats + kBlock; }

// A run of tiles of one row of tiles.
struct Run {
  int64_t first;    // tile of the batch
  int64_t n, i, j;  // image, row and column of tiles
  int64_t count;
};

class Winograd4Run {
 public:
  Winograd4Run(const Machine& m, const ConvStep& step, const PackedWeights& packed, const StepBuffers& buffers)
      : m_(m),
        step_(step),
        packed_(packed),
        b_(buffers),
        s_(step),
        x_{BlockedLayout(step.x[0]), BlockedLayout(step.x[1].c > 0 ? step.x[1] : Shape{0, 0, 0, 0})},
        y_(step.y()),
        pooled_(Shape{y_.shape.n, y_.shape.h / 2, y_.shape.w / 2, step.oc}),
        pools_(step.pool && pooled_.shape.pixels() > 0) {
    Tensor head = buffers.head;
    if (step.head > 0) head_ = head.values<float>().data();
  }

  void run() const { s_.fused ? run_fused() : run_staged(); }

 private:
  void run_fused() const {
    for_tasks(m_.pool, ceil_div(s_.tiles, s_.rows), [&](int64_t task, int worker) {
      const int64_t begin = task * s_.rows, end = std::min(begin + s_.rows, s_.tiles);
      float* v = floats(b_.workspace) + worker * s_.worker_floats();
      float* m = v + kMatrices * s_.source_matrix;
      float* held = v + s_.matrices_floats();
      for (int64_t panel = 0; panel < s_.k / kBlock; ++panel) transform(panel, begin, end, begin, v);
      for (int64_t block = 0; block < s_.oc_blocks; block += kGroup) {
        const int64_t blocks = std::min(kGroup, s_.oc_blocks - block);
        for (int64_t matrix = 0; matrix < kMatrices; ++matrix) multiply(matrix, block, 0, end - begin, v, m);
        for (int64_t b = block; b < block + blocks; ++b)
          store(b, begin, end, m + (b - block) * s_.chunk * kBlock, held);
      }
      if (step_.head > 0) head(begin, end, held, held + s_.held_floats());
    });
  }

  void run_staged() const {
    float* v = floats(b_.workspace);
    float* m = v + kMatrices * s_.source_matrix;
    float* workers = v + s_.shared_floats();
    for (int64_t from = 0; from < s_.tiles; from += s_.chunk) {
      const int64_t to = std::min(from + s_.chunk, s_.tiles), strips = ceil_div(to - from, kStrip);
      for_tasks(m_.pool, s_.k / kBlock * strips, [&](int64_t task, int) {
        const int64_t begin = from + task % strips * kStrip;
        transform(task / strips, begin, std::min(begin + kStrip, to), from, v);
      });
      const int64_t blocks = ceil_div(to - from, s_.rows), splits = ceil_div(s_.oc_blocks, kProductBlocks);
      for_tasks(m_.pool, kMatrices * splits * blocks, [&](int64_t task, int) {
        const int64_t begin = task % blocks * s_.rows, end = std::min(begin + s_.rows, to - from);
        const int64_t first = task / blocks % splits * kProductBlocks;
        for (int64_t b = first, last = std::min(first + kProductBlocks, s_.oc_blocks); b < last; b += kGroup)
          multiply(task / blocks / splits, b, begin, end, v, m + b * s_.chunk * kBlock);
      });
      // A head needs every channel of its pixel.
      const int64_t each = step_.head > 0 ? s_.oc_blocks : 1;
      for_tasks(m_.pool, s_.oc_blocks / each * strips, [&](int64_t task, int worker) {
        const int64_t begin = from + task % strips * kStrip, end = std::min(begin + kStrip, to);
        float* held = workers + worker * s_.worker_floats();
        for (int64_t b = task / strips * each, last = b + each; b < last; ++b)
          store(b, begin, end, m + (b * s_.chunk + begin - from) * kBlock, held);
        if (step_.head > 0) head(begin, end, held, held + s_.held_floats());
      });
    }
  }

  // Calls body(run) for the runs of tiles [begin, end) that lie in one row of tiles.
  template <class Body>
  void for_runs(int64_t begin, int64_t end, const Body& body) const {
    while (begin < end) {
      const int64_t image = s_.high * s_.wide, in = begin % image, j = in % s_.wide;
      const int64_t count = std::min(end - begin, s_.wide - j);
      body(Run{begin, begin / image, in / s_.wide, j, count});
      begin += count;
    }
  }

  // V of source block `panel` and tiles [begin, end); tile `base` is row 0 of `v`.
  void transform(int64_t panel, int64_t begin, int64_t end, int64_t base, float* v) const {
    const int which = panel < s_.panels[0] ? 0 : 1;
    const int64_t block = which == 0 ? panel : panel - s_.panels[0];
    const int64_t lanes = std::min(kBlock, step_.x[which].c - block * kBlock);
    v += panel * s_.chunk * kBlock;
    for_runs(begin, end, [&](const Run& run) {
      const BlockedLayout& x = x_[which];
      // Windows end with the zero pixel after the row, where its width is a multiple of four; others are copied.
      const int64_t inside = std::clamp<int64_t>(x.shape.w / kSide - run.j, 0, run.count);
      float* to = v + (run.first - base) * kBlock;
      if (inside > 0) transform_run(x, floats(b_.x[which]), block, run, inside, to);
      if (inside < run.count) {
        Run last = run;
        last.j += inside, last.count = 1;
        transform_edge(x, floats(b_.x[which]), block, last, to + inside * kBlock);
      }
      // Lanes past the last channel have no meaning, and only the last block of a sum may end before its 16th.
      if (lanes < kBlock && panel + 1 < s_.k / kBlock)
        for (int64_t matrix = 0; matrix < kMatrices; ++matrix)
          for (int64_t t = 0; t < run.count; ++t)
            std::fill(to + matrix * s_.source_matrix + t * kBlock + lanes,
                      to + matrix * s_.source_matrix + (t + 1) * kBlock, 0.0f);
    });
  }

  void transform_run(const BlockedLayout& x, const float* from, int64_t block, const Run& run, int64_t count,
                     float* to) const {
    Winograd4Source source;
    for (int64_t i = 0; i < kWindow; ++i) {
      const int64_t h = kSide * run.i - 1 + i;
      const bool exists = h >= 0 && h < x.shape.h;
      source.row[i] = exists ? from + x.row(run.n, block, h) + (kSide * run.j - 1) * kBlock : kZeros.data();
      source.pixel[i] = exists ? kBlock : 0;
    }
    source.tiles = count, source.v = to, source.matrix = s_.source_matrix;
    m_.tiles->winograd4_source(source);
  }

  void transform_edge(const BlockedLayout& x, const float* from, int64_t block, const Run& run, float* to) const {
    alignas(64) float window[kWindow * kWindow * kBlock];
    Winograd4Source source;
    for (int64_t i = 0; i < kWindow; ++i) {
      const int64_t h = kSide * run.i - 1 + i;
      float* row = window + i * kWindow * kBlock;
      for (int64_t p = 0; p < kWindow; ++p) {
        const int64_t w = kSide * run.j - 1 + p;
        if (h >= 0 && h < x.shape.h && w >= 0 && w < x.shape.w)
          std::copy_n(from + x.row(run.n, block, h) + w * kBlock, kBlock, row + p * kBlock);
        else
          std::fill_n(row + p * kBlock, kBlock, 0.0f);
      }
      source.row[i] = row, source.pixel[i] = kBlock;
    }
    source.tiles = 1, source.v = to, source.matrix = s_.source_matrix;
    m_.tiles->winograd4_source(source);
  }

  // Rows [begin, end) of one M, of the group that starts with `block` and whose blocks start at `m`.
  void multiply(int64_t matrix, int64_t block, int64_t begin, int64_t end, const float* v, float* m) const {
    const int64_t blocks = std::min(kGroup, s_.oc_blocks - block);
    const float* u = packed_.w.values<float>().data() + block * packed_.block_floats;
    m_.tiles->multiply({.a = v + matrix * s_.source_matrix + begin * kBlock,
                        .a_panel = s_.chunk * kBlock,
                        .b = u + matrix * blocks * s_.k * kBlock,
                        .b_panel = s_.k * kBlock,
                        .c = m + matrix * s_.result_matrix + begin * kBlock,
                        .c_panel = s_.chunk * kBlock,
                        .rows = end - begin,
                        .panels = blocks,
                        .depth = depth(),
                        .part = part()});
  }

  // Of the sums: without the last block's lanes that are no channels.
  int64_t depth() const {
    const int64_t c = step_.x[1].c > 0 ? step_.x[1].c : step_.x[0].c;
    return s_.k - (blocks_of(c) * kBlock - c);
  }

  // Halves of short sums, of 64 terms at least: longer chains were seen to err by more than kWinograd4Error of
  // tests/kernels/compare.h. Fifths, as direct convolutions have them, would go through memory too often.
  int64_t part() const { return std::clamp<int64_t>(ceil_div(s_.k / 2, kBlock) * kBlock, 64, 128); }

  // y, its maxima, and where there is a head `held`, of one block of tiles [begin, end).
  void store(int64_t block, int64_t begin, int64_t end, const float* m, float* held) const {
    Winograd4Result r;
    r.matrix = s_.result_matrix;
    r.bias = packed_.b.values<float>().data() + block * kBlock;
    r.relu = step_.act == Activation::relu;
    if (step_.head > 0) {
      r.m = m, r.tiles = end - begin, r.y = held + block * s_.held_tiles * kPixels * kBlock,
      r.y_tile = kPixels * kBlock, r.y_row = kSide * kBlock;
      m_.tiles->winograd4_result(r);
    }
    if (!step_.store_y && !pools_) return;
    r.y_tile = kSide * kBlock, r.y_row = y_.row_stride, r.pooled_row = pooled_.row_stride;
    for_runs(begin, end, [&](const Run& run) {
      const int64_t h = kSide * run.i, w = kSide * run.j;
      float* y = step_.store_y ? floats(b_.y.data) + y_.row(run.n, block, h) : nullptr;
      float* pooled =
          pools_ && h / 2 < pooled_.shape.h ? floats(b_.pooled.data) + pooled_.row(run.n, block, h / 2) : nullptr;
      r.height = std::min(kSide, y_.shape.h - h);
      const int64_t whole = std::min(run.count, y_.shape.w / kSide - run.j);
      const auto emit = [&](int64_t t, int64_t count, int64_t width) {
        r.m = m + (run.first - begin + t) * kBlock, r.tiles = count, r.width = width;
        r.y = y == nullptr ? nullptr : y + (w + kSide * t) * kBlock;
        r.pooled = pooled == nullptr ? nullptr : pooled + (w / 2 + 2 * t) * kBlock;
        m_.tiles->winograd4_result(r);
      };
      if (whole > 0) emit(0, whole, kSide);
      if (whole < run.count) emit(whole, 1, y_.shape.w % kSide);
      if (run.j > 0) return;  // padding is written with the first tile of its rows
      if (y != nullptr)
        for (int64_t i = 0; i < r.height; ++i) y_.close_row(y + i * y_.row_stride, h + i);
      if (pooled != nullptr)
        for (int64_t i = 0; i < r.height / 2; ++i) pooled_.close_row(pooled + i * pooled_.row_stride, h / 2 + i);
    });
  }

  // A 1x1 convolution of the held pixels, whose first lanes go into the dense tensor.
  void head(int64_t begin, int64_t end, const float* held, float* scratch) const {
    const Shape& s = y_.shape;
    ConvRow r;
    r.source[0] = {held, 0, s_.held_tiles * kPixels * kBlock, kBlock, step_.oc};
    r.kernel_h = r.kernel_w = r.kh_end = r.kw_end = 1;
    r.part = part_of(step_.oc);
    r.width = (end - begin) * kPixels, r.y = scratch;
    for (int64_t k = 0; k < step_.head; k += kBlock) {
      r.w = packed_.head_w.values<float>().data() + k * step_.oc;
      r.bias = packed_.head_b.values<float>().data() + k;
      r.lanes = std::min(kBlock, step_.head - k);
      is_short_sum(step_.oc) ? m_.rows->conv_short(r) : m_.rows->conv(r);
      for_runs(begin, end, [&](const Run& run) {
        for (int64_t t = 0; t < run.count; ++t)
          for (int64_t p = 0; p < kPixels; ++p) {
            const int64_t h = kSide * run.i + p / kSide, w = kSide * (run.j + t) + p % kSide;
            if (h >= s.h || w >= s.w) continue;
            const float* from = scratch + ((run.first - begin + t) * kPixels + p) * kBlock;
            float* to = head_ + ((run.n * s.h + h) * s.w + w) * step_.head + k;
            for (int64_t i = 0; i < r.lanes; ++i) to[i] = from[i];
          }
      });
    }
  }

  alignas(64) static constexpr std::array<float, kBlock> kZeros{};
  const Machine& m_;
  const ConvStep& step_;
  const PackedWeights& packed_;
  const StepBuffers& b_;
  Winograd4Schedule s_;
  BlockedLayout x_[2], y_, pooled_;
  bool pools_;
  float* head_ = nullptr;  // the head's tensor
};

// G g G^T of 16 x 16 channels: w {oc,3,3,ic} -> [matrix][ic][oc], zeros past `inputs` and `outputs`.
void pack_tile(const TileKernels& tiles, const double* w, int64_t ic, int64_t inputs, int64_t outputs, float* to,
               int64_t matrix) {
  alignas(64) double g[kBlock][9][kBlock] = {};  // [ic][tap][oc]
  for (int64_t oc = 0; oc < outputs; ++oc)
    for (int64_t tap = 0; tap < 9; ++tap)
      for (int64_t c = 0; c < inputs; ++c) g[c][tap][oc] = w[(oc * 9 + tap) * ic + c];
  for (int64_t c = 0; c < kBlock; ++c) tiles.winograd4_weights(&g[c][0][0], to + c * kBlock, matrix);
}

}  // namespace

Winograd4Schedule::Winograd4Schedule(const ConvStep& step)
    : high(ceil_div(step.x[0].h, kSide)),
      wide(ceil_div(step.x[0].w, kSide)),
      tiles(step.x[0].n * high * wide),
      panels{blocks_of(step.x[0].c), blocks_of(step.x[1].c)},
      k((panels[0] + panels[1]) * kBlock),
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
  result_matrix = padded_matrix((fused ? std::min(kGroup, oc_blocks) : oc_blocks) * chunk * kBlock);
  if (step.head > 0) held_tiles = fused ? rows : kStrip;
}

int64_t Winograd4Schedule::held_floats() const { return oc_blocks * held_tiles * kPixels * kBlock; }

int64_t Winograd4Schedule::worker_floats() const {
  return (fused ? matrices_floats() : 0) + held_floats() + held_tiles * kPixels * kBlock;
}

bool winograd4_fits(const ConvStep& step) {
  constexpr int64_t kLeastTiles = 16;
  const Shape& x = step.x[0];
  const int64_t tiles = ceil_div(x.h, kSide) * ceil_div(x.w, kSide);
  return 2 * x.h * x.w >= tiles * kPixels && step.geometry == ConvGeometry{3, 3, 1, 1} &&
         step.x[0].c + step.x[1].c >= kBlock && step.oc >= kBlock &&
         std::max(step.x[0].c, step.x[1].c) > BlockedLayout::kNarrow &&
         (step.x[1].c == 0 || std::min(step.x[0].c, step.x[1].c) > BlockedLayout::kNarrow) && tiles >= kLeastTiles;
}

std::unique_ptr<PackedWeights> pack_winograd4(const Machine& m, const ConvStep& step, const StepWeights& weights) {
  auto packed = pack_epilogue(step, weights);
  const Winograd4Schedule s(step);
  packed->block_floats = kMatrices * s.k * kBlock;
  const int64_t all = s.oc_blocks * packed->block_floats;
  // Huge pages save time where there is much to touch; a whole one for a few weights would be mostly empty.
  constexpr int64_t kHugeFloats = int64_t{16 << 20} / sizeof(float);
  packed->w = all < kHugeFloats ? Tensor({1, 1, 1, all})
                                : Arena(static_cast<size_t>(all) * sizeof(float)).take({1, 1, 1, all}, DType::f32);
  const double* w = weights.w.values<double>().data();
  float* to = packed->w.values<float>().data();
  const int64_t ic = step.x[0].c + step.x[1].c, panels = s.k / kBlock;
  for_tasks(m.pool, s.oc_blocks * panels, [&](int64_t task, int) {
    const int64_t block = task / panels, panel = task % panels, which = panel < s.panels[0] ? 0 : 1;
    const int64_t channel = (which == 0 ? panel : panel - s.panels[0]) * kBlock;
    const int64_t first = block / kGroup * kGroup, together = std::min(kGroup, s.oc_blocks - first);
    pack_tile(*m.tiles, w + block * kBlock * 9 * ic + (which == 0 ? 0 : step.x[0].c) + channel, ic,
              std::min(kBlock, step.x[which].c - channel), std::min(kBlock, step.oc - block * kBlock),
              to + first * packed->block_floats + ((block - first) * s.k + panel * kBlock) * kBlock,
              together * s.k * kBlock);
  });
  return packed;
}

size_t winograd4_packed_bytes(const ConvStep& step) {
  const Winograd4Schedule s(step);
  return static_cast<size_t>(s.oc_blocks * kBlock * (kMatrices * s.k + 1)) * sizeof(float);
}

size_t winograd4_workspace(const Machine& m, const ConvStep& step) {
  check_conv(step);
  const Winograd4Schedule s(step);
  return static_cast<size_t>(s.shared_floats() + thread_count(m) * s.worker_floats()) * sizeof(float);
}

void run_winograd4(const Machine& m, const ConvStep& step, const PackedWeights& packed, const StepBuffers& buffers) {
  check_conv(step, buffers);
  require(buffers.workspace != nullptr, "ConvStep: no workspace");
  Winograd4Run(m, step, packed, buffers).run();
}

std::string winograd4_algorithm(const Machine& m, const ConvStep& step) {
  check_conv(step);
  return std::string("winograd 4x4 ") + m.tiles->isa + " nChw16c " + std::to_string(m.tiles->rows) + "x" +
         std::to_string(m.tiles->columns);
}

}  // namespace furrow::cpu
