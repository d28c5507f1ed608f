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

// The hash that the user demands with --sha256. Throws ErrorCode::usage where it is not 64 hexadecimal digits, or another
// than the manifest's.
std::string demanded_hash(std::string text, const PublishedFile& known);

// Copies `source` to folder/known.file after checking it; nothing is left behind where it does not match. Where no hash is
// known: of data, the file's own is recorded; otherwise that is ErrorCode::usage, whose hint is the file's own.
std::string take_local(const std::string& source, const PublishedFile& known, const std::string& folder);

// The hash that an earlier download of folder/known.file recorded beside it (NAME.sha256, as sha256sum writes it) where the
// publisher states none; "" where there is none.
std::string recorded_hash(const std::string& path);

struct DownloadOptions {
  bool progress = false;   // curl's bar
  int tries = 1;           // at what may pass: broken and stalled transfers, HTTP 408, 429, 5xx; waiting 1, 2, 4 ... 30 s
  int stall_s = 60;        // a try that moves less than 1000 bytes a second for so long is given up
  uint64_t most = 0;       // bytes at most, where known.size is not known; 0: no bound
  std::string command = "model get";  // of the instructions to do it by hand
};

// Downloads known.origin to folder/known.file (folders in it are made): resumes an earlier part file, checks size and
// hash, then flushes and renames. A file that fails the check is removed and an existing good one is kept. Where no hash is
// known its own is recorded. Needs `curl` on PATH. Google Drive's confirmation page is answered (apps/drive.h).
// A part file is resumed where a hash is known, or where the server still sends what it sent (ETag, Last-Modified, length).
// Errors: ErrorCode::io (network, disk, no curl; the hint says how to do it by hand), ErrorCode::limit (more than `most`),
// ErrorCode::checksum. A signal: Interrupted.
std::string download(const PublishedFile& known, const std::string& folder, const DownloadOptions& options);

}  // namespace furrow::apps
