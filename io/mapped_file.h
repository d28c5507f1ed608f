// MappedFile: the bytes of a regular file, mapped read-only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace furrow::io {

// Keeps its file mapped as long as it lives; tensors that point into it hold it as their owner.
// A file that another program shortens while it is mapped ends the process with SIGBUS when the lost part is touched.
// Photos arrive while they are still being written, so they are copied; weight files are mapped, since a copy of
// hundreds of megabytes would be the larger evil. check_unchanged() catches the change that has already happened, so
// call it once everything has been read.
class MappedFile {
 public:
  // Maps the whole of `path`. An empty file gives an empty span. Anything but a regular file (directory, FIFO, device,
  // socket) is refused with ErrorCode::io and without blocking; so is what the system refuses (its words are quoted).
  enum class Access : uint8_t { map, copy };
  static std::shared_ptr<MappedFile> open(const std::string& path, Access access = Access::map);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }

  // These bytes of the file, which lie in bytes(), are not read again soon: their pages need not stay in this process's
  // memory, and are read anew where they are. Nothing happens to a copy.
  void forget(std::span<const std::byte> part) const;

  // Throws ErrorCode::io ("changed while it was read") where size or modification time differ from those at open().
  void check_unchanged() const;

 private:
  MappedFile() = default;
  void fill(std::byte* to) const;
  std::string path_;
  int fd_ = -1;
  bool copy_ = false;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  int64_t modified_s_ = 0, modified_ns_ = 0;
};

}  // namespace furrow::io
