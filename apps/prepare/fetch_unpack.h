// A zip that was fetched, into files.
#pragma once

#include <cstdint>
#include <string>

#include "io/limits.h"

namespace furrow::apps {

struct Unpacked {
  int64_t files = 0, before = 0;
};

// Writes the files of `zip` below folder/top; a single folder `top` that the zip has of its own is not doubled. The zip
// is read strictly (io/zip.h): nothing absolute, no "..", no second entry of a name, no password, every CRC. Entries
// are written as plain files whatever they are marked as, so a link becomes a file with the name of its target in it. A
// file that exists with the same bytes is finished; with others it is refused (ErrorCode::usage). __MACOSX is left out.
// A signal ends it: see cli::interrupted(). Errors: those of ZipArchive, ErrorCode::io.
Unpacked unpack(const std::string& zip, const std::string& folder, const std::string& top, const io::Limits& limits);

}  // namespace furrow::apps
