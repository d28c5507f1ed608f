// kernels/cuda/resample.h against the reference back-end, or where that has no such operation against its formula in
// float64 (resample_oracle.h). Inputs are rounded to the storage type first.
#include "kernels/cuda/resample.h"

#include "kernels/ref/ref_backend.h"
#include "kernels/short_sums.h"
#include "tests/cuda/pitched_image.h"
#include "tests/cuda/resample_oracle.h"
#include "tests/kernels/cases.h"

namespace furrow::gpu {
namespace {

using cases::random_values;

const ResampleKernels& kernels() { return KERNELS_UNDER_TEST(resample_kernels); }

// Few values, so that windows tie; some NaN, alone and several to a window, and infinities.
Tensor with_ties(const Shape& shape, uint64_t seed) {
  Tensor t = random_values(shape, seed);
  auto values = t.values<double>();
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = i % 13 == 5 || i % 17 == 3 ? NAN : i % 29 == 1 ? -INFINITY : std::round(values[i] * 2);
  return t;
}

const Shape kPooled[] = {{2, 9, 13, 1}, {1, 2, 2, 3}, {2, 6, 7, 17}, {1, 5, 4, 40}, {1, 3, 7, 271}};

// Both windows, forward and backward; `want` fills y and adds to dx.
void check_pool(void (*forward)(Stream, const PoolArgs&), void (*backward)(Stream, const PoolGradArgs&),
                Shape (*shape_of_y)(const Shape&),
                const std::function<void(const Tensor& x, const Tensor& dy, Tensor& y, Tensor& dx)>& want) {
  for_each_storage([&](const Storage& storage) {
    for (const Shape& shape : kPooled) {
      SCOPED_TRACE(to_string(shape));
      const Shape pooled = shape_of_y(shape);
      const Tensor x = with_ties(shape, 1), dy = rounded_to(storage.type, random_values(pooled, 2)),
                   before = rounded_to(storage.type, random_values(shape, 3));
      PitchedImage from = storage.of(x), gradient = storage.of(dy), y = storage.empty(pooled);
      for (const bool accumulate : {false, true}) {
        Tensor want_y(pooled, DType::f64), want_dx = accumulate ? before.to(DType::f64) : Tensor(shape, DType::f64);
        want(x, dy, want_y, want_dx);
        PitchedImage dx = accumulate ? storage.of(before) : storage.empty(shape);
        forward({}, {from.image(), y.image()});
        backward({}, {from.image(), gradient.image(), dx.image(), accumulate});
        EXPECT_TRUE(close(y.values(), want_y, {}));
        // Up to four windows and what was there, each at most 1: float32 is rounded once.
        const double chain = storage.type == DType::f32 ? 1e-13 : 4 * 0x1p-23 + half_subnormal(storage.type);
        EXPECT_TRUE(close(dx.values(), want_dx, {.absolute = chain, .relative = half_ulp(storage.type)}));
      }
    }
  });
}

TEST(Resample, Pool2x2) {
  RefBackend ref(nullptr);
  check_pool(
      kernels().pool2x2, kernels().pool2x2_grad,
      [](const Shape& s) {
        return Shape{s.n, s.h / 2, s.w / 2, s.c};
      },
      [&](const Tensor& x, const Tensor& dy, Tensor& y, Tensor& dx) {
        ref.max_pool2x2(x, y);
        ref.max_pool2x2_grad(x, dy, dx, Grad::accumulate);
      });
}

TEST(Resample, Pool3x3) {
  check_pool(
      kernels().pool3x3, kernels().pool3x3_grad,
      [](const Shape& s) {
        return Shape{s.n, (s.h + 1) / 2, (s.w + 1) / 2, s.c};
      },
      [](const Tensor& x, const Tensor& dy, Tensor& y, Tensor& dx) { y = oracle::pool3x3(x, &dy, &dx); });
}

struct ResizeCase {
  Shape x;
  int h, w, frame_h, frame_w, top, left;
};
// Enlarged, reduced, kept, to and from one line; in larger, smaller and shifted frames.
const ResizeCase kResizes[] = {
    {{2, 5, 7, 3}, 10, 14, 10, 14, 0, 0}, {{1, 4, 3, 17}, 9, 5, 12, 9, 1, 2},   {{1, 7, 9, 40}, 3, 4, 3, 4, 0, 0},
    {{1, 1, 6, 5}, 3, 11, 2, 12, -1, 1},  {{2, 6, 5, 1}, 1, 1, 3, 2, 2, 1},     {{1, 3, 4, 271}, 4, 6, 3, 5, -1, -1},
    {{1, 3, 3, 8}, 3, 3, 3, 3, 0, 0},     {{1, 4, 2, 2}, 33, 17, 33, 17, 0, 0}, {{1, 11, 10, 4}, 2, 23, 5, 20, 5, 0},
};

// Float32 results are rounded once: pairs of float32 lose K^2 * 2^-48 before, and a weight of 0 is one of 2^-48 at
// times; K is 33*17 at most, in one case, and mostly below 30. Those of 16 bits are sums in float32.
Tolerance of_resize(const Tensor& want, double chain, DType type) {
  return type == DType::f32 ? Tolerance{.absolute = 1e-11 * largest(want), .relative = 0x1p-24}
                            : of_largest(chain, want, type);
}

TEST(Resample, ResizeAndItsGradient) {
  RefBackend ref(nullptr);
  for_each_storage([&](const Storage& storage) {
    for (const ResizeCase& k : kResizes)
      for (const ResizeRule rule : {ResizeRule::align_corners, ResizeRule::half_pixel, ResizeRule::nearest}) {
        SCOPED_TRACE(testing::Message() << to_string(k.x) << " -> " << k.h << "x" << k.w << ", rule "
                                        << static_cast<int>(rule));
        const Shape resized{k.x.n, k.h, k.w, k.x.c}, frame{k.x.n, k.frame_h, k.frame_w, k.x.c};
        const Tensor x = rounded_to(storage.type, random_values(k.x, 4)),
                     dy = rounded_to(storage.type, random_values(frame, 5));
        const Tensor before = rounded_to(storage.type, random_values(k.x, 6));
        Tensor want = oracle::resize(rule, x, k.h, k.w), framed(frame, DType::f64), shown(resized, DType::f64);
        if (rule == ResizeRule::align_corners) ref.upsample_bilinear(x, want);
        ref.pad(want, k.top, k.left, framed, Grad::overwrite);
        PitchedImage from = storage.of(x), gradient = storage.of(dy), y = storage.empty(frame);
        kernels().resize({}, {from.image(), y.image(), rule, k.h, k.w, k.top, k.left});
        EXPECT_TRUE(close(y.values(), framed,  // a nearest value is copied
                          rule == ResizeRule::nearest ? Tolerance{} : of_resize(x, 4 * 0x1p-24, storage.type)));

        ref.pad(dy, -k.top, -k.left, shown, Grad::overwrite);
        for (const bool accumulate : {false, true}) {
          Tensor want_dx = accumulate ? before.to(DType::f64) : Tensor(k.x, DType::f64);
          oracle::resize_grad(rule, shown, want_dx);
          PitchedImage dx = accumulate ? storage.of(before) : storage.empty(k.x);
          kernels().resize_grad({}, {gradient.image(), dx.image(), rule, k.h, k.w, k.top, k.left, accumulate});
          EXPECT_TRUE(close(dx.values(), want_dx, of_resize(want_dx, 5e-7, storage.type)));
        }
      }
  });
}

// What is not mixed in has no weight, not even 0 times infinity.
TEST(Resample, NearestReadsOnePixel) {
  PitchedImage x(Tensor({1, 1, 2, 1}, DType::f64), DType::f32, 1), y({1, 1, 4, 1}, DType::f32, 1);
  Tensor t({1, 1, 2, 1}, DType::f64);
  t.values<double>()[1] = INFINITY;
  PitchedImage from(t, DType::f32, 1);
  kernels().resize({}, {from.image(), y.image(), ResizeRule::nearest, 1, 4});
  EXPECT_EQ(y.values().values<double>()[1], 0);
  EXPECT_EQ(y.values().values<double>()[2], INFINITY);
}

// Over the longest lines that a photo may have, and prime counts: positions stay exact; also where they need more than
// 32 bits (the oracle's, in float64, then err by 70000 * 2^-52 of a line).
TEST(Resample, LongLinesKeepExactPositions) {
  for (const auto& [in, out] : {std::pair{8191, 12289}, {70001, 65537}})
    for (const ResizeRule rule : {ResizeRule::align_corners, ResizeRule::half_pixel, ResizeRule::nearest}) {
      const Tensor x = random_values({1, 1, in, 1}, 7);
      const Tensor want = oracle::resize(rule, x, 1, out);
      PitchedImage from(x, DType::f32, 1), y({1, 1, out, 1}, DType::f32, 1);
      kernels().resize({}, {from.image(), y.image(), rule, 1, out});
      // Float32 positions would miss it by 1e-3.
      EXPECT_TRUE(close(y.values(), want, {.absolute = 1e-10, .relative = 0x1p-24})) << in << " -> " << out;
    }
}

// An infinity stays one, or meets a weight of 0 and is no number, as in `ref`.
TEST(Resample, InfinitiesSpreadAsInRef) {
  Tensor x({1, 2, 5, 1}, DType::f64);
  const double values[] = {1, INFINITY, 2, -3, -INFINITY, 4, 5, -6, 7, 8};
  std::copy(std::begin(values), std::end(values), x.values<double>().begin());
  RefBackend ref(nullptr);
  Tensor want({1, 4, 13, 1}, DType::f64);
  ref.upsample_bilinear(x, want);
  PitchedImage from(x, DType::f32, 1), y(want.shape(), DType::f32, 1);
  kernels().resize({}, {from.image(), y.image(), ResizeRule::align_corners, 4, 13});
  EXPECT_TRUE(close(y.values(), want, {.absolute = 1e-10, .relative = 0x1p-24}));
  EXPECT_EQ(y.values().values<double>()[13 + 2], INFINITY);
}

// The gradient gathers over weights that are not 0: where an infinity lies on a source pixel, `ref` adds 0 times it to
// the neighbours (the last line has itself for one), and these kernels do not.
TEST(Resample, GradientsLeaveOutWeightsOfZero) {
  RefBackend ref(nullptr);
  for (const auto& [h, w] : {std::pair<int64_t, int64_t>{0, 3}, {3, 9}}) {  // of 4 x 10: on pixels of 2 x 4
    Tensor dy({1, 4, 10, 1}, DType::f64), want({1, 2, 4, 1}, DType::f64), exact = want.to(DType::f64);
    dy.values<double>()[static_cast<size_t>(h * 10 + w)] = INFINITY;
    want.values<double>()[static_cast<size_t>(h / 3 * 4 + w / 3)] = INFINITY;
    PitchedImage gradient(dy, DType::f32, 1), dx(want.shape(), DType::f32, 1);
    kernels().resize_grad({}, {gradient.image(), dx.image(), ResizeRule::align_corners, 4, 10});
    EXPECT_TRUE(close(dx.values(), want, {}));
    ref.upsample_bilinear_grad(dy, exact, Grad::overwrite);
    const auto is_nan = [](double v) { return std::isnan(v); };
    EXPECT_EQ(std::ranges::count_if(exact.values<double>(), is_nan), h == 0 ? 3 : 1);
  }
}

TEST(Resample, PadCropsAndPads) {
  RefBackend ref(nullptr);
  const struct {
    Shape x;
    int h, w, top, left;
  } pads[] = {{{2, 5, 6, 3}, 8, 9, 1, 2},
              {{1, 7, 5, 17}, 3, 2, -2, -1},
              {{1, 4, 4, 40}, 5, 3, -1, 1},
              {{1, 2, 3, 1}, 30, 20, 5, 9},
              {{1, 3, 3, 2}, 2, 2, 7, 0}};
  for_each_storage([&](const Storage& storage) {
    for (const auto& p : pads) {
      SCOPED_TRACE(to_string(p.x));
      const Shape shape{p.x.n, p.h, p.w, p.x.c};
      const Tensor x = rounded_to(storage.type, random_values(p.x, 8)),
                   before = rounded_to(storage.type, random_values(shape, 9));
      for (const bool accumulate : {false, true}) {
        Tensor want = before.to(DType::f64);
        ref.pad(x, p.top, p.left, want, accumulate ? Grad::accumulate : Grad::overwrite);
        PitchedImage from = storage.of(x), y = accumulate ? storage.of(before) : storage.empty(shape);
        kernels().pad({}, {from.image(), y.image(), p.top, p.left, accumulate});
        EXPECT_TRUE(close(y.values(), want, accumulate ? of_largest(0x1p-24, want, storage.type) : Tolerance{}));
      }
    }
  });
}

TEST(Resample, GlobalMeanAndItsGradient) {
  static_assert(global_mean_chunks(1) == 1 && global_mean_chunks(65) == 2 && global_mean_chunks(4096) == 64 &&
                global_mean_chunks(1 << 20) == 64);
  for_each_storage([&](const Storage& storage) {
    for (const Shape& shape :
         {Shape{3, 9, 15, 1}, {2, 10, 7, 3}, {2, 1, 1, 17}, {1, 9, 8, 40}, {2, 5, 5, 271}, {1, 6, 8, 30}}) {
      SCOPED_TRACE(to_string(shape));
      const Shape one{shape.n, 1, 1, shape.c};
      const Tensor x = rounded_to(storage.type, random_values(shape, 10)),
                   dy = rounded_to(storage.type, random_values(one, 11)),
                   before = rounded_to(storage.type, random_values(shape, 12));
      Tensor want(one, DType::f64), want_dx(shape, DType::f64), want_added = before.to(DType::f64);
      const auto pixels = static_cast<double>(shape.h * shape.w);
      oracle::for_each_value(shape, [&](int64_t n, int64_t h, int64_t w, int64_t c) {
        oracle::at(want, n, 0, 0, c) += oracle::at(x, n, h, w, c) / pixels;
        oracle::at(want_dx, n, h, w, c) = oracle::at(dy, n, 0, 0, c) / pixels;
        oracle::at(want_added, n, h, w, c) += oracle::at(dy, n, 0, 0, c) / pixels;
      });
      PitchedImage from = storage.of(x), y = storage.empty(one), gradient = storage.of(dy), dx = storage.empty(shape),
                   added = storage.of(before);
      DeviceArray<float> workspace(global_mean_workspace(shape.n, shape.h * shape.w, shape.c) / sizeof(float));
      kernels().global_mean({}, {from.image(), y.image(), workspace.data()});
      kernels().global_mean_grad({}, {gradient.image(), dx.image()});
      kernels().global_mean_grad({}, {gradient.image(), added.image(), true});
      const bool once = pixels < kShortSum && storage.type == DType::f32;
      EXPECT_TRUE(close(y.values(), want,
                        once ? rounded_once(want) : of_largest(4e-8 * std::sqrt(pixels), want, storage.type)));
      EXPECT_TRUE(close(dx.values(), want_dx, ulps(1, storage.type)));
      EXPECT_TRUE(close(added.values(), want_added, of_largest(0x1p-23, want_added, storage.type)));
    }
  });
}

TEST(Resample, EveryScheduleGivesTheSameBits) {
  const Tensor x = random_values({2, 11, 13, 6}, 13);
  Tensor first;
  in_every_schedule([&] {
    PitchedImage from(x, DType::f32, 6), y({2, 1, 1, 6}, DType::f32, 6);
    DeviceArray<float> workspace(global_mean_workspace(2, 11 * 13, 6) / sizeof(float));
    kernels().global_mean({}, {from.image(), y.image(), workspace.data()});
    if (first.empty()) first = y.values();
    EXPECT_TRUE(same_bits(y.values(), first));
  });
}

// PyTorch 1.13 on float64: max_pool2d(x, 3, 2, 1) and its gradient for dy = 1, 2, 3, ...
TEST(ResampleOracle, PoolIsPyTorchs) {
  const double nan = NAN;
  Tensor x({1, 4, 5, 1}, DType::f64), dy({1, 2, 3, 1}, DType::f64), dx({1, 4, 5, 1}, DType::f64);
  const double values[] = {3, 1, 3, 2, 0, 3, 5, 5, 1, nan, 2, 5, 4, nan, 1, -1, 0, 2, 2, 7};
  std::copy(std::begin(values), std::end(values), x.values<double>().begin());
  for (size_t i = 0; i < 6; ++i) dy.values<double>()[i] = static_cast<double>(i + 1);
  const Tensor y = oracle::pool3x3(x, &dy, &dx);
  const double want_y[] = {5, 5, nan, 5, nan, nan},
               want_dx[] = {0, 0, 0, 0, 0, 0, 7, 0, 0, 3, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0};
  for (size_t i = 0; i < 6; ++i)
    EXPECT_TRUE(y.values<double>()[i] == want_y[i] || (std::isnan(y.values<double>()[i]) && std::isnan(want_y[i])))
        << i;
  for (size_t i = 0; i < 20; ++i) EXPECT_EQ(dx.values<double>()[i], want_dx[i]) << i;
}

// PyTorch 1.13 on float64: interpolate of 3x3 powers of two, and its gradient for dy[i] = i*i % 11 + 1.
TEST(ResampleOracle, ResizeIsPyTorchs) {
  const struct {
    ResizeRule rule;
    int h, w;
    std::vector<double> y, dx;
  } cases[] = {
      {ResizeRule::half_pixel,
       5,
       7,
       {1.0,  1.142857143,  1.571428571,   2.0,   2.857142857,   3.714285714,   4.0,
        3.8,  4.342857143,  5.971428571,   7.6,   10.857142857,  14.114285714,  15.2,
        8.0,  9.142857143,  12.571428571,  16.0,  22.857142857,  29.714285714,  32.0,
        41.6, 47.542857143, 65.371428571,  83.2,  118.857142857, 154.514285714, 166.4,
        64.0, 73.142857143, 100.571428571, 128.0, 182.857142857, 237.714285714, 256.0},
       {14.885714286, 21.428571429, 14.285714286, 25.028571429, 20.0, 24.371428571, 15.657142857, 20.571428571,
        11.771428571}},
      {ResizeRule::half_pixel,
       2,
       2,
       {3.4375, 9.625, 62.5, 175.0},
       {0.5625, 0.5625, 1.125, 1.125, 1.125, 2.25, 2.8125, 2.8125, 5.625}},
      {ResizeRule::align_corners, 2, 2, {1, 4, 64, 256}, {1, 0, 2, 0, 0, 0, 5, 0, 10}},
      {ResizeRule::nearest,
       5,
       7,
       {1,  1,  1,  2, 2, 4, 4,  1,  1,  1,  2,  2,  4,  4,   8,   8,   8,  16,
        16, 32, 32, 8, 8, 8, 16, 16, 32, 32, 64, 64, 64, 128, 128, 256, 256},
       {29, 19, 15, 25, 25, 25, 20, 7, 3}},
      {ResizeRule::nearest, 2, 2, {1, 2, 8, 16}, {1, 2, 0, 5, 10, 0, 0, 0, 0}},
  };
  Tensor x({1, 3, 3, 1}, DType::f64);
  for (size_t i = 0; i < 9; ++i) x.values<double>()[i] = std::exp2(static_cast<double>(i));
  for (const auto& k : cases) {
    const Tensor y = oracle::resize(k.rule, x, k.h, k.w);
    Tensor dy(y.shape(), DType::f64), dx(x.shape(), DType::f64);
    for (size_t i = 0; i < k.y.size(); ++i) {
      dy.values<double>()[i] = static_cast<double>(i * i % 11 + 1);
      EXPECT_NEAR(y.values<double>()[i], k.y[i], 1e-8) << i;  // as printed
    }
    oracle::resize_grad(k.rule, dy, dx);
    for (size_t i = 0; i < 9; ++i) EXPECT_NEAR(dx.values<double>()[i], k.dx[i], 1e-8) << i;
  }
}

TEST(Resample, RefusesWhatItCannotServe) {
  PitchedImage a({1, 4, 4, 2}, DType::f32, 2), b({1, 2, 1, 2}, DType::f32, 2);
  EXPECT_THROW(kernels().pool2x2({}, {a.image(), b.image()}), Error);
  EXPECT_THROW(kernels().resize({}, {a.image(), b.image(), ResizeRule::nearest, 0, 1}), Error);
  EXPECT_THROW(kernels().global_mean({}, {a.image(), b.image(), nullptr}), Error);
}

}  // namespace
}  // namespace furrow::gpu
