// `furrow model audit`: another program's training steps again, beside what it kept of them.
#pragma once

#include <string>

#include "apps/cli/report.h"
#include "io/limits.h"

namespace furrow::apps {

struct AuditOptions {
  std::string model;     // the weights that the dump started from
  std::string backward;  // the dump (train/audit_dump.h)
  std::string device = "cpu";
  int threads = 0;  // 0: all usable processors
};

// Prints a table of every array, or with --json one object "furrow.audit/1". Returns 0 where everything agrees.
// Otherwise throws ErrorCode::different that names the first array that departs; with --json that error stands in the
// object, and its status is returned. Errors: those of the readers and of train::audit_backward(); ErrorCode::device,
// ErrorCode::usage.
int audit_model(const AuditOptions& options, const io::Limits& limits, const cli::Common& common);

}  // namespace furrow::apps
