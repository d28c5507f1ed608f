#include "train/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "kernels/error.h"

namespace furrow::train {

LogFile::LogFile(const std::string& path) : path_(path) {
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  struct stat info {};
  if (fd_ < 0 || ::fstat(fd_, &info) != 0) {
    const std::string why = std::strerror(errno);
    if (fd_ >= 0) ::close(fd_);
    throw Error(ErrorCode::io, "cannot open the log: " + why).file(path);
  }
  bytes_ = static_cast<uint64_t>(info.st_size);
}

LogFile::~LogFile() { ::close(fd_); }

bool LogFile::append(std::string_view entry) {
  size_t done = 0;
  while (done < entry.size()) {
    const ssize_t wrote = ::write(fd_, entry.data() + done, entry.size() - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) {
      error_ = wrote < 0 ? std::strerror(errno) : "nothing was written";
      ++lost_;
      // Half an entry would spoil the next one. What cannot be cut is a pipe or /dev/full, where nothing can be saved.
      [[maybe_unused]] const int cut = ::ftruncate(fd_, static_cast<off_t>(bytes_));
      return false;
    }
    done += static_cast<size_t>(wrote);
  }
  bytes_ += entry.size();
  return true;
}

bool LogFile::sync() {
  if (::fdatasync(fd_) == 0) return true;
  error_ = std::strerror(errno);
  return false;
}

bool LogFile::cut_to(uint64_t bytes) {
  if (bytes > bytes_) return false;
  if (bytes < bytes_ && ::ftruncate(fd_, static_cast<off_t>(bytes)) != 0)
    throw Error(ErrorCode::io, std::string("cannot cut the log: ") + std::strerror(errno)).file(path_);
  bytes_ = bytes;
  return true;
}

}  // namespace furrow::train
