#include "apps/transfer.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "apps/cli/signals.h"
#include "apps/cli/text.h"
#include "apps/curl.h"
#include "apps/drive.h"
#include "io/mapped_file.h"
#include "kernels/error.h"

namespace furrow::apps {
namespace {

namespace fs = std::filesystem;

using cli::Text;

constexpr uint64_t kPageBytes = 1 << 20;

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

// One file on its way to `part`.
class Transfer {
 public:
  Transfer(const PublishedFile& known, const std::string& part, const DownloadOptions& options, int lock)
      : known_(known), options_(options), part_(part), head_(part + ".head"), url_(known.origin), lock_(lock) {}

  // Leaves the whole file in `part`, not yet checked.
  void run() {
    std::error_code none;
    for (const char* left : {".again", ".page"}) fs::remove(part_ + left, none);  // by a run that was killed
    // Through a link, bytes would go to where nobody wants them.
    if (!fs::is_regular_file(fs::symlink_status(part_, none))) fs::remove(part_, none);
    for (int attempt = 1;; ++attempt) {
      const Answer answer = once();
      if (cli::interrupted() != 0) throw Interrupted{};
      if (answer.ok()) return;
      if (attempt >= options_.tries || !answer.passing()) fail(answer);
      const int seconds = std::min(1 << std::min(attempt - 1, 5), 30);
      for (int waited = 0; waited < seconds * 50 && cli::interrupted() == 0; ++waited) usleep(20'000);
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
    if (!answer.over()) throw Error(ErrorCode::io, answer.what());
    const uint64_t found = std::max(answer.head.total(), size_now());
    std::error_code none;
    fs::remove(part_, none);
    if (known_.size) throw Error(ErrorCode::io, answer.what());
    throw Error(ErrorCode::limit, answer.what()).limit(most(), found);
  }

  Answer ask_for(bool resume) const {
    Request request{.url = url_, .to = part_, .headers = resume ? part_ + ".again" : head_};
    request.resume = resume, request.most = most(), request.stall_s = options_.stall_s;
    request.progress = options_.progress, request.lock = lock_;
    if (resume) request.since = read_head(head_).validator();
    const Answer answer = ask(request);
    std::error_code none;
    if (resume) fs::remove(request.headers, none);
    return answer;
  }

  // Whether the bytes in `part` may be the beginning of what the server has now. Without a hash it must have said then
  // what it can be held to.
  bool may_resume(uint64_t have) const {
    if (have == 0 || (known_.size && have > *known_.size)) return false;
    const Head first = read_head(head_);
    if (first.field("content-type").starts_with("text/html")) return false;  // the beginning of a page
    if (!known_.hash_text().empty()) return true;
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
      const bool anew =
          answer.head.status == 416 || answer.curl == 33 || (answer.head.status == 206 && changed(answer.head));
      if (!anew) return checked(answer, 206);
    }
    std::error_code none;
    fs::remove(part_, none);
    return checked(ask_for(false), 200);
  }

  [[noreturn]] void refuse(const std::string& why) const {
    std::error_code none;
    fs::remove(part_, none);
    throw Error(ErrorCode::io, why);
  }

  // What curl is content with may still be no file.
  Answer checked(const Answer& answer, int status) {
    if (!answer.ok()) return answer;
    if (answer.head.status != status)
      refuse(Text() << "the server answered with a status that is none of a file (HTTP " << answer.head.status << ")");
    if (size_now() == 0) refuse("the server sent an empty file");
    if (const std::string how = answer.head.field("content-encoding"); !how.empty() && how != "identity")
      refuse(Text() << "the server sent the file packed (" << printable(how) << "), though nobody asked for that");
    const bool may_be_page = size_now() <= kPageBytes || known_.hash_text().empty();
    if (!may_be_page || !is_page(answer.head, part_)) return answer;
    const std::string page = begin_of(part_, kPageBytes);
    std::error_code none;
    fs::remove(part_, none);
    return follow(page);
  }

  // To a request to go on came a page: it is asked for once more, beside the part.
  Answer leave_page() {
    Request request{.url = url_, .to = part_ + ".page", .headers = part_ + ".again"};
    request.most = kPageBytes, request.stall_s = options_.stall_s, request.lock = lock_;
    const Answer answer = ask(request);
    std::error_code none;
    const bool is_there = answer.ok() && fs::exists(request.to, none);
    const std::string page = is_there ? begin_of(request.to, kPageBytes) : std::string();
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

}  // namespace

void transfer(const PublishedFile& known, const std::string& part, const DownloadOptions& options, int lock) {
  Transfer(known, part, options, lock).run();
}

}  // namespace furrow::apps
