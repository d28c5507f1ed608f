// The two halves of find_pairs(): names, then contents. Private to data/pairs.cc and its tests.
#pragma once

#include <string>
#include <vector>

#include "data/pairs.h"

namespace furrow::data {

struct Finding {
  std::string id;  // orders the report; "" comes first
  std::string text;
  Policy policy = Policy::refuse;
};

// A path as findings show it: whole where it is not absurdly long.
std::string shown(const std::string& path);

// Looks into the files of `pairs` as closely as `options.check` says, fills target_pixels and empty_masks, removes the
// pairs that cannot be used, and returns what was found.
std::vector<Finding> check_contents(const PairOptions& options, Pairing& pairing, ThreadPool* pool);

}  // namespace furrow::data
