#include "io/jpeg_entropy.h"

#include <bit>
#include <cstdlib>
#include <new>
#include <string>

#include "io/jpeg_bits.h"
#include "io/jpeg_planes.h"
#include "kernels/error.h"

namespace furrow::io {
namespace {

// Twice what 8-bit samples can give (8 * 128 each way), times two for odd encoders.
constexpr int kLargestDc = 4095;

// What is wrong with a block; turned into an Error with its place by the scan.
using Fault = const char*;
constexpr Fault kNoCode = "a Huffman code that the table does not have";
constexpr Fault kBeyond = "a coefficient beyond the end of its block";

// Bits k..last of a mask of 64.
uint64_t band(int first, int last) {
  return first > last ? 0 : (~uint64_t{0} >> (63 - last)) & (~uint64_t{0} << first);
}

// The signed value of `size` bits (T.81, F.2.2.1).
int extended(uint32_t bits, int size) {
  const int value = static_cast<int>(bits);
  return size == 0 || value >> (size - 1) != 0 ? value : value - (1 << size) + 1;
}

// One scan. Its coefficients go to `planes`; where there are none they are not even computed. A test of that for each
// is half the code of two classes, and a branch that is always the same.
class Scan {
 public:
  Scan(const JpegFrame& frame, const JpegScan& scan, JpegPlanes* planes, std::span<const std::byte> bytes,
       uint64_t position)
      : frame_(frame),
        scan_(scan),
        planes_(planes),
        begin_(reinterpret_cast<const uint8_t*>(bytes.data())),
        end_(begin_ + bytes.size()),
        bits_(begin_ + position, end_) {}

  JpegDecoder dc[4], ac[4];     // per component of the scan
  uint64_t* nonzero = nullptr;  // of the one component of an AC scan

  uint64_t read() {
    const bool single = scan_.components.size() == 1;
    const JpegComponent& first = component(0);
    const uint64_t wide = single ? first.blocks_wide : frame_.mcus_wide;
    const uint64_t units = wide * (single ? first.blocks_high : frame_.mcus_high);
    uint64_t until_restart = scan_.restart_interval;
    int restart = 0;
    uint32_t x = 0, y = 0;
    for (unit_ = 0; unit_ < units; ++unit_, ++x) {
      if (x == wide) x = 0, ++y;
      if (scan_.restart_interval != 0 && until_restart-- == 0) {
        read_restart(restart);
        restart = (restart + 1) & 7;
        until_restart = scan_.restart_interval - 1;
      }
      if (single) {
        read_block(0, nonzero == nullptr ? nullptr : nonzero + unit_, x, y);
      } else {
        read_interleaved(x, y);
      }
    }
    return finish();
  }

 private:
  const JpegComponent& component(size_t c) const { return frame_.components[static_cast<size_t>(scan_.components[c])]; }

  [[noreturn, gnu::noinline, gnu::cold]] void fail(const std::string& reason) const {
    throw Error(ErrorCode::malformed, reason + " (unit " + std::to_string(unit_) + " of the scan)")
        .at(static_cast<uint64_t>(bits_.position() - begin_))
        .in("SOS at byte " + std::to_string(scan_.offset));
  }

  void read_interleaved(uint32_t x, uint32_t y) {
    for (size_t c = 0; c < scan_.components.size(); ++c) {
      const auto h = static_cast<uint32_t>(component(c).h), v = static_cast<uint32_t>(component(c).v);
      for (uint32_t i = 0; i < v; ++i)
        for (uint32_t k = 0; k < h; ++k) read_block(c, nullptr, x * h + k, y * v + i);
    }
  }

  // A copy of its own: inlined where it is called, everything below would be there twice.
  [[gnu::noinline]] void read_block(size_t c, uint64_t* mask, uint32_t x, uint32_t y) {
    const auto index = static_cast<size_t>(scan_.components[c]);
    if (planes_ != nullptr) block_ = planes_->open(index, x, y);
    Fault fault;
    if (!frame_.progressive) {
      fault = read_dc(c);
      if (fault == nullptr) fault = read_ac(c);
    } else if (scan_.first == 0) {
      fault = scan_.high == 0 ? read_dc(c) : refine_dc();
    } else {
      fault = scan_.high == 0 ? read_ac_progressive(mask) : refine_ac(mask);
    }
    if (bits_.missing()) fail("the coded data end early: the picture is cut");
    if (fault != nullptr) fail(fault);
    if (planes_ != nullptr) planes_->close(index, x, y);
  }

