// Which part of the inputs this process works on: asked for, or because it is one of several.
#pragma once

#include <string>

#include "apps/cli/report.h"

namespace furrow::apps {

struct Shard {
  int index = 1, count = 1;  // index from 1
};

// "2/4". ErrorCode::usage for anything else, and where it is no part of a whole.
Shard parse_shard(const std::string& text);
// parse_shard() of what --shard says; where it says nothing, the rank and the number of processes of an mpirun or srun,
// with a note that says so; else the whole.
Shard shard_of(const std::string& text, const cli::Common& common);
std::string to_string(const Shard& shard);  // "2/4"

}  // namespace furrow::apps
