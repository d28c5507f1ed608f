#include "apps/cli/report.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "apps/cli/progress.h"
#include "apps/limits_text.h"
#include "kernels/shortened.h"

namespace furrow {
namespace {

TEST(Report, ListsAtMostEighteenLinesAndReturnsTheStatus) {
  std::vector<std::string> lines;
  for (int i = 0; i < 40; ++i) lines.push_back("line " + std::to_string(i));
  testing::internal::CaptureStderr();
  EXPECT_EQ(cli::report(Error(ErrorCode::unsupported, "keys differ").details(lines), {}), 5);
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 19);
  EXPECT_NE(text.find("  line 16\n  ... and 23 more (all with --json)\n"), std::string::npos);
}

TEST(Report, PrintsEverythingAsJsonOnStandardOutput) {
  testing::internal::CaptureStdout();
  Error error = Error(ErrorCode::malformed, "bad\nthing")
                    .at(7)
                    .in("x")
                    .limit(1, 2)
                    .hint("do y")
                    .file("f.pth")
                    .details({"a", "b"});
  EXPECT_EQ(cli::report(error, {.json = true}), 4);
  const auto json = nlohmann::json::parse(testing::internal::GetCapturedStdout());
  EXPECT_EQ(json["error"]["code"], "malformed");
  EXPECT_EQ(json["error"]["exit"], 4);
  EXPECT_EQ(json["error"]["file"], "f.pth");
  EXPECT_EQ(json["error"]["byte"], 7);
  EXPECT_EQ(json["error"]["limit"], 1);
  EXPECT_EQ(json["error"]["found"], 2);
  EXPECT_EQ(json["error"]["reason"], "bad\\x0athing");
  EXPECT_EQ(json["error"]["details"].size(), 2u);
}

TEST(Report, EscapesBrokenUtf8InEveryTextOfTheJson) {
  const Error error =
      Error(ErrorCode::io, "bad \xff").in("\xff").hint("put it into \xff/w").file("\xff").details({"\xff"});
  const auto json = nlohmann::json::parse(cli::error_json(error))["error"];
  EXPECT_EQ(json["hint"], "put it into \\xff/w");
  EXPECT_EQ(json["reason"], "bad \\xff");
}

// The reason, which comes last, and the file's name are what a reader needs of a long line.
TEST(Report, CutsALongPathInTheMiddleAndNoReason) {
  const std::string path = "photos/" + std::string(300, 'd') + "/name.png",
                    reason = "the mask is 10x12, the photo 24x16";
  for (const std::string& line : {path + ": " + reason, "error[malformed]: " + path + ": " + reason}) {
    testing::internal::CaptureStderr();
    cli::report(Error(ErrorCode::malformed, "failed").details({line}), {});
    const std::string text = testing::internal::GetCapturedStderr(), shown = text.substr(text.find('\n') + 3);
    EXPECT_TRUE(shown.ends_with("dd/name.png: " + reason + "\n")) << shown;
    EXPECT_NE(shown.find("photos/dd"), std::string::npos);
    EXPECT_NE(shown.find("..."), std::string::npos);
    EXPECT_EQ(shown.size(), 201u);
  }
  // A reason longer than a line's share is whole all the same, up to the length of an error's line.
  const std::string long_reason(300, 'r');
  testing::internal::CaptureStderr();
  cli::report(Error(ErrorCode::malformed, "failed").details({path + ": " + long_reason}), {});
  EXPECT_TRUE(testing::internal::GetCapturedStderr().ends_with("name.png: " + long_reason + "\n"));
}

TEST(Report, ShortensBetweenCharacters) {
  EXPECT_EQ(shortened("short", 8), "short");
  EXPECT_EQ(shortened("0123456789", 8), "01...789");
  EXPECT_EQ(shortened("\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4", 8), "\xc3\xa4...\xc3\xa4");
  EXPECT_EQ(Error(ErrorCode::io, "no").file(std::string(400, 'a') + "/b.png").file_name().size(), 160u);
  EXPECT_TRUE(Error(ErrorCode::io, "no").file(std::string(400, 'a') + "/b.png").file_name().ends_with("a/b.png"));
}

TEST(Progress, WritesDurationsForPeople) {
  EXPECT_EQ(cli::duration_text(0.95), "950 ms");
  EXPECT_EQ(cli::duration_text(12.4), "12 s");
  EXPECT_EQ(cli::duration_text(125), "2 min 5 s");
  EXPECT_EQ(cli::duration_text(11400), "3 h 10 min");
}

TEST(Limits, ArePrintedAndChangedByName) {
  io::Limits limits;
  apps::set_limit("picture_pixels=1000", limits);
  EXPECT_EQ(limits.picture_pixels, 1000u);
  EXPECT_EQ(nlohmann::json::parse(apps::limits_text(limits, true))["picture_pixels"], 1000);
  EXPECT_NE(apps::limits_text(limits, false).find("jpeg_scans 100\n"), std::string::npos);
  for (const char* bad :
       {"picture_pixels", "picture_pixels=", "picture_pixels=-1", "picture_pixels=1k", "nonsense=1", ""})
    EXPECT_THROW(apps::set_limit(bad, limits), Error) << bad;
}

}  // namespace
}  // namespace furrow
