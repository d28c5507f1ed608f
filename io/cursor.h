// Cursor: checked reading of little-endian numbers from bytes that nobody vouches for.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "kernels/error.h"

namespace furrow::io {

static_assert(std::endian::native == std::endian::little, "numbers in files are little-endian and loaded as they lie");

// Reads forward from `at`. A read past the end throws ErrorCode::malformed: "the file ends inside WHAT", at the byte
// `origin` + at().
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, uint64_t at, const char* what, uint64_t origin = 0)
      : bytes_(bytes), at_(at), origin_(origin), what_(what) {}

  uint64_t at() const { return at_; }
  uint64_t left() const { return at_ < bytes_.size() ? bytes_.size() - at_ : 0; }

  std::span<const std::byte> take(uint64_t count) {
    if (count > left())
      throw Error(ErrorCode::malformed, std::string("the file ends inside ") + what_).at(origin_ + at_);
    const auto out = bytes_.subspan(static_cast<size_t>(at_), static_cast<size_t>(count));
    at_ += count;
    return out;
  }
  std::string_view text(uint64_t count) {
    const auto out = take(count);
    return {reinterpret_cast<const char*>(out.data()), out.size()};
  }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  uint8_t u8() { return number<uint8_t>(); }
  uint16_t u16() { return number<uint16_t>(); }
  uint32_t u32() { return number<uint32_t>(); }
  uint64_t u64() { return number<uint64_t>(); }

 private:
  std::span<const std::byte> bytes_;
  uint64_t at_, origin_;
  const char* what_;
};

}  // namespace furrow::io
