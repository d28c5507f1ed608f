// JSON that describes data, before its values are built.
#include "data/strict_json.h"

#include <gtest/gtest.h>

#include "kernels/error.h"

namespace furrow::data {
namespace {

using Members = std::vector<std::pair<std::string, std::string>>;

Members members(const std::string& text) {
  check_json(text, text.size());
  const auto found = json_members(text);
  if (!found) return {{"no object", ""}};
  Members out;
  for (const auto& [key, value] : *found) out.emplace_back(key, value);
  return out;
}

TEST(StrictJson, MembersInOrderAsTheyStand) {
  EXPECT_EQ(members("{}"), Members());
  EXPECT_EQ(members(" \n{ \t} "), Members());
  EXPECT_EQ(members(R"({"b":1,"a":-2.5e3,"":null})"), (Members{{"b", "1"}, {"a", "-2.5e3"}, {"", "null"}}));
  EXPECT_EQ(members("{ \"t\" : true ,\r\n\"f\":false }"), (Members{{"t", "true"}, {"f", "false"}}));
  EXPECT_EQ(members(R"({"x": [1, {"y": "]}"}, []], "z":{}})"),
            (Members{{"x", R"([1, {"y": "]}"}, []])"}, {"z", "{}"}}));
  EXPECT_EQ(members("\xEF\xBB\xBF{\"a\":1}"), (Members{{"a", "1"}}));
  for (const char* other : {"[]", "[{}]", "3", "\"{}\"", "null"})
    EXPECT_EQ(members(other)[0].first, "no object") << other;
}

TEST(StrictJson, MembersWithEscapes) {
  EXPECT_EQ(members(R"({"a\"}":"\\","\u00e9\\":"\"{","c":["\\\"]"]})"),
            (Members{{"a\"}", R"("\\")"}, {"\xC3\xA9\\", R"("\"{")"}, {"c", R"(["\\\"]"])"}}));
}

std::string refusal(const std::string& text, size_t outermost = kObjectMembers) {
  try {
    check_json(text, text.size(), 8, outermost);
  } catch (const Error& error) {
    return error.line();
  }
  return "";
}

TEST(StrictJson, ObjectsOfManyMembersAreRefused) {
  const auto object = [](size_t size) {
    std::string text = "{";
    for (size_t i = 0; i < size; ++i) text += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":0";
    return text + "}";
  };
  EXPECT_EQ(refusal(object(kObjectMembers)), "");
  EXPECT_NE(refusal(object(kObjectMembers + 1)).find("members of a JSON object; limit 1024, found 1025"),
            std::string::npos)
      << refusal(object(kObjectMembers + 1));
  EXPECT_EQ(refusal(object(70'000), 70'000), "");
  EXPECT_EQ(members("{\"in\":" + object(kObjectMembers) + "}")[0].second, object(kObjectMembers));
  EXPECT_NE(refusal("{\"in\":" + object(kObjectMembers + 1) + "}", 70'000), "");
}

}  // namespace
}  // namespace furrow::data
