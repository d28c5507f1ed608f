#include "apps/cli/text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/error.h"

namespace furrow::cli {
namespace {

TEST(Text, PutsPiecesTogether) {
  const std::string name = "a.png";
  const std::string text = Text() << "mask " << 3 << " of " << size_t{40} << ": " << name << ", " << int64_t{-5};
  EXPECT_EQ(text, "mask 3 of 40: a.png, -5");
}

TEST(Text, JsonIsOneValidLineWhateverTheTextsHold) {
  JsonObject inner;
  inner.number("n", int64_t{-7}).number("half", 0.5).number("none", std::nan("")).raw("also none", "");
  const std::string json = JsonObject()
                               .text("quote", "\"\\\n\x1b\xff")
                               .texts("list", {"a", "b\""})
                               .texts("empty", {})
                               .raw("inner", inner.str())
                               .raws("raws", {"1", "{}"})
                               .str();
  EXPECT_EQ(json, R"({"quote":"\"\\\\x0a\\x1b\\xff","list":["a","b\""],"empty":[],)"
                  R"("inner":{"n":-7,"half":0.5,"none":null,"also none":null},"raws":[1,{}]})");
  EXPECT_EQ(JsonObject().str(), "{}");
  EXPECT_EQ(JsonObject().number("large", std::numeric_limits<double>::max()).str(),
            R"({"large":1.7976931348623157e+308})");
}

TEST(Text, WordsHaveTheirPlaces) {
  EXPECT_EQ(choose_word("--kind", "one", "one two three"), 0u);
  EXPECT_EQ(choose_word("--kind", "three", "one two three"), 2u);
  for (const char* word : {"", "tw", "two three", "four"}) {
    try {
      choose_word("--kind", word, "one two three");
      ADD_FAILURE() << word;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::usage);
      EXPECT_EQ(error.hint_text(), "it takes one, two, three");
    }
  }
}

}  // namespace
}  // namespace furrow::cli
