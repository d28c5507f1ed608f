// Parts of `furrow evaluate` that need no program: groups, the choice of pictures, base64, text in a page.
#include <gtest/gtest.h>

#include "apps/evaluate/attributes.h"
#include "apps/evaluate/groups.h"
#include "apps/evaluate/overlay.h"
#include "apps/evaluate/record.h"
#include "io/html.h"
#include "kernels/error.h"

namespace furrow::apps {
namespace {

using Values = std::vector<std::optional<std::string>>;

std::vector<std::pair<std::string, size_t>> sizes(const std::string& spec, const Values& values) {
  std::vector<std::pair<std::string, size_t>> out;
  for (const Group& group : make_groups(parse_group(spec), values)) out.emplace_back(group.bin, group.rows.size());
  return out;
}

using Sizes = std::vector<std::pair<std::string, size_t>>;

TEST(Groups, EdgesAreHalfOpenAndEveryRowIsInOneGroup) {
  const Values values = {"19.999", "20", "39", "40", std::nullopt, "-1", "1e3"};
  EXPECT_EQ(sizes("x:20,40", values), (Sizes{{"< 20", 2}, {"20 to < 40", 2}, {">= 40", 2}, {"unknown", 1}}));
}

TEST(Groups, QuantilesKeepTiesTogether) {
  Values values;
  for (int i = 0; i < 100; ++i) values.push_back(std::to_string(i));
  EXPECT_EQ(sizes("x:q4", values), (Sizes{{"< 25", 25}, {"25 to < 50", 25}, {"50 to < 75", 25}, {">= 75", 25}}));
  EXPECT_EQ(sizes("x", values), sizes("x:q4", values));  // many different numbers: quartiles by default
  const Values tied = {"1", "1", "1", "1", "2"};
  EXPECT_EQ(sizes("x:q2", tied), (Sizes{{"all", 5}}));
  EXPECT_EQ(sizes("x", tied), (Sizes{{"1", 4}, {"2", 1}}));  // few: as they are
}

TEST(Groups, WordsByTheirLeadingNumber) {
  const Values values = {"10-14", "3-6", "female", "3-6", "70-120"};
  EXPECT_EQ(sizes("age", values), (Sizes{{"3-6", 2}, {"10-14", 1}, {"70-120", 1}, {"female", 1}}));
  EXPECT_THROW(make_groups(parse_group("age:10,20"), values), Error);
  EXPECT_EQ(sizes("x", {std::nullopt, std::nullopt}), (Sizes{{"unknown", 2}}));
}

TEST(Groups, SpecsThatAreNone) {
  for (const char* text : {"", ":3", "x:", "x:3,2", "x:3,3", "x:q1", "x:q21", "x:q2.5", "x:a", "x:1,,2", "x:nan"})
    EXPECT_THROW(parse_group(text), Error) << text;
  EXPECT_EQ(parse_group("blur.value:0.25").edges, std::vector<double>{0.25});
}

TEST(AttributeTable, IdsJoinByValueAndKnownFieldsByColumn) {
  data::Attributes raw;
  raw.row("00042") = {{"headPose.yaw", -31.5}, {"left_eye_occluded", 3.0}, {"right_eye_occluded", 40.0}};
  raw.row("7") = {{"head_yaw", 2.0}, {"gender", std::string("male")}};
  const AttributeTable table(raw);
  EXPECT_EQ(table.value("42", "pose"), "31.5");
  EXPECT_EQ(table.value("00042", "headPose.yaw"), "-31.5");
  EXPECT_EQ(table.value("00007", "pose"), "2");
  EXPECT_EQ(table.value("42", "occlusion"), "40");
  EXPECT_EQ(table.value("7", "gender"), "male");
  EXPECT_FALSE(table.value("8", "gender"));
  EXPECT_NO_THROW(table.require_field("pose"));
  EXPECT_THROW(table.require_field("age"), Error);
}

TEST(OverlayChoice, KeepsTheEndsWhateverTheOrder) {
  for (const bool backwards : {false, true}) {
    OverlayChoice choice(2);
    for (int i = 0; i < 10; ++i) {
      const int n = backwards ? 9 - i : i;
      const OverlayPicture picture{std::to_string(n), (n % 5) / 10.0, ""};  // two of each
      if (choice.wants(picture.id, picture.iou)) choice.add(picture);
    }
    ASSERT_EQ(choice.worst().size(), 2u);
    EXPECT_EQ(choice.worst()[0].id + choice.worst()[1].id, "05");
    EXPECT_EQ(choice.best()[0].id + choice.best()[1].id, "49");
  }
  OverlayChoice none;
  EXPECT_FALSE(none.wants("a", 0));
}

TEST(Base64, OfTheStandard) {  // RFC 4648, section 10
  const auto encoded = [](std::string_view text) {
    return io::base64(std::as_bytes(std::span(text.data(), text.size())));
  };
  EXPECT_EQ(encoded(""), "");
  EXPECT_EQ(encoded("f"), "Zg==");
  EXPECT_EQ(encoded("fo"), "Zm8=");
  EXPECT_EQ(encoded("foo"), "Zm9v");
  EXPECT_EQ(encoded("foobar"), "Zm9vYmFy");
  EXPECT_EQ(encoded("\xff\xfe\xfd"), "//79");
}

TEST(Html, TextStaysText) { EXPECT_EQ(io::html_text("<a b='\"'>&"), "&lt;a b=&#39;&quot;&#39;&gt;&amp;"); }

}  // namespace
}  // namespace furrow::apps
