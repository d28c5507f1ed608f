// Unsigned arithmetic that cannot wrap: the type of every size, count and offset that comes from a file.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>

#include "kernels/error.h"

namespace furrow {

// A 64-bit unsigned number whose +, -, * throw ErrorCode::malformed instead of wrapping round, and which is made
// narrower only where it fits. What it throws has no place in the file: with_place (kernels/error.h) adds that.
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
  Checked& operator-=(Checked b) { return *this = *this - b; }
  Checked& operator*=(Checked b) { return *this = *this * b; }
  friend constexpr auto operator<=>(Checked a, Checked b) = default;

  // The next multiple of `unit`, itself where it is one; unit > 0.
  Checked rounded_up(uint64_t unit) const { return (*this + (unit - 1)).value_ / unit * unit; }

  constexpr uint64_t value() const { return value_; }
  // As a narrower type; throws where the number does not fit.
  template <std::integral T>
  T narrow() const {
    if (value_ > static_cast<uint64_t>(std::numeric_limits<T>::max())) {
      if constexpr (sizeof(T) == sizeof value_) overflow();
      throw Error(ErrorCode::malformed, "the size " + std::to_string(value_) + " does not fit " +
                                            std::to_string(std::numeric_limits<T>::digits) + " bits");
    }
    return static_cast<T>(value_);
  }
  size_t size() const { return narrow<size_t>(); }
  int64_t signed_value() const { return narrow<int64_t>(); }

 private:
  [[noreturn]] static void overflow() { throw Error(ErrorCode::malformed, "a size overflows 64 bits"); }
  uint64_t value_;
};

}  // namespace furrow
