// Convolutions by Winograd's F(4x4, 3x3): which take it, and how their work is split. ConvStep's are here; eager ones,
// eager_winograd4.cc, take the same schedule.
#pragma once

#include "kernels/cpu/steps.h"

namespace furrow::cpu {

// Whether a step goes Winograd's way: 3x3, stride 1, padding 1, at least 16 channels on both sides, and a picture that
// uses the transformed weights often enough: 16 tiles, of whose results at least half exist. A function of one image's shape, so that bits do not depend on the batch.
bool winograd4_fits(const ConvStep& step);

// The same three functions as of direct convolutions (steps.h); they throw what those throw.
std::unique_ptr<PackedWeights> pack_winograd4(const Machine& m, const ConvStep& step, const StepWeights& weights);
size_t winograd4_workspace(const Machine& m, const ConvStep& step);
// Of what pack_winograd4() returns, without the head's.
size_t winograd4_packed_bytes(const ConvStep& step);
void run_winograd4(const Machine& m, const ConvStep& step, const PackedWeights& packed, const StepBuffers& buffers);
// "winograd 4x4 avx512 nChw16c 12x32": the register tile of its products in tiles x channels; by parts
// ", weights anew" besides.
std::string winograd4_algorithm(const Machine& m, const ConvStep& step);

// The split of a step. Tiles of 4x4 results, in the order [n][i][j], are rows of 36 matrices V (tiles x source
// channels); 36 products with the transformed weights U give as many matrices M (tiles x result channels).
// Fused, for many tiles of few channels: a task is `rows` tiles; V, then M by groups of kGroup blocks of 16 channels,
// each of which becomes results while it is in the cache. U is read once a task.
// Staged, for the others: of a chunk of tiles, V, then M, then results, each by tasks of its own; the threads share V
// and M, and read U once a chunk.
// By parts, for a few tiles of many channels: of a chunk of tiles, V; then a task is kTogether blocks of results, whose U
// is made from the weights as they are, a part of the sum at a time, and goes into M at once. A quarter of the memory.
struct Winograd4Schedule {
  explicit Winograd4Schedule(const ConvStep& step);

  static constexpr int64_t kMatrices = 36, kGroup = 4;  // U lies as [group][matrix][block][k][16]
  static constexpr int64_t kStrip = 16;                 // tiles of a task that transforms, in stages
  int64_t high, wide, tiles;                            // rows and columns of an image's tiles; tiles of the batch
  int64_t panels[2], k;  // blocks of 16 channels of each source; channels of these blocks together
  int64_t oc_blocks;
  bool fused;
  int64_t part;          // terms that are summed in registers
  int64_t chunk, rows;                   // tiles: whose V and M are kept at a time; of a task of products
  int64_t source_matrix, result_matrix;  // floats from one V to the next, one M to the next
  int64_t held_tiles = 0;                // whose results a worker keeps for a head
  int64_t held_floats() const;           // [block][tile][16 pixels][16]
  int64_t matrices_floats() const { return kMatrices * (source_matrix + result_matrix); }
  int64_t shared_floats() const { return fused ? 0 : matrices_floats(); }
  int64_t worker_floats() const;
  // By parts: floats from one U of a part to the next, one M to the next; of both, and of all that threads need.
  static constexpr int64_t kTogether = 2;  // AVX-512 multiplies with two blocks at a time
  int64_t part_u_matrix, part_m_matrix;
  int64_t part_floats() const { return kMatrices * (part_u_matrix + part_m_matrix); }
  int64_t parts_floats(int64_t threads) const { return kMatrices * source_matrix + threads * part_floats(); }
  // Where in U the group lies that `block` begins; past the last group, the size of U.
  int64_t group_floats(int64_t block) const { return block * kMatrices * k * BlockedLayout::kWide; }
};

}  // namespace furrow::cpu