  // The k-th coefficient in zigzag order.
  int16_t& coefficient(int k) { return block_[kJpegNatural[static_cast<size_t>(k)]]; }
  // A coefficient of `size` bits, of which the scan brings those from its lowest on.
  void take_coefficient(int k, int size) {
    if (planes_ != nullptr) {
      if (size != 0) coefficient(k) = static_cast<int16_t>(extended(bits_.take(size), size) * (1 << scan_.low));
    } else {
      bits_.skip(size);
    }
  }
  // The next bit of a coefficient that is not zero: it moves away from zero.
  void refine(int k) {
    if (planes_ != nullptr) {
      int16_t& value = coefficient(k);
      if (bits_.take(1) != 0) value = static_cast<int16_t>(value + (value < 0 ? -1 : 1) * (1 << scan_.low));
    } else {
      bits_.skip(1);
    }
  }

  Fault read_dc(size_t c) {
    bits_.fill();
    const int size = dc[c].next(bits_);
    if (size < 0) return kNoCode;
    if (size > 12) return "a DC difference of more than 12 bits";
    prediction_[c] += extended(bits_.take(size), size);
    const int whole = prediction_[c] * (1 << scan_.low);
    if (planes_ != nullptr) block_[0] = static_cast<int16_t>(whole);
    return whole > kLargestDc || whole < -kLargestDc ? "a DC value that no 8-bit picture has" : nullptr;
  }

  Fault refine_dc() {
    bits_.fill();
    const uint32_t bit = bits_.take(1);
    if (planes_ != nullptr) block_[0] = static_cast<int16_t>(block_[0] | static_cast<int>(bit << scan_.low));
    return nullptr;
  }

  Fault read_ac(size_t c) {
    for (int k = 1; k < 64; ++k) {
      bits_.fill();
      const int symbol = ac[c].next(bits_);
      if (symbol < 0) return kNoCode;
      const int run = symbol >> 4, size = symbol & 15;
      if (size == 0) {
        if (run == 0) return nullptr;  // end of block
        if (run != 15) return "an AC code that sequential pictures do not have";
      }
      k += run;
      if (k > 63) return kBeyond;
      take_coefficient(k, size);
    }
    return nullptr;
  }

  // T.81, G.1.2.2: as sequential, within a band, with runs of empty blocks.
  Fault read_ac_progressive(uint64_t* mask) {
    if (empty_blocks_ > 0) {
      --empty_blocks_;
      return nullptr;
    }
    for (int k = scan_.first; k <= scan_.last; ++k) {
      bits_.fill();
      const int symbol = ac[0].next(bits_);
      if (symbol < 0) return kNoCode;
      const int run = symbol >> 4, size = symbol & 15;
      if (size == 0 && run < 15) {
        empty_blocks_ = (1u << run) + bits_.take(run) - 1;
        return nullptr;
      }
      k += run;
      if (k > scan_.last) return kBeyond;
      take_coefficient(k, size);
      if (size != 0) *mask |= uint64_t{1} << k;
    }
    return nullptr;
  }

  // T.81, G.1.2.3: a bit for each coefficient already nonzero, new ones placed by runs of zeros between them.
  Fault refine_ac(uint64_t* mask) {
    int k = scan_.first;
    while (empty_blocks_ == 0 && k <= scan_.last) {
      bits_.fill();
      const int symbol = ac[0].next(bits_);
      if (symbol < 0) return kNoCode;
      int run = symbol >> 4;
      const int size = symbol & 15;
      if (size > 1) return "a refinement of more than one bit";
      if (size == 0 && run < 15) {
        empty_blocks_ = (1u << run) + bits_.take(run);  // this block is the first of them
        break;
      }
      const bool positive = bits_.take(size) != 0;
      for (; k <= scan_.last; ++k) {
        if ((*mask >> k & 1) != 0) {
          bits_.fill();
          refine(k);
        } else if (run-- == 0) {
          break;
        }
      }
      if (k > scan_.last) return kBeyond;
      if (size != 0) {
        *mask |= uint64_t{1} << k;
        if (planes_ != nullptr) coefficient(k) = static_cast<int16_t>((positive ? 1 : -1) * (1 << scan_.low));
      }
      ++k;
    }
    if (empty_blocks_ > 0) {
      --empty_blocks_;
      refine_rest(*mask & band(k, scan_.last));
    }
    return nullptr;
  }

