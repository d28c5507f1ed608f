// Trace: what ran. One record per step: where in the network, which op, which algorithm, how long, how many bytes.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace furrow {

struct TraceRecord {
  std::string where;      // module path, as in the checkpoint: "down1.maxpool_conv.1.double_conv.0"
  std::string op;         // "conv2d+relu+pool"
  std::string shape;      // problem in one string: "1x512x512x3 -> 1x512x512x16 k3s1p1"
  std::string algorithm;  // what really ran: "direct avx512 6x64"
  uint64_t bytes = 0;     // read and written at least once
  uint64_t flops = 0;     // 2 per multiply-add
  double milliseconds = 0;
};

// Collects records where a caller asked for them. Code that can trace holds a `Trace*`; null costs one comparison.
class Trace {
 public:
  void add(TraceRecord record) { records_.push_back(std::move(record)); }
  const std::vector<TraceRecord>& records() const { return records_; }
  void clear() { records_.clear(); }

 private:
  std::vector<TraceRecord> records_;
};

// Milliseconds since construction.
class Stopwatch {
 public:
  double milliseconds() const {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace furrow
