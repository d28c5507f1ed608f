#include "apps/prepare/fetch_unpack.h"

#include <algorithm>
#include <filesystem>

#include "apps/cli/signals.h"
#include "io/atomic_file.h"
#include "io/mapped_file.h"
#include "io/zip.h"
#include "kernels/error.h"

namespace furrow::apps {

Unpacked unpack(const std::string& zip, const std::string& folder, const std::string& top, const io::Limits& limits) {
  namespace fs = std::filesystem;
  return with_file(zip, [&] {
    const auto map = io::MappedFile::open(zip);
    const io::ZipArchive archive(map->bytes(), limits);
    const auto other = [](const io::ZipEntry& entry) {
      return entry.name.starts_with("__MACOSX/") || entry.name.ends_with('/');
    };
    const bool has_top = std::ranges::all_of(archive.entries(), [&](const io::ZipEntry& entry) {
      return other(entry) || entry.name.starts_with(top + "/");
    });
    Unpacked out;
    for (const io::ZipEntry& entry : archive.entries()) {
      if (cli::interrupted() != 0) break;
      if (other(entry)) continue;
      const std::string path = folder + "/" + (has_top ? "" : top + "/") + std::string(entry.name);
      std::error_code error;
      fs::create_directories(fs::path(path).parent_path(), error);
      if (error) throw Error(ErrorCode::io, "cannot create the folder: " + error.message()).file(path);
      const io::ZipData content = archive.read(entry);
      if (fs::exists(path, error)) {
        if (!std::ranges::equal(io::MappedFile::open(path)->bytes(), content.bytes))
          throw Error(ErrorCode::usage, "exists, and is not what the zip has").file(path).hint("move it away");
        ++out.before;
        continue;
      }
      io::write_file_atomically(path, content.bytes, /*overwrite=*/false);
      ++out.files;
    }
    return out;
  });
}

}  // namespace furrow::apps
