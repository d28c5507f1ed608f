// CheckpointStore: which file is which, and in what order they change.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "io/atomic_file.h"
#include "train/checkpoint.h"

namespace furrow::train {
namespace {

// Makes `to` a second name of the file `from`, replacing it atomically. False where the file system has no hard links.
bool replace_by_link(const std::string& from, const std::string& to, const std::string& folder) {
  const std::string temporary = folder + "/.furrow-" + std::to_string(::getpid()) + "-link.tmp";
  ::unlink(temporary.c_str());
  if (::link(from.c_str(), temporary.c_str()) != 0) {
    if (errno == EPERM || errno == EOPNOTSUPP || errno == EMLINK || errno == ENOSYS) return false;
    throw Error(ErrorCode::io, std::string("cannot link: ") + std::strerror(errno)).file(from);
  }
  if (::rename(temporary.c_str(), to.c_str()) != 0) {
    const int why = errno;
    ::unlink(temporary.c_str());
    throw Error(ErrorCode::io, std::string("cannot replace: ") + std::strerror(why)).file(to);
  }
  // Where both were one file already, rename() leaves the temporary name behind (POSIX).
  ::unlink(temporary.c_str());
  return true;
}

// As in AtomicFile: a folder that cannot be flushed is no reason to fail.
void flush_folder(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

}  // namespace

void CheckpointStore::save(const Snapshot& snapshot) {
  // A damaged `last` must not take the place of the whole one before it.
  if (last_is_whole_ && exists(last_path())) replace_by_link(last_path(), previous_path(), folder_);
  write_snapshot(last_path(), snapshot);
  last_is_whole_ = true;
}

void CheckpointStore::mark_best(const Snapshot& snapshot) {
  if (last_is_whole_ && replace_by_link(last_path(), best_path(), folder_))
    flush_folder(folder_);
  else
    write_snapshot(best_path(), snapshot);
}

CheckpointStore::Found CheckpointStore::newest(const io::Limits& limits) {
  if (!exists(last_path()) && !exists(previous_path()))
    throw Error(ErrorCode::io, "holds no checkpoint to go on from").file(folder_);
  Found found;
  last_is_whole_ = false;
  try {
    found.snapshot = read_snapshot(last_path(), limits);
    found.path = last_path();
    last_is_whole_ = true;
    return found;
  } catch (const Error& error) {
    if (!exists(previous_path())) throw;
    found.warnings.push_back(error.line());
  }
  found.snapshot = read_snapshot(previous_path(), limits);
  found.path = previous_path();
  found.warnings.push_back("going on from the checkpoint before it");
  return found;
}

}  // namespace furrow::train
