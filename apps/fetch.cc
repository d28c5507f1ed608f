#include "apps/fetch.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

#include "apps/cli/signals.h"
#include "io/atomic_file.h"
#include "io/mapped_file.h"
#include "io/sha256.h"
#include "kernels/error.h"

extern char** environ;

namespace furrow::apps {
namespace {

namespace fs = std::filesystem;

std::string by_hand(const PublishedFile& known, const std::string& folder) {
  return "to do it by hand, fetch " + known.origin + " and run: furrow model get " + known.name + " --from FILE -o " +
         folder;
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
      : fd_(open((part + ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)), path_(part + ".lock") {
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

 private:
  int fd_;
  std::string path_;
};

int run(const std::vector<std::string>& words) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  pid_t child = 0;
  if (const int error = posix_spawnp(&child, argv[0], nullptr, nullptr, argv.data(), environ); error != 0)
    throw Error(ErrorCode::io, "cannot start " + words[0] + ": " + std::strerror(error))
        .hint("install the package " + words[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR)
    if (cli::interrupted() != 0) kill(child, SIGTERM);  // the part file stays, to be resumed
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string curl_failure(int code) {
  switch (code) {
    case 6: return "the host name does not resolve (offline?)";
    case 7: return "cannot connect";
    case 18: return "the transfer ended early";
    case 22: return "the server answered with an error status";
    case 23: return "cannot write the part file (disk full?)";
    case 28: return "the transfer stalled";
    case 33: return "the server does not resume downloads";
    case 47: return "too many redirects";
    case 60: return "the server's certificate is not trusted";
    case 63: return "the file is larger than the manifest says";
    default: return "curl failed with status " + std::to_string(code);
  }
}

bool is_loopback(const std::string& url) {
  return url.starts_with("http://127.0.0.1:") || url.starts_with("http://localhost:") ||
         url.starts_with("http://[::1]:");
}

int run_curl(const PublishedFile& known, const std::string& part, bool resume, bool progress) {
  std::vector<std::string> words = {"curl", "--fail",        "--location", "--max-redirs", "5",  "--connect-timeout",
                                    "20",   "--speed-limit", "1",          "--speed-time", "60", "--output",
                                    part};
  // Plain HTTP would let anyone on the way choose the bytes; the hash catches that, but only where one is known.
  const std::string protocols = is_loopback(known.origin) ? "=http,https" : "=https";
  words.insert(words.end(), {"--proto", protocols, "--proto-redir", protocols});
  if (known.size) words.insert(words.end(), {"--max-filesize", std::to_string(*known.size)});
  if (resume) words.insert(words.end(), {"--continue-at", "-"});
  words.push_back(progress ? "--progress-bar" : "--silent");
  words.insert(words.end(), {"--", known.origin});
  return run(words);
}

void refuse_web_page(const std::string& part, const PublishedFile& known) {
  const auto map = io::MappedFile::open(part);
  const std::string head(reinterpret_cast<const char*>(map->bytes().data()),
                         std::min<size_t>(map->bytes().size(), 256));
  if (head.find("<html") == std::string::npos && head.find("<!DOCTYPE") == std::string::npos &&
      head.find("<HTML") == std::string::npos)
    return;
  throw Error(ErrorCode::io, "the server sent a web page instead of the file (a quota or confirmation page)")
      .file(known.origin);
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
  const std::string found = io::sha256_hex(map->bytes());
  const std::string& wanted = known.sha256.empty() ? known.sha256_prefix : known.sha256;
  if (!found.starts_with(wanted))
    throw Error(ErrorCode::checksum, "not the published " + known.name + ": sha256 " + found + " instead of " + wanted)
        .file(path);
  return found;
}

std::string take_local(const std::string& source, const PublishedFile& known, const std::string& folder) {
  const std::string found = verify_file(source, known);
  if (known.sha256.empty() && known.sha256_prefix.empty())
    throw Error(ErrorCode::usage, "the publisher of " + known.name + " states no hash, so the file cannot be checked")
        .file(source)
        .hint("if it is the file you mean, add --sha256 " + found);
  make_folder(folder);
  const std::string path = folder + "/" + known.file;
  io::write_file_atomically(path, io::MappedFile::open(source)->bytes());
  return path;
}

std::string download(const PublishedFile& known, const std::string& folder, bool progress) {
  make_folder(folder);
  const std::string path = folder + "/" + known.file, part = path + ".part";
  const PartLock lock(part);
  std::error_code none;
  const bool resume = fs::exists(part, none);
  int status = run_curl(known, part, resume, progress);
  if (status == 33 && resume) {  // no ranges there: start again rather than give up
    fs::remove(part, none);
    status = run_curl(known, part, false, progress);
  }
  if (cli::interrupted() != 0) throw Interrupted{};
  if (status != 0) throw Error(ErrorCode::io, curl_failure(status)).file(known.origin).hint(by_hand(known, folder));
  try {
    refuse_web_page(part, known);
    verify_file(part, known);
  } catch (const Error& error) {
    fs::remove(part, none);
    throw Error(error.code(), error.reason() + "; removed").file(known.origin).hint(by_hand(known, folder));
  }
  std::error_code error;
  fs::rename(part, path, error);
  if (error) throw Error(ErrorCode::io, "cannot rename the finished download: " + error.message()).file(path);
  return path;
}

}  // namespace furrow::apps
