// What `--by` divides pictures by: fields of a table, joined by picture id.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "data/attributes.h"
#include "io/limits.h"

namespace furrow::apps {

// The value of a field for one picture as text: as it is named, else by the columns of known_field(). Numbers in their
// shortest form. Ids that are numbers join by value ("00042" and "42").
class AttributeTable {
 public:
  AttributeTable() = default;
  explicit AttributeTable(data::Attributes attributes);

  std::optional<std::string> value(const std::string& id, const std::string& field) const;
  // Throws ErrorCode::usage, with the nearest name, where no row has the field in any of its forms.
  void require_field(const std::string& field) const;
  size_t rows() const { return attributes_.rows().size(); }

 private:
  const data::AttributeValue* find(const std::string& id, const std::string& column) const;
  std::optional<std::string> of_column(const std::string& id, const std::string& column, bool without_sign) const;
  data::Attributes attributes_;
  std::map<std::string, std::string> by_number_;  // "42" -> "00042"
  std::vector<std::string> columns_;
};

// Reads `path`, of which only the ids in `only` are needed:
//   FOLDER       NNNNN.json as FFHQ-features has them (data/attributes.h)
//   FILE.json    {"ID": [faces]} of FFHQ-features; {"ID": {"field": value}}; or [{"id": ..., "field": value}]
//   other FILE   a CSV table: a header line, then a line per picture (data/attributes.h)
// Of lists and CSV the id is the column named id, image_number, image_id, image, file, filename, name or stem, or else
// the first; a path there counts by its stem. Objects within objects are fields with dots: "headPose.yaw". Errors name
// the file: ErrorCode::io, malformed, limit.
AttributeTable read_attributes(const std::string& path, const std::set<std::string>& only, const io::Limits& limits);

}  // namespace furrow::apps
