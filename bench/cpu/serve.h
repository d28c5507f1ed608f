// A program that is timed in turns: it answers each line of standard input with one line of JSON, as
// bench/peers/cpu_serve.py does in Python. Standard library and Linux alone, so that adapters of other libraries can
// include it.
//
//   --weights FILE --input FILE --logits FILE --side S --batch N --threads T [--once]
//
// INPUT and LOGITS: float32, N H W C. After the first run, which writes LOGITS, a line tells what runs; then
//   run K   K runs: {"wall_s", "cpu_s", "waited_s"} of all of them
//   end     {"peak_MiB"}: VmHWM; where known also {"packages", "disk_MiB", "mapped_MiB"}; and the program ends
// With --once it ends after the first run and says nothing.
#pragma once

#include <dirent.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace turns {

struct Setting {
  std::string weights, input, logits, algorithm;
  int64_t side = 0, batch = 1;
  int threads = 1;
  bool once = false;
};

inline Setting read_setting(int argc, char** argv, int first) {
  Setting s;
  for (int i = first; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--once") {
      s.once = true;
      continue;
    }
    if (++i == argc) throw std::invalid_argument(word + " takes a value");
    if (word == "--weights") s.weights = argv[i];
    else if (word == "--input") s.input = argv[i];
    else if (word == "--logits") s.logits = argv[i];
    else if (word == "--algorithm") s.algorithm = argv[i];
    else if (word == "--side") s.side = std::atoll(argv[i]);
    else if (word == "--batch") s.batch = std::atoll(argv[i]);
    else if (word == "--threads") s.threads = std::atoi(argv[i]);
    else throw std::invalid_argument("unknown argument " + word);
  }
  if (s.side < 1 || s.side > 8192 || s.batch < 1 || s.batch > 64 || s.threads < 1 || s.threads > 1024)
    throw std::invalid_argument("--side, --batch or --threads out of range");
  return s;
}

inline void read_floats(const std::string& path, float* values, size_t count) {
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(values), static_cast<std::streamsize>(count * sizeof(float)));
  if (!file) throw std::runtime_error(path + ": not " + std::to_string(count) + " float32");
}

inline void write_floats(const std::string& path, const float* values, size_t count) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(values), static_cast<std::streamsize>(count * sizeof(float)));
  if (!file.flush()) throw std::runtime_error(path + ": cannot be written");
}

// Seconds. waited: of all threads, ready to run without a processor; and what the host took of the machine's.
struct Usage {
  double wall = 0, cpu = 0, waited = 0;
  bool knows_waited = false;
};

inline Usage usage_now() {
  Usage now;
  const auto seconds = [](clockid_t clock) {
    timespec t;
    clock_gettime(clock, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
  };
  now.wall = seconds(CLOCK_MONOTONIC), now.cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
  if (DIR* tasks = opendir("/proc/self/task")) {
    while (const dirent* entry = readdir(tasks)) {
      std::ifstream file(std::string("/proc/self/task/") + entry->d_name + "/schedstat");
      if (double ran = 0, waited = 0; file >> ran >> waited) now.waited += waited * 1e-9, now.knows_waited = true;
    }
    closedir(tasks);
  }
  std::ifstream stat("/proc/stat");
  std::string word;
  double user = 0, nice = 0, system = 0, idle = 0, io = 0, irq = 0, soft = 0, stolen = 0;
  if (stat >> word >> user >> nice >> system >> idle >> io >> irq >> soft >> stolen) now.waited += stolen / 100;
  return now;
}

inline double peak_mebibytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::atof(line.c_str() + 6) / 1024;
  return 0;
}

// After the first run and its logits. `told`: members of the first line, without braces; `at_end`: further members of
// the last, each after a comma.
inline int serve(const Setting& setting, const std::string& told, const std::function<void()>& run,
                 const std::string& at_end = "") {
  if (setting.once) return 0;
  std::printf("{%s}\n", told.c_str());
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    if (line == "end") {
      std::printf("{\"peak_MiB\": %.1f%s}\n", peak_mebibytes(), at_end.c_str());
      std::fflush(stdout);
      return 0;
    }
    const int count = line.starts_with("run ") ? std::atoi(line.c_str() + 4) : 0;
    if (count < 1) throw std::invalid_argument("not understood: " + line);
    const Usage before = usage_now();
    for (int i = 0; i < count; ++i) run();
    const Usage after = usage_now();
    const double wall = after.wall - before.wall, cpu = after.cpu - before.cpu;
    const double waited = after.knows_waited ? after.waited - before.waited : setting.threads * wall - cpu;
    std::printf("{\"wall_s\": %.9g, \"cpu_s\": %.9g, \"waited_s\": %.9g}\n", wall, cpu, std::max(0.0, waited));
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace turns
