// Build-time tool: turns OpenCV's haarcascade_frontalface_default.xml into a table (segment/cascade.h).
//   compact_cascade CASCADE.xml OUT.cc NOTICE.txt
// Reads exactly the schema of that file (upright Haar features, boosted stumps) and stops at anything else, so that
// a different cascade can never be compiled in half understood.
#include <cctype>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

struct Rect {
  int x, y, w, h;
  float weight;
};
struct Stump {
  int feature;
  float threshold, left, right;
};
struct Stage {
  std::vector<Stump> stumps;
  float threshold;
};
struct Parsed {
  std::string notice;
  int window = 0;
  std::vector<Stage> stages;
  std::vector<std::vector<Rect>> features;
};

// A cursor over the XML text that knows tags, comments and numbers, no more.
class Xml {
 public:
  explicit Xml(std::string text) : text_(std::move(text)) {}

  // Consumes the literal `what` (white space before it is skipped); throws where something else stands there.
  void expect(std::string_view what) {
    if (!accept(what)) fail("expected " + std::string(what));
  }
  bool accept(std::string_view what) {
    skip_space();
    if (text_.compare(at_, what.size(), what) != 0) return false;
    at_ += what.size();
    return true;
  }
  std::string comment() {
    expect("<!--");
    const size_t end = text_.find("-->", at_);
    if (end == std::string::npos) fail("open comment");
    std::string inside = text_.substr(at_, end - at_);
    at_ = end + 3;
    return inside;
  }
  double number() {
    skip_space();
    char* end = nullptr;
    const double value = std::strtod(text_.c_str() + at_, &end);
    if (end == text_.c_str() + at_ || !std::isfinite(value)) fail("expected a number");
    at_ = static_cast<size_t>(end - text_.c_str());
    return value;
  }
  int integer(int low, int high) {
    const double value = number();
    if (value != std::floor(value) || value < low || value > high) fail("expected an integer in its range");
    return static_cast<int>(value);
  }
  // <tag>integer</tag>
  int integer_in(const std::string& tag, int low, int high) {
    expect("<" + tag + ">");
    const int value = integer(low, high);
    expect("</" + tag + ">");
    return value;
  }
  void end() {
    skip_space();
    if (at_ != text_.size()) fail("text after the end");
  }
  [[noreturn]] void fail(const std::string& why) const {
    throw std::runtime_error(why + " at byte " + std::to_string(at_));
  }

 private:
  void skip_space() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
  }
  std::string text_;
  size_t at_ = 0;
};

