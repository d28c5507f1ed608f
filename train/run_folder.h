// The folder of a training run: who may write in it, what lies where.
//
//   config.yaml        the configuration with every default filled in
//   run.json           versions, device, data, split, seeds, timing
//   metrics.jsonl      one line per logging interval and per validation; no times, so two equal runs give equal files
//   events.out.tfevents.0.furrow   the same for TensorBoard
//   overlays/          validation pictures with target and prediction
//   checkpoints/       last, previous, best: train/checkpoint.h
//   model.safetensors, model.pth   the best weights
//   report.html        curves and pictures in one file
//   lock               held while a trainer is at work
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace furrow::train {

// A line of metrics.jsonl: keys in this order. NaN and infinity become null, which JSON has no number for.
using LogValue = std::variant<int64_t, double, std::string>;
using LogFields = std::vector<std::pair<std::string, LogValue>>;
std::string json_line(const LogFields& fields);  // with its newline

class RunFolder {
 public:
  // fresh: creates the folder; ErrorCode::usage where it holds a run already. resume: ErrorCode::io where it is none.
  // Takes the lock, ErrorCode::io where another trainer has it (or the system refuses), and removes temporary files
  // that a killed process left. Files that belong to no run are left alone.
  enum class Start : uint8_t { fresh, resume };
  RunFolder(std::string path, Start start);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  std::string checkpoints() const { return file("checkpoints"); }
  std::string overlays() const { return file("overlays"); }
  std::string metrics() const { return file("metrics.jsonl"); }
  std::string events() const { return file("events.out.tfevents.0.furrow"); }

 private:
  std::string path_;
  int lock_ = -1;
};

// ErrorCode::usage where the folder holds a run (a checkpoint) already.
void refuse_existing_run(const std::string& path);

// Free bytes of the file system that holds `path` (or its nearest folder that exists), for this user.
uint64_t free_bytes(const std::string& path);

}  // namespace furrow::train
