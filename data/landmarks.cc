#include "data/landmarks.h"

#include <array>
#include <cmath>

#include "io/json_walk.h"
#include "io/mapped_file.h"
#include "kernels/error.h"

namespace furrow::data {
namespace {

constexpr size_t kDepth = 8;
constexpr const char* kLayouts = "write {\"NAME\": [[x, y] x 68], ...}, or take FFHQ's ffhq-dataset-v2.json";

class LandmarkReader : public io::JsonEvents {
 public:
  explicit LandmarkReader(double mouth) : mouth_(mouth) {}
  bool null() override { return other(); }
  bool boolean(bool) override { return other(); }
  bool number_integer(int64_t value) override { return number(static_cast<double>(value)); }
  bool number_unsigned(uint64_t value) override { return number(static_cast<double>(value)); }
  bool number_float(double value, const std::string&) override { return number(value); }
  bool string(std::string& value) override {
    if (!at("file_path")) return other();
    if (!path_.empty()) refuse("file_path stands twice");
    path_.swap(value);
    return true;
  }
  bool key(std::string& name) override {
    if (depth_ <= keys_.size()) keys_[depth_ - 1].swap(name);
    if (depth_ == 2) keys_[2].clear();
    return true;
  }
  bool start_object() override {
    if (depth_ == 1)
      begin(2);
    else if (depth_ > 1)
      other();
    return open();
  }
  bool end_object() override {
    if (--depth_ == 1) {
      if (count_ == 0) refuse("in_the_wild has no face_landmarks");
      face(path_);
    }
    return true;
  }
  bool start_array() override {
    if (depth_ == 1) begin(1);
    if (depth_ == 1 || (points_depth_ == 0 && at("face_landmarks"))) {
      if (count_ != 0) refuse("face_landmarks stands twice");
      points_depth_ = depth_ + 1;
    } else if (points_depth_ == 0 || depth_ != points_depth_) {
      other();
    }
    return open();
  }
  bool end_array() override {
    if (depth_-- == points_depth_) {
      if (count_ != values_.size()) refuse("other than 68 points");
      points_depth_ = points_ = 0;
      if (depth_ == 1) face(keys_[0]);
    } else if (points_depth_ != 0 && count_ != 2 * ++points_) {
      refuse(kPoint);
    }
    return true;
  }
  bool parse_error(size_t byte, const std::string&, bool out_of_range, const std::string&) override {
    throw Error(ErrorCode::malformed, out_of_range ? "a number that is too large" : "not JSON")
        .at(byte)
        .hint(out_of_range ? "x, y are pixels" : "the file is cut, or of another kind");
  }
  [[noreturn]] void refuse(const char* why, const char* hint = kLayouts) const {
    throw Error(ErrorCode::malformed, why).in(keys_[0]).hint(hint);
  }
  FaceSquares found;

 private:
  static constexpr const char* kPoint = "a point is two numbers, [x, y]";

  bool at(const char* what) const { return depth_ == 3 && keys_[1] == "in_the_wild" && keys_[2] == what; }
  // A value that is nobody's landmark: passed over where FFHQ's layout has other things.
  bool other() const {
    if (points_depth_ != 0) refuse(kPoint);
    if (depth_ < 2) refuse("no landmarks");
    return true;
  }
  // A face.
  void begin(int layout) {
    if (layout_ != 0 && layout_ != layout) refuse("faces in two layouts");
    layout_ = layout, count_ = 0, found.ffhq = layout == 2;
    path_.clear();
  }
  bool open() {
    if (++depth_ > kDepth) refuse("values too deep inside each other");
    return true;
  }
  bool number(double value) {
    if (points_depth_ == 0 || depth_ != points_depth_ + 1) return other();
    if (count_ == 2 * points_ + 2) refuse(kPoint);
    if (count_ == values_.size()) refuse("other than 68 points");
    if (!(std::abs(value) <= kLandmarkRange)) refuse("a coordinate is no place in a photo", "x, y are pixels");
    values_[count_++] = value;
    return true;
  }
  void face(const std::string& name) {
    const size_t slash = name.rfind('/') + 1, dot = name.rfind('.');  // none: 0, and the end
    const std::string stem = name.substr(slash, dot > slash ? dot - slash : name.npos);
    if (stem.empty()) refuse("no file name: in_the_wild needs a file_path");
    int& index = found.index[stem];  // 0: a new one
    if (index != 0) refuse("two faces of one file name", "keep one of them");
    found.squares.push_back(face_square(values_, mouth_));
    index = static_cast<int>(found.squares.size());
  }

  double mouth_;
  std::array<std::string, 3> keys_;  // of the objects that are open, as far as they matter
  std::string path_;
  std::array<double, 2 * kLandmarks> values_{};
  size_t depth_ = 0, points_depth_ = 0;  // of what is open: all, and the list of points; 0: none
  size_t count_ = 0, points_ = 0;        // numbers and points of this face
  int layout_ = 0;                       // 1 plain, 2 FFHQ's
};

}  // namespace

FaceSquares parse_landmarks(std::string_view text, double mouth) {
  if (text.size() > kLandmarkBytes) throw Error(ErrorCode::limit, "bytes of JSON").limit(kLandmarkBytes, text.size());
  LandmarkReader reader(mouth);
  io::walk_json(text, reader);
  if (reader.found.squares.empty()) reader.refuse("no face in this file");
  return std::move(reader.found);
}

FaceSquares read_landmarks(const std::string& path, double mouth) {
  return with_file(path, [&] {
    const auto file = io::MappedFile::open(path);
    const auto bytes = file->bytes();
    FaceSquares found = parse_landmarks({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, mouth);
    file->check_unchanged();
    return found;
  });
}

}  // namespace furrow::data
