#include "io/closest.h"

#include <gtest/gtest.h>

namespace furrow::io {
namespace {

TEST(Closest, SuggestsWithinAThirdOfTheLength) {
  EXPECT_EQ(closest_word("segmnt", {"segment", "model"}), "segment");
  EXPECT_EQ(closest_word("--treshold", {"--threshold", "--threads"}), "--threshold");
  EXPECT_EQ(closest_word("xyz", {"segment", "model"}), "");
  EXPECT_EQ(closest_word("modle", {"modl", "model"}), "modl");  // one step; the other takes two
  EXPECT_EQ(closest_word(std::string(65, 'a'), {std::string(65, 'a')}), "");
}

}  // namespace
}  // namespace furrow::io
