// One file in, one file out, for all pictures of a folder: what `furrow prepare align`, `mask`, `collect` and
// `texture` share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "apps/cli/inputs.h"
#include "apps/cli/report.h"
#include "io/limits.h"
#include "kernels/threads.h"

namespace furrow::apps {

struct FolderOptions {
  std::vector<std::string> inputs;  // words of the command line, as cli::expand_inputs() takes them
  std::string out;                  // the folder of the results
  int threads = 0;                  // 0: all usable processors
  bool force = false;               // overwrite results; nothing counts as finished
  io::Limits limits;
};

// What one command makes of one file. Called from several threads at once.
class FileWork {
 public:
  virtual ~FileWork() = default;
  // The result's name below `out`.
  virtual std::string result(const cli::Input& input) const { return input.base + ".png"; }
  // False: this file has nothing to go with it. It is passed over and listed.
  virtual bool wanted(const cli::Input&) const { return true; }
  // Whether `path`, which exists, is this file's result as far as its size tells. Throws as make() does.
  virtual bool fits(const cli::Input& input, const std::string& path) const = 0;
  // The bytes of the result.
  virtual std::vector<std::byte> make(const cli::Input& input) const = 0;
  // What else is to be listed, given all inputs: a key of the JSON and its paths.
  virtual std::map<std::string, std::vector<std::string>> more(const std::vector<cli::Input>&) const { return {}; }

  std::string command;   // "mask"
  std::string settings;  // in words; results of other settings are refused, not mixed
  std::string without;   // "without a label map"
  bool one_of_a_name = false;  // photos of one file name, in whatever folders, are refused
  std::string partners;        // a folder of masks or label maps: no photos, should it lie within the photos' folder
};

// Runs `work` over all inputs in parallel, prints what was done, and returns the exit status: 0; 130/143 after a
// signal, when what was finished is complete and the same command goes on.
//   Results appear whole under their names or not at all. `out`/prepare.json says what made them.
//   A file of a folder whose result exists and fits, where prepare.json names the same settings, is finished before;
//   any other result that exists is an error of its file, unless `force`.
// Results without a prepare.json are refused, unless `force`: nobody knows what made them.
// Errors: ErrorCode::malformed that lists every file that failed (the others are done), or of one file named by itself
// its own; ErrorCode::usage where `out` holds results of other settings, and where no file is wanted.
int run_folder(const FolderOptions& options, const FileWork& work, const cli::Common& common);

// Files below a folder (folders in it too, hidden ones left out) by stem, those of the given suffixes in any case.
using FilesByStem = std::map<std::string, std::vector<std::string>>;
FilesByStem files_by_stem(const std::string& folder, const std::vector<std::string>& suffixes);

// "stem" of "a/b/stem.png".
std::string stem_of(const std::string& path);

// What became of a file: worked on; passed over, which costs nothing; failed.
enum class FileEnd : uint8_t { worked, passed, failed };
// body(0 .. files-1) on `pool`, with progress; none are begun after a signal.
void for_files(ThreadPool& pool, size_t files, const char* what, const cli::Common& common,
               const std::function<FileEnd(size_t)>& body);

// Runs `body`. The line of the Error that leaves it, which names `path` where it names no file; "" where none does.
std::string failure_of(const std::string& path, const std::function<void()>& body);

// Throws ErrorCode::usage where `path` exists, unless `force`.
void refuse_existing(const std::string& path, bool force);

// "3 photos", "1 photo".
std::string count_text(int64_t n, const std::string& what);

}  // namespace furrow::apps
