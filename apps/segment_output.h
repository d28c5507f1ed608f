// The files and lines that one photo's result becomes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "apps/cli/inputs.h"
#include "apps/segment_options.h"
#include "apps/segment_origin.h"
#include "segment/segmenter.h"

namespace furrow::apps {

// Paths of the results of one input under job.out, empty for what is not saved.
struct OutputPaths {
  std::string mask, prob, overlay, json;
  std::vector<std::string> all() const;   // those that are not empty
};
OutputPaths output_paths(const SegmentJob& job, const cli::Input& input);
// The same as if everything was saved.
OutputPaths possible_paths(const SegmentJob& job, const cli::Input& input);
// 8 or 16, of the probability picture; 0 where none is asked for.
int probability_bits(const SegmentJob& job);

// What is known of one photo when it is written down.
struct PhotoResult {
  const cli::Input& input;
  const io::Picture& picture;
  const SegmentResult& result;
  const ModelInfo& model;
  std::string device;
  double decode_milliseconds = 0;
  const Origin& origin;
  OutputPaths kept;   // pictures of an earlier run that show this very result: listed beside those that are written
  int prob_bits = 0;  // of the probability picture, written or kept
};

// The JSON of one photo, schema "furrow.segment/1" (docs/results.md), one line without a newline. `files` are listed.
std::string result_json(const PhotoResult& photo, const OutputPaths& files);
// The JSON of one photo as result_json() made it, from its file. Errors name the file: ErrorCode::io,
// ErrorCode::malformed for a file that is none, ErrorCode::limit above kResultBytes.
std::string read_result_json(const std::string& path);
using cli::kResultBytes;
// Whether such a text is that of a photo without a face.
bool says_no_face(std::string_view json);
// One sentence for people.
std::string result_sentence(const PhotoResult& photo);

// What lies there of an earlier run (segment_earlier.h: replaced_by()).
struct Replaced {
  std::vector<std::string> named, stale;  // pictures that its JSON names; those among them that go
  bool json_stays = false;                // what its JSON says stays true while this result is written
  bool compared = false;                  // a picture that it does not name may be this very one, and else stays
};
// Encodes and writes every file of `files` atomically; with status no_face the JSON alone. Encoders run on `pool`.
// A JSON that does not stay true goes first, then pictures that are stale, and without a face all that it named:
// whenever this is cut short, no JSON says of pictures what they are not. One that stays true is never lost: the new
// one is renamed over it, and where that fails, pictures that were not there go again. Returns the pictures that lie
// under names of results, of a photo without a face, and that no JSON named: they are left.
std::vector<std::string> write_outputs(const PhotoResult& photo, const OutputPaths& files, const Replaced& replaced,
                                       ThreadPool* pool);
// A picture of the first crop with its marks, about 72 columns wide, for the terminal.
std::string result_preview(const PhotoResult& photo);

}  // namespace furrow::apps
