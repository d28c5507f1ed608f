// Few: a vector of at most N elements that lies where it is declared, for lists that every step builds anew.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <utility>

#include "kernels/error.h"

namespace furrow {

template <class T, size_t N>
class Few {
 public:
  Few() = default;
  Few(std::initializer_list<T> values) {
    for (const T& value : values) push_back(value);
  }

  // Throws ErrorCode::internal past N.
  void push_back(T value) {
    require(size_ < N, "Few::push_back: full");
    values_[size_++] = std::move(value);
  }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](size_t i) { return values_[i]; }
  const T& operator[](size_t i) const { return values_[i]; }
  T* begin() { return values_.data(); }
  T* end() { return values_.data() + size_; }
  const T* begin() const { return values_.data(); }
  const T* end() const { return values_.data() + size_; }
  operator std::span<const T>() const { return {values_.data(), size_}; }
  friend bool operator==(const Few& a, const Few& b) { return std::equal(a.begin(), a.end(), b.begin(), b.end()); }

 private:
  std::array<T, N> values_{};
  size_t size_ = 0;
};

}  // namespace furrow
