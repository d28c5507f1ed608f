// The gradient of a convolution with respect to its weights and bias.
//
// dw is a matrix product: rows are the channels of the gradient's side, columns the pairs (tap, channel) of the
// gathered side, and the sum runs over pixels. The pixels are cut into slices by a rule that looks at shapes alone;
// each slice leaves its sums in scratch, and a second kernel adds them in order. Real is what sums are added up in:
// float32 in levels, or, for short sums (kernels/short_sums.h), which are one slice, double; the second kernel then
// rounds once.
//   convolution:             rows = dy, gathered side = [x0, x1]
//   transposed convolution:  rows = x, gathered side = dy with stride 2: dw comes out as {ic,2,2,oc}, which the second
//                            kernel transposes
#include "kernels/cuda/conv_tile.h"
#include "kernels/short_sums.h"

namespace furrow::SIMT_NS {

namespace {

constexpr int kRowTile = gpu::kConvGradTile, kColumnTile = gpu::kConvGradTile;  // of dw, per block
constexpr int kThreads = 128;                                                   // each 4 rows x 8 columns
constexpr int kPixels = 32;                                                     // pixels staged at a time
constexpr int kBiasThreads = 256, kBiasChannels = gpu::kConvBiasTile, kBiasLanes = kBiasThreads / kBiasChannels;
constexpr int kReduceThreads = 128;
static_assert(kThreads == kRowTile / 4 * (kColumnTile / 8));

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

struct WeightProblem {
  TileProblem::Source rows, x[2];  // the row side has one pixel per summand
  int out_h, out_w, in_h, in_w;    // pixels of the row side and of the gathered side, per picture
  int kernel_h, kernel_w, stride, pad;
  int64_t pixels, slice;  // n*out_h*out_w, and those of one slice
  void* partial;          // of Real, {slices, rows.c, kernel_h*kernel_w*(x[0].c + x[1].c)}
};

// Of a thread: rows times columns.
template <class Real>
struct Sums {
  Real at[4][8];
};

// sum += sum over the staged pixels. rows, columns: at the thread's first row and column.
template <class Real>
SIMT_DEVICE void add_products(const float* rows, const float* columns, Sums<Real>& sum) {
  for (int i = 0; i < kPixels; ++i) {
    const float4 row = *reinterpret_cast<const float4*>(rows + i * kRowTile);
    const float4 a = *reinterpret_cast<const float4*>(columns + i * kColumnTile);
    const float4 b = *reinterpret_cast<const float4*>(columns + i * kColumnTile + 4);
    const Real factor[4] = {row.x, row.y, row.z, row.w};
    SIMT_UNROLL
    for (int r = 0; r < 4; ++r) {
      Real* to = sum.at[r];
      to[0] += factor[r] * static_cast<Real>(a.x);
      to[1] += factor[r] * static_cast<Real>(a.y);
      to[2] += factor[r] * static_cast<Real>(a.z);
      to[3] += factor[r] * static_cast<Real>(a.w);
      to[4] += factor[r] * static_cast<Real>(b.x);
      to[5] += factor[r] * static_cast<Real>(b.y);
      to[6] += factor[r] * static_cast<Real>(b.z);
      to[7] += factor[r] * static_cast<Real>(b.w);
    }
  }
}

// total += the same, summed apart first.
SIMT_DEVICE void multiply(const float* rows, const float* columns, Sums<float>& total) {
  Sums<float> sum{};
  add_products(rows, columns, sum);
  SIMT_UNROLL
  for (int r = 0; r < 4; ++r) {
    SIMT_UNROLL
    for (int c = 0; c < 8; ++c) total.at[r][c] += sum.at[r][c];
  }
}
SIMT_DEVICE void multiply(const float* rows, const float* columns, Sums<double>& total) {
  add_products(rows, columns, total);
}

// Where the gathered side is read for one pixel of the row side.
struct Place {
  int64_t picture;  // number of the picture's first pixel
  int row, col;     // of tap (0,0)
};

// partial[s][r][(kh,kw,ic)] = sum over the pixels p of slice s of rows[p][r] * x[n, oh*S+kh-P, ow*S+kw-P, ic]
//   grid: x = row tiles * column tiles, y = slices. Block: 128, each thread 4 rows x 8 columns. Static shared: 17 KiB.
//   Bytes: rows once per 64 columns, x once per 64 rows and tap, partial once. Order: pixels ascending, 32 at a time
//   summed apart (in double one chain).
template <class Real>
__global__ void __launch_bounds__(kThreads) weight_partial(WeightProblem p) {
  SHARED_ARRAY(float, row_tile, [kPixels][kRowTile]);
  SHARED_ARRAY(float, column_tile, [kPixels][kColumnTile]);
  SHARED_ARRAY(Place, places, [kPixels]);
  const int thread = static_cast<int>(threadIdx.x);
  const int channels = p.x[0].c + p.x[1].c, columns = p.kernel_h * p.kernel_w * channels;
  const int column_tiles = (columns + kColumnTile - 1) / kColumnTile;
  const int first_row = static_cast<int>(blockIdx.x) / column_tiles * kRowTile;
  const int first_column = static_cast<int>(blockIdx.x) % column_tiles * kColumnTile;
  const int64_t begin = static_cast<int64_t>(blockIdx.y) * p.slice, end = min(begin + p.slice, p.pixels);

  // This thread stages column `lane` of both tiles, every second pixel.
  const int lane = thread % kColumnTile, half = thread / kColumnTile;
  const int column = first_column + lane, tap = column / channels, channel = column % channels;
  const int kh = tap / p.kernel_w, kw = tap % p.kernel_w;
  const bool second = channel >= p.x[0].c;
  const TileProblem::Source source =
      second ? p.x[1] : p.x[0];  // no index: an indexed argument would be copied to memory
  const int own = second ? channel - p.x[0].c : channel;
  const bool row_exists = first_row + lane < p.rows.c, column_exists = column < columns;

  const int my_row = thread / (kColumnTile / 8) * 4, my_column = thread % (kColumnTile / 8) * 8;
  const bool active = first_row + my_row < p.rows.c && first_column + my_column < columns;
  Sums<Real> total{};
  for (int64_t base = begin; base < end; base += kPixels) {
    if (thread < kPixels) {
      const int64_t pixel = base + thread, picture = pixel / (static_cast<int64_t>(p.out_h) * p.out_w);
      const int rest = static_cast<int>(pixel - picture * p.out_h * p.out_w);
      places[thread] = {picture * p.in_h * p.in_w, rest / p.out_w * p.stride - p.pad,
                        rest % p.out_w * p.stride - p.pad};
    }
    __syncthreads();  // places are there, and the tiles before have been read
    for (int i = half; i < kPixels; i += kThreads / kColumnTile) {
      const Place place = places[i];
      const int iy = place.row + kh, ix = place.col + kw;
      const bool exists = base + i < end;
      row_tile[i][lane] = exists && row_exists ? p.rows.data[(base + i) * p.rows.pitch + first_row + lane] : 0.0f;
      column_tile[i][lane] =
          exists && column_exists && iy >= 0 && iy < p.in_h && ix >= 0 && ix < p.in_w
              ? source.data[(place.picture + static_cast<int64_t>(iy) * p.in_w + ix) * source.pitch + own]
              : 0.0f;
    }
    __syncthreads();
    if (active) multiply(&row_tile[0][my_row], &column_tile[0][my_column], total);
  }
  SIMT_UNROLL
  for (int r = 0; r < 4; ++r) {
    SIMT_UNROLL
    for (int c = 0; c < 8; ++c)
      if (first_row + my_row + r < p.rows.c && first_column + my_column + c < columns)
        static_cast<Real*>(p.partial)[(static_cast<int64_t>(blockIdx.y) * p.rows.c + first_row + my_row + r) * columns +
                                      first_column + my_column + c] = total.at[r][c];
  }
}

// partial[s][c] = sum over the pixels of slice s of dy[pixel][c].
//   grid: x = tiles of 32 channels, y = slices; block: 256 = 32 channels x 8, each every eighth pixel, 32 at a time
//   summed apart; then the eight in order. Static shared: 1 KiB, in double 2. Bytes: dy and partial once.
template <class Real>
__global__ void __launch_bounds__(kBiasThreads)
    bias_partial(TileProblem::Source dy, int64_t pixels, int64_t slice, Real* __restrict__ partial) {
  SHARED_ARRAY(Real, sums, [kBiasLanes][kBiasChannels]);
  const int thread = static_cast<int>(threadIdx.x), lane = thread / kBiasChannels;
  const int channel = static_cast<int>(blockIdx.x) * kBiasChannels + thread % kBiasChannels;
  const int64_t begin = static_cast<int64_t>(blockIdx.y) * slice, end = min(begin + slice, pixels);
  Real total = 0;
  if (channel < dy.c)
    for (int64_t base = begin; base < end; base += 32 * kBiasLanes) {
      Real sum = 0;
      for (int64_t pixel = base + lane; pixel < min(base + 32 * kBiasLanes, end); pixel += kBiasLanes)
        sum += static_cast<Real>(dy.data[pixel * dy.pitch + channel]);
      total += sum;
    }
  sums[lane][thread % kBiasChannels] = total;
  __syncthreads();
  if (lane == 0 && channel < dy.c) {
    Real sum = 0;
    for (const auto& row : sums) sum += row[thread];
    partial[static_cast<int64_t>(blockIdx.y) * dy.c + channel] = sum;
  }
}

// out[c*taps*rows + t*rows + r] (transposed), else out[r*columns + t*channels + c], = or += sum over s of
// partial[s][r][t][c].
//   grid: x = ceil(count/128). Block: 128, one value each, no shared memory. Bytes: partial and out once. Order: slices
//   ascending, 16 at a time summed apart.
struct Reduction {
  const void* partial = nullptr;  // of Real
  float* out = nullptr;
  int64_t count = 0;  // rows*taps*channels
  int slices = 0, rows = 0, taps = 1, channels = 1;
  bool transposed = false, accumulate = false;
};
template <class Real>
__global__ void __launch_bounds__(kReduceThreads) add_slices(Reduction p) {
  const int64_t at = static_cast<int64_t>(blockIdx.x) * kReduceThreads + threadIdx.x;
  if (at >= p.count) return;
  Real total = 0;
  for (int first = 0; first < p.slices; first += 16) {
    Real sum = 0;
    for (int s = first; s < min(first + 16, p.slices); ++s)
      sum += static_cast<const Real*>(p.partial)[s * p.count + at];
    total += sum;
  }
  int64_t to = at;
  if (p.transposed) {
    const int64_t c = at % p.channels, t = at / p.channels % p.taps, r = at / p.channels / p.taps;
    to = (c * p.taps + t) * p.rows + r;
  }
  p.out[to] = static_cast<float>(p.accumulate ? static_cast<Real>(p.out[to]) + total : total);
}

template <class Real>
void reduce(gpu::Stream stream, Reduction r) {
  r.count = static_cast<int64_t>(r.rows) * r.taps * r.channels;
  if (r.count == 0) return;
  const int64_t blocks = ceil_div(r.count, kReduceThreads);
  require(blocks < (int64_t{1} << 31), "conv_grad_weight: more weights than a grid has");
  LAUNCH(stream, dim3(static_cast<unsigned>(blocks)), dim3(kReduceThreads), 0, add_slices<Real>, r);
}

// Slice lengths are multiples of kPixels, so that only the last chunk of all is ragged.
int64_t slice_length(int64_t pixels, int64_t slices) { return ceil_div(ceil_div(pixels, slices), kPixels) * kPixels; }

template <class Real>
void weight_gradient(gpu::Stream stream, WeightProblem p, float* dw, bool transposed, bool accumulate, float* scratch) {
  const int channels = p.x[0].c + p.x[1].c, taps = p.kernel_h * p.kernel_w;
  if (p.rows.c == 0 || channels == 0) return;
  const int64_t columns = static_cast<int64_t>(taps) * channels;
  require(columns < (int64_t{1} << 31) - kColumnTile, "conv_grad_weight: more columns than fit int");
  const int64_t tiles = gpu::conv_grad_weight_tiles(p.rows.c, columns);
  require(tiles < (int64_t{1} << 31), "conv_grad_weight: more tiles than a grid has");
  const int64_t slices = gpu::conv_grad_slices(p.pixels, tiles);
  p.slice = slice_length(p.pixels, slices);
  p.partial = scratch;
  LAUNCH(stream, dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(slices)), dim3(kThreads), 0,
         weight_partial<Real>, p);
  reduce<Real>(stream, {.partial = scratch,
                        .out = dw,
                        .count = 0,
                        .slices = static_cast<int>(slices),
                        .rows = p.rows.c,
                        .taps = taps,
                        .channels = channels,
                        .transposed = transposed,
                        .accumulate = accumulate});
}

template <class Real>
void bias_gradient(gpu::Stream stream, const gpu::ConstImage& dy, float* db, bool accumulate, float* scratch) {
  if (db == nullptr || dy.c == 0) return;
  const int64_t slices = gpu::conv_grad_slices(dy.pixels(), gpu::conv_grad_bias_tiles(dy.c));
  LAUNCH(stream, dim3(static_cast<unsigned>(gpu::conv_grad_bias_tiles(dy.c)), static_cast<unsigned>(slices)),
         dim3(kBiasThreads), 0, bias_partial<Real>, tile_source(dy, "conv_grad_weight: dy is not float32"), dy.pixels(),
         slice_length(dy.pixels(), slices), reinterpret_cast<Real*>(scratch));
  reduce<Real>(stream, {.partial = scratch,
                        .out = db,
                        .count = 0,
                        .slices = static_cast<int>(slices),
                        .rows = dy.c,
                        .taps = 1,
                        .channels = 1,
                        .transposed = false,
                        .accumulate = accumulate});
}

// Both, each as short as its sums are.
void gradients(gpu::Stream stream, const WeightProblem& p, float* dw, bool transposed, const gpu::ConstImage& dy,
               float* db, bool accumulate, float* scratch) {
  const auto weights = is_short_sum(p.pixels) ? weight_gradient<double> : weight_gradient<float>;
  const auto bias = is_short_sum(dy.pixels()) ? bias_gradient<double> : bias_gradient<float>;
  weights(stream, p, dw, transposed, accumulate, scratch);
  bias(stream, dy, db, accumulate, scratch);
}

// Sums over no pixels: dw and db become 0, or stay what they are.
void gradient_of_no_pixels(gpu::Stream stream, Reduction weights, float* db, int outputs) {
  weights.partial = nullptr, weights.slices = 0;
  reduce<float>(stream, weights);
  if (db == nullptr) return;
  weights.out = db, weights.rows = outputs, weights.taps = weights.channels = 1, weights.transposed = false;
  reduce<float>(stream, weights);
}

}  // namespace

