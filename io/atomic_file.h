// AtomicFile: a file that appears under its name whole and on disk, or not at all.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace furrow::io {

// Writes to a temporary file in the target's folder; commit() flushes it to disk, renames it over the target and
// flushes the folder. Without commit() the destructor removes it, so a full disk or an exception leaves nothing behind.
// The file gets the modes that the umask allows. A target that is a symbolic link is followed; one that exists and is
// no regular file is refused. Every failure is ErrorCode::io with the system's words and the target's name.
class AtomicFile {
 public:
  // overwrite = false: commit() refuses a target that exists by then.
  explicit AtomicFile(const std::string& path, bool overwrite = true);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  // Small pieces are gathered, so an error may come with a later one, at the latest with commit().
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }
  void commit();

 private:
  [[noreturn]] void fail(const char* doing) const;
  void write_through(std::span<const std::byte> bytes);
  void flush();
  std::string path_, target_, temporary_;
  std::vector<std::byte> gathered_;
  bool overwrite_;
  int fd_ = -1;
};

// The whole of `bytes` at once.
void write_file_atomically(const std::string& path, std::span<const std::byte> bytes, bool overwrite = true);

}  // namespace furrow::io
