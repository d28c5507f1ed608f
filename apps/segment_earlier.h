// Results that lie in the folder already: which photos they make unnecessary, which may be replaced, and what must not
// be overwritten.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "apps/cli/inputs.h"
#include "apps/segment_options.h"
#include "apps/segment_origin.h"
#include "apps/segment_output.h"

namespace furrow::apps {

// What stands under the names of one photo's results.
struct Earlier {
  enum class State {
    none,       // no JSON: nothing, or pictures of an interrupted run
    foreign,    // a JSON that is none of ours
    unknown,    // ours, but of before results said what they were made of
    other,      // of another photo of that name
    outdated,   // of this photo with other settings, or of what the photo was before
    same,       // what this run would compute
  };
  State state = State::none;
  std::string file;        // where a JSON is looked for
  std::string json;        // same: the document, one line
  std::string made_of;     // other: that photo
  OutputPaths pictures;    // those the JSON names that are there; json empty
  int prob_bits = 0;       // of the probability picture among them

  bool ours() const { return state >= State::unknown; }
};

// `files` names everything that can be saved, asked for or not.
Earlier find_earlier(const OutputPaths& files, const Origin& origin);

// Whether everything asked for is there, left by an earlier run of the same command: of a folder, or of a shard, which
// is there to be started again. A photo without a face has its JSON alone. Never with --force.
bool finished_before(const SegmentJob& job, const cli::Input& input, const OutputPaths& asked, const Earlier& earlier);

// Whether writing replaces a result of this photo that was made otherwise, without being told to by --force.
bool replaces(const SegmentJob& job, const cli::Input& input, const Earlier& earlier);

// Whether `asked` has pictures that an interrupted run left without their JSON, which a photo of a folder overwrites.
bool has_leftovers(const SegmentJob& job, const cli::Input& input, const OutputPaths& asked, const Earlier& earlier);

// ErrorCode::usage where a result of `input` exists, unless --force is given or the run goes on with a folder, in which
// the photo's own results and what an interrupted run left may be overwritten; and where it would overwrite one of
// `inputs` (canonical paths) in any case.
void refuse_overwriting(const SegmentJob& job, const cli::Input& input, const OutputPaths& asked,
                        const Earlier& earlier, const std::set<std::string>& inputs);

// Whether writing leaves other contents than a shard that was finished before knew.
bool changes_results(const OutputPaths& asked, const Earlier& earlier);

// What write_outputs() has to know. Stale are the pictures of a result that is written anew without them, which would
// show something else than its JSON says.
Replaced replaced_by(const SegmentJob& job, const cli::Input& input, const OutputPaths& asked, const Earlier& earlier,
                     const std::set<std::string>& inputs);

}  // namespace furrow::apps
