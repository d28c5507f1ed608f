// Sums of fewer than 49 terms on device `cpu`, on every instruction set this CPU has, are rounded once.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/isa.h"
#include "tests/kernels/short_sums.h"

namespace furrow {
namespace {

class CpuShortSums : public ::testing::Test {
 protected:
  CpuShortSums() {
    for (const cpu::Isa isa : cpu::supported_isas()) {
      owned_.push_back(std::make_unique<cpu::CpuBackend>(isa, &pool_));
      backends_.push_back(owned_.back().get());
    }
  }
  ThreadPool pool_{2};
  std::vector<std::unique_ptr<cpu::CpuBackend>> owned_;
  std::vector<Backend*> backends_;
};

TEST_F(CpuShortSums, AreRoundedOnce) {
  for (const auto& [K, worst] : short_sums::check(backends_, 100'000))
    RecordProperty("of_the_bound_K" + std::to_string(K), std::to_string(worst));
}

TEST_F(CpuShortSums, OfStridedGradientsAreRoundedOnce) { short_sums::check_strided(backends_); }

// A row as conv_short and conv3_short get it, and its memory.
struct Row {
  int64_t kernel_h, kernel_w, stride;
  int64_t c0, lanes0, c1, lanes1;  // c1 0: one source
  int64_t width, lanes, y_pixel;  // lanes: of all blocks of 16
  bool add, relu;
  int64_t kw_begin = 0, kw_end = kernel_w;

  int64_t blocks() const { return (lanes + 15) / 16; }
  std::string text() const {
    return std::to_string(kernel_h) + "x" + std::to_string(kernel_w) + " of stride " + std::to_string(stride) +
           " over " + std::to_string(c0) + "+" + std::to_string(c1) + ", width " + std::to_string(width) + ", lanes " +
           std::to_string(lanes);
  }
};

class RowMemory {
 public:
  explicit RowMemory(const Row& row) : row_(row), columns_((row.width - 1) * row.stride + row.kernel_w) {
    const int64_t c[] = {row.c0, row.c1}, lanes[] = {row.lanes0, row.lanes1};
    r_.kernel_h = r_.kh_end = row.kernel_h, r_.kernel_w = row.kernel_w, r_.stride = row.stride;
    r_.kw_begin = row.kw_begin, r_.kw_end = row.kw_end;
    r_.width = row.width, r_.lanes = row.lanes, r_.y_pixel = row.y_pixel, r_.relu = row.relu, r_.add_y = row.add;
    for (int i = 0; i < 2; ++i) {
      const int64_t blocks = (c[i] + lanes[i] - 1) / lanes[i], row_stride = columns_ * lanes[i] + 3;
      x_[i] = numbers(blocks * row.kernel_h * row_stride);
      r_.source[i] = {x_[i].data(), row_stride, row.kernel_h * row_stride, lanes[i], c[i]};
      for (int64_t at = 0; at < blocks * row.kernel_h * columns_; ++at)  // lanes that are no channels
        for (int64_t lane = 0; lane < lanes[i]; ++lane)
          if (at / (row.kernel_h * columns_) * lanes[i] + lane >= c[i])
            x_[i][static_cast<size_t>(at / columns_ * row_stride + at % columns_ * lanes[i] + lane)] =
                std::numeric_limits<float>::quiet_NaN();
    }
    r_.w_block = row.kernel_h * row.kernel_w * (row.c0 + row.c1) * 16 + 5;
    r_.y_block = (row.width + 2) * row.y_pixel;
    w_ = numbers(row.blocks() * r_.w_block), bias_ = numbers(row.blocks() * 16);
    y_ = numbers(row.blocks() * r_.y_block);
    r_.w = w_.data(), r_.bias = bias_.data();
  }

  // One chain in double in the order that row_kernels.h states, rounded once.
  std::vector<float> wanted() const {
    std::vector<float> y = y_;
    for (int64_t o = 0; o < row_.width; ++o)
      for (int64_t lane = 0; lane < row_.lanes; ++lane) {
        float& result = y[at(o + 1, lane)];
        double sum = static_cast<double>(bias_[static_cast<size_t>(lane)]);
        if (row_.add) sum += static_cast<double>(result);
        const float* w = w_.data() + lane / 16 * r_.w_block + lane % 16;
        for (const cpu::ConvSource& s : r_.source)
          for (int64_t c0 = 0; c0 < s.channels; c0 += s.lanes)
            for (int64_t kh = 0; kh < row_.kernel_h; ++kh)
              for (int64_t ic = 0; ic < std::min(s.lanes, s.channels - c0); ++ic)
                for (int64_t kw = 0; kw < row_.kernel_w; ++kw, w += 16)
                  if (kw >= row_.kw_begin && kw < row_.kw_end)
                    sum += static_cast<double>(*w) *
                           static_cast<double>(s.x[c0 / s.lanes * s.block_stride + kh * s.row_stride +
                                                   (o * row_.stride + kw) * s.lanes + ic]);
        result = static_cast<float>(sum);
        if (row_.relu && result < 0) result = 0;
      }
    return y;
  }

  // The lanes that may stay unwritten are taken from before; one pixel before the row and one after are looked at too.
  std::vector<float> got(void (*kernel)(const cpu::ConvRow&)) const {
    std::vector<float> y = y_;
    cpu::ConvRow r = r_;
    r.y = y.data() + row_.y_pixel;
    kernel(r);
    for (int64_t o = 1; o <= row_.width; ++o)
      for (int64_t lane = row_.lanes; lane < row_.blocks() * 16; ++lane) y[at(o, lane)] = y_[at(o, lane)];
    return y;
  }

 private:
  size_t at(int64_t pixel, int64_t lane) const {
    return static_cast<size_t>(lane / 16 * r_.y_block + pixel * row_.y_pixel + lane % 16);
  }
  std::vector<float> numbers(int64_t count) {
    const Tensor t = cases::random_values({1, 1, 1, count}, seed_++, DType::f32);
    return {t.values<float>().begin(), t.values<float>().end()};
  }

  Row row_;
  int64_t columns_;
  uint64_t seed_ = 1;
  cpu::ConvRow r_;
  std::vector<float> x_[2], w_, bias_, y_;
};

void expect_rows(const Row& row, bool three_taps) {
  const RowMemory memory(row);
  const std::vector<float> want = memory.wanted();
  for (const cpu::Isa isa : cpu::supported_isas()) {
    const cpu::RowKernels& rows = cpu::row_kernels(isa);
    const auto expect = [&](const char* name, void (*kernel)(const cpu::ConvRow&)) {
      const std::vector<float> got = memory.got(kernel);
      EXPECT_EQ(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)), 0)
          << name << " on " << rows.isa << ", " << row.text();
    };
    expect("conv_short", rows.conv_short);
    if (three_taps) expect("conv3_short", rows.conv3_short);
  }
}

// Every width up to some tiles, and rows of several strips with pixels left over; results bit by bit, whatever the
// tile.
TEST_F(CpuShortSums, RowsOfThreeTapsHaveTheBitsOfOneChain) {
  for (int64_t width = 1; width <= 40; ++width) expect_rows({3, 3, 1, 3, 4, 0, 4, width, 16, 16, false, true}, true);
  for (const int64_t width : {23, 24, 25, 49, 384, 523}) {
    expect_rows({3, 3, 1, 3, 4, 0, 4, width, 16, 16, false, true}, true);
    expect_rows({3, 3, 1, 3, 4, 2, 4, width, 5, 16, false, false}, true);
  }
  for (const int64_t lanes : {1, 2, 4, 8, 9, 13}) expect_rows({5, 3, 1, 1, 4, 2, 4, 29, lanes, 16, false, true}, true);
  for (const int64_t lanes : {17, 24, 25, 32, 45, 64})
    expect_rows({3, 3, 1, 3, 4, 0, 4, 77, lanes, 16, false, true}, true);
}

TEST_F(CpuShortSums, RowsOfAnyKindHaveTheBitsOfOneChain) {
  for (int64_t width = 1; width <= 40; ++width)
    for (const int64_t lanes : {1, 3, 16}) expect_rows({1, 1, 1, 16, 16, 0, 16, width, lanes, 16, false, false}, false);
  for (const int64_t width : {37, 300}) {
    expect_rows({3, 3, 2, 3, 4, 0, 4, width, 16, 16, false, true}, false);      // stride 2
    expect_rows({3, 3, 2, 3, 4, 0, 4, width, 56, 16, true, true}, false);       // four blocks
    expect_rows({1, 1, 3, 19, 16, 3, 4, width, 9, 16, false, true}, false);     // columns left out, two kinds of pixels
    expect_rows({1, 1, 50, 48, 16, 0, 16, width, 16, 16, true, false}, false);  // strips of one pixel
    expect_rows({1, 2, 1, 24, 16, 0, 16, width, 16, 32, false, false, 1, 2}, false);  // a column of a 2x2 kernel
    expect_rows({3, 5, 1, 2, 4, 1, 4, width, 11, 16, false, true, 2, 5}, false);
  }
  for (const int64_t width : {1, 9, 16}) expect_rows({1, 1, 1, 27, 1, 0, 1, width, 16, 16, true, false}, false);
}

}  // namespace
}  // namespace furrow
