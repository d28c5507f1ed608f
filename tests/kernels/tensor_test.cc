#include "kernels/tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "kernels/half.h"

namespace furrow {
namespace {

TEST(Half, EveryFinitePatternSurvivesARoundTrip) {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const auto half = static_cast<uint16_t>(h);
    const float wide = f16_to_f32(half);
    EXPECT_TRUE(std::isnan(wide) ? std::isnan(f16_to_f32(f32_to_f16(wide))) : f32_to_f16(wide) == half) << h;
    const float brain = bf16_to_f32(half);
    EXPECT_TRUE(std::isnan(brain) ? std::isnan(bf16_to_f32(f32_to_bf16(brain))) : f32_to_bf16(brain) == half) << h;
  }
}

TEST(Half, RoundsToNearestEven) {
  EXPECT_EQ(f32_to_f16(1.0f + 0x1p-11f), 0x3C00);           // tie, down to even
  EXPECT_EQ(f32_to_f16(1.0f + 3 * 0x1p-11f), 0x3C02);       // tie, up to even
  EXPECT_EQ(f32_to_f16(65519.0f), 0x7BFF);                  // largest that does not overflow
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7C00);
  EXPECT_EQ(f32_to_f16(0x1p-25f), 0x0000);                  // tie between 0 and the smallest subnormal
  EXPECT_EQ(f32_to_f16(0x1.8p-25f), 0x0001);
  EXPECT_EQ(f32_to_f16(-0.0f), 0x8000);
}

TEST(Tensor, StartsAsZerosAlignedTo64Bytes) {
  Tensor t({2, 3, 5, 7});
  for (float v : t.values<float>()) EXPECT_EQ(v, 0.0f);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(t.values<float>().data()) % 64, 0u);
  EXPECT_EQ(t.bytes(), 2u * 3 * 5 * 7 * 4);
}

TEST(Tensor, CopiesShareAndConversionsDoNot) {
  Tensor a({1, 1, 1, 2});
  Tensor b = a;
  Tensor c = a.to(DType::f64);
  a.values<float>()[1] = 3;
  EXPECT_EQ(b.values<float>()[1], 3);
  EXPECT_EQ(c.values<double>()[1], 0);
  EXPECT_THROW(a.values<double>(), Error);
  EXPECT_THROW(a.reshaped({1, 1, 1, 3}), Error);
}

TEST(NamedTensor, ConvertsUnalignedBytesOfEveryType) {
  const int64_t value = -3;
  std::vector<std::byte> storage(9);
  std::memcpy(storage.data() + 1, &value, 8);
  NamedTensor t{"n", DType::i64, {}, {storage.data() + 1, 8}, nullptr};
  EXPECT_EQ(t.to<float>(), std::vector<float>{-3.0f});
  EXPECT_EQ(dims_to_string(t.dims), "scalar");
}

}  // namespace
}  // namespace furrow
