// Taking turns with another program: furrow_gpu_bench --turns.
#pragma once

#include "bench/gpu/session.h"

namespace furrow::bench {

// Serves the words of turns.cc until standard input ends.
void take_turns(const Session& session);

}  // namespace furrow::bench