Stump parse_stump(Xml& xml) {
  Stump stump{};
  xml.expect("<internalNodes>");
  xml.expect("0");  // both children are leaves: a stump
  xml.expect("-1");
  stump.feature = xml.integer(0, 100'000);
  stump.threshold = static_cast<float>(xml.number());
  xml.expect("</internalNodes>");
  xml.expect("<leafValues>");
  stump.left = static_cast<float>(xml.number());
  stump.right = static_cast<float>(xml.number());
  xml.expect("</leafValues>");
  return stump;
}

Stage parse_stage(Xml& xml) {
  Stage stage;
  const int count = xml.integer_in("maxWeakCount", 1, 1000);
  xml.expect("<stageThreshold>");
  // The reference lowers every threshold by 1e-5, in single precision, against rounding in the sum of votes.
  stage.threshold = static_cast<float>(xml.number()) - 1e-5f;
  xml.expect("</stageThreshold>");
  xml.expect("<weakClassifiers>");
  for (int i = 0; i < count; ++i) {
    xml.expect("<_>");
    stage.stumps.push_back(parse_stump(xml));
    xml.expect("</_>");
  }
  xml.expect("</weakClassifiers>");
  return stage;
}

std::vector<Rect> parse_feature(Xml& xml, int window) {
  std::vector<Rect> rects;
  xml.expect("<rects>");
  while (xml.accept("<_>")) {
    Rect r{};
    r.x = xml.integer(0, window - 1);
    r.y = xml.integer(0, window - 1);
    r.w = xml.integer(1, window - r.x);
    r.h = xml.integer(1, window - r.y);
    r.weight = static_cast<float>(xml.integer(-9, 9));  // whole: feature sums stay exact in single precision
    xml.expect("</_>");
    rects.push_back(r);
  }
  xml.expect("</rects>");
  if (rects.size() != 2 && rects.size() != 3) xml.fail("a feature needs two or three rectangles");
  return rects;
}

Parsed parse(std::string text) {
  Xml xml(std::move(text));
  Parsed p;
  xml.expect("<?xml version=\"1.0\"?>");
  p.notice = xml.comment();
  xml.expect("<opencv_storage>");
  xml.expect("<cascade type_id=\"opencv-cascade-classifier\">");
  xml.expect("<stageType>BOOST</stageType>");
  xml.expect("<featureType>HAAR</featureType>");
  p.window = xml.integer_in("height", 8, 32);
  if (xml.integer_in("width", 8, 32) != p.window) xml.fail("the window is not square");
  xml.expect("<stageParams>");
  xml.integer_in("maxWeakCount", 1, 1000);
  xml.expect("</stageParams>");
  xml.expect("<featureParams>");
  xml.integer_in("maxCatCount", 0, 0);
  xml.expect("</featureParams>");
  const int stages = xml.integer_in("stageNum", 1, 100);
  xml.expect("<stages>");
  for (int i = 0; i < stages; ++i) {
    xml.expect("<_>");
    p.stages.push_back(parse_stage(xml));
    xml.expect("</_>");
  }
  xml.expect("</stages>");
  xml.expect("<features>");
  while (xml.accept("<_>")) {
    p.features.push_back(parse_feature(xml, p.window));
    xml.expect("</_>");
  }
  xml.expect("</features>");
  xml.expect("</cascade>");
  xml.expect("</opencv_storage>");
  xml.end();
  for (const Stage& stage : p.stages)
    for (const Stump& stump : stage.stumps)
      if (static_cast<size_t>(stump.feature) >= p.features.size()) xml.fail("a stump names a missing feature");
  return p;
}

std::string hex(float value) {
  char text[40];
  std::snprintf(text, sizeof text, "%af", static_cast<double>(value));
  return text;
}

void write_stump(std::ostream& out, const Stump& stump, const std::vector<Rect>& rects) {
  out << "    {{";
  for (size_t i = 0; i < 3; ++i) {
    const Rect r = i < rects.size() ? rects[i] : Rect{0, 0, 0, 0, 0};
    out << (i ? ", {" : "{") << r.x << ", " << r.y << ", " << r.w << ", " << r.h << "}";
  }
  out << "}, {";
  for (size_t i = 0; i < 3; ++i) out << (i ? ", " : "") << (i < rects.size() ? static_cast<int>(rects[i].weight) : 0);
  out << "}, " << hex(stump.threshold) << ", " << hex(stump.left) << ", " << hex(stump.right) << "},\n";
}

void write_table(std::ostream& out, const Parsed& p) {
  out << "// Made by cmake/compact_cascade.cc from haarcascade_frontalface_default.xml; its licence is the text "
         "below.\n"
         "#include \"segment/cascade.h\"\n\nnamespace furrow {\nnamespace {\n\n"
         "constexpr CascadeStage kStages[] = {\n";
  size_t first = 0;
  for (const Stage& stage : p.stages) {
    out << "    {" << first << ", " << stage.stumps.size() << ", " << hex(stage.threshold) << "},\n";
    first += stage.stumps.size();
  }
  out << "};\n\nconstexpr CascadeStump kStumps[] = {\n";
  for (const Stage& stage : p.stages)
    for (const Stump& stump : stage.stumps) write_stump(out, stump, p.features[static_cast<size_t>(stump.feature)]);
  out << "};\n\nconstexpr Cascade kCascade{" << p.window << ", kStages, kStumps};\n\n"
      << "constexpr char kNotice[] = R\"notice(" << p.notice << ")notice\";\n\n}  // namespace\n\n"
      << "const Cascade& frontal_face_cascade() { return kCascade; }\n"
      << "std::string_view frontal_face_cascade_notice() { return kNotice; }\n\n}  // namespace furrow\n";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: compact_cascade CASCADE.xml OUT.cc NOTICE.txt\n";
    return 2;
  }
  try {
    std::ifstream in(argv[1], std::ios::binary);
    if (!in) throw std::runtime_error("cannot be opened");
    const Parsed parsed = parse({std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()});
    std::ofstream table(argv[2]), notice(argv[3]);
    write_table(table, parsed);
    notice << parsed.notice;
    if (!table.flush() || !notice.flush()) throw std::runtime_error("the table cannot be written");
  } catch (const std::exception& error) {
    std::cerr << "compact_cascade: " << argv[1] << ": " << error.what() << "\n";
    return 1;
  }
}
