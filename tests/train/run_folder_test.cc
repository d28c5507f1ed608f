// Run folders: one trainer at a time, no remains, a report that needs no other file.
#include "train/run_folder.h"

#include <sys/wait.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "io/html.h"
#include "kernels/error.h"
#include "tests/train/temporary_folder.h"
#include "train/chart.h"
#include "train/report.h"

namespace furrow::testing {
namespace {

using train::RunFolder;

class RunFolders : public TemporaryFolder {};

TEST_F(RunFolders, AreMadeOnceAndResumed) {
  const std::string run = path("a/b/run");
  EXPECT_THROW(RunFolder(run, RunFolder::Start::resume), Error);
  { const RunFolder folder(run, RunFolder::Start::fresh); }
  { const RunFolder folder(run, RunFolder::Start::fresh); }  // nothing was saved: it may start again
  write(run + "/checkpoints/last.safetensors", "x");
  try {
    RunFolder(run, RunFolder::Start::fresh);
    FAIL();
  } catch (const Error& error) { EXPECT_EQ(error.code(), ErrorCode::usage); }
  EXPECT_NO_THROW(RunFolder(run, RunFolder::Start::resume));
}

TEST_F(RunFolders, TemporariesOfAKilledTrainerGoAndNothingElse) {
  const std::string run = path("run");
  { const RunFolder folder(run, RunFolder::Start::fresh); }
  for (const char* name :
       {"/.furrow-1-2.tmp", "/checkpoints/.furrow-77-link.tmp", "/notes.txt", "/.furrow-notes", "/x.tmp"})
    write(run + name, "x");
  const RunFolder folder(run, RunFolder::Start::fresh);
  EXPECT_FALSE(std::filesystem::exists(run + "/.furrow-1-2.tmp"));
  EXPECT_FALSE(std::filesystem::exists(run + "/checkpoints/.furrow-77-link.tmp"));
  for (const char* name : {"/notes.txt", "/.furrow-notes", "/x.tmp"}) EXPECT_TRUE(std::filesystem::exists(run + name));
}

TEST_F(RunFolders, ASecondTrainerIsRefusedUntilTheFirstIsGone) {
  const std::string run = path("run");
  const auto in_another_process = [&] {
    const pid_t child = fork();
    if (child == 0) {
      try {
        const RunFolder folder(run, RunFolder::Start::fresh);
      } catch (const Error& error) { _exit(static_cast<int>(error.code())); }
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
  };
  {
    const RunFolder folder(run, RunFolder::Start::fresh);
    EXPECT_EQ(in_another_process(), 7);
  }
  EXPECT_EQ(in_another_process(), 0);
}

TEST(JsonLine, IsJsonWhateverTheValues) {
  const std::string line = train::json_line(
      {{"step", int64_t{3}}, {"loss", 0.1}, {"bad", std::nan("")}, {"text", std::string("a\"b\n\xff")}});
  const auto parsed = nlohmann::json::parse(line);
  EXPECT_EQ(line.back(), '\n');
  EXPECT_EQ(parsed["loss"].get<double>(), 0.1);
  EXPECT_TRUE(parsed["bad"].is_null());
  EXPECT_EQ(line.substr(0, 9), "{\"step\":3");
}

TEST(Chart, DrawsWhatIsThere) {
  EXPECT_EQ(train::chart_svg({"empty", false, {{"nothing", {}}}}), "");
  EXPECT_EQ(train::chart_svg({"no positive", true, {{"zero", {{1, 0}, {2, -1}}}}}), "");
  const std::string one = train::chart_svg({"a < b", false, {{"x & y", {{5, 2}}}}});
  EXPECT_NE(one.find("<circle"), std::string::npos);
  EXPECT_NE(one.find("x &amp; y"), std::string::npos);
  EXPECT_NE(one.find("a &lt; b"), std::string::npos);
  // The first and last point stand at the edges of the frame, the highest on top.
  const std::string line = train::chart_svg({"t", false, {{"c", {{0, 1}, {1, std::nan("")}, {2, 3}}}}});
  EXPECT_NE(line.find("points=\"64.0,244.0 628.0,28.0 \""), std::string::npos) << line;
}

// A square keeps both axes from 0 to 1, whatever the curves reach, and names what is drawn only where it could be taken
// for another.
TEST(Chart, OfAUnitSquare) {
  const train::Chart square{.title = "ROC",
                            .curves = {{"only", {{0, 0}, {1, 0.5}}}},
                            .x = "x name",
                            .y = "y <name>",
                            .unit_square = true,
                            .diagonal = true};
  const std::string one = train::chart_svg(square);
  EXPECT_NE(one.find("points=\"46.0,298.0 316.0,163.0 \""), std::string::npos) << one;
  EXPECT_NE(one.find("class=\"dashed\" d=\"M46 298L316 28\""), std::string::npos);
  EXPECT_NE(one.find(">x name</text>"), std::string::npos);
  EXPECT_NE(one.find(">y &lt;name&gt;</text>"), std::string::npos);
  for (const char* tick : {">0</text>", ">0.2</text>", ">1</text>"})
    EXPECT_NE(one.find(tick), std::string::npos) << tick;
  EXPECT_EQ(one.find(">only</text>"), std::string::npos);
  train::Chart two = square;
  two.curves.push_back({"other", {{0, 1}}});
  EXPECT_NE(train::chart_svg(two).find(">only</text>"), std::string::npos);
}

TEST(Chart, LongCurvesKeepTheirSpikes) {
  train::Curve curve{"long", {}};
  for (int i = 0; i < 100'000; ++i) curve.points.emplace_back(i, i == 54'321 ? 100 : 1);
  const std::string svg = train::chart_svg({"t", false, {curve}});
  EXPECT_LT(svg.size(), 60'000u);
  EXPECT_NE(svg.find(",28.0 "), std::string::npos);
}

TEST_F(RunFolders, TheReportHoldsEverythingItself) {
  std::filesystem::create_directories(path("overlays"));
  write(path("overlays/epoch_0001_a.png"), "old");
  write(path("overlays/epoch_0002_a.png"), "foobar");
  write(path("run.json"), R"({"device": "cpu <1>", "data": {"pairs": 80}})");
  std::string log;
  for (int i = 1; i < 5; ++i)
    log += train::json_line({{"kind", std::string("train")}, {"step", int64_t{i}}, {"loss", 1.0 / i}, {"lr", 1e-4}});
  log +=
      train::json_line({{"kind", std::string("warning")}, {"step", int64_t{4}}, {"text", std::string("<b>spike</b>")}});
  write(path("metrics.jsonl"), log + "{\"kind\":\"tra");  // cut
  train::write_report(folder_.string(), "run & co");
  const std::string html = contents(path("report.html"));
  for (const char* part : {"<polyline", "Zm9vYmFy", "cpu &lt;1&gt;", "data.pairs", "&lt;b&gt;spike", "run &amp; co"})
    EXPECT_NE(html.find(part), std::string::npos) << part;
  EXPECT_EQ(html.find(io::base64(std::as_bytes(std::span("old", 3)))), std::string::npos);
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(html.find("href"), std::string::npos);
}

TEST(FreeBytes, AreThoseOfTheNearestFolder) {
  EXPECT_GT(train::free_bytes("/tmp"), 0u);
  EXPECT_GT(train::free_bytes("/tmp/no/such/folder/yet"), 0u);
}

}  // namespace
}  // namespace furrow::testing
