// Fields of the people in the photos, from the layouts in which they are published.
#include "data/attributes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "kernels/error.h"
#include "made_files.h"

namespace furrow::data {
namespace {

using namespace test;  // NOLINT
namespace fs = std::filesystem;

// Made up, in the layout of the real files.
std::string face(const std::string& age, int width) {
  return R"({"faceId":"x","faceRectangle":{"top":1,"left":2,"width":)" + std::to_string(width) + R"(,"height":70},
    "faceAttributes":{"smile":0.5,"headPose":{"pitch":-7.25,"roll":0,"yaw":3},"gender":"female","age":)" +
         age + R"(,
    "glasses":"NoGlasses","blur":{"blurLevel":"low","value":0.17},"makeup":{"eyeMakeup":true},"accessories":[
    {"type":"headwear","confidence":0.9}],"occlusion":{"eyeOccluded":false},"hair":{"bald":0.1,"hairColor":
    [{"color":"brown","confidence":0.8},{"color":"red","confidence":0.1}]},"facialHair":null}})";
}

double number(const Attributes& a, const std::string& id, const std::string& field) {
  const AttributeValue* value = a.find(id, field);
  EXPECT_NE(value, nullptr) << field;
  return value == nullptr ? -1e9 : std::get<double>(*value);
}
std::string text(const Attributes& a, const std::string& id, const std::string& field) {
  const AttributeValue* value = a.find(id, field);
  EXPECT_NE(value, nullptr) << field;
  return value == nullptr ? "" : std::get<std::string>(*value);
}

void expect_face(const Attributes& a, const std::string& id) {
  EXPECT_EQ(number(a, id, "age"), 26);
  EXPECT_EQ(text(a, id, "gender"), "female");
  EXPECT_EQ(number(a, id, "headPose.pitch"), -7.25);
  EXPECT_EQ(number(a, id, "blur.value"), 0.17);
  EXPECT_EQ(text(a, id, "blur.blurLevel"), "low");
  EXPECT_EQ(number(a, id, "occlusion.eyeOccluded"), 0);
  EXPECT_EQ(number(a, id, "makeup.eyeMakeup"), 1);
  EXPECT_EQ(number(a, id, "hair.hairColor.brown"), 0.8);
  EXPECT_EQ(number(a, id, "accessories.headwear"), 0.9);
  EXPECT_EQ(number(a, id, "faceRectangle.width"), 76);
  EXPECT_EQ(a.find(id, "facialHair"), nullptr);
  EXPECT_EQ(a.find(id, "faceId"), nullptr);
}

TEST(Attributes, FolderOfFiles) {
  const TempFolder folder;
  folder.write("00000.json", "[" + face("26.0", 76) + "]");
  folder.write("00001.json", std::string("[]"));
  folder.write("00002.json", "[" + face("5", 30) + "," + face("26", 76) + "," + face("7", 76) + "]");
  folder.write("notes.txt", std::string("no JSON"));
  const Attributes a = read_ffhq_features(folder.path());
  EXPECT_EQ(a.rows().size(), 3u);
  expect_face(a, "00000");
  EXPECT_EQ(number(a, "00000", "faces"), 1);
  EXPECT_EQ(number(a, "00001", "faces"), 0);
  EXPECT_EQ(a.rows().at("00001").size(), 1u);
  EXPECT_EQ(number(a, "00002", "faces"), 3);
  expect_face(a, "00002");  // the largest, the first of equals
  EXPECT_EQ(a.find("00009", "age"), nullptr);
  const auto fields = a.fields();
  EXPECT_TRUE(std::ranges::find(fields, "headPose.yaw") != fields.end());
}

TEST(Attributes, OneMergedFile) {
  const TempFolder folder;
  folder.write("all.json", R"({"00000": [)" + face("26", 76) + R"(], "00001": []})");
  const Attributes a = read_ffhq_features(folder.path("all.json"));
  expect_face(a, "00000");
  EXPECT_EQ(number(a, "00001", "faces"), 0);
}

TEST(Attributes, OnlyWhatIsAskedForIsOpened) {
  const TempFolder folder;
  folder.write("00000.json", "[" + face("26", 76) + "]");
  folder.write("00001.json", std::string("broken"));
  const std::set<std::string> only = {"00000"};
  EXPECT_EQ(read_ffhq_features(folder.path(), &only).rows().size(), 1u);
  EXPECT_THROW(read_ffhq_features(folder.path()), Error);
}

