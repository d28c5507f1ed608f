// Landmark files, good and bad; seeds of fuzz/corpus/landmarks too.
#pragma once

#include <string>
#include <vector>

namespace furrow::data::test {

struct LandmarkCase {
  std::string name, text;
  std::string refused;  // part of the error's line; "": accepted
};

// `count` points as JSON, a face of 100 pixels between the eyes about (200, 150).
inline std::string points_json(int count = 68, const std::string& first = "[100, 90]") {
  std::string text = "[" + first;
  for (int i = 1; i < count; ++i) {
    const int x = i < 42 ? 150 : i < 48 ? 250 : i < 54 ? 160 : 240, y = i < 36 ? 90 : i < 48 ? 150 : 260;
    text += ",[" + std::to_string(x) + "," + std::to_string(y) + ".5]";
  }
  return text + "]";
}

inline std::string ffhq_json(const std::string& wild) {
  return R"({"0": {"category": "training", "metadata": {"score": -1.5, "a": [null, [true, {}]]}, )"
         R"("image": {"file_path": "x.png", "face_landmarks": [[1, 2]]}, "in_the_wild": {)" + wild + "}}}";
}

inline std::vector<LandmarkCase> landmark_cases() {
  const std::string good = points_json(), path = R"("file_path": "a/b/00007.png")",
                    marks = "\"face_landmarks\": " + good;
  const std::string point = "a point is two numbers", none = "no landmarks; write {\"NAME\": [[x, y] x 68]";
  return {
      {"Plain", "{\"7\": " + good + "}", ""},
      {"PlainNames", "{\"a/b.c/7.png\": " + good + ", \".x\": " + good + ", \"d\": " + good + "}", ""},
      {"PlainEscapes", "{\"\\u00e9\\n\\\"\": " + good + "}", ""},
      {"Ffhq", ffhq_json(path + ", \"face_rect\": [1, -2], \"face_quad\": [[0.5, 1]], " + marks), ""},
      {"FfhqOrder", ffhq_json(marks + ", \"x\": {\"face_landmarks\": [[1]], \"file_path\": 5}, " + path), ""},
      {"Edge", "{\"7\": " + points_json(68, "[-1000000, 1e6]") + "}", ""},
      {"Far", "{\"7\": " + points_json(68, "[1, 1000000.5]") + "}", "in 7: a coordinate is no place in a photo"},
      {"FarInteger", "{\"7\": " + points_json(68, "[18446744073709551615, 0]") + "}", "no place in a photo"},
      {"Overflow", "{\"7\": " + points_json(68, "[1e999, 0]") + "}", "at byte 13: a number that is too large"},
      {"Points67", "{\"7\": " + points_json(67) + "}", "in 7: other than 68 points"},
      {"Points69", "{\"7\": " + points_json(69) + "}", "other than 68 points"},
      {"Points0", "{\"7\": []}", "other than 68 points"},
      {"PointOf1", "{\"7\": " + points_json(68, "[1]") + "}", point},
      {"PointOf3", "{\"7\": " + points_json(68, "[1, 2, 3]") + "}", point},
      {"PointOf0", "{\"7\": " + points_json(68, "[]") + "}", point},
      {"PointDeep", "{\"7\": " + points_json(68, "[[1, 2]]") + "}", point},
      {"PointText", "{\"7\": " + points_json(68, "\"1, 2\"") + "}", point},
      {"PointNull", "{\"7\": " + points_json(68, "[1, null]") + "}", point},
      {"PointBoolean", "{\"7\": " + points_json(68, "[true, 1]") + "}", point},
      {"PointObject", "{\"7\": " + points_json(68, "{\"x\": 1, \"y\": 2}") + "}", point},
      {"PointsFlat", "{\"7\": [1, 2, 3]}", point},
      {"Twice", "{\"7\": " + good + ", \"a/7.jpg\": " + good + "}", "in a/7.jpg: two faces of one file name; keep one"},
      {"NoName", "{\"a/\": " + good + "}", "no file name"},
      {"Mixed", "{\"7\": " + good + ", \"8\": {}}", "in 8: faces in two layouts"},
      {"Scalar", "{\"7\": 5}", none},
      {"Text", "{\"7\": \"5\"}", none},
      {"Array", "[" + good + "]", none},
      {"Number", "5", none},
      {"Empty", "{}", "no face in this file"},
      {"Nothing", "", "at byte 1: not JSON"},
      {"Cut", "{\"7\": " + good.substr(0, 300), "not JSON"},
      {"Trailing", "{\"7\": " + good + "} x", "not JSON"},
      {"NotUtf8", "{\"\xff\": " + good + "}", "not JSON"},
      {"FfhqNoPath", ffhq_json(marks), "in 0: no file name: in_the_wild needs a file_path"},
      {"FfhqNoMarks", ffhq_json(path), "in 0: in_the_wild has no face_landmarks"},
      {"FfhqMarksText", ffhq_json(path + ", \"face_landmarks\": \"none\""), "no face_landmarks"},
      {"FfhqNotWild", R"({"0": {"in_the_wild": [)" + good + "]}}", "no face_landmarks"},
      {"FfhqStale", R"({"0": {"in_the_wild": {)" + path + ", " + marks + R"(}}, "1": {"in_the_wild": [)" + good + "]}}",
       "in 1: in_the_wild has no face_landmarks"},
      {"FfhqTwiceMarks", ffhq_json(path + ", " + marks + ", " + marks), "face_landmarks stands twice"},
      {"FfhqTwicePath", ffhq_json(path + ", " + path + ", " + marks), "file_path stands twice"},
      {"FfhqPathNumber", ffhq_json(marks + ", \"file_path\": 7"), "no file name"},
      {"FfhqScalar", R"({"0": {"in_the_wild": {)" + path + ", " + marks + "}}, \"1\": 5}", none},
      {"Deep", ffhq_json("\"x\": [[[[[[]]]]]]"), "too deep"},
  };
}

}  // namespace furrow::data::test
