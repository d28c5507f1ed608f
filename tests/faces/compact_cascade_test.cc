// The build-time tool that compacts the cascade stops at everything it does not understand.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace {

class CompactCascade : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("furrow_cascade_" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
    std::ifstream in(FURROW_CASCADE_XML, std::ios::binary);
    xml_.assign(std::istreambuf_iterator<char>(in), {});
    ASSERT_GT(xml_.size(), 900'000u);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // The tool's exit status on `xml`; -1 where it did not exit by itself.
  int run(const std::string& xml) {
    const std::string in = (folder_ / "in.xml").string();
    std::ofstream(in, std::ios::binary) << xml;
    const std::string command = std::string(FURROW_COMPACT_CASCADE) + " " + in + " " + (folder_ / "out.cc").string() +
                                " " + (folder_ / "notice.txt").string() + " 2>/dev/null";
    const int status = std::system(command.c_str());
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  // xml_ with the first `from` after `anchor` replaced.
  std::string with(const std::string& anchor, const std::string& from, const std::string& to) {
    const size_t start = xml_.find(anchor), at = xml_.find(from, start);
    EXPECT_TRUE(start != std::string::npos && at != std::string::npos) << from;
    return std::string(xml_).replace(at, from.size(), to);
  }

  std::filesystem::path folder_;
  std::string xml_;
};

TEST_F(CompactCascade, ReadsTheRealFile) { EXPECT_EQ(run(xml_), 0); }

TEST_F(CompactCascade, RefusesOtherSchemas) {
  EXPECT_EQ(run(""), 1);
  EXPECT_EQ(run(xml_ + "<more/>"), 1);
  EXPECT_EQ(run(with("<cascade", "BOOST", "FOREST")), 1);
  EXPECT_EQ(run(with("<cascade", "HAAR", "LBP")), 1);
  EXPECT_EQ(run(with("<cascade", "<width>24", "<width>20")), 1);
  EXPECT_EQ(run(with("<stages>", "0 -1 0", "1 0 0")), 1);      // a tree, no stump
  EXPECT_EQ(run(with("<stages>", "0 -1 0", "0 -1 9999")), 1);  // a feature that is not there
  EXPECT_EQ(run(with("<stages>", "-3.15119", "nan")), 1);
  EXPECT_EQ(run(with("<features>", "6 4 12 9", "6 4 19 9")), 1);  // reaches out of the window
  EXPECT_EQ(run(with("<features>", "-1.", "-1.5")), 1);           // a weight that is not whole
  EXPECT_EQ(run(with("<features>", "</rects>", "</rects><tilted>1</tilted>")), 1);
}

TEST_F(CompactCascade, RefusesACutFile) {
  for (size_t parts = 1; parts < 40; ++parts) EXPECT_EQ(run(xml_.substr(0, xml_.size() * parts / 40)), 1) << parts;
}

}  // namespace
