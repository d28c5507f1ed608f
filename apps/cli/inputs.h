// Which photos a command line names, and what their results are called.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace furrow::cli {

struct Input {
  std::string path;       // "-" for standard input
  std::string base;       // results are OUT/base.mask.png and so on; may hold folders
  bool from_folder = false;   // found by walking a folder: finished ones are skipped, not refused
};

// What the JSON of a result says first: `{"schema":"furrow.segment/1"`.
inline constexpr const char* kResultSchema = "furrow.segment/1";
inline constexpr uint64_t kResultBytes = uint64_t{16} << 20;  // a face takes half a kilobyte

// Whether `path` is a regular file that begins so.
bool begins_with(const std::string& path, const std::string& begin);

// Which files of a folder are photos; files named by themselves are judged by what is in them.
inline constexpr const char* kPhotoSuffixes = ".png .jpg .jpeg .jpe .jfif";

// Files of folders that were passed over for their suffix: "heic" and how many, "no suffix". What Furrow wrote does not
// count, a file that is reached twice counts once, and one that is named by itself is an input.
using OtherFiles = std::map<std::string, int64_t>;
// "3 files of other types (heic 2, webp 1)"; "" where there are none.
std::string other_files_text(const OtherFiles& others);

// Expands the words of a command line, in order:
//   FILE     itself
//   FOLDER   all files with kPhotoSuffixes (any case) below it, sorted, hidden files and symlinked folders left out
//   @LIST    one path per line (empty lines skipped), relative to the working directory; a list names no lists
//   -        standard input, called "stdin"
// The same file named twice is kept once. The base of a file is its name without the extension, with its path below
// FOLDER; the folder `results` is left out when it lies in a FOLDER, and *.mask.png, *.prob.png and *.overlay.png are
// where it is the FOLDER and where the JSON of a result beside them names them: X.json X.mask.png. Where two inputs
// would share a base, all of them keep their extension, and a number is added if still needed.
// A file that does not exist, or is none, stays in the list, and reading it will fail. Errors: ErrorCode::io for a folder or list that
// cannot be read, ErrorCode::malformed for a list that is none, ErrorCode::usage where nothing is left.
std::vector<Input> expand_inputs(const std::vector<std::string>& words, const std::string& results,
                                 OtherFiles* others = nullptr);

}  // namespace furrow::cli
