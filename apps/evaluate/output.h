// The texts an evaluation becomes: evaluate.json, per_image.csv, groups.csv, and the table on standard output.
#pragma once

#include <optional>
#include <string>

#include "apps/evaluate/record.h"
#include "apps/evaluate/summary.h"

namespace furrow::apps {

// Schema "furrow.evaluate/1" (docs/metrics.md); null for what is undefined. `indent`: spaces, or -1 for one line.
std::string summary_json(const Record& record, const Summary& summary, int indent);
// "n/a" for what is undefined; quoted as RFC 4180 asks.
std::string pictures_csv(const Record& record);
std::string groups_csv(const Summary& summary);
// For people. With `sweep` also one line per threshold.
std::string summary_text(const Record& record, const Summary& summary, bool sweep);

// "0.3412", "n/a".
std::string short_number(const std::optional<double>& value);
// "0.3412 [0.3190, 0.3625]".
std::string short_number(const Measured& measured);

}  // namespace furrow::apps
