#include "train/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "kernels/error.h"

namespace furrow::train {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const std::string& doing, const std::string& path, const std::error_code& error) {
  throw Error(ErrorCode::io, "cannot " + doing + ": " + error.message()).file(path);
}

void make_folder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) refuse("create the folder", path, error);
}

// What AtomicFile and CheckpointStore name their temporary files.
bool is_temporary(const std::string& name) { return name.starts_with(".furrow-") && name.ends_with(".tmp"); }

void remove_temporaries(const std::string& folder) {
  std::error_code error;
  std::vector<fs::path> stale;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (is_temporary(it->path().filename().string())) stale.push_back(it->path());
  if (error) refuse("list the folder", folder, error);
  for (const fs::path& path : stale)
    if (!fs::remove(path, error) && error) refuse("remove a stale file", path.string(), error);
}

// Takes the lock of a run; the descriptor holds it until it is closed, by the end of the process at the latest.
int take_lock(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) throw Error(ErrorCode::io, std::string("cannot create the lock: ") + std::strerror(errno)).file(path);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int why = errno;
    char holder[32] = {};
    const ssize_t length = ::pread(fd, holder, sizeof holder - 1, 0);
    ::close(fd);
    if (why != EWOULDBLOCK) throw Error(ErrorCode::io, std::string("cannot lock: ") + std::strerror(why)).file(path);
    throw Error(ErrorCode::io, "another trainer is at work in this folder" +
                                   (length > 0 ? " (process " + printable(holder) + ")" : std::string()))
        .file(path)
        .hint("wait for it, or choose another folder");
  }
  // For the message above only: what cannot be written is no obstacle.
  const std::string own = std::to_string(::getpid());
  [[maybe_unused]] const bool named =
      ::ftruncate(fd, 0) == 0 && ::pwrite(fd, own.data(), own.size(), 0) == static_cast<ssize_t>(own.size());
  return fd;
}

// A run begins with its first checkpoint: what a trainer left that never got so far can be started afresh.
bool holds_run(const std::string& path) {
  std::error_code error;
  return fs::exists(path + "/checkpoints/last.safetensors", error) ||
         fs::exists(path + "/checkpoints/previous.safetensors", error);
}

}  // namespace

std::string json_line(const LogFields& fields) {
  nlohmann::ordered_json line = nlohmann::ordered_json::object();
  for (const auto& [key, value] : fields) {
    if (const auto* whole = std::get_if<int64_t>(&value))
      line[key] = *whole;
    else if (const auto* text = std::get_if<std::string>(&value))
      line[key] = printable(*text, 4000);
    else if (const double real = std::get<double>(value); std::isfinite(real))
      line[key] = real;
    else
      line[key] = nullptr;
  }
  return line.dump() + "\n";
}

void refuse_existing_run(const std::string& path) {
  if (holds_run(path))
    throw Error(ErrorCode::usage, "holds a run already")
        .file(path)
        .hint("--resume goes on with it; another folder starts a new one");
}

RunFolder::RunFolder(std::string path, Start start) : path_(std::move(path)) {
  if (start == Start::fresh) {
    refuse_existing_run(path_);
    make_folder(path_);
  } else if (!holds_run(path_)) {
    throw Error(ErrorCode::io, "is not the folder of a run").file(path_).hint("-o RUN starts one");
  }
  lock_ = take_lock(file("lock"));
  try {
    make_folder(checkpoints());
    make_folder(overlays());
    for (const std::string& folder : {path_, checkpoints(), overlays()}) remove_temporaries(folder);
  } catch (...) {
    ::close(lock_);
    throw;
  }
}

RunFolder::~RunFolder() { ::close(lock_); }

uint64_t free_bytes(const std::string& path) {
  std::error_code error;
  fs::path at = fs::absolute(path, error);
  while (!at.empty() && at != at.root_path() && !fs::exists(at, error)) at = at.parent_path();
  const fs::space_info info = fs::space(at, error);
  if (error) refuse("ask for the free space of", at.string(), error);
  return info.available;
}

}  // namespace furrow::train
