// Unsigned arithmetic that cannot wrap: the type of every size, count and offset that comes from a file.
#pragma once

#include <cstdint>
#include <limits>

#include "kernels/error.h"

namespace furrow {

// A 64-bit unsigned number whose +, -, * throw ErrorCode::malformed instead of wrapping round.
class Checked {
 public:
  constexpr Checked(uint64_t value = 0) : value_(value) {}  // NOLINT: implicit on purpose

  // A signed number from a file; negative throws.
  static Checked from_signed(int64_t value) {
    if (value < 0) throw Error(ErrorCode::malformed, "negative size " + std::to_string(value));
    return Checked(static_cast<uint64_t>(value));
  }

  friend Checked operator+(Checked a, Checked b) {
    uint64_t r;
    if (__builtin_add_overflow(a.value_, b.value_, &r)) overflow();
    return r;
  }
  friend Checked operator-(Checked a, Checked b) {
    uint64_t r;
    if (__builtin_sub_overflow(a.value_, b.value_, &r)) overflow();
    return r;
  }
  friend Checked operator*(Checked a, Checked b) {
    uint64_t r;
    if (__builtin_mul_overflow(a.value_, b.value_, &r)) overflow();
    return r;
  }
  Checked& operator+=(Checked b) { return *this = *this + b; }
  Checked& operator*=(Checked b) { return *this = *this * b; }
  friend constexpr auto operator<=>(Checked a, Checked b) = default;

  constexpr uint64_t value() const { return value_; }
  // As size_t and as int64_t; throws where the number does not fit.
  size_t size() const { return narrow<size_t>(); }
  int64_t signed_value() const { return narrow<int64_t>(); }

 private:
  [[noreturn]] static void overflow() { throw Error(ErrorCode::malformed, "a size overflows 64 bits"); }
  template <class T>
  T narrow() const {
    if (value_ > static_cast<uint64_t>(std::numeric_limits<T>::max())) overflow();
    return static_cast<T>(value_);
  }
  uint64_t value_;
};

}  // namespace furrow
