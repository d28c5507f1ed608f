// How the program speaks: results to stdout, everything else to stderr, errors on one line with their exit status.
#pragma once

#include <string>
#include <string_view>

#include "kernels/error.h"

namespace furrow::cli {

// Options every verb shares.
struct Common {
  bool json = false;    // machine-readable results and errors on stdout
  bool quiet = false;   // no progress, no notes
};

// Prints `error` as the contract asks (docs/errors.md): one line on stderr and at most 18 indented ones; with json one
// object {"error":{code,exit,file,byte,entry,reason,limit,found,hint,details}} on stdout instead. Returns the exit status.
int report(const Error& error, const Common& common);

// {"error":{...}} as above, on one line without a newline.
std::string error_json(const Error& error);

// A note on stderr: "furrow: TEXT". Silent when quiet.
void note(const Common& common, std::string_view text);

// Writes to stdout and checks that it arrived; a closed or full stdout is ErrorCode::io.
void print(std::string_view text);

}  // namespace furrow::cli
