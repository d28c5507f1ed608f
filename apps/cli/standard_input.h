// Standard input as bytes.
#pragma once

#include <cstddef>
#include <vector>

namespace furrow::cli {

// Reads to the end, at most 1 GiB; throws ErrorCode::limit beyond, ErrorCode::io where reading fails or a
// signal ends the wait (apps/cli/signals.h).
std::vector<std::byte> read_standard_input();

}  // namespace furrow::cli
