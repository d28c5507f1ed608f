#include "io/json_tokens.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

namespace furrow::testing {
namespace {

TEST(JsonTokens, NothingIsBadThatTheParserReads) {
  const std::string good =
      R"({"w\u00e9\ud83d\ude00\n":{"dtype":"F32","shape":[2,-3.5e+7],"x":[true,null,"ü€😀","\"\\\/"]},"":{}})";
  ASSERT_FALSE(io::find_bad_token(good));
  std::mt19937 random(1);
  int read = 0, found = 0;
  const std::string bytes = "\"\\u/{}[],: dD89e0\x1f\x80\xed\xa0\xff";
  for (int round = 0; round < 50'000; ++round) {
    std::string json = good;
    for (auto changes = 1 + random() % 3; changes > 0; --changes) {
      const size_t at = random() % json.size();
      if (random() % 4 == 0)
        json.resize(at);
      else
        json.replace(at, random() % 2, 1, bytes[random() % bytes.size()]);
      if (json.empty()) json = "0";
    }
    json[0] = '{';
    const auto bad = io::find_bad_token(json);
    const bool accepted = nlohmann::json::accept(json);
    EXPECT_FALSE(bad && accepted) << json;
    read += accepted, found += bad.has_value();
    if (bad) { EXPECT_LE(bad->at, json.size()); }
  }
  EXPECT_GE(read, 2'000);
  EXPECT_GE(found, 5'000);
}

TEST(JsonTokens, WhatIsBadAndWhere) {
  const auto at = [](const std::string& json) {
    const auto bad = io::find_bad_token(json);
    return bad ? static_cast<int>(bad->at) : -1;
  };
  EXPECT_EQ(at("{\"abc"), 5);
  EXPECT_EQ(at("{\"ab\xc3(\":1}"), 4);
  EXPECT_EQ(at("{\"ab\n\":1}"), 4);
  EXPECT_EQ(at("{\"ab\\x\":1}"), 4);
  EXPECT_EQ(at(R"({"a\ud800":1})"), 3);
  EXPECT_EQ(at(R"({"a\udc00":1})"), 3);
  EXPECT_EQ(at(R"({"a\ud800\u0041":1})"), 3);
  EXPECT_EQ(at(R"({"a\u12g4":1})"), 3);
  EXPECT_EQ(at(R"({"a" "b":1})"), 5);
  EXPECT_EQ(at(R"({"a":1 "b":1})"), 7);
}

TEST(JsonTokens, WhatIsTooLong) {
  const io::TokenLimits limits = {.number = 3, .key = 4, .text = 5, .long_key = "m", .long_text = 6};
  using Kind = io::BadToken::Kind;
  const auto check = [&](const std::string& json, Kind kind, uint64_t at, uint64_t bytes) {
    const auto bad = io::find_bad_token(json, limits);
    ASSERT_TRUE(bad) << json;
    EXPECT_EQ(bad->kind, kind) << json;
    EXPECT_EQ(bad->at, at) << json;
    EXPECT_EQ(bad->bytes, bytes) << json;
    EXPECT_FALSE(io::find_bad_token(json)) << json;
  };
  EXPECT_FALSE(io::find_bad_token(R"({"abcd":-12,"m":{"x":"123456","m":["123"]},"n":{"m":"12345"}})", limits));
  check(R"({"a": -123})", Kind::number, 6, 4);
  check(R"({"abcde":1})", Kind::key, 1, 5);
  check(R"({"m":{"abcde":1}})", Kind::key, 6, 5);
  check(R"({"a":"123456"})", Kind::text, 5, 6);
  check(R"({"m":{"a":"1\n56789"}})", Kind::text, 10, 8);
  check(R"({"m":{},"a":{"m":"123456"}})", Kind::text, 17, 6);
}

}  // namespace
}  // namespace furrow::testing
