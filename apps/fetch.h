// Getting a file that is known by its hash, over the network with the system's curl or from a local copy.
#pragma once

#include <string>

#include "apps/manifest.h"

namespace furrow::apps {

// Thrown where a signal ended a download; its part file stays, and the same command goes on from there.
struct Interrupted {};

// Where fetched weights are kept: $FURROW_WEIGHTS, else $XDG_DATA_HOME/furrow/weights, else ~/.local/share/furrow/weights,
// else (no HOME) "weights" in the working directory.
std::string weights_folder();

// Size and SHA-256 of `path` against `known`; throws ErrorCode::checksum saying what differs. Returns the hash found.
std::string verify_file(const std::string& path, const PublishedFile& known);

// Copies `source` to folder/known.file after checking it; nothing is left behind where it does not match. Where no hash is
// known that is ErrorCode::usage, whose hint is the file's own.
std::string take_local(const std::string& source, const PublishedFile& known, const std::string& folder);

// Downloads known.origin to folder/known.file: resumes an earlier part file, checks size and hash, then renames. A file that
// fails the check is removed and an existing good one is kept. Needs `curl` on PATH. Errors: ErrorCode::io (network, disk,
// no curl; the hint says how to do it by hand), ErrorCode::checksum. A signal: Interrupted.
std::string download(const PublishedFile& known, const std::string& folder, bool progress);

}  // namespace furrow::apps
