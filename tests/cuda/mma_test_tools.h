// Images of any storage type on the device under test, and what tests of the tensor-core kernels compare.
#pragma once

#include <bit>
#include <cstring>
#include <memory>
#include <vector>

#include "kernels/cuda/image.h"
#include "kernels/half.h"
#include "kernels/ref/ref_backend.h"
#include "tests/cuda/device_under_test.h"
#include "tests/kernels/cases.h"
#include "tests/kernels/compare.h"

namespace furrow::gpu {

inline std::vector<std::byte> stored(DType type, double value) {
  const auto wide = static_cast<float>(value);
  std::vector<std::byte> out(size_of(type));
  const uint16_t bits = type == DType::f16 ? f32_to_f16(wide) : f32_to_bf16(wide);
  std::memcpy(out.data(), type == DType::f32 ? static_cast<const void*>(&wide) : &bits, out.size());
  return out;
}
inline double loaded(DType type, const std::byte* from) {
  if (type == DType::f32) {
    float wide = 0;
    std::memcpy(&wide, from, sizeof wide);
    return wide;
  }
  uint16_t bits = 0;
  std::memcpy(&bits, from, sizeof bits);
  return type == DType::f16 ? f16_to_f32(bits) : bf16_to_f32(bits);
}
// What `t` is once stored, f32 as TensorFloat-32 sees it: the reference gets the numbers that the kernel multiplies.
inline Tensor rounded(const Tensor& t, DType type) {
  Tensor out(t.shape(), DType::f64);
  for (size_t i = 0; i < t.values<double>().size(); ++i) {
    const double value = t.values<double>()[i];
    const auto bits = std::bit_cast<uint32_t>(static_cast<float>(value));
    out.values<double>()[i] = type == DType::f32 ? std::bit_cast<float>((bits + 0x1000u) & 0xffffe000u)
                                                 : loaded(type, stored(type, value).data());
  }
  return out;
}
// Largest error against the reference on the same numbers, as a part of the largest result: rounding the result once,
// half a unit in the last place of f16 (2^-11), bf16 (2^-8) or f32; and float32 sums, which tensor cores may cut
// instead of rounding: 2^-23 for each of up to 160 additions in a row.
inline Tolerance storage_tolerance(DType type, const Tensor& want) {
  const double result = type == DType::f32 ? 0x1p-24 : type == DType::f16 ? 0x1p-11 : 0x1p-8;
  return {.absolute = (result + 160 * 0x1p-23) * std::max(largest(want), 1e-3)};
}

inline int pitch_of(DType type, int64_t c) {
  const int vector = 16 / static_cast<int>(size_of(type));
  return static_cast<int>((c + vector - 1) / vector) * vector;
}

// An image on the device: poisoned (every value NaN) or holding a float64 tensor.
class DeviceImage {
 public:
  DeviceImage(DType type, const Shape& shape, int pitch = 0)
      : shape_(shape), pitch_(pitch > 0 ? pitch : pitch_of(type, shape.c)), type_(type), memory_(bytes()) {}
  DeviceImage(DType type, const Tensor& values, int pitch = 0) : DeviceImage(type, values.shape(), pitch) {
    std::vector<std::byte> host(bytes());
    for (size_t i = 0; i < values.values<double>().size(); ++i) {
      const auto pixel = static_cast<int64_t>(i) / shape_.c, c = static_cast<int64_t>(i) % shape_.c;
      const std::vector<std::byte> value = stored(type, values.values<double>()[i]);
      std::memcpy(host.data() + static_cast<size_t>(pixel * pitch_ + c) * size_of(type), value.data(), value.size());
    }
    runtime().upload({}, memory_.data(), host.data(), host.size());
    runtime().synchronize({});
  }
  Image image() {
    return {memory_.data(),
            type_,
            static_cast<int>(shape_.n),
            static_cast<int>(shape_.h),
            static_cast<int>(shape_.w),
            static_cast<int>(shape_.c),
            pitch_};
  }
  // Its values, float64; `padding`, where given, becomes false if a channel past c is not zero.
  Tensor values(bool* padding = nullptr) const {
    const std::vector<std::byte> host = memory_.values();
    Tensor out(shape_, DType::f64);
    for (int64_t pixel = 0; pixel < shape_.pixels(); ++pixel)
      for (int c = 0; c < pitch_; ++c) {
        const double value = loaded(type_, host.data() + static_cast<size_t>(pixel * pitch_ + c) * size_of(type_));
        if (c < shape_.c)
          out.values<double>()[static_cast<size_t>(pixel * shape_.c + c)] = value;
        else if (padding != nullptr && value != 0)
          *padding = false;  // NaN != 0
      }
    return out;
  }

 private:
  size_t bytes() const { return static_cast<size_t>(shape_.pixels() * pitch_) * size_of(type_); }
  Shape shape_;
  int pitch_;
  DType type_;
  DeviceArray<std::byte> memory_;
};

inline std::vector<float> floats(const Tensor& t) {
  const Tensor narrow = t.to(DType::f32);
  return {narrow.values<float>().begin(), narrow.values<float>().end()};
}

}  // namespace furrow::gpu
