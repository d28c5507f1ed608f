// What `furrow segment` was asked to do.
#pragma once

#include <string>
#include <vector>

#include "apps/shard.h"
#include "io/limits.h"
#include "io/picture.h"
#include "segment/segmenter.h"

namespace furrow::apps {

struct SegmentJob {
  std::vector<std::string> inputs;
  std::string out = "out";
  std::string weights;                      // empty: the model compiled in
  // A label map for the one photo, a folder of NAME.png, "auto" (of `parser`), or "none".
  std::string labels = "none";
  std::string parser, parser_sha256;        // weights of a face parser, for "auto"; its hash once it is loaded
  ComputeOptions compute;
  bool save_mask = true, save_prob = false, save_overlay = true, save_json = true;
  bool force = false, preview = false;
  Shard shard;                              // of the inputs in their order
  bool merge = false;                       // add up the shards in `out`, in place of inputs
  io::Background background = io::Background::drop;
  SegmentOptions options;
  io::Limits limits;
};

}  // namespace furrow::apps