TEST(Attributes, BrokenFilesAreNamed) {
  const TempFolder folder;
  const auto refusal = [&](const std::string& contents, ErrorCode code = ErrorCode::malformed) {
    folder.write("00007.json", contents);
    try {
      read_ffhq_features(folder.path());
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.line();
      EXPECT_NE(error.line().find("00007.json"), std::string::npos) << error.line();
      return error.line();
    }
    ADD_FAILURE() << "accepted: " << contents.substr(0, 80);
    return std::string();
  };
  EXPECT_NE(refusal("").find("not JSON"), std::string::npos);
  EXPECT_NE(refusal("[{\"a\":1}").find("at byte"), std::string::npos);
  EXPECT_NE(refusal("{}").find("not an array of faces"), std::string::npos);
  EXPECT_NE(refusal("[3]").find("a face that is not an object"), std::string::npos);
  EXPECT_NE(refusal(R"([{"faceAttributes":{"age":1e999}}])").find("too large"), std::string::npos);
  EXPECT_NE(refusal(R"([{"faceAttributes":{"age":1,"age":2}}])").find("stands twice"), std::string::npos);
  EXPECT_NE(refusal(R"([{"faceAttributes":{"hair":[1]}}])").find("00007: hair"), std::string::npos);
  EXPECT_NE(refusal(R"([{"faceAttributes":3}])").find("00007: faceAttributes"), std::string::npos);
  EXPECT_NE(refusal(R"([{"faceRectangle":3},{}])").find("faceRectangle"), std::string::npos);
  refusal(std::string(100'000, '['), ErrorCode::limit);
  refusal("[" + std::string(1 << 20, ' ') + "]", ErrorCode::limit);
}

// Made up, in the layout of ffhq_aging_labels.csv.
constexpr const char* kAging =
    "image_number,age_group,age_group_confidence,gender,gender_confidence,head_pitch,head_roll,head_yaw,"
    "left_eye_occluded,right_eye_occluded,glasses\n"
    "0,0-2,0.98,male,0.999,-17.5,3e-1,1.0,0,,None\r\n"
    "12345,30-39,1,female,1.0,0,0,0,0.25,1,\"Normal, \"\"thin\"\"\"\n";

TEST(Attributes, AgingTable) {
  const TempFolder folder;
  folder.write("a.csv", std::string(kAging));
  const Attributes a = read_ffhq_aging(folder.path("a.csv"));
  EXPECT_EQ(a.rows().size(), 2u);
  EXPECT_EQ(text(a, "00000", "age_group"), "0-2");
  EXPECT_EQ(number(a, "00000", "head_pitch"), -17.5);
  EXPECT_EQ(number(a, "00000", "head_roll"), 0.3);
  EXPECT_EQ(a.find("00000", "right_eye_occluded"), nullptr);
  EXPECT_EQ(text(a, "00000", "glasses"), "None");
  EXPECT_EQ(text(a, "12345", "glasses"), "Normal, \"thin\"");
  const std::set<std::string> only = {"12345"};
  EXPECT_EQ(read_ffhq_aging(folder.path("a.csv"), &only).rows().size(), 1u);
}

// An empty name must not be padded to 00000, which is a picture.
TEST(Attributes, RowsWithoutAnImageAreRefused) {
  const TempFolder folder;
  for (const char* id : {"", ".png", "images/"}) {
    folder.write("a.csv", "image_number,age_group\n" + std::string(id) + ",0-2\n");
    EXPECT_THROW(read_ffhq_aging(folder.path("a.csv")), Error) << id;
  }
}

Attributes read_table(const std::string& path, const char* id_column) {
  io::CsvReader table = io::CsvReader::open(path);
  return read_attributes_csv(table, table.column(id_column));
}

TEST(Attributes, AnyTableByItsFileNames) {
  const TempFolder folder;
  folder.write("a.csv", std::string("\xEF\xBB\xBFscore,file\n1.5,b.PNG\nnan,images/00007.jpeg\n"));
  const Attributes a = read_table(folder.path("a.csv"), "file");
  EXPECT_EQ(number(a, "b", "score"), 1.5);
  EXPECT_EQ(text(a, "00007", "score"), "nan");  // no number that could be averaged
}

// What a table of attributes asks beyond io::CsvReader, whose tests have cases 396 to 411.
TEST(Attributes, BrokenTablesAreRefusedByLine) {
  const TempFolder folder;
  const auto refusal = [&](const std::string& contents, ErrorCode code = ErrorCode::malformed) {
    folder.write("a.csv", contents);
    try {
      read_table(folder.path("a.csv"), "id");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.line();
      EXPECT_NE(error.line().find("a.csv"), std::string::npos) << error.line();
      return error.line();
    }
    ADD_FAILURE() << "accepted: " << contents.substr(0, 80);
    return std::string();
  };
  EXPECT_NE(refusal("name,age\na,1\n").find("a.csv:1:1: there is no column 'id'"), std::string::npos);
  EXPECT_NE(refusal("id,age\na,1\nb,1\na.png,2\n").find("a.csv:4:1: in id: image a stands already in line 2"),
            std::string::npos);
  EXPECT_NE(refusal("id,age\n,2\n").find("a.csv:2:1: in id: a row without its image"), std::string::npos);
}

TEST(Attributes, TablesHaveALimitOfRows) {
  const TempFolder folder;
  folder.write("a.csv", std::string("id,age\na,1\nb,2\nc,3\n"));
  io::Limits limits;
  limits.csv_keys = 2;
  io::CsvReader table = io::CsvReader::open(folder.path("a.csv"), {}, limits);
  EXPECT_THROW(read_attributes_csv(table, 0, 0, limits), Error);
}

TEST(Attributes, RealFiles) {
  const std::string archive = FURROW_SHARED "/data/ffhq-features/ffhq_features_json_70000.tar.gz";
  if (!fs::exists(archive)) GTEST_SKIP() << archive << " is not there";
  const TempFolder folder;
  const std::string command = "tar xzf '" + archive + "' -C '" + folder.path() +
                              "' --occurrence=1 json/00000.json json/00001.json json/00002.json json/00003.json";
  ASSERT_EQ(std::system(command.c_str()), 0);
  const Attributes a = read_ffhq_features(folder.path("json"));
  ASSERT_EQ(a.rows().size(), 4u);
  EXPECT_EQ(number(a, "00000", "age"), 0);  // as in the photo
  for (const char* id : {"00000", "00001", "00002", "00003"}) {
    EXPECT_EQ(number(a, id, "faces"), 1);
    for (const char* field : {"smile", "headPose.pitch", "headPose.roll", "headPose.yaw", "blur.value",
                              "occlusion.eyeOccluded", "facialHair.beard", "hair.bald"})
      EXPECT_NE(a.find(id, field), nullptr) << id << " " << field;
    EXPECT_FALSE(text(a, id, "glasses").empty());
  }
}

}  // namespace
}  // namespace furrow::data
