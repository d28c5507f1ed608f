// The bits of a JPEG's coded data, and its Huffman codes.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "io/jpeg_walk.h"

namespace furrow::io {

// Bits, most significant first, of bytes with 0xFF stuffed as FF 00, up to the next marker or the end of the file.
// Behind that come zeros, so that reading needs no test per bit; missing() tells afterwards.
class JpegBits {
 public:
  JpegBits(const uint8_t* begin, const uint8_t* end) : at_(begin), end_(end) {}

  // At least 32 bits in the buffer: enough for any code with its extra bits.
  void fill() {
    if (count_ >= 32) return;
    if (end_ - at_ >= 8) {
      uint64_t word;
      std::memcpy(&word, at_, 8);
      word = __builtin_bswap64(word);  // the buffer is big-endian on every machine this builds for
      if (((~word - 0x0101010101010101u) & word & 0x8080808080808080u) == 0) {  // no byte is 0xFF
        const int bytes = (63 - count_) >> 3;
        buffer_ |= word >> count_;
        at_ += bytes;
        count_ += 8 * bytes;
        return;
      }
    }
    fill_bytewise();
  }
  uint32_t peek16() const { return static_cast<uint32_t>(buffer_ >> 48); }
  uint32_t peek9() const { return static_cast<uint32_t>(buffer_ >> 55); }
  void skip(int bits) {
    buffer_ <<= bits;
    count_ -= bits;
  }
  uint32_t take(int bits) {  // 0..16
    if (bits == 0) return 0;
    const auto value = static_cast<uint32_t>(buffer_ >> (64 - bits));
    skip(bits);
    return value;
  }

  bool missing() const { return count_ < padding_; }
  // Whole bytes not yet taken, once the bits up to the next byte boundary are dropped.
  int buffered_bytes() const { return (count_ - padding_) / 8; }
  bool buffered_zero() const {
    const int used = (count_ - padding_) % 8, whole = 8 * buffered_bytes();
    return whole == 0 || (buffer_ << used) >> (64 - whole) == 0;
  }
  const uint8_t* position() const { return at_; }

 private:
  void fill_bytewise() {
    while (count_ <= 56) {
      uint64_t byte = 0;
      if (at_ < end_ && *at_ != 0xff) {
        byte = *at_++;
      } else if (end_ - at_ >= 2 && at_[1] == 0) {
        byte = 0xff;
        at_ += 2;
      } else {
        padding_ += 8;
      }
      buffer_ |= byte << (56 - count_);
      count_ += 8;
    }
  }

  const uint8_t* at_;
  const uint8_t* end_;
  uint64_t buffer_ = 0;  // next bit on top
  int count_ = 0;        // bits in the buffer, the padding at its end included
  int padding_ = 0;
};

// Canonical Huffman decoding: one look-up for codes of up to 9 bits, a comparison per length above (T.81, F.2.2.3).
class JpegDecoder {
 public:
  JpegDecoder() = default;
  explicit JpegDecoder(const JpegHuffman& table) : symbols_(table.symbols.data()) {
    uint32_t code = 0, index = 0;
    for (unsigned length = 1; length <= 16; ++length) {
      offset_[length] = static_cast<int32_t>(index) - static_cast<int32_t>(code);
      for (unsigned n = table.counts[length]; n > 0; --n, ++code, ++index) {
        if (length > 9) continue;
        const uint32_t first = code << (9 - length), many = 1u << (9 - length);
        for (uint32_t i = first; i < first + many; ++i) fast_[i] = static_cast<uint16_t>(length << 8 | symbols_[index]);
      }
      limit_[length] = code << (16 - length);
      code <<= 1;
    }
  }

  // The next symbol, or -1 where the bits are no code. Needs fill() before it; takes at most 16 bits.
  int next(JpegBits& bits) const {
    if (const unsigned hit = fast_[bits.peek9()]; hit != 0) {
      bits.skip(static_cast<int>(hit >> 8));
      return static_cast<int>(hit & 0xff);
    }
    const uint32_t top = bits.peek16();
    for (int length = 1; length <= 16; ++length) {
      if (top >= limit_[length]) continue;
      bits.skip(length);
      return symbols_[static_cast<int32_t>(top >> (16 - length)) + offset_[length]];
    }
    return -1;
  }

 private:
  std::array<uint16_t, 512> fast_{};  // length << 8 | symbol; 0: longer than 9 bits, or none
  std::array<uint32_t, 17> limit_{};  // first code beyond this length, left-aligned to 16 bits
  std::array<int32_t, 17> offset_{};  // index of a symbol minus its code
  const uint8_t* symbols_ = nullptr;
};

}  // namespace furrow::io
