// `furrow segment --shard I/N` and `--merge`: what a shard leaves beside its photos' results, and how they add up.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/cli/inputs.h"
#include "apps/cli/report.h"
#include "apps/segment_options.h"
#include "segment/model.h"

namespace furrow::apps {

// What became of one photo of a shard.
struct ShardPhoto {
  size_t place = 0;               // in the order of all inputs
  std::string file, json;         // the photo; its result's JSON below the folder, "" where none was asked for
  bool faceless = false;          // known where JSON is not asked for; else the JSON says it
  std::string error_line, error;  // of a photo that failed: Error::line(), and the error as JSON
};

// A digest of all inputs in their order: shards of one list belong together.
std::string inputs_digest(const std::vector<cli::Input>& inputs);

// Every count-th input from the index-th on.
std::vector<cli::Input> inputs_of_shard(const std::vector<cli::Input>& inputs, const Shard& shard);

// OUT/segment-shard-I-of-N.json, schema "furrow.segment-shard/1", written atomically when all photos of the shard are
// done or have failed; before it is begun anew, the file of an earlier run goes. `all`: how many inputs there are.
std::string segment_shard_file(const SegmentJob& job);
void forget_shard(const SegmentJob& job);
// Removes the files of all finished shards in `folder`, of any division; returns how many there were.
int64_t forget_all_shards(const std::string& folder);
void write_shard(const SegmentJob& job, size_t all, const std::string& digest, const ModelInfo& model,
                 const std::vector<ShardPhoto>& photos);

// Reads the files of all shards in job.out and reports as one process would have: with --json the line of each photo's
// JSON and of each failure, in the order of the inputs, else the counts. Its exit status and errors are
// run_segment()'s. ErrorCode::usage where shards are missing (each on a line with the words that finish it) or are not
// of one list or of the same options, or where a photo's JSON has other settings than its shard by now (those of its
// label map are its own); ErrorCode::malformed for a file that is none; ErrorCode::limit, before it is read, for one of more than
// 64 MiB (a photo takes some 200 bytes).
int merge_segment(const SegmentJob& job, const cli::Common& common);

}  // namespace furrow::apps
