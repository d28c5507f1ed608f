// `furrow prepare fetch`: published data sets and weights, by name.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/cli/report.h"
#include "io/limits.h"

namespace furrow::apps {

struct FetchOptions {
  std::vector<std::string> names;  // empty: list
  std::string folder;              // "": "data"; of weights weights_folder()
  std::string from, sha256, manifest, ids, metadata, size;
  int jobs = 4, tries = 5, stall_s = 60;
  int64_t limit = 0;  // photos at most; 0: all of `ids`
  bool list = false, unpack = false, force = false;
  io::Limits limits;
};

// Downloads what is named (apps/fetch.h), `jobs` files at once; finished files, those that are there and pass the
// check, are passed over. Licence and citation are printed for each name. Returns the exit status: 0; 130/143 after a
// signal. Errors: of one file its own; of several failures, all of them, under their common code, else ErrorCode::io.
// ErrorCode::limit where more than --size would come; ErrorCode::io where the disk is too full, before anything is
// fetched.
int prepare_fetch(const FetchOptions& options, const cli::Common& common);

}  // namespace furrow::apps
