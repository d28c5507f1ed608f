// What convolutions by F(4x4, 3x3) share, planned ones on blocked buffers (winograd4.cc) and eager ones on dense
// tensors (eager_winograd4.cc): the tasks of Winograd4Schedule and their products.
#pragma once

#include "kernels/cpu/winograd4.h"

namespace furrow::cpu {

// A run of tiles of one row of tiles.
struct TileRun {
  int64_t first;    // tile of the batch
  int64_t n, i, j;  // image, row and column of tiles
  int64_t count;
};

// Calls body(run) for the runs of tiles [begin, end) that lie in one row, of images of high x wide tiles.
template <class Body>
void for_runs(int64_t high, int64_t wide, int64_t begin, int64_t end, const Body& body) {
  while (begin < end) {
    const int64_t image = high * wide, in = begin % image, j = in % wide;
    const int64_t count = std::min(end - begin, wide - j);
    body(TileRun{begin, begin / image, in / wide, j, count});
    begin += count;
  }
}

// V of a run of tiles and one panel: row(h) is the address of the first tile's first pixel in row h of the picture, of
// `high` rows, and pixels follow each other `pixel` floats apart; rows outside are zeros. Tile t of the run goes to
// v + t * 16, its 36 values `matrix` apart.
template <class Row>
void transform_windows(const Machine& m, const TileRun& run, int64_t high, int64_t pixel, const Row& row, float* v,
                       int64_t matrix) {
  constexpr int64_t kSide = 4, kWindow = 6;
  alignas(64) static constexpr float kZeros[BlockedLayout::kWide] = {};
  Winograd4Source source;
  for (int64_t i = 0; i < kWindow; ++i) {
    const int64_t h = kSide * run.i - 1 + i;
    const bool exists = h >= 0 && h < high;
    source.row[i] = exists ? row(h) : kZeros;
    source.pixel[i] = exists ? pixel : 0;
  }
  source.tiles = run.count, source.v = v, source.matrix = matrix;
  m.tiles->winograd4_source(source);
}

// A run of a convolution, whose sources a derived class reads and whose results it stores.
class Winograd4Run {
 public:
  static constexpr int64_t kLanes = BlockedLayout::kWide, kSide = 4, kPixels = kSide * kSide, kWindow = 6;
  static constexpr int64_t kGroup = Winograd4Schedule::kGroup, kMatrices = Winograd4Schedule::kMatrices;

  virtual ~Winograd4Run() = default;
  Winograd4Run(const Winograd4Run&) = delete;
  Winograd4Run& operator=(const Winograd4Run&) = delete;

 protected:
  // `u` as Winograd4Schedule says. `memory`: shared_floats(), then worker_floats() for each thread.
  Winograd4Run(const Machine& m, const ConvStep& step);
  void run(const float* u, float* memory) const { s_.fused ? run_fused(u, memory) : run_staged(u, memory); }

  // The same with weights that are transformed anew for each chunk of tiles, where they are multiplied and a part of the
  // sum at a time, which for a few hundred tiles costs less than reading all of them from memory. Not for a head.
  // `memory`: parts_floats().
  void run_parts(float* memory) const;
  int64_t parts_floats() const { return s_.parts_floats(thread_count(m_)); }

  // V of all source blocks and tiles [from, to), shared out; tile `from` is row 0 of `v`.
  void transform_all(int64_t from, int64_t to, float* v) const;
  // V of source block `panel` and tiles [begin, end); tile `base` is row 0 of `v`.
  virtual void transform(int64_t panel, int64_t begin, int64_t end, int64_t base, float* v) const = 0;
  // U of one result block and source blocks [first, last), for run_parts(): channel k to u + k * 16, its 36 values
  // `matrix` apart.
  virtual void transform_weights(int64_t block, int64_t first, int64_t last, float* u, int64_t matrix) const = 0;
  // The results of one block of tiles [begin, end), from M at `m`, whose values are `matrix` apart; for a head, into
  // `held`.
  virtual void store(int64_t block, int64_t begin, int64_t end, const float* m, int64_t matrix, float* held) const = 0;
  // The head of tiles [begin, end), whose results all blocks have left in `held`.
  virtual void head(int64_t, int64_t, const float*, float*) const {}

  const Machine& m_;
  Winograd4Schedule s_;
  int64_t depth_;  // of the sums: without the last block's lanes that are no channels

 private:
  void add_part(int64_t first, int64_t last, int64_t rows, int64_t k, const float* v, float* u, float* results) const;
  void run_fused(const float* u, float* memory) const;
  void run_staged(const float* u, float* memory) const;
  void multiply(const float* u, int64_t matrix, int64_t block, int64_t begin, int64_t end, const float* v,
                float* m) const;
};

}  // namespace furrow::cpu
