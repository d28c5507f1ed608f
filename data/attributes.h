// What is known about the person in each photo: fields of FFHQ-features and FFHQ-Aging, joined by image id.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "io/csv.h"
#include "io/limits.h"

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

// The id in the name of a file: without folders and without .png, .jpg, .jpeg or .json (in any case); one of digits
// alone is padded with zeros to `digits`. "images/42.PNG" is "00042" of 5 digits.
std::string image_id(std::string name, size_t digits = 0);

// The rest of `table`: one row per image, column `id_column` names it, every other column is a field. A value that is
// wholly a finite number is one, an empty one is absent, the rest is text. Ids as image_id() has them.
// Errors: those of io::CsvReader; malformed for a row without its image and for an id that stands twice; limit over
// csv_keys rows.
Attributes read_attributes_csv(io::CsvReader& table, size_t id_column, size_t digits = 0,
                               const io::Limits& limits = {}, const std::set<std::string>* only = nullptr);

// ffhq_aging_labels.csv of FFHQ-Aging (seed-system.md I.1): by "image_number", as five digits.
Attributes read_ffhq_aging(const std::string& path, const std::set<std::string>* only = nullptr,
                           const io::Limits& limits = {});

}  // namespace furrow::data
