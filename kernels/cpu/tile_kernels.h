// What the instruction-set files offer to convolutions that are matrix products: those products, of panel matrices, and
// the transforms of Winograd's convolutions, F(2x2, 3x3) and F(4x4, 3x3).
//
// A panel matrix of R rows and K columns lies as [K/16][R][16]: its columns in panels of 16, a panel's rows one after
// another. Both operands of every product and its result are of this form, so all addresses inside a tile are
// constants, whether the sum runs over columns (a convolution) or over rows (a weight gradient). Strides count floats.
//
// Like RowKernels: one text (tile_rows.h, winograd4_rows.h) compiled once per instruction set; nothing here allocates,
// locks or throws.
#pragma once

#include <cstdint>

namespace furrow::cpu {

// c (+)= act(a * b + bias), or c (+)= a^T * b. Every value is one sum
// in one order, k = 0, 1, ..., by parts, each in one register that starts at 0; what c held is added last. So a sum,
// over many calls too, rounds like that of its parts and not like one chain of all its terms.
struct Product {
  const float* a = nullptr;
  int64_t a_panel = 0;
  const float* b = nullptr;
  int64_t b_panel = 0;
  float* c = nullptr;
  int64_t c_panel = 0;
  int64_t rows = 0;             // of c
  int64_t panels = 0;           // of b and of c
  int64_t depth = 0;            // length of the sums
  int64_t part = 128;           // terms of a part, a multiple of 16: part_of() in steps.h
  bool accumulate = false;      // of multiply(): without a bias
  const float* bias = nullptr;  // of multiply() alone: one value a column, or null
  bool relu = false;            // likewise
};

// Where the four results of a Winograd tile go, and what is done with them first.
struct WinogradResult {
  float* y = nullptr;
  int64_t pixel = 0, row = 0;     // from one column or row of y to the next
  int64_t height = 2, width = 2;  // those that exist: 1 or 2
  const float* bias = nullptr;    // 16 values
  bool relu = false, accumulate = false;
};

// Neighbouring tiles of F(4x4, 3x3), one block of 16 lanes: pixel p of row i of their windows is at row[i] + p *
// pixel[i]; the window of tile t begins with pixel 4t. `pixel` is 0 where a row lies outside the picture and is one
// pixel of zeros. The 36 transformed values of tile t go to v + t * 16, `matrix` apart.
struct Winograd4Source {
  const float* row[6];
  int64_t pixel[6];
  int64_t tiles = 0;
  float* v = nullptr;
  int64_t matrix = 0;
};

// The same tiles' results: y and what is kept of it. Tiles are at m + t * 16, at y + t * y_tile with pixels y_pixel
// apart, and at pooled + t * 32.
struct Winograd4Result {
  const float* m = nullptr;
  int64_t matrix = 0, tiles = 0;
  const float* bias = nullptr;  // 16 values, or null
  bool relu = false;
  bool accumulate = false;        // y is added to; nothing is pooled then
  int64_t height = 4, width = 4;  // those of each tile that exist
  float* y = nullptr;             // null: not stored
  int64_t y_tile = 0, y_row = 0, y_pixel = 16;
  float* pooled = nullptr;  // 2x2 maxima, NaN wins; null: none
  int64_t pooled_row = 0;
};

struct TileKernels {
  const char* isa;
  int rows, columns;  // of a register tile
  // c(m, n) = sum over k of a(m, k) * b(k, n)
  void (*multiply)(const Product&);
  // c(m, n) = sum over k of a(k, m) * b(k, n)
  void (*multiply_transposed)(const Product&);
  // One tile and 16 channels each; `matrix` lies between the 16 values of a transformed tile.
  // B^T x B of 4x4 pixels
  void (*winograd_source)(const float* x, int64_t pixel, int64_t row, float* v, int64_t matrix);
  // A dy A^T of 2x2 pixels
  void (*winograd_gradient)(const float* dy, int64_t pixel, int64_t row, float* v, int64_t matrix);
  // y = act(A^T m A + bias), 2x2 pixels
  void (*winograd_result)(const float* m, int64_t matrix, const WinogradResult& to);
  // F(4x4, 3x3): B^T x B of 6x6 pixels; y = act(A^T m A + bias), 4x4 pixels
  void (*winograd4_source)(const Winograd4Source&);
  // G g G^T of 16 lanes in double, rounded once: the weight of tap t at g + t * 16, the 36 values `matrix` apart in u
  void (*winograd4_weights)(const double* g, float* u, int64_t matrix);
  // The same of float32 weights, `tap` apart
  void (*winograd4_weights_of)(const float* g, int64_t tap, float* u, int64_t matrix);
  void (*winograd4_result)(const Winograd4Result&);
  // For gradients of weights: A dy A^T of 4x4 pixels, rows 0 to 3 of what a source is
  void (*winograd4_gradient)(const Winograd4Source&);
  // G^T u G of 16 lanes in double, rounded once: the 36 values `matrix` apart in u, tap t to g + t * 16
  void (*winograd4_taps)(const float* u, int64_t matrix, float* g);
};

extern const TileKernels kPortableTiles;
#if defined(__x86_64__)
extern const TileKernels kAvx2Tiles;    // needs AVX2 and FMA
extern const TileKernels kAvx512Tiles;  // needs AVX-512F
#endif

}  // namespace furrow::cpu
