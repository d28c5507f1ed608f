#include "apps/cli/progress.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace furrow::cli {
namespace {

bool is_terminal() {
  const char* term = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && (term == nullptr || std::strcmp(term, "dumb") != 0);
}

}  // namespace

std::string duration_text(double seconds) {
  const auto whole = static_cast<int64_t>(seconds + 0.5);
  if (seconds < 1) return std::to_string(static_cast<int64_t>(seconds * 1000 + 0.5)) + " ms";
  if (whole < 60) return std::to_string(whole) + " s";
  if (whole < 3600) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
  return std::to_string(whole / 3600) + " h " + std::to_string(whole % 3600 / 60) + " min";
}

Progress::Progress(int64_t total, std::string what, bool enabled)
    : total_(total), what_(std::move(what)), enabled_(enabled && total > 1), terminal_(is_terminal()), last_(start_) {}

Progress::~Progress() { clear(); }

void Progress::update(int64_t done, int64_t failed, int64_t finished_before) {
  if (!enabled_) return;
  const Clock::time_point now = Clock::now();
  const double interval = terminal_ ? 0.1 : 5;
  if (done < total_ && std::chrono::duration<double>(now - last_).count() < interval) return;
  last_ = now;
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  // What cost next to nothing says nothing of how long the rest takes.
  const int64_t worked = done - failed - finished_before;
  const double rate = elapsed > 0 ? static_cast<double>(worked) / elapsed : 0;
  char text[64] = "";
  if (rate > 0) std::snprintf(text, sizeof text, rate >= 100 ? ", %.0f per second" : ", %.3g per second", rate);
  std::string line = std::to_string(done) + "/" + std::to_string(total_) + " " + what_ + text;
  if (done < total_ && rate > 0) line += ", " + duration_text(static_cast<double>(total_ - done) / rate) + " left";
  if (failed > 0) line += ", " + std::to_string(failed) + " failed";
  std::fprintf(stderr, terminal_ ? "\r\x1b[K%s" : "furrow: %s\n", line.c_str());
  std::fflush(stderr);
  drawn_ = terminal_;
}

void Progress::clear() {
  if (drawn_) std::fputs("\r\x1b[K", stderr);
  drawn_ = false;
}

}  // namespace furrow::cli
