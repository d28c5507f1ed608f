#include "kernels/error.h"

#include <gtest/gtest.h>

#include "kernels/checked.h"

namespace furrow {
namespace {

TEST(Error, PrintsFilePlaceReasonLimitAndHintOnOneLine) {
  Error error = Error(ErrorCode::limit, "too many entries").at(12).in("data/0").limit(3, 9).hint("repack it");
  error.set_file("a\nb.pth");
  EXPECT_EQ(error.line(),
            "error[limit]: a\\x0ab.pth: at byte 12 (data/0): too many entries; limit 3, found 9; repack it");
}

TEST(Error, KeepsTheInnermostFileName) {
  Error error(ErrorCode::io, "disk full");
  error.set_file("inner");
  error.set_file("outer");
  EXPECT_EQ(error.line(), "error[io]: inner: disk full");
}

TEST(Error, NeverExceedsFiveHundredBytes) {
  EXPECT_LE(Error(ErrorCode::malformed, std::string(10'000, 'x')).line().size(), 500u);
}

TEST(Printable, EscapesControlsTerminalSequencesAndBrokenUtf8) {
  EXPECT_EQ(printable("a\x1b[31m\x7f\xff\xc2\x9b"), "a\\x1b[31m\\x7f\\xff\\xc2\\x9b");
  EXPECT_EQ(printable("Größe ✓"), "Größe ✓");
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // surrogate
}

TEST(Checked, ThrowsInsteadOfWrapping) {
  const Checked big(UINT64_MAX);
  EXPECT_THROW(big + 1, Error);
  EXPECT_THROW(Checked(0) - 1, Error);
  EXPECT_THROW(Checked(uint64_t{1} << 33) * (uint64_t{1} << 33), Error);
  EXPECT_THROW(big.signed_value(), Error);
  EXPECT_THROW(Checked::from_signed(-1), Error);
  EXPECT_EQ((Checked(6) * 7).value(), 42u);
  Checked sum = 5;
  sum += 4, sum -= 2, sum *= 3;
  EXPECT_EQ(sum, Checked(21));
  EXPECT_THROW(sum -= 22, Error);
}

TEST(Checked, NarrowsOnlyWhatFits) {
  EXPECT_EQ(Checked(255).narrow<uint8_t>(), 255);
  EXPECT_EQ(Checked(INT32_MAX).narrow<int32_t>(), INT32_MAX);
  EXPECT_EQ(Checked(UINT64_MAX).narrow<uint64_t>(), UINT64_MAX);
  EXPECT_EQ(Checked(INT64_MAX).signed_value(), INT64_MAX);
  try {
    (void)Checked(256).narrow<uint8_t>();
    FAIL();
  } catch (const Error& error) { EXPECT_EQ(error.line(), "error[malformed]: the size 256 does not fit 8 bits"); }
  EXPECT_THROW(Checked(uint64_t{1} << 31).narrow<int32_t>(), Error);
  EXPECT_THROW(Checked(uint64_t{1} << 63).signed_value(), Error);
}

TEST(Checked, RoundsUpWithoutWrapping) {
  EXPECT_EQ(Checked(0).rounded_up(512), Checked(0));
  EXPECT_EQ(Checked(1).rounded_up(512), Checked(512));
  EXPECT_EQ(Checked(512).rounded_up(512), Checked(512));
  EXPECT_THROW(Checked(UINT64_MAX).rounded_up(512), Error);
}

TEST(Checked, TheCallerSaysWhere) {
  const auto line = [](auto&& body) -> std::string {
    try {
      with_place(24, "data/0", body);
    } catch (const Error& error) { return error.line(); }
    return "";
  };
  EXPECT_EQ(line([] { return Checked(UINT64_MAX) + 1; }),
            "error[malformed]: at byte 24 (data/0): a size overflows 64 bits");
  // What is known already stays.
  EXPECT_EQ(line([] { throw Error(ErrorCode::malformed, "cut").at(3); }), "error[malformed]: at byte 3 (data/0): cut");
  EXPECT_EQ(line([] { throw Error(ErrorCode::malformed, "cut").in("x"); }), "error[malformed]: at byte 24 (x): cut");
  EXPECT_EQ(with_place(1, "", [] { return Checked(3); }), Checked(3));
}

}  // namespace
}  // namespace furrow
