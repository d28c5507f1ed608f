// report.html: what a run did, in one file that needs no other.
#pragma once

#include <string>

namespace furrow::train {

// Writes `folder`/report.html (atomically) from what lies there: run.json as a table, metrics.jsonl as curves (loss and
// its parts, scores, learning rate, gradient norm), the pictures of overlays/ that belong to the newest epoch, and the
// warnings of metrics.jsonl. Lines that are no JSON are passed over. ErrorCode::io where it cannot be written.
void write_report(const std::string& folder, const std::string& title);

}  // namespace furrow::train
