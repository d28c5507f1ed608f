#include "apps/fetch.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "apps/cli/text.h"
#include "apps/transfer.h"
#include "data/strict_json.h"
#include "io/atomic_file.h"
#include "io/mapped_file.h"
#include "io/md5.h"
#include "io/sha256.h"
#include "kernels/error.h"

namespace furrow::apps {
namespace {

namespace fs = std::filesystem;

using cli::Text;

std::string by_hand(const PublishedFile& known, const std::string& folder, const std::string& command) {
  Text text;
  text << "to do it by hand, fetch " << known.origin;
  if (known.size) text << " (" << *known.size << " bytes" << (known.hash_text().empty() ? "" : ", ") << known.hash_text() << ")";
  if (known.by_id) return text << " and put it at " << folder << "/" << known.file;
  return text << " and run: furrow " << command << " " << known.name << " --from FILE -o " << folder;
}

void make_folder(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw Error(ErrorCode::io, "cannot create the folder: " + error.message()).file(folder);
}

// Holds the part file for this process alone; two downloads of one file would mix their bytes.
class PartLock {
 public:
  explicit PartLock(const std::string& part)
      : fd_(open((part + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666)), path_(part + ".lock") {
    if (fd_ < 0) throw Error(ErrorCode::io, std::string("cannot create: ") + std::strerror(errno)).file(path_);
    // The file must still be the one under this name: an earlier owner may have unlinked it in between.
    struct stat here = {}, there = {};
    const bool locked = flock(fd_, LOCK_EX | LOCK_NB) == 0 && fstat(fd_, &here) == 0 &&
                        stat(path_.c_str(), &there) == 0 && here.st_ino == there.st_ino;
    if (!locked) {
      close(fd_);
      throw Error(ErrorCode::io, "another download of this file is running").file(path_);
    }
  }
  ~PartLock() {
    unlink(path_.c_str());
    close(fd_);
  }
  PartLock(const PartLock&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
  std::string path_;
};

// A zip ends with its end record. All that can be said of one without length and hash.
void check_zip_end(const std::string& path) {
  constexpr size_t kRecord = 22, kComment = 0xFFFF;
  const auto map = io::MappedFile::open(path);
  const auto bytes = map->bytes();
  const size_t looked_at = std::min(bytes.size(), kRecord + kComment);
  const std::string_view tail(reinterpret_cast<const char*>(bytes.data() + bytes.size() - looked_at), looked_at);
  const size_t at = tail.rfind("PK\5\6");
  if (at == std::string_view::npos || tail.size() - at < kRecord)
    throw Error(ErrorCode::checksum, "a zip without its end: cut or damaged");
}

void flush(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool flushed = fd >= 0 && fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) close(fd);
  if (!flushed) throw Error(ErrorCode::io, std::string("cannot flush: ") + std::strerror(error)).file(path);
}

void record(const std::string& path, const PublishedFile& known) {
  if (!known.hash_text().empty()) return;
  const std::string line =
      Text() << io::sha256_hex(io::MappedFile::open(path)->bytes()) << "  " << fs::path(path).filename().string() << "\n";
  io::write_file_atomically(path + ".sha256", std::as_bytes(std::span(line.data(), line.size())));
}

}  // namespace

std::string weights_folder() {
  if (const char* folder = std::getenv("FURROW_WEIGHTS"); folder != nullptr && *folder != 0) return folder;
  if (const char* data = std::getenv("XDG_DATA_HOME"); data != nullptr && *data != 0)
    return std::string(data) + "/furrow/weights";
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != 0)
    return std::string(home) + "/.local/share/furrow/weights";
  return "weights";
}

std::string verify_file(const std::string& path, const PublishedFile& known) {
  const auto map = io::MappedFile::open(path);
  if (known.size && *known.size != map->bytes().size())
    throw Error(ErrorCode::checksum, "not the published " + known.name + ": " + std::to_string(map->bytes().size()) +
                                         " bytes instead of " + std::to_string(*known.size))
        .file(path);
  const bool by_md5 = known.sha256.empty() && !known.md5.empty();
  const std::string found = by_md5 ? io::md5_hex(map->bytes()) : io::sha256_hex(map->bytes());
  const std::string& wanted = by_md5 ? known.md5 : known.sha256.empty() ? known.sha256_prefix : known.sha256;
  if (!found.starts_with(wanted))
    throw Error(ErrorCode::checksum, "not the published " + known.name + (by_md5 ? ": md5 " : ": sha256 ") + found + " instead of " + wanted)
        .file(path);
  return found;
}

std::string recorded_hash(const std::string& path) {
  std::error_code none;
  if (!fs::exists(path + ".sha256", none)) return {};
  const std::string hash = data::read_text_within(path + ".sha256", 4096, "a recorded hash").substr(0, 64);
  if (hash.size() != 64 || hash.find_first_not_of("0123456789abcdef") != std::string::npos)
    throw Error(ErrorCode::malformed, "not a hash as sha256sum writes it").file(path + ".sha256");
  return hash;
}

std::string demanded_hash(std::string text, const PublishedFile& known) {
  for (char& c : text)
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  if (text.size() != 64 || text.find_first_not_of("0123456789abcdef") != std::string::npos)
    throw Error(ErrorCode::usage, "--sha256 " + printable(text) + ": not 64 hexadecimal digits");
  if (!text.starts_with(known.sha256.empty() ? known.sha256_prefix : known.sha256))
    throw Error(ErrorCode::usage, "--sha256: the manifest states another hash for " + known.name);
  return text;
}

std::string take_local(const std::string& source, const PublishedFile& known, const std::string& folder) {
  const std::string found = verify_file(source, known);
  if (known.hash_text().empty() && !known.data)
    throw Error(ErrorCode::usage, "the publisher of " + known.name + " states no hash, so the file cannot be checked")
        .file(source)
        .hint("if it is the file you mean, add --sha256 " + found);
  make_folder(folder);
  const std::string path = folder + "/" + known.file;
  io::write_file_atomically(path, io::MappedFile::open(source)->bytes());
  record(path, known);
  return path;
}

std::string download(const PublishedFile& known, const std::string& folder, const DownloadOptions& options) {
  const std::string path = folder + "/" + known.file, part = path + ".part";
  make_folder(fs::path(path).parent_path().string());
  const PartLock lock(part);
  std::error_code none;
  try {
    transfer(known, part, options, lock.fd());
    try {
      verify_file(part, known);
      if (known.hash_text().empty() && known.file.ends_with(".zip")) check_zip_end(part);
    } catch (const Error& error) {
      fs::remove(part, none);
      throw Error(error.code(), error.reason() + "; removed").file(known.origin);
    }
  } catch (Error& error) {
    if (!fs::exists(part, none)) fs::remove(part + ".head", none);
    error.set_file(known.origin);
    if (!error.hint_text().empty()) throw;
    throw Error(error).hint(by_hand(known, folder, options.command));
  }
  flush(part);
  std::error_code error;
  fs::rename(part, path, error);
  if (error) throw Error(ErrorCode::io, "cannot rename the finished download: " + error.message()).file(path);
  fs::remove(part + ".head", none);
  record(path, known);
  return path;
}

}  // namespace furrow::apps