void conv_grad_weight(gpu::Stream stream, const gpu::ConvGradWeight& a) {
  const ConvGeometry& g = a.geometry;
  require(g.kernel_h > 0 && g.kernel_w > 0 && g.stride > 0 && g.pad >= 0, "conv_grad_weight: geometry");
  require(a.dy.n == a.x0.n && a.dy.h == g.out(a.x0.h, g.kernel_h) && a.dy.w == g.out(a.x0.w, g.kernel_w) &&
              (!a.x1 || (a.x1.n == a.x0.n && a.x1.h == a.x0.h && a.x1.w == a.x0.w)),
          "conv_grad_weight: shapes");
  const int taps = static_cast<int>(g.kernel_h * g.kernel_w);
  if (a.dy.pixels() == 0)
    return gradient_of_no_pixels(
        stream, {.out = a.dw, .rows = a.dy.c, .taps = taps, .channels = a.x0.c + a.x1.c, .accumulate = a.accumulate},
        a.db, a.dy.c);
  WeightProblem p{};
  p.rows = tile_source(a.dy, "conv_grad_weight: dy is not float32");
  p.x[0] = tile_source(a.x0, "conv_grad_weight: x0 is not float32");
  p.x[1] = tile_source(a.x1, "conv_grad_weight: x1 is not float32");
  p.out_h = a.dy.h, p.out_w = a.dy.w, p.in_h = a.x0.h, p.in_w = a.x0.w;
  p.kernel_h = static_cast<int>(g.kernel_h), p.kernel_w = static_cast<int>(g.kernel_w);
  p.stride = static_cast<int>(g.stride), p.pad = static_cast<int>(g.pad);
  p.pixels = a.dy.pixels();
  gradients(stream, p, a.dw, false, a.dy, a.db, a.accumulate, a.scratch);
}

void upconv_grad_weight(gpu::Stream stream, const gpu::UpconvGradWeight& a) {
  require(a.dy.n == a.x.n && a.dy.h == 2 * a.x.h && a.dy.w == 2 * a.x.w, "upconv_grad_weight: shapes");
  if (a.x.pixels() == 0)
    return gradient_of_no_pixels(
        stream,
        {.out = a.dw, .rows = a.x.c, .taps = 4, .channels = a.dy.c, .transposed = true, .accumulate = a.accumulate},
        a.db, a.dy.c);
  WeightProblem p{};
  p.rows = tile_source(a.x, "upconv_grad_weight: x is not float32");
  p.x[0] = tile_source(a.dy, "upconv_grad_weight: dy is not float32");
  p.out_h = a.x.h, p.out_w = a.x.w, p.in_h = a.dy.h, p.in_w = a.dy.w;
  p.kernel_h = p.kernel_w = p.stride = 2;
  p.pixels = a.x.pixels();
  gradients(stream, p, a.dw, true, a.dy, a.db, a.accumulate, a.scratch);
}

}  // namespace furrow::SIMT_NS
