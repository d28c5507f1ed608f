#include "kernels/tensor.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <new>

#include "kernels/half.h"

namespace furrow {
namespace {

constexpr size_t kAlignment = 64;

struct TypeFacts { std::string_view name; size_t bytes; };
constexpr std::array<TypeFacts, 12> kTypes = {{{"F32", 4}, {"F64", 8}, {"F16", 2}, {"BF16", 2}, {"I64", 8}, {"I32", 4},
                                               {"I16", 2}, {"I8", 1}, {"U8", 1}, {"BOOL", 1}, {"U16", 2}, {"U32", 4}}};

template <class T> T load(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

template <class To, class From> void convert(const std::byte* from, std::vector<To>& to) {
  for (size_t i = 0; i < to.size(); ++i) to[i] = static_cast<To>(load<From>(from + i * sizeof(From)));
}

}  // namespace

size_t size_of(DType type) { return kTypes.at(static_cast<size_t>(type)).bytes; }
std::string_view name(DType type) { return kTypes.at(static_cast<size_t>(type)).name; }

std::string to_string(const Shape& s) {
  return std::to_string(s.n) + "x" + std::to_string(s.h) + "x" + std::to_string(s.w) + "x" + std::to_string(s.c);
}

Tensor::Tensor(Shape shape, DType type) : shape_(shape), type_(type) {
  require(shape.n >= 0 && shape.h >= 0 && shape.w >= 0 && shape.c >= 0, "Tensor: negative extent");
  const size_t size = (std::max<size_t>(bytes(), 1) + kAlignment - 1) / kAlignment * kAlignment;
  void* memory = std::aligned_alloc(kAlignment, size);
  if (memory == nullptr) throw std::bad_alloc();
  std::memset(memory, 0, size);
  owner_ = std::shared_ptr<void>(memory, std::free);
  data_ = static_cast<std::byte*>(memory);
}

Tensor::Tensor(Shape shape, DType type, std::byte* data, std::shared_ptr<void> owner)
    : shape_(shape), type_(type), data_(data), owner_(std::move(owner)) {}

Tensor Tensor::reshaped(Shape shape) const {
  require(shape.elements() == shape_.elements(), "Tensor::reshaped: different number of elements");
  Tensor out = *this;
  out.shape_ = shape;
  return out;
}

Tensor Tensor::to(DType type) const {
  Tensor out(shape_, type);
  if (type == type_) {
    std::memcpy(out.data_, data_, bytes());
  } else if (type_ == DType::f32 && type == DType::f64) {
    std::ranges::copy(values<float>(), out.values<double>().begin());
  } else if (type_ == DType::f64 && type == DType::f32) {
    std::ranges::transform(values<double>(), out.values<float>().begin(),
                           [](double v) { return static_cast<float>(v); });
  } else {
    require(false, "Tensor::to: only f32 and f64 convert");
  }
  return out;
}

int64_t NamedTensor::elements() const {
  int64_t count = 1;
  for (int64_t d : dims) count *= d;
  return count;
}

template <class T> std::vector<T> NamedTensor::to() const {
  std::vector<T> out(static_cast<size_t>(elements()));
  const std::byte* p = bytes.data();
  require(bytes.size() == out.size() * size_of(dtype), "NamedTensor: byte count differs from shape");
  switch (dtype) {
    case DType::f32: convert<T, float>(p, out); break;
    case DType::f64: convert<T, double>(p, out); break;
    case DType::f16: for (size_t i = 0; i < out.size(); ++i) out[i] = f16_to_f32(load<uint16_t>(p + 2 * i)); break;
    case DType::bf16: for (size_t i = 0; i < out.size(); ++i) out[i] = bf16_to_f32(load<uint16_t>(p + 2 * i)); break;
    case DType::i64: convert<T, int64_t>(p, out); break;
    case DType::i32: convert<T, int32_t>(p, out); break;
    case DType::i16: convert<T, int16_t>(p, out); break;
    case DType::i8: convert<T, int8_t>(p, out); break;
    case DType::u8: convert<T, uint8_t>(p, out); break;
    case DType::boolean: for (size_t i = 0; i < out.size(); ++i) out[i] = load<uint8_t>(p + i) != 0; break;
    case DType::u16: convert<T, uint16_t>(p, out); break;
    case DType::u32: convert<T, uint32_t>(p, out); break;
  }
  return out;
}
template std::vector<float> NamedTensor::to<float>() const;
template std::vector<double> NamedTensor::to<double>() const;

std::string dims_to_string(std::span<const int64_t> dims) {
  if (dims.empty()) return "scalar";
  std::string out;
  for (int64_t d : dims) out.append(out.empty() ? "" : "x").append(std::to_string(d));
  return out;
}

}  // namespace furrow
