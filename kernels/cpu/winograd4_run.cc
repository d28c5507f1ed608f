#include "kernels/cpu/winograd4_run.h"

namespace furrow::cpu {
namespace {

constexpr int64_t kStrip = Winograd4Schedule::kStrip;
constexpr int64_t kProductBlocks = 16;  // of a task of products, in stages

}  // namespace

Winograd4Run::Winograd4Run(const Machine& m, const ConvStep& step)
    : m_(m), s_(step), depth_(s_.k) {
  const int64_t c = step.x[1].c > 0 ? step.x[1].c : step.x[0].c;
  depth_ -= ceil_div(c, kLanes) * kLanes - c;
}

void Winograd4Run::run_fused(const float* u, float* memory) const {
  for_tasks(m_.pool, ceil_div(s_.tiles, s_.rows), [&](int64_t task, int worker) {
    const int64_t begin = task * s_.rows, end = std::min(begin + s_.rows, s_.tiles);
    float* v = memory + worker * s_.worker_floats();
    float* m = v + kMatrices * s_.source_matrix;
    float* held = v + s_.matrices_floats();
    for (int64_t panel = 0; panel < s_.k / kLanes; ++panel) transform(panel, begin, end, begin, v);
    for (int64_t block = 0; block < s_.oc_blocks; block += kGroup) {
      const int64_t blocks = std::min(kGroup, s_.oc_blocks - block);
      for (int64_t matrix = 0; matrix < kMatrices; ++matrix) multiply(u, matrix, block, 0, end - begin, v, m);
      for (int64_t b = block; b < block + blocks; ++b)
        store(b, begin, end, m + (b - block) * s_.chunk * kLanes, s_.result_matrix, held);
    }
    if (s_.held_tiles > 0) head(begin, end, held, held + s_.held_floats());
  });
}

void Winograd4Run::transform_all(int64_t from, int64_t to, float* v) const {
  const int64_t strips = ceil_div(to - from, kStrip);
  for_tasks(m_.pool, s_.k / kLanes * strips, [&](int64_t task, int) {
    const int64_t begin = from + task % strips * kStrip;
    transform(task / strips, begin, std::min(begin + kStrip, to), from, v);
  });
}

void Winograd4Run::run_staged(const float* u, float* memory) const {
  float* v = memory;
  float* m = v + kMatrices * s_.source_matrix;
  float* workers = v + s_.shared_floats();
  for (int64_t from = 0; from < s_.tiles; from += s_.chunk) {
    const int64_t to = std::min(from + s_.chunk, s_.tiles), strips = ceil_div(to - from, kStrip);
    transform_all(from, to, v);
    const int64_t blocks = ceil_div(to - from, s_.rows), splits = ceil_div(s_.oc_blocks, kProductBlocks);
    for_tasks(m_.pool, kMatrices * splits * blocks, [&](int64_t task, int) {
      const int64_t begin = task % blocks * s_.rows, end = std::min(begin + s_.rows, to - from);
      const int64_t first = task / blocks % splits * kProductBlocks;
      for (int64_t b = first, last = std::min(first + kProductBlocks, s_.oc_blocks); b < last; b += kGroup)
        multiply(u, task / blocks / splits, b, begin, end, v, m + b * s_.chunk * kLanes);
    });
    // A head needs every channel of its pixel.
    const int64_t each = s_.held_tiles > 0 ? s_.oc_blocks : 1;
    for_tasks(m_.pool, s_.oc_blocks / each * strips, [&](int64_t task, int worker) {
      const int64_t begin = from + task % strips * kStrip, end = std::min(begin + kStrip, to);
      float* held = workers + worker * s_.worker_floats();
      for (int64_t b = task / strips * each, last = b + each; b < last; ++b)
        store(b, begin, end, m + (b * s_.chunk + begin - from) * kLanes, s_.result_matrix, held);
      if (s_.held_tiles > 0) head(begin, end, held, held + s_.held_floats());
    });
  }
}

void Winograd4Run::run_parts(float* memory) const {
  constexpr int64_t kTogether = Winograd4Schedule::kTogether;
  float* v = memory;
  float* workers = v + kMatrices * s_.source_matrix;
  for (int64_t from = 0; from < s_.tiles; from += s_.chunk) {
    const int64_t to = std::min(from + s_.chunk, s_.tiles);
    transform_all(from, to, v);
    for_tasks(m_.pool, ceil_div(s_.oc_blocks, kTogether), [&](int64_t task, int worker) {
      const int64_t first = task * kTogether, last = std::min(first + kTogether, s_.oc_blocks);
      float* u = workers + worker * s_.part_floats();
      float* results = u + kMatrices * s_.part_u_matrix;
      for (int64_t k = 0; k < depth_; k += s_.part) add_part(first, last, to - from, k, v, u, results);
      for (int64_t block = first; block < last; ++block)
        store(block, from, to, results + (block - first) * s_.chunk * kLanes, s_.part_m_matrix, nullptr);
    });
  }
}

// M of result blocks [first, last): the terms of their sums from `k` on, one part of them.
void Winograd4Run::add_part(int64_t first, int64_t last, int64_t rows, int64_t k, const float* v, float* u,
                            float* results) const {
  const int64_t depth = std::min(s_.part, depth_ - k);
  for (int64_t block = first; block < last; ++block)
    transform_weights(block, k / kLanes, ceil_div(k + depth, kLanes), u + (block - first) * s_.part * kLanes,
                      s_.part_u_matrix);
  for (int64_t matrix = 0; matrix < kMatrices; ++matrix)
    m_.tiles->multiply({.a = v + matrix * s_.source_matrix + k * s_.chunk,
                        .a_panel = s_.chunk * kLanes,
                        .b = u + matrix * s_.part_u_matrix,
                        .b_panel = s_.part * kLanes,
                        .c = results + matrix * s_.part_m_matrix,
                        .c_panel = s_.chunk * kLanes,
                        .rows = rows,
                        .panels = last - first,
                        .depth = depth,
                        .part = s_.part,
                        .accumulate = k > 0});
}

// Rows [begin, end) of one M, of the group that starts with `block` and whose blocks start at `m`.
void Winograd4Run::multiply(const float* u, int64_t matrix, int64_t block, int64_t begin, int64_t end, const float* v,
                            float* m) const {
  const int64_t blocks = std::min(kGroup, s_.oc_blocks - block);
  m_.tiles->multiply({.a = v + matrix * s_.source_matrix + begin * kLanes,
                      .a_panel = s_.chunk * kLanes,
                      .b = u + s_.group_floats(block) + matrix * blocks * s_.k * kLanes,
                      .b_panel = s_.k * kLanes,
                      .c = m + matrix * s_.result_matrix + begin * kLanes,
                      .c_panel = s_.chunk * kLanes,
                      .rows = end - begin,
                      .panels = blocks,
                      .depth = depth_,
                      .part = s_.part});
}

}  // namespace furrow::cpu
