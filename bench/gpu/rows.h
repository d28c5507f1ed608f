// Rows: what the benchmark found, and the JSON that scripts/gpu_check.sh reads (bench/results/README.md).
#pragma once

#include <string>
#include <vector>

namespace furrow::bench {

// Whether what a row computed is right: `value`, an error or a number, is at most `bound`. NaN is wrong.
struct Check {
  std::string what;
  double value = 0, bound = 0;
  std::string note;   // what else was counted
  bool ok() const { return value <= bound; }
};

// A check that belongs to no row.
struct NamedCheck {
  std::string name;   // "correctness unet64 125x94 b1 fp16"
  Check check;
};

// What one run does at least: operations (2 per multiply-add) and bytes (each input, weight and output moved once).
struct Cost {
  double flops = 0, bytes = 0;
};

struct Row {
  std::string group, name;   // "layer", "up1.1 512x512 b1 fp16"
  double ms = 0, q1_ms = 0, q3_ms = 0;   // median and quartiles of one run
  int repeats = 0;
  double event_ms = 0;           // median by CUDA's events; 0: none
  double began = 0, ended = 0;   // of the repeats, seconds since 1970
  Cost cost;
  double floor_ms = 0;       // max(FLOP/peak, bytes/bandwidth) with the ceilings of this run; 0: none
  std::string timed;         // "device" (bursts in a stream) or "wall" (host to host)
  std::string note;
  Check check;
};

// A ceiling: "copy", GB/s.
struct Ceiling {
  std::string name, unit;
  double value = 0;
  std::string how;
  Check check;
};

struct Report {
  std::string device, sizes;
  std::vector<Ceiling> ceilings;
  std::vector<Row> rows;
  std::vector<NamedCheck> checks;
  std::vector<std::string> not_run;   // "layer up1.1 fp32: no time left"
  bool ok() const;
  void write(const std::string& path) const;   // throws ErrorCode::io
};

}  // namespace furrow::bench