  // A bit for each coefficient of `mask`.
  void refine_rest(uint64_t mask) {
    if (planes_ != nullptr) {
      for (; mask != 0; mask &= mask - 1) {
        bits_.fill();
        refine(std::countr_zero(mask));
      }
    } else {
      for (int bits = std::popcount(mask); bits > 0; bits -= 16) {
        bits_.fill();
        bits_.skip(bits < 16 ? bits : 16);
      }
    }
  }

  void check_run_ended() const {
    if (empty_blocks_ != 0) fail("a run of empty blocks reaches beyond the scan or its restart interval");
  }

  [[gnu::noinline]] void read_restart(int number) {
    check_run_ended();
    bits_.fill();  // up to the marker
    const uint8_t* at = bits_.position();
    if (bits_.buffered_bytes() != 0) fail("coded data are left over where a restart marker must stand");
    while (end_ - at >= 2 && at[0] == 0xff && at[1] == 0xff) ++at;  // fill bytes
    if (end_ - at < 2 || at[0] != 0xff || at[1] != 0xd0 + number) {
      fail("restart marker RST" + std::to_string(number) + " is missing");
    }
    bits_ = JpegBits(at + 2, end_);
    for (int& value : prediction_) value = 0;
  }

  [[gnu::noinline]] uint64_t finish() {
    check_run_ended();
    bits_.fill();
    const uint8_t* at = bits_.position();
    bool zero = bits_.buffered_zero();
    while (at < end_ && *at == 0 && zero) ++at;
    if (!zero || (at < end_ && *at != 0xff)) fail("coded data are left over after the last block of the scan");
    if (end_ - at >= 2 && at[1] == 0) fail("coded data are left over after the last block of the scan");
    if (end_ - at >= 2 && at[1] >= 0xd0 && at[1] <= 0xd7) fail("a restart marker where the scan must end");
    return static_cast<uint64_t>(at - begin_);
  }

  const JpegFrame& frame_;
  const JpegScan& scan_;
  JpegPlanes* planes_;
  int16_t* block_ = nullptr;  // the one being read, where there are planes
  const uint8_t* begin_;
  const uint8_t* end_;
  JpegBits bits_;
  uint64_t unit_ = 0;
  uint32_t empty_blocks_ = 0;
  int prediction_[4] = {0, 0, 0, 0};
};

}  // namespace

void JpegEntropy::FreeBytes::operator()(uint64_t* p) const { std::free(p); }

JpegEntropy::JpegEntropy(const JpegFrame& frame, JpegPlanes* planes)
    : frame_(frame), planes_(planes), nonzero_(frame.components.size()) {}

uint64_t JpegEntropy::read_scan(const JpegScan& scan, const std::array<JpegHuffman, 4>& dc,
                                const std::array<JpegHuffman, 4>& ac, std::span<const std::byte> bytes,
                                uint64_t position) {
  Scan reader(frame_, scan, planes_, bytes, position);
  const bool sequential = !frame_.progressive, dc_scan = scan.first == 0;
  for (size_t c = 0; c < scan.components.size(); ++c) {
    if (sequential || (dc_scan && scan.high == 0))
      reader.dc[c] = JpegDecoder(dc[static_cast<size_t>(scan.dc_tables[c])]);
    if (sequential || !dc_scan) reader.ac[c] = JpegDecoder(ac[static_cast<size_t>(scan.ac_tables[c])]);
  }
  if (frame_.progressive && !dc_scan) {
    const auto index = static_cast<size_t>(scan.components[0]);
    const JpegComponent& component = frame_.components[index];
    auto& mask = nonzero_[index];
    if (mask == nullptr) {
      const size_t blocks = size_t{component.blocks_wide} * component.blocks_high;  // at most 2^26
      mask.reset(static_cast<uint64_t*>(std::calloc(blocks, sizeof(uint64_t))));
      if (mask == nullptr) throw std::bad_alloc();
    }
    reader.nonzero = mask.get();
  }
  return reader.read();
}

}  // namespace furrow::io
