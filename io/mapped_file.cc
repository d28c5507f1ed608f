#include "io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "kernels/checked.h"
#include "kernels/error.h"

namespace furrow::io {
namespace {

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw Error(ErrorCode::io, what).file(path);
}

std::string kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a folder";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

}  // namespace

std::shared_ptr<MappedFile> MappedFile::open(const std::string& path, Access access) {
  if (path.find('\0') != std::string::npos) refuse(path, "a file name with a zero byte in it");
  std::shared_ptr<MappedFile> file(new MappedFile);
  file->path_ = path;
  // O_NONBLOCK: opening a FIFO without a writer must not wait.
  file->fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (file->fd_ < 0) refuse(path, std::string("cannot open: ") + std::strerror(errno));
  struct stat info {};
  if (::fstat(file->fd_, &info) != 0) refuse(path, std::string("cannot examine: ") + std::strerror(errno));
  if (!S_ISREG(info.st_mode)) refuse(path, "is " + kind_of(info.st_mode) + ", not a regular file");
  file->size_ = Checked::from_signed(info.st_size).size();
  file->modified_s_ = info.st_mtim.tv_sec;
  file->modified_ns_ = info.st_mtim.tv_nsec;
  if (file->size_ == 0) return file;
  const bool copy = file->copy_ = access == Access::copy;
  void* data = ::mmap(nullptr, file->size_, copy ? PROT_READ | PROT_WRITE : PROT_READ,
                      copy ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_PRIVATE, copy ? -1 : file->fd_, 0);
  if (data == MAP_FAILED) refuse(path, std::string("cannot map: ") + std::strerror(errno));
  file->data_ = static_cast<const std::byte*>(data);
  if (copy) file->fill(static_cast<std::byte*>(data));
  return file;
}

void MappedFile::fill(std::byte* to) const {
  for (size_t done = 0; done < size_;) {
    const ssize_t got = ::pread(fd_, to + done, size_ - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) refuse(path_, std::string("cannot read: ") + std::strerror(errno));
    if (got == 0) refuse(path_, "changed while it was read");
    done += static_cast<size_t>(got);
  }
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
  if (fd_ >= 0) ::close(fd_);
}

void MappedFile::forget(std::span<const std::byte> part) const {
  if (copy_ || part.empty()) return;
  static const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  require(part.data() >= data_ && part.data() + part.size() <= data_ + size_, "MappedFile::forget: other bytes");
  const size_t begin = static_cast<size_t>(part.data() - data_) / page * page;
  const auto end = static_cast<size_t>(part.data() + part.size() - data_);
  ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);  // advice: it may be refused
}

void MappedFile::check_unchanged() const {
  struct stat info {};
  if (::fstat(fd_, &info) != 0) refuse(path_, std::string("cannot examine: ") + std::strerror(errno));
  if (static_cast<uint64_t>(info.st_size) != size_ || info.st_mtim.tv_sec != modified_s_ ||
      info.st_mtim.tv_nsec != modified_ns_)
    refuse(path_, "changed while it was read");
}

}  // namespace furrow::io
