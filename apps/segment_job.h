// Runs `furrow segment`: decode, compute and encode side by side, results written as they come, failures listed at the end.
#pragma once

#include "apps/cli/report.h"
#include "apps/segment_options.h"

namespace furrow::apps {

// Returns the exit status: 0; 10 where no input has a face; 130/143 after a signal (what was finished is complete).
// One photo: its own error is thrown. Several: the others go on, and ErrorCode::malformed lists those that failed.
// Photos of a folder whose results all exist, made of the same photo with the same settings, are skipped unless
// `force`; those of other settings are replaced, and pictures that an interrupted run left without their JSON are
// written again (segment_earlier.h). A photo named by itself is refused where a result exists.
int run_segment(const SegmentJob& job, const cli::Common& common);

}  // namespace furrow::apps
