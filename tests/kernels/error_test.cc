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
}

}  // namespace
}  // namespace furrow
