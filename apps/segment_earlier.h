// Results that lie in the folder already: which photos they make unnecessary, and what must not be overwritten.
#pragma once

#include <set>
#include <string>

#include "apps/cli/inputs.h"
#include "apps/segment_options.h"
#include "apps/segment_output.h"

namespace furrow::apps {

// Whether everything asked for is there, left by an earlier run of the same command: of a folder, or of a shard, which
// is there to be started again. Where JSON is asked for it must be ours; a photo without a face has no other file.
// Never with --force.
bool finished_before(const SegmentJob& job, const cli::Input& input, const OutputPaths& files);

// ErrorCode::usage where a result of `input` exists, unless --force is given or an interrupted run of the same command
// left it; and where it would overwrite one of `inputs` (canonical paths) in any case.
void refuse_overwriting(const SegmentJob& job, const cli::Input& input, const OutputPaths& files,
                        const std::set<std::string>& inputs);

}  // namespace furrow::apps
