// Pictures on the device against the CPU's code for the same: io/resize, segment/preprocess, region and overlay. Every
// comparison is of bytes or labels; none has a tolerance.
#include "kernels/cuda/picture.h"

#include <algorithm>
#include <cmath>

#include "io/resize.h"
#include "kernels/half.h"
#include "segment/preprocess.h"
#include "segment/region.h"
#include "tests/cuda/device_under_test.h"
#include "tests/kernels/cases.h"

namespace furrow::gpu {
namespace {

const PictureKernels& kernels() { return KERNELS_UNDER_TEST(picture_kernels); }

// Noise with flat patches of black and white, which overshoot where filters have negative weights.
std::vector<uint8_t> random_bytes(size_t count, uint64_t seed) {
  std::vector<uint8_t> out(count);
  uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
  for (size_t i = 0; i < count; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    out[i] = i / 23 % 3 == 0 ? (i / 69 % 2 ? 255 : 0) : static_cast<uint8_t>(state >> 56);
  }
  return out;
}
io::Image random_image(int64_t width, int64_t height, int channels, uint64_t seed) {
  io::Image image(width, height, channels);
  image.pixels = random_bytes(image.pixels.size(), seed);
  return image;
}

// One axis's weights in device memory.
struct DeviceAxis {
  explicit DeviceAxis(const io::AxisWeights& w)
      : first(w.first), count(w.count), weights(w.weights), stride(w.stride) {}
  ResizeAxis axis() { return {first.data(), count.data(), weights.data(), stride}; }
  DeviceArray<int32_t> first, count, weights;
  int stride;
};

std::vector<uint8_t> device_resize(const io::Image& image, const io::Box& box, int width, int height, io::Filter filter,
                                   bool premultiply = false) {
  const io::AxisWeights rows = io::axis_weights(image.height, box.y0, box.y1, height, filter);
  DeviceAxis across(io::axis_weights(image.width, box.x0, box.x1, width, filter)), down(rows);
  DeviceArray<uint8_t> from(image.pixels), to(static_cast<size_t>(width * height * image.channels));
  PictureResizeArgs args{.from = from.data(),
                         .width = static_cast<int>(image.width),
                         .height = static_cast<int>(image.height),
                         .channels = image.channels,
                         .to = to.data(),
                         .to_width = width,
                         .to_height = height,
                         .columns = across.axis(),
                         .rows = down.axis(),
                         .first_row = rows.first.front(),
                         .row_count = rows.first.back() + rows.count.back() - rows.first.front(),
                         .premultiply = premultiply};
  DeviceArray<uint8_t> workspace(resize_workspace_bytes(args));
  args.workspace = workspace.data();
  kernels().resize({}, args);
  return to.values();
}

TEST(PictureResize, GivesTheBytesOfTheCpu) {
  struct Case { int64_t w, h; io::Box box; int to_w, to_h; };
  const Case cases[] = {{71, 53, {0, 0, 71, 53}, 40, 21},          // smaller; two blocks along each axis
                        {9, 7, {0, 0, 9, 7}, 37, 19},              // larger
                        {33, 20, {0, 0, 33, 20}, 33, 9},           // one axis keeps its size
                        {40, 31, {3.25, 2.5, 36.75, 28}, 16, 12},  // a part, with corners between pixels
                        {5, 1, {0, 0, 5, 1}, 1, 3}};
  in_every_schedule([&] {
    for (const Case& c : cases)
      for (const int channels : {1, 3})
        for (const io::Filter filter : {io::Filter::nearest, io::Filter::bilinear, io::Filter::lanczos}) {
          SCOPED_TRACE(::testing::Message() << c.w << "x" << c.h << "x" << channels << " -> " << c.to_w << "x" << c.to_h
                                            << ", filter " << static_cast<int>(filter));
          const io::Image image = random_image(c.w, c.h, channels, 5);
          EXPECT_EQ(device_resize(image, c.box, c.to_w, c.to_h, filter),
                    io::resize(image, c.box, c.to_w, c.to_h, filter).pixels);
        }
  });
}

// Pillow's own formulas for RGBA (Convert.c: rgbA2rgba, MULDIV255), around our resize of each plane.
TEST(PictureResize, WeighsColoursByAlphaAsPillowDoes) {
  const io::Image image = random_image(23, 18, 4, 9);
  const io::Box box{0, 0, 23, 18};
  const int width = 11, height = 25;
  std::vector<io::Image> planes;
  for (size_t c = 0; c < 4; ++c) {
    io::Image plane(23, 18, 1);
    for (size_t i = 0; i < plane.pixels.size(); ++i) {
      const unsigned alpha = image.pixels[4 * i + 3], t = image.pixels[4 * i + c] * alpha + 128;
      plane.pixels[i] = static_cast<uint8_t>(c == 3 ? alpha : ((t >> 8) + t) >> 8);
    }
    planes.push_back(io::resize(plane, width, height, io::Filter::lanczos));
  }
  std::vector<uint8_t> want(static_cast<size_t>(width * height * 4));
  for (size_t i = 0; i < want.size(); ++i) {
    const unsigned alpha = planes[3].pixels[i / 4], v = planes[i % 4].pixels[i / 4];
    want[i] = static_cast<uint8_t>(i % 4 == 3 || alpha == 0 || alpha == 255 ? v : std::min(255 * v / alpha, 255u));
  }
  EXPECT_EQ(device_resize(image, box, width, height, io::Filter::lanczos, true), want);

  const auto plain = device_resize(image, box, width, height, io::Filter::nearest);   // each channel alone
  for (size_t c = 0; c < 4; ++c) {
    io::Image plane(23, 18, 1);
    for (size_t i = 0; i < plane.pixels.size(); ++i) plane.pixels[i] = image.pixels[4 * i + c];
    const io::Image resized = io::resize(plane, width, height, io::Filter::nearest);
    for (size_t i = 0; i < resized.pixels.size(); ++i) ASSERT_EQ(plain[4 * i + c], resized.pixels[i]);
  }
}

// Every colour under every alpha, through weights that leave them alone.
TEST(PictureResize, MultipliesAndDividesByAlphaAsPillowDoes) {
  io::Image image(256, 256, 4);
  std::vector<uint8_t> want(image.pixels.size());
  for (unsigned v = 0; v < 256; ++v)
    for (unsigned alpha = 0; alpha < 256; ++alpha) {
      const size_t at = 4 * (256 * alpha + v);
      const unsigned multiplied = (v * alpha * 2 + 255) / 510;   // to the nearest; there are no ties
      for (size_t c = 0; c < 3; ++c) {
        image.pixels[at + c] = static_cast<uint8_t>(v);
        want[at + c] = static_cast<uint8_t>(alpha == 0 ? multiplied : std::min(255 * multiplied / alpha, 255u));
      }
      image.pixels[at + 3] = want[at + 3] = static_cast<uint8_t>(alpha);
    }
  EXPECT_EQ(device_resize(image, {0, 0, 256, 256}, 256, 256, io::Filter::nearest, true), want);
}

// Pixels outside the photo, pixels whose label is dropped, a map of the photo's size and one of 512 x 512, both ways
// round, into images with and without pad channels.
template <class T> void check_normalise(DType type, int pitch, bool mirrored, int64_t label_side) {
  SCOPED_TRACE(::testing::Message() << name(type) << ", pitch " << pitch << (mirrored ? ", mirrored" : "")
                                    << ", labels " << label_side);
  const int64_t photo_side = 60, width = 37, height = 19;
  const ModelInfo info{.normalisation = Normalisation::imagenet};
  io::Image rgb = random_image(width, height, 3, 3);
  io::LabelMap map;
  map.width = map.height = label_side;
  map.labels.resize(static_cast<size_t>(label_side * label_side));
  for (size_t i = 0; i < map.labels.size(); ++i) map.labels[i] = static_cast<uint8_t>(i % 7 == 0 ? 200 : i % 19);
  const std::vector<int> kept_labels = {1, 3, 7, 18, 200};
  const KeptPixels kept(&map, kept_labels, photo_side, photo_side);
  const Grid grid{.crop = {.x = -9, .y = 14, .side_w = 77, .side_h = 64}, .columns = 64, .rows = 48};
  const int64_t x0 = 5, y0 = 29;

  DeviceArray<uint8_t> from(rgb.pixels), labels(map.labels);
  DeviceArray<T> to(static_cast<size_t>(width * height * pitch));
  std::vector<float> table(768);
  {   // the CPU's table, read from what it makes of every byte
    io::Image all(256, 1, 3);
    for (size_t i = 0; i < 768; ++i) all.pixels[i] = static_cast<uint8_t>(i / 3);
    Tensor values({1, 1, 256, 3});
    normalise(all, info, false, values);
    for (size_t i = 0; i < 768; ++i) table[i % 3 * 256 + i / 3] = values.values<float>()[i];
  }
  DeviceArray<float> device_table(table);
  NormaliseArgs args{.from = from.data(),
                     .width = static_cast<int>(width),
                     .height = static_cast<int>(height),
                     .table = device_table.data(),
                     .mirrored = mirrored};
  args.kept = {.labels = labels.data(),
               .label_w = static_cast<int>(label_side),
               .label_h = static_cast<int>(label_side),
               .photo_w = photo_side,
               .photo_h = photo_side,
               .crop_x = grid.crop.x,
               .crop_y = grid.crop.y,
               .crop_w = grid.crop.side_w,
               .crop_h = grid.crop.side_h,
               .columns = grid.columns,
               .rows = grid.rows,
               .x0 = x0,
               .y0 = y0};
  for (const int label : kept_labels) args.kept.kept[label / 32] |= 1u << label % 32;
  args.to = {to.data(), type, 1, static_cast<int>(height), static_cast<int>(width), 3, pitch};
  kernels().normalise({}, args);

  blacken(rgb, grid, x0, y0, kept, photo_side, photo_side);
  Tensor want({1, height, width, 3});
  normalise(rgb, info, mirrored, want);
  const std::vector<T> got = to.values();
  for (int64_t i = 0; i < width * height; ++i)
    for (int c = 0; c < pitch; ++c) {
      const float value = c < 3 ? want.values<float>()[static_cast<size_t>(3 * i + c)] : 0.0f;
      const T got_here = got[static_cast<size_t>(i * pitch + c)];
      if constexpr (sizeof(T) == 4) ASSERT_EQ(got_here, value) << "pixel " << i << ", channel " << c;
      else
        ASSERT_EQ(got_here, type == DType::f16 ? f32_to_f16(value) : f32_to_bf16(value))
            << "pixel " << i << ", channel " << c;
    }
}

TEST(PictureNormalise, GivesTheCpusInput) {
  in_every_schedule([] {
    check_normalise<float>(DType::f32, 3, false, 60);
    check_normalise<float>(DType::f32, 5, true, 60);
    check_normalise<uint16_t>(DType::f16, 8, true, 60);
    check_normalise<uint16_t>(DType::bf16, 3, false, 60);
  });
  check_normalise<float>(DType::f32, 4, true, 512);   // one large map, in one schedule
}

TEST(PictureNormalise, CopiesGrayAndDropsAlpha) {
  const std::vector<uint8_t> gray = random_bytes(35, 1), rgba = random_bytes(4 * 35, 2);
  std::vector<float> table(768);
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<float>(i);
  DeviceArray<float> device_table(table);
  for (const int channels : {1, 4}) {
    DeviceArray<uint8_t> from(channels == 1 ? gray : rgba);
    DeviceArray<float> to(3 * 35);
    kernels().normalise({}, {.from = from.data(),
                             .width = 7,
                             .height = 5,
                             .channels = channels,
                             .table = device_table.data(),
                             .to = {to.data(), DType::f32, 1, 5, 7, 3, 3}});
    const auto got = to.values();
    for (size_t i = 0; i < got.size(); ++i) {
      const int v = channels == 1 ? gray[i / 3] : rgba[i / 3 * 4 + i % 3];
      ASSERT_EQ(got[i], static_cast<float>(i % 3 * 256 + static_cast<size_t>(v)))
          << channels << " channels, value " << i;
    }
  }
}

// A texture map is a channel of its own, with values of its own.
TEST(PictureNormalise, KeepsAFourthChannelThatIsAskedFor) {
  const std::vector<uint8_t> bytes = random_bytes(4 * 37 * 19, 1);
  std::vector<float> table(1024);
  for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<float>(i);
  DeviceArray<uint8_t> from(bytes);
  DeviceArray<float> device_table(table), to(6 * 37 * 19);
  in_every_schedule([&] {
    kernels().normalise({}, {.from = from.data(),
                             .width = 37,
                             .height = 19,
                             .channels = 4,
                             .table = device_table.data(),
                             .mirrored = true,
                             .to = {to.data(), DType::f32, 1, 19, 37, 4, 6}});
    const auto got = to.values();
    for (size_t i = 0; i < got.size(); ++i) {
      const size_t c = i % 6, x = i / 6 % 37, row = i / 6 / 37;
      const float want = c < 4 ? static_cast<float>(c * 256 + bytes[(row * 37 + 36 - x) * 4 + c]) : 0;
      ASSERT_EQ(got[i], want) << "value " << i;
    }
  });
  EXPECT_THROW(kernels().normalise({}, {.from = from.data(),
                                        .width = 37,
                                        .height = 19,
                                        .table = device_table.data(),
                                        .to = {to.data(), DType::f32, 1, 19, 37, 4, 4}}),
               Error)
      << "a fourth channel of three";
}

// Logits over the whole range of the sigmoid, the values at which its rounding is most delicate, and every bound
// itself.
Tensor difficult_logits(int64_t pixels, int64_t classes) {
  Tensor z = cases::random_values({1, 1, pixels, classes}, 4, DType::f32);
  const float special[] = {0.0f,   -0.0f, 8.9e-8f, -8.9e-8f, INFINITY, -INFINITY, NAN,
                           1e-30f, 88.0f, -88.0f,  -104.0f,  17.0f,    5.545177f};
  const auto bounds = logit_bounds();
  const auto values = z.values<float>();
  for (size_t i = 1; i < values.size(); i += 2) values[i] = bounds[i / 2 % 255];
  for (size_t i = 0; i < values.size(); i += 2)
    values[i] = i % 6 == 0 ? special[i / 6 % std::size(special)] : 9 * values[i];
  return z;
}

std::vector<float> cpu_probability(const Tensor& logits) {
  std::vector<float> plane(static_cast<size_t>(logits.shape().pixels()));
  add_probability(logits, false, 1.0f, plane);
  return plane;
}

TEST(PictureScores, ThresholdAndProbabilityAreTheCpus) {
  const auto bounds = logit_bounds();
  in_every_schedule([&] {
    DeviceArray<float> device_bounds(std::vector<float>(bounds.begin(), bounds.end()));
    for (const int64_t classes : {1, 2, 5}) {
      const int64_t pixels = 701;
      const Tensor logits = difficult_logits(pixels, classes);
      const std::vector<float> p = cpu_probability(logits);
      DeviceArray<float> values(std::vector<float>(logits.values<float>().begin(), logits.values<float>().end())),
          planes(p);
      DeviceArray<uint8_t> out(static_cast<size_t>(pixels));
      const ScoresArgs scores{values.data(), pixels, static_cast<int>(classes)};
      for (const double t : {-1.0, 0.0, 0.1, 0.3, 0.5, 0.5 + 1e-12, 0.9, 0.9999999, 1.0}) {
        std::vector<uint8_t> want(p.size());
        for (size_t i = 0; i < p.size(); ++i) want[i] = p[i] > t ? 255 : 0;
        kernels().threshold({}, {scores, least_logit(t), out.data()});
        EXPECT_EQ(out.values(), want) << classes << " classes, threshold " << t;
        kernels().threshold({}, {{planes.data(), pixels, 1}, least_probability(t), out.data()});
        EXPECT_EQ(out.values(), want) << "probabilities, threshold " << t;
      }
      std::vector<uint8_t> want(p.size());   // as RegionResult writes SegmentResult::probability
      for (size_t i = 0; i < p.size(); ++i)
        want[i] = p[i] > 0 ? static_cast<uint8_t>(std::min(p[i], 1.0f) * 255.0f + 0.5f) : 0;
      kernels().probability({}, {scores, device_bounds.data(), out.data()});
      EXPECT_EQ(out.values(), want) << classes << " classes";
    }
  });
}

TEST(PictureScores, BoundsAreTheSmallestFloatsThatPass) {
  const auto sigmoid = [](float z) {
    const Tensor logits = [&] { Tensor t({1, 1, 1, 1}); t.values<float>()[0] = z; return t; }();
    return cpu_probability(logits)[0];
  };
  for (const double t : {0.1, 0.5, 0.73}) {
    const float z = least_logit(t);
    EXPECT_GT(sigmoid(z), t);
    EXPECT_LE(sigmoid(std::nextafter(z, -INFINITY)), t);
  }
  EXPECT_EQ(least_logit(-1), -INFINITY);
  EXPECT_TRUE(std::isnan(least_logit(1)));
  EXPECT_EQ(least_probability(0.5), std::nextafter(0.5f, 1.0f));
}

}  // namespace
}  // namespace furrow::gpu
