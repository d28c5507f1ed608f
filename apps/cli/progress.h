// Progress of a long job on stderr: a redrawn line on a terminal, a plain line every few seconds elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace furrow::cli {

class Progress {
 public:
  // `what` names the items ("photos"). Silent where `enabled` is false or there is one item only.
  Progress(int64_t total, std::string what, bool enabled);
  ~Progress();

  // `done` of the total are finished; `failed` of them failed. Prints at most ten times a second on a terminal, every
  // 5 s elsewhere: "12/400 photos, 3.1 per second, 2 min 5 s left, 1 failed". Those that failed or were finished before
  // cost nothing and make no rate.
  void update(int64_t done, int64_t failed, int64_t finished_before = 0);
  // Clears the redrawn line, so that another message can be printed.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  int64_t total_;
  std::string what_;
  bool enabled_, terminal_, drawn_ = false;
  Clock::time_point start_ = Clock::now(), last_;
};

// "950 ms", "12 s", "2 min 5 s", "3 h 10 min".
std::string duration_text(double seconds);

}  // namespace furrow::cli
