// What is known about the person in each photo: fields of FFHQ-features and FFHQ-Aging, joined by image id.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <variant>
#include <vector>

namespace furrow::data {

// A number (booleans are 0 and 1) or a text.
using AttributeValue = std::variant<double, std::string>;

class Attributes {
 public:
  using Fields = std::map<std::string, AttributeValue>;

  // Null where the id, or its field, is not there.
  const AttributeValue* find(const std::string& id, const std::string& field) const;
  // Every id with its fields, bytewise.
  const std::map<std::string, Fields>& rows() const { return rows_; }
  // Names that occur in any row, bytewise.
  std::vector<std::string> fields() const;
  // The row of `id`, made where it is new.
  Fields& row(const std::string& id) { return rows_[id]; }

 private:
  std::map<std::string, Fields> rows_;
};

// FFHQ-features (seed-system.md I.2): a folder of NNNNN.json, or one JSON object {"NNNNN": contents, ...}. Contents are
// an array of faces. Fields are named by their path below "faceAttributes": "age", "gender", "smile", "headPose.pitch",
// "blur.value", "blur.blurLevel", "glasses", "occlusion.eyeOccluded", "hair.bald" ...; of lists of a text and a number
// the text becomes part of the name: "hair.hairColor.brown" = confidence, "accessories.headwear" = confidence. The
// rectangle is "faceRectangle.width" and so on; faceId is left out. "faces" is the number of faces: 0 leaves the row
// with this field alone; of several the largest rectangle is taken, the first of equals.
// `only`: ids to read, others are passed over (a folder's other files are not opened); null reads all.
// Errors name file and place: ErrorCode::io; malformed where it is no such JSON, an array is none, or a number is not
// finite; limit (one file of a folder over 1 MiB, a merged file over 1 GiB).
Attributes read_ffhq_features(const std::string& path, const std::set<std::string>* only = nullptr);

// A table with a header line: one row per image, `id_column` names it, every other column is a field. A value that is
// wholly a finite number is one, an empty one is absent, the rest is text. A picture's extension is cut off the id; one
// of digits alone is padded with zeros to `digits`. Lines end in LF or CR LF; commas separate; quotes as in RFC 4180
// but without line breaks inside; a byte-order mark of UTF-8 is passed over.
// Errors name file and line: ErrorCode::io; malformed for a missing or repeated column, an id that stands twice,
// another number of values than the header has, an open or stray quote, a NUL, text that is not UTF-8; limit for a line
// over 64 KiB. An empty file and one without rows are malformed.
Attributes read_attributes_csv(const std::string& path, const std::string& id_column, size_t digits = 0,
                               const std::set<std::string>* only = nullptr);

// ffhq_aging_labels.csv of FFHQ-Aging (seed-system.md I.1): by "image_number", as five digits.
Attributes read_ffhq_aging(const std::string& path, const std::set<std::string>* only = nullptr);

}  // namespace furrow::data
