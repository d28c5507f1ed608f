// Images of any storage type and pitch on the device under test, made from and read back as float64 tensors.
#pragma once

#include <cmath>

#include "kernels/cuda/image.h"
#include "kernels/half.h"
#include "tests/cuda/device_under_test.h"
#include "tests/kernels/compare.h"

namespace furrow::gpu {

inline std::string type_name(DType type) { return std::string(name(type)); }

// The value that `type` stores for x.
inline double rounded_to(DType type, double x) {
  const auto narrow = static_cast<float>(x);
  if (type == DType::f16) return f16_to_f32(f32_to_f16(narrow));
  if (type == DType::bf16) return bf16_to_f32(f32_to_bf16(narrow));
  return narrow;
}
inline Tensor rounded_to(DType type, const Tensor& t) {
  Tensor out = t.to(DType::f64);
  for (double& value : out.values<double>()) value = rounded_to(type, value);
  return out;
}
// One rounding to `type` is off by at most this part of the value, and by the second where the value is subnormal.
inline double half_ulp(DType type) { return type == DType::f32 ? 0x1p-24 : type == DType::f16 ? 0x1p-11 : 0x1p-8; }
inline double half_subnormal(DType type) { return type == DType::f16 ? 0x1p-25 : 1e-38; }
// `ulps` units of float32 in the arithmetic, then one rounding to the storage type.
inline Tolerance ulps(double count, DType type) {
  return {.absolute = half_subnormal(type), .relative = count * 0x1p-23 + (type == DType::f32 ? 0 : half_ulp(type))};
}
// Beside a bound on the arithmetic relative to the largest result, one rounding to the storage type.
inline Tolerance of_largest(double bound, const Tensor& want, DType type) {
  return {.absolute = bound * largest(want) + half_subnormal(type),
          .relative = type == DType::f32 ? 0 : half_ulp(type)};
}

class PitchedImage {
 public:
  // Undefined elements (NaN), pad channels too.
  PitchedImage(const Shape& shape, DType type, int64_t pitch)
      : shape_(shape),
        type_(type),
        pitch_(pitch),
        bytes_(static_cast<size_t>(shape.pixels() * pitch) * size_of(type)) {}
  // The values of `t`, rounded; pad channels zero.
  PitchedImage(const Tensor& t, DType type, int64_t pitch) : PitchedImage(t.shape(), type, pitch) {
    const Tensor wide = t.to(DType::f64);
    const auto values = wide.values<double>();
    std::vector<std::byte> host(bytes_.size());
    for (size_t i = 0; i < values.size(); ++i) write(host.data() + offset(i), static_cast<float>(values[i]));
    runtime().upload({}, bytes_.data(), host.data(), host.size());
    runtime().synchronize({});
  }

  Image image() {
    return {bytes_.data(),    type_,         int_of(shape_.n), int_of(shape_.h), int_of(shape_.w),
            int_of(shape_.c), int_of(pitch_)};
  }
  // The elements. A test failure where a pad channel is not zero.
  Tensor values() const {
    const std::vector<std::byte> host = bytes_.values();
    Tensor out(shape_, DType::f64);
    for (int64_t p = 0; p < shape_.pixels(); ++p)
      for (int64_t c = 0; c < pitch_; ++c) {
        const double value = read(host.data() + static_cast<size_t>(p * pitch_ + c) * size_of(type_));
        if (c < shape_.c)
          out.values<double>()[static_cast<size_t>(p * shape_.c + c)] = value;
        else
          EXPECT_EQ(value, 0) << "pad channel " << c << " of pixel " << p;
      }
    return out;
  }

 private:
  static int int_of(int64_t x) { return static_cast<int>(x); }
  size_t offset(size_t element) const {
    const auto c = static_cast<size_t>(shape_.c);
    return (element / c * static_cast<size_t>(pitch_) + element % c) * size_of(type_);
  }
  void write(std::byte* to, float value) const {
    if (type_ == DType::f32) return static_cast<void>(std::memcpy(to, &value, 4));
    const uint16_t bits = type_ == DType::f16 ? f32_to_f16(value) : f32_to_bf16(value);
    std::memcpy(to, &bits, 2);
  }
  double read(const std::byte* from) const {
    float value = 0;
    if (type_ == DType::f32) return std::memcpy(&value, from, 4), value;
    uint16_t bits = 0;
    std::memcpy(&bits, from, 2);
    return type_ == DType::f16 ? f16_to_f32(bits) : bf16_to_f32(bits);
  }

  Shape shape_;
  DType type_;
  int64_t pitch_;
  DeviceArray<std::byte> bytes_;
};

// Every storage type, dense and pitched; calls body(type, pitch rule) where the rule gives the pitch of c channels.
struct Storage {
  DType type;
  bool dense;
  int64_t pitch(int64_t c) const { return dense ? c : (c + 8) / 8 * 8; }  // always wider than c
  PitchedImage empty(const Shape& s) const { return {s, type, pitch(s.c)}; }
  PitchedImage of(const Tensor& t) const { return {t, type, pitch(t.shape().c)}; }
};
inline void for_each_storage(const std::function<void(const Storage&)>& body) {
  for (const DType type : {DType::f32, DType::f16, DType::bf16})
    for (const bool dense : {true, false}) {
      SCOPED_TRACE(type_name(type) + (dense ? ", dense" : ", pitched"));
      body({type, dense});
    }
}

}  // namespace furrow::gpu
