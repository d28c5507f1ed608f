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

#include "apps/cli/signals.h"
#include "apps/cli/text.h"
#include "apps/curl.h"
#include "apps/drive.h"
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

constexpr uint64_t kPageBytes = 1 << 20;

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
  int fd() const { return fd_; }

 private:
  int fd_;
  std::string path_;
};

std::string begin_of(const std::string& path, size_t bytes) {
  const auto map = io::MappedFile::open(path);
  return {reinterpret_cast<const char*>(map->bytes().data()), std::min(map->bytes().size(), bytes)};
}

// A page under any content type, and a page that only its content type tells.
bool is_page(const Head& head, const std::string& path) {
  if (head.field("content-type").starts_with("text/html")) return true;
  const std::string text = begin_of(path, 256);
  return std::ranges::any_of(std::initializer_list<const char*>{"<html", "<!DOCTYPE", "<!doctype", "<HTML"},
                             [&](const char* mark) { return text.find(mark) != std::string::npos; });
}

// A zip ends with its end record. All that can be said of one without length and hash.
void check_zip_end(const std::string& path) {
  constexpr size_t kRecord = 22, kComment = 0xFFFF;
  const auto map = io::MappedFile::open(path);
  const auto bytes = map->bytes();
  const std::string_view tail(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const size_t at = tail.rfind("PK\5\6");
  if (at == std::string_view::npos || tail.size() - at < kRecord || tail.size() - at > kRecord + kComment)
    throw Error(ErrorCode::checksum, "a zip without its end: cut or damaged");
}

// One file on its way to `part`.
class Transfer {
 public:
  Transfer(const PublishedFile& known, const std::string& part, const DownloadOptions& options, int lock)
      : known_(known), options_(options), part_(part), head_(part + ".head"), url_(known.origin), lock_(lock) {}

  // Leaves the whole file in `part`, not yet checked.
  void run() {
    for (int attempt = 1;; ++attempt) {
      const Answer answer = once();
      if (cli::interrupted() != 0) throw Interrupted{};
      if (answer.ok()) return;
      if (attempt >= options_.tries || !answer.passing()) fail(answer);
      for (int waited = 0; waited < std::min(1 << std::min(attempt - 1, 5), 30) * 50 && cli::interrupted() == 0; ++waited)
        usleep(20'000);
    }
  }

 private:
  uint64_t size_now() const {
    std::error_code none;
    const auto size = fs::file_size(part_, none);
    return none ? 0 : size;
  }
  uint64_t most() const { return known_.size ? *known_.size : options_.most; }

  [[noreturn]] void fail(const Answer& answer) const {
    const bool bounded = answer.too_long || answer.curl == 63;
    const uint64_t announced = answer.head.total();
    Error error(bounded && !known_.size ? ErrorCode::limit : ErrorCode::io, answer.what());
    if (bounded && !known_.size) error = Error(error).limit(most(), std::max(announced, size_now()));
    throw error;
  }

  Answer ask_for(bool resume) const {
    Request request{.url = url_, .to = part_, .headers = resume ? part_ + ".again" : head_};
    request.resume = resume, request.most = most(), request.stall_s = options_.stall_s;
    request.progress = options_.progress, request.lock = lock_;
    if (resume) request.since = read_head(head_).validator();
    const Answer answer = ask(request);
    if (resume) std::filesystem::remove(request.headers);
    return answer;
  }

  // Whether the bytes in `part` may be the beginning of what the server has now. Without a hash it must have said then
  // what it can be held to.
  bool may_resume(uint64_t have) const {
    if (have == 0 || (known_.size && have > *known_.size)) return false;
    if (!known_.hash_text().empty()) return true;
    const Head first = read_head(head_);
    return first.status == 200 && (!first.validator().empty() || first.total() != 0);
  }

  // Whether a continued answer is of another file than the part: of another length, or tag.
  bool changed(const Head& now) const {
    const Head first = read_head(head_);
    const uint64_t total = known_.size ? *known_.size : first.total();
    const std::string before = first.validator(), after = now.validator();
    return (total != 0 && now.total() != total) || (!before.empty() && !after.empty() && before != after);
  }

  Answer once() {
    const uint64_t have = size_now();
    if (known_.size && have == *known_.size) return {};
    if (may_resume(have)) {
      const Answer answer = ask_for(true);
      // A part that is whole already: nothing lies behind it.
      if (answer.head.status == 416 && answer.head.total() == have) return {};
      if (answer.curl == 33 && answer.head.field("content-type").starts_with("text/html")) return leave_page();
      if (answer.head.status != 416 && answer.curl != 33 && !(answer.head.status == 206 && changed(answer.head))) return checked(answer);
    }
    std::error_code none;
    fs::remove(part_, none);
    return checked(ask_for(false));
  }

  Answer checked(const Answer& answer) {
    if (!answer.ok() || answer.head.status >= 300) return answer;
    std::error_code none;
    if (size_now() == 0) {
      fs::remove(part_, none);
      throw Error(ErrorCode::io, "the server sent an empty file");
    }
    if (const std::string how = answer.head.field("content-encoding"); !how.empty() && how != "identity") {
      fs::remove(part_, none);
      throw Error(ErrorCode::io, Text() << "the server sent the file packed (" << printable(how) << "), though nobody asked for that");
    }
    if (size_now() > kPageBytes || !is_page(answer.head, part_)) return answer;
    const std::string page = begin_of(part_, kPageBytes);
    fs::remove(part_, none);
    return follow(page);
  }

  // To a request to go on came a page: it is asked for once more, beside the part.
  Answer leave_page() {
    Request request{.url = url_, .to = part_ + ".page", .headers = part_ + ".again"};
    request.most = kPageBytes, request.stall_s = options_.stall_s, request.lock = lock_;
    const Answer answer = ask(request);
    std::error_code none;
    const std::string page = answer.ok() && fs::exists(request.to, none) ? begin_of(request.to, kPageBytes) : std::string();
    fs::remove(request.to, none), fs::remove(request.headers, none);
    return answer.ok() ? follow(page) : answer;
  }

  Answer follow(const std::string& page) {
    const std::string next = is_drive(url_) ? confirmed_address(page, url_) : std::string();
    if (next.empty()) throw page_error(page);
    url_ = next;  // no address of the kind that has such a page, so this happens once
    return once();
  }

  const PublishedFile& known_;
  const DownloadOptions& options_;
  std::string part_, head_, url_;
  int lock_;
};

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
    Transfer(known, part, options, lock.fd()).run();
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
