// Event files: record by record what TensorFlow's format says; an independent reader is tests/train/read_events.py.
#include "train/event_file.h"

#include <cstdlib>

#include "tests/train/temporary_folder.h"
#include "train/log_file.h"

namespace furrow::testing {
namespace {

TEST(EventRecord, IsFramedAsTensorFlowDoes) {
  // The version event of a file that TensorFlow's own tests know by its bytes but for the time: length 24, its masked
  // sum, the event, the event's masked sum.
  const std::string record = train::event_record(train::version_event(0));
  ASSERT_EQ(record.size(), 8u + 4 + 24 + 4);
  EXPECT_EQ(record.substr(0, 8), std::string("\x18\0\0\0\0\0\0\0", 8));
  // masked(crc32c("\x18\0\0\0\0\0\0\0")): the same four bytes begin every event file that TensorBoard ever wrote.
  EXPECT_EQ(record.substr(8, 4), std::string("\xa3\x7f\x4b\x22", 4));
  EXPECT_EQ(record.substr(12, 9), std::string("\x09\0\0\0\0\0\0\0\0", 9));
  EXPECT_EQ(record.substr(21, 15), std::string("\x1a\x0d"
                                               "brain.Event:2"));
}

TEST(EventRecord, ScalarsAreSummariesOfTagAndValue) {
  const std::string event = train::scalar_event(1, 300, {{"loss", 0.5}});
  const std::string expected = std::string("\x09\0\0\0\0\0\0\xf0\x3f", 9) + std::string("\x10\xac\x02", 3) +
                               std::string("\x2a\x0d\x0a\x0b\x0a\x04loss\x15\0\0\0\x3f", 15);
  EXPECT_EQ(event, expected);
}

class EventFiles : public TemporaryFolder {};

TEST_F(EventFiles, AnIndependentReaderFindsWhatWasWritten) {
  const std::string file = path("events.out.tfevents.0.furrow");
  const std::string png = "\x89PNG not really";
  {
    train::EventFile events(file, 10);
    events.scalars(11, 1, {{"train/loss", 0.25}, {"train/dice", -3e-9}});
    events.image(12, 2, "overlay/a", 3, 2, 3, std::as_bytes(std::span(png)));
  }
  {
    train::EventFile events(file, 99);  // appends; no second version
    events.scalars(13, int64_t{1} << 40, {{"val/iou", 1}});
  }
  const std::string command = "python3 '" + std::string(FURROW_SOURCE_DIR) + "/tests/train/read_events.py' '" + file +
                              "' > '" + path("text") + "'";
  ASSERT_EQ(std::system(command.c_str()), 0);
  EXPECT_EQ(contents(path("text")),
            "10.0 0 version brain.Event:2\n"
            "11.0 1 train/loss 0.25\n"
            "11.0 1 train/dice -3.000000026176508e-09\n"  // as float32
            "12.0 2 overlay/a image 3x2 of 3 channels, 15 bytes\n"
            "13.0 1099511627776 val/iou 1.0\n");
}

TEST_F(EventFiles, ALogGrowsByWholeEntriesAndGoesBack) {
  train::LogFile log(path("log"));
  EXPECT_TRUE(log.append("one\n"));
  const uint64_t one = log.bytes();
  EXPECT_TRUE(log.append("two\n"));
  EXPECT_TRUE(log.sync());
  EXPECT_EQ(contents(path("log")), "one\ntwo\n");
  EXPECT_FALSE(log.cut_to(100));
  EXPECT_TRUE(log.cut_to(one));
  EXPECT_TRUE(log.append("three\n"));
  EXPECT_EQ(contents(path("log")), "one\nthree\n");
  EXPECT_EQ(train::LogFile(path("log")).bytes(), 10u);
}

TEST_F(EventFiles, AFullDiskLosesEntriesAndNothingElse) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  train::LogFile log("/dev/full");
  EXPECT_FALSE(log.append("line\n"));
  EXPECT_FALSE(log.append("line\n"));
  EXPECT_EQ(log.lost(), 2);
  EXPECT_EQ(log.bytes(), 0u);
  EXPECT_FALSE(log.error().empty());
}

}  // namespace
}  // namespace furrow::testing
