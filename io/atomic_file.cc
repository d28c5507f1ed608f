#include "io/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "kernels/error.h"

namespace furrow::io {
namespace {

std::string folder_of(const std::string& path) {
  const size_t cut = path.find_last_of('/');
  if (cut == std::string::npos) return ".";
  return cut == 0 ? "/" : path.substr(0, cut);
}

// The file that `path` means once symbolic links are followed; `path` itself where it does not exist yet.
std::string resolve(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> real(::realpath(path.c_str(), nullptr), std::free);
  return real ? std::string(real.get()) : path;
}

}  // namespace

void AtomicFile::fail(const char* doing) const {
  throw Error(ErrorCode::io, std::string("cannot ") + doing + ": " + std::strerror(errno)).file(path_);
}

AtomicFile::AtomicFile(const std::string& path, bool overwrite)
    : path_(path), target_(resolve(path)), overwrite_(overwrite) {
  struct stat info {};
  if (::stat(target_.c_str(), &info) == 0) {
    if (!S_ISREG(info.st_mode)) throw Error(ErrorCode::io, "exists and is not a regular file").file(path_);
    errno = EEXIST;
    if (!overwrite_) fail("write");
  }
  static std::atomic<unsigned> counter{0};
  for (int attempt = 0; attempt < 100 && fd_ < 0; ++attempt) {
    temporary_ =
        folder_of(target_) + "/.furrow-" + std::to_string(::getpid()) + "-" + std::to_string(counter++) + ".tmp";
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd_ < 0 && errno != EEXIST) break;
  }
  if (fd_ < 0) fail("create");
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  require(fd_ >= 0, "AtomicFile::write before commit");
  constexpr size_t kGathered = size_t{64} << 10;
  if (gathered_.size() + bytes.size() > kGathered) flush();
  if (bytes.size() > kGathered)
    write_through(bytes);
  else
    gathered_.insert(gathered_.end(), bytes.begin(), bytes.end());
}

void AtomicFile::flush() {
  write_through(gathered_);
  gathered_.clear();
}

void AtomicFile::write_through(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t done = ::write(fd_, bytes.data(), std::min<size_t>(bytes.size(), size_t{1} << 30));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) fail("write");
    bytes = bytes.subspan(static_cast<size_t>(done));
  }
}

void AtomicFile::commit() {
  require(fd_ >= 0, "AtomicFile::commit once");
  flush();
  if (::fsync(fd_) != 0) fail("flush");
  const int closed = ::close(fd_);
  fd_ = -1;
  if (closed != 0) fail("close");
  // link() is the rename that does not replace; it fails where the target has appeared meanwhile.
  if (overwrite_ ? ::rename(temporary_.c_str(), target_.c_str()) != 0
                 : ::link(temporary_.c_str(), target_.c_str()) != 0)
    fail("write");
  if (!overwrite_) ::unlink(temporary_.c_str());
  temporary_.clear();
  // The data is in place; a folder that cannot be flushed (some network file systems) is no reason to fail.
  const int folder = ::open(folder_of(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    ::fsync(folder);
    ::close(folder);
  }
}

void write_file_atomically(const std::string& path, std::span<const std::byte> bytes, bool overwrite) {
  AtomicFile file(path, overwrite);
  file.write(bytes);
  file.commit();
}

}  // namespace furrow::io
