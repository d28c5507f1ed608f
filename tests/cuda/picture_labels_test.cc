// Labels and overlays on the device against float64, torch.argmax's rule and segment/overlay.
#include <cmath>

#include "kernels/cuda/picture.h"
#include "kernels/half.h"
#include "kernels/ref/ref_backend.h"
#include "segment/overlay.h"
#include "tests/cuda/device_under_test.h"
#include "tests/kernels/cases.h"

namespace furrow::gpu {
namespace {

const PictureKernels& kernels() { return KERNELS_UNDER_TEST(picture_kernels); }

// torch.argmax of one pixel: the first NaN, else the first maximum.
size_t first_largest(const double* z, size_t classes) {
  size_t best = 0;
  for (size_t c = 0; c < classes; ++c) {
    if (std::isnan(z[c])) return c;
    if (z[c] > z[best]) best = c;
  }
  return best;
}

// Dense scores of small whole numbers (ties abound) or of random values; some NaN.
Tensor scores_of(const Shape& shape, bool ties, bool nans) {
  Tensor t = cases::random_values(shape, 8);
  const auto values = t.values<double>();
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = ties ? std::floor(3 * values[i])
                     : bf16_to_f32(f32_to_bf16(static_cast<float>(values[i])));  // exact in every type
    if (nans && i % 37 == 5) values[i] = NAN;
  }
  return t;
}

// The scores in device memory as `type` with pads of NaN after c channels: nothing may read them.
template <class T> std::vector<T> stored(const Tensor& scores, DType type, int pitch) {
  const Shape& s = scores.shape();
  std::vector<T> out(static_cast<size_t>(s.pixels() * pitch));
  for (size_t i = 0; i < out.size(); ++i) {
    const auto pixel = static_cast<int64_t>(i) / pitch, c = static_cast<int64_t>(i) % pitch;
    const auto value =
        static_cast<float>(c < s.c ? scores.values<double>()[static_cast<size_t>(pixel * s.c + c)] : NAN);
    if constexpr (sizeof(T) == 4) out[i] = value;
    else out[i] = type == DType::f16 ? f32_to_f16(value) : f32_to_bf16(value);
  }
  return out;
}

template <class T> void check_argmax(DType type, const Shape& shape, int pitch) {
  SCOPED_TRACE(std::string(name(type)) + " " + to_string(shape));
  const Tensor scores = scores_of(shape, true, true);
  DeviceArray<T> device(stored<T>(scores, type, pitch));
  DeviceArray<uint8_t> labels(static_cast<size_t>(shape.pixels()));
  kernels().argmax({}, {{device.data(), type, static_cast<int>(shape.n), static_cast<int>(shape.h),
                         static_cast<int>(shape.w), static_cast<int>(shape.c), pitch},
                        labels.data()});
  const auto got = labels.values();
  const auto classes = static_cast<size_t>(shape.c);
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_EQ(got[i], first_largest(&scores.values<double>()[i * classes], classes)) << "pixel " << i;
}

TEST(PictureArgmax, TakesTheFirstLargestAndNanFirst) {
  in_every_schedule([] {
    check_argmax<float>(DType::f32, {2, 13, 17, 19}, 19);
    check_argmax<uint16_t>(DType::f16, {1, 9, 31, 19}, 24);
    check_argmax<uint16_t>(DType::bf16, {1, 9, 31, 2}, 3);
  });
  check_argmax<float>(DType::f32, {1, 3, 5, 1}, 2);
  check_argmax<float>(DType::f32, {1, 3, 5, 256}, 256);
}

// Against float64. float32 mixes of three roundings each, of values below 1, are within 3e-7 of it, so the labels may
// differ only where the two largest are closer than twice that.
template <class T> void check_upsample(DType type, const Shape& shape, int pitch, int height, int width) {
  SCOPED_TRACE(std::string(name(type)) + " " + to_string(shape) + " -> " + std::to_string(height) + "x" +
               std::to_string(width));
  const Tensor scores = scores_of(shape, false, false);
  RefBackend ref(nullptr);
  Tensor large({shape.n, height, width, shape.c}, DType::f64);
  ref.upsample_bilinear(scores, large);
  DeviceArray<T> device(stored<T>(scores, type, pitch));
  DeviceArray<uint8_t> labels(static_cast<size_t>(large.shape().pixels()));
  kernels().upsample_argmax({}, {{device.data(), type, static_cast<int>(shape.n), static_cast<int>(shape.h),
                                  static_cast<int>(shape.w), static_cast<int>(shape.c), pitch},
                                 height,
                                 width,
                                 labels.data()});
  const auto got = labels.values();
  const auto classes = static_cast<size_t>(shape.c);
  size_t ties = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double* z = &large.values<double>()[i * classes];
    const size_t best = first_largest(z, classes);
    if (got[i] == best) continue;
    ASSERT_LT(got[i], classes) << "pixel " << i;
    ASSERT_LE(z[best] - z[got[i]], 6e-7) << "pixel " << i << ": label " << int{got[i]} << ", not " << best;
    ++ties;
  }
  EXPECT_LE(ties, got.size() / 200);
}

