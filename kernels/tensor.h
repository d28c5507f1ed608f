// Shape, element type and Tensor: a dense NHWC array, and NamedTensor: an array as a checkpoint holds it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/error.h"

namespace furrow {

enum class DType : uint8_t { f32, f64, f16, bf16, i64, i32, i16, i8, u8, boolean, u16, u32 };

// Bytes per element.
size_t size_of(DType type);
// safetensors' spelling: "F32", "BF16", "I64", "BOOL" ...
std::string_view name(DType type);

// Extents of a dense array in memory order: n images of h rows of w pixels of c channels.
// A vector of c values is {1,1,1,c}; a convolution weight is {OC,KH,KW,IC}.
struct Shape {
  int64_t n = 1, h = 1, w = 1, c = 1;
  int64_t elements() const { return n * h * w * c; }
  int64_t pixels() const { return n * h * w; }
  friend bool operator==(const Shape&, const Shape&) = default;
};
std::string to_string(const Shape& shape);  // "1x512x512x3"

// A value: copying shares the elements. Always dense in NHWC order, 64-byte aligned.
class Tensor {
 public:
  Tensor() = default;
  // Allocates; elements are zero.
  explicit Tensor(Shape shape, DType type = DType::f32);
  // A window onto memory that `owner` keeps alive (an arena block, a part of a flat parameter buffer).
  Tensor(Shape shape, DType type, std::byte* data, std::shared_ptr<void> owner);

  const Shape& shape() const { return shape_; }
  DType dtype() const { return type_; }
  bool empty() const { return data_ == nullptr; }
  size_t bytes() const { return static_cast<size_t>(shape_.elements()) * size_of(type_); }

  // Elements as T; throws ErrorCode::internal where T is not dtype().
  template <class T> std::span<T> values() {
    check(type_of<T>());
    return {reinterpret_cast<T*>(data_), static_cast<size_t>(shape_.elements())};
  }
  template <class T> std::span<const T> values() const {
    check(type_of<T>());
    return {reinterpret_cast<const T*>(data_), static_cast<size_t>(shape_.elements())};
  }
  // The same elements under another shape of equal size.
  Tensor reshaped(Shape shape) const;
  // A copy of its own, converted to `type` (f32 and f64 only, either way).
  Tensor to(DType type) const;

 private:
  template <class T> static constexpr DType type_of();
  void check(DType wanted) const { require(wanted == type_, "Tensor::values<T>: T is not the tensor's element type"); }
  Shape shape_{0, 0, 0, 0};
  DType type_ = DType::f32;
  std::byte* data_ = nullptr;
  std::shared_ptr<void> owner_;
};

template <class T> constexpr DType Tensor::type_of() {
  if constexpr (std::is_same_v<T, float>) return DType::f32;
  else if constexpr (std::is_same_v<T, double>) return DType::f64;
  else if constexpr (std::is_same_v<T, int64_t>) return DType::i64;
  else if constexpr (std::is_same_v<T, int32_t>) return DType::i32;
  else { static_assert(std::is_same_v<T, uint8_t>); return DType::u8; }
}

// An array as a checkpoint names and stores it: any rank up to 8, any dtype, row-major, dense, little-endian.
// `bytes` may point into a mapped file and need not be aligned; `owner` keeps it alive.
struct NamedTensor {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> dims;
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;

  int64_t elements() const;
  // Elements converted to T (float or double), in order. f64 -> float rounds to nearest; integers and booleans convert
  // by value.
  template <class T> std::vector<T> to() const;
};
extern template std::vector<float> NamedTensor::to<float>() const;
extern template std::vector<double> NamedTensor::to<double>() const;

// In file order.
using NamedTensors = std::vector<NamedTensor>;

std::string dims_to_string(std::span<const int64_t> dims);  // "64x3x3x3", "scalar"

}  // namespace furrow
