#include "apps/curl.h"

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <vector>

#include "apps/cli/signals.h"
#include "data/strict_json.h"
#include "kernels/error.h"

extern char** environ;

namespace furrow::apps {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kHeadBytes = 1 << 20;
constexpr size_t kValidatorBytes = 200;
constexpr useconds_t kWatchEvery = 20'000;

// Exit statuses of curl(1).
constexpr int kRedirects = 47, kTooLarge = 63, kHttp = 22;

uint64_t size_of(const std::string& path) {
  std::error_code none;
  const auto size = fs::file_size(path, none);
  return none ? 0 : size;
}

uint64_t number_of(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value <= INT64_MAX ? value : 0;
}

bool is_over(const Request& request) { return request.most != 0 && size_of(request.to) > request.most; }

// Like waitpid(), but a signal to this process, and a file that grows beyond `most`, end the child.
int wait_for(pid_t child, const Request& request, bool& too_long) {
  int status = 0;
  for (bool told = false;; usleep(kWatchEvery)) {
    const pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child) break;
    if (ended < 0 && errno != EINTR) return -1;
    if (!told) too_long = is_over(request);
    if (!told && (too_long || cli::interrupted() != 0)) told = kill(child, SIGTERM) == 0;
  }
  too_long = too_long || is_over(request);  // the end came between two looks
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int run(const std::vector<std::string>& words, const Request& request, bool& too_long) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  // Onto itself: kept open in the child, though close-on-exec (POSIX.1-2024, glibc 2.29).
  if (request.lock >= 0) posix_spawn_file_actions_adddup2(&actions, request.lock, request.lock);
  pid_t child = 0;
  const int error = posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0)
    throw Error(ErrorCode::io, std::string("cannot start curl: ") + std::strerror(error))
        .hint("install the package curl");
  return wait_for(child, request, too_long);
}

}  // namespace

std::string Head::field(const char* name) const {
  const auto it = fields.find(name);
  return it == fields.end() ? std::string() : it->second;
}

std::string Head::validator() const {
  const std::string tag = field("etag"), text = tag.starts_with('"') ? tag : field("last-modified");
  // It becomes a header line of the next request.
  const auto is_plain = [](char c) { return c >= ' ' && c <= '~'; };
  return text.size() <= kValidatorBytes && std::ranges::all_of(text, is_plain) ? text : std::string();
}

uint64_t Head::total() const {
  if (status == 200) return number_of(field("content-length"));
  const std::string range = field("content-range");
  const size_t slash = range.find('/');
  return slash == std::string::npos ? 0 : number_of(std::string_view(range).substr(slash + 1));
}

Head read_head(const std::string& path) {
  Head head;
  std::error_code none;
  if (!fs::exists(path, none)) return head;
  const std::string text = data::read_text_within(path, kHeadBytes, "header lines");
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = std::string_view(text).substr(at, end - at);
    at = end + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("HTTP/")) {
      const size_t space = line.find(' ');
      head = {};
      if (space != std::string_view::npos) head.status = static_cast<int>(number_of(line.substr(space + 1, 3)));
    } else if (const size_t colon = line.find(':'); colon != std::string_view::npos) {
      std::string name(line.substr(0, colon));
      for (char& c : name)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
      line.remove_prefix(colon + 1);
      while (line.starts_with(' ')) line.remove_prefix(1);
      while (line.ends_with(' ')) line.remove_suffix(1);
      head.fields[name] = line;
    }
  }
  return head;
}

bool Answer::over() const { return too_long || curl == kTooLarge; }

bool Answer::passing() const {
  constexpr int kPassing[] = {7, 16, 18, 28, 35, 52, 55, 56, 92};
  if (too_long) return false;
  if (curl == kHttp) return head.status == 408 || head.status == 429 || head.status >= 500;
  return std::ranges::find(kPassing, curl) != std::end(kPassing);
}

std::string Answer::what() const {
  const std::string http = " (HTTP " + std::to_string(head.status) + ")";
  if (over()) return "the file is larger than it may be";
  switch (curl) {
    case 1: return "an address, or a redirect, that is not https";
    case 3: return "not an address";
    case 6: return "the host name does not resolve (offline?)";
    case 7: return "cannot connect";
    case 18: return "the transfer ended early";
    case kHttp:
      if (head.status == 404 || head.status == 410) return "the file is not there" + http;
      if (head.status == 401 || head.status == 403) return "the server refuses; Furrow does no login" + http;
      if (head.status == 429) return "the server wants fewer requests" + http;
      return "the server answered with an error status" + http;
    case 23: return "cannot write the part file (disk full?)";
    case 28: return "the transfer stalled";
    case 33: return "the server does not resume downloads";
    case 35: return "no TLS connection";
    case kRedirects: return "too many redirects";
    case 52: return "the server closed the connection without an answer";
    case 56: return "the connection broke";
    case 60: return "the server's certificate is not trusted (is this machine's clock right?)";
    default: return "curl failed with status " + std::to_string(curl);
  }
}

bool is_loopback(const std::string& url) {
  for (const std::string_view host : {"http://127.0.0.1:", "http://localhost:", "http://[::1]:"})
    if (url.starts_with(host)) {
      // Digits and a slash: in http://127.0.0.1:80@elsewhere/ the host is another.
      const size_t end = url.find_first_not_of("0123456789", host.size());
      return end != std::string::npos && end > host.size() && url[end] == '/';
    }
  return false;
}

Answer ask(const Request& request) {
  // --disable: no ~/.curlrc, which could name other files and hosts. --globoff: brackets of an address are no list.
  std::vector<std::string> words = {"curl",
                                    "--disable",
                                    "--globoff",
                                    "--fail",
                                    "--location",
                                    "--max-redirs",
                                    "5",
                                    "--connect-timeout",
                                    "20",
                                    "--speed-limit",
                                    "1000",
                                    "--speed-time",
                                    std::to_string(request.stall_s),
                                    "--output",
                                    request.to,
                                    "--dump-header",
                                    request.headers};
  // Plain HTTP would let anyone on the way choose the bytes; the hash catches that, but only where one is known.
  const std::string protocols = is_loopback(request.url) ? "=http,https" : "=https";
  words.insert(words.end(), {"--proto", protocols, "--proto-redir", protocols});
  if (request.most != 0) words.insert(words.end(), {"--max-filesize", std::to_string(request.most)});
  if (request.resume) words.insert(words.end(), {"--continue-at", "-"});
  if (!request.since.empty()) words.insert(words.end(), {"--header", "If-Range: " + request.since});
  // Where nobody watches there is no bar, and no line of curl's own beside the one of the error.
  words.push_back(request.progress && isatty(STDERR_FILENO) == 1 ? "--progress-bar" : "--silent");
  words.insert(words.end(), {"--", request.url});
  std::error_code none;
  fs::remove(request.headers, none);
  Answer answer;
  answer.curl = run(words, request, answer.too_long);
  answer.head = read_head(request.headers);
  return answer;
}

}  // namespace furrow::apps