TEST(PictureUpsampleArgmax, AgreesWithFloat64) {
  in_every_schedule([] {
    check_upsample<float>(DType::f32, {2, 5, 6, 7}, 7, 17, 40);      // two images, two blocks along each axis
    check_upsample<uint16_t>(DType::f16, {1, 4, 4, 19}, 24, 32, 32);
    check_upsample<uint16_t>(DType::bf16, {1, 7, 3, 3}, 5, 4, 2);    // smaller
    check_upsample<float>(DType::f32, {1, 3, 4, 2}, 2, 1, 1);
    check_upsample<float>(DType::f32, {1, 1, 1, 5}, 5, 3, 3);
  });
}

TEST(PictureUpsampleArgmax, TakesNanFirst) {
  std::vector<float> scores(2 * 2 * 3, 1.0f);
  scores[3 * 1 + 2] =
      NAN;  // upper right pixel, class 2: spreads to all that mix it in, which the left column does too: 0 * NaN
  DeviceArray<float> device(scores);
  DeviceArray<uint8_t> labels(9);
  kernels().upsample_argmax({}, {{device.data(), DType::f32, 1, 2, 2, 3, 3}, 3, 3, labels.data()});
  EXPECT_EQ(labels.values(),
            (std::vector<uint8_t>{2, 2, 2, 2, 2, 2, 0, 0, 0}));  // the last row is the lower source row alone
}

TEST(PictureOverlay, GivesTheBytesOfTheCpu) {
  const int64_t width = 45, height = 21;
  io::Image mask(width, height, 1);
  for (size_t i = 0; i < mask.pixels.size(); ++i)
    mask.pixels[i] = i % 11 < 4 ? 255 : static_cast<uint8_t>(i * 37 % 256);
  in_every_schedule([&] {
    for (const int channels : {1, 3})
      for (const bool proportional : {false, true})
        for (const bool outlined : {false, true}) {
          SCOPED_TRACE(::testing::Message() << channels << " channels" << (proportional ? ", proportional" : "")
                                            << (outlined ? ", outlined" : ""));
          io::Image photo(width, height, channels);
          for (size_t i = 0; i < photo.pixels.size(); ++i) photo.pixels[i] = static_cast<uint8_t>(i * 101 % 256);
          OverlayStyle style{.opacity = 0.5, .outlined = outlined, .threshold = 128, .proportional = proportional};
          if (outlined) style.boxes = {{-3, 2, 30, 19}, {10, -5, 50, 12}, {40, 15, 40, 20}};
          std::vector<FrameBox> boxes;
          for (const OverlayBox& b : style.boxes) boxes.push_back({b.x0, b.y0, b.x1, b.y1});
          boxes.push_back({});   // so that the array is never empty; not passed on
          DeviceArray<uint8_t> device_photo(photo.pixels), device_mask(mask.pixels),
              to(static_cast<size_t>(3 * width * height));
          DeviceArray<FrameBox> device_boxes(boxes);
          OverlayArgs args{.photo = device_photo.data(),
                           .width = static_cast<int>(width),
                           .height = static_cast<int>(height),
                           .channels = channels,
                           .mask = device_mask.data(),
                           .opacity256 = static_cast<int>(std::lround(256 * style.opacity)),
                           .threshold = style.threshold,
                           .outlined = outlined,
                           .proportional = proportional,
                           .boxes = device_boxes.data(),
                           .box_count = static_cast<int>(style.boxes.size()),
                           .to = to.data()};
          std::copy(style.fill.begin(), style.fill.end(), args.fill);
          std::copy(style.outline.begin(), style.outline.end(), args.outline);
          const io::Image want = overlay(photo, mask, style);
          kernels().overlay({}, args);
          EXPECT_EQ(to.values(), want.pixels);
          if (channels == 3) {   // onto the photo itself
            args.to = device_photo.data();
            kernels().overlay({}, args);
            EXPECT_EQ(device_photo.values(), want.pixels);
          }
        }
  });
}

// Frames get thicker with the picture: the smallest of two pixels, in one schedule.
TEST(PictureOverlay, DrawsThickFramesOnLargePictures) {
  const int side = 1024;
  const io::Image photo(side, side, 1), mask(side, side, 1);
  const io::Image want = overlay(photo, mask, {.boxes = {{7, 9, 501, 777}}});
  DeviceArray<uint8_t> device_photo(photo.pixels), device_mask(mask.pixels), to(want.pixels.size());
  DeviceArray<FrameBox> box(std::vector<FrameBox>{{7, 9, 501, 777}});
  kernels().overlay({}, {.photo = device_photo.data(),
                         .width = side,
                         .height = side,
                         .channels = 1,
                         .mask = device_mask.data(),
                         .boxes = box.data(),
                         .box_count = 1,
                         .to = to.data()});
  EXPECT_TRUE(to.values() == want.pixels);
}

}  // namespace
}  // namespace furrow::gpu
