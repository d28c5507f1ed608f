// A training run's state as one file: what it takes to go on as if nothing had happened.
//
// The file is safetensors, so any tool opens it. Its string metadata holds the values (step, seeds, schedule, resolved
// config) and a CRC-32C of every tensor; its last tensor, "seal", is 32 bytes at the very end of the file with a CRC of
// the header and one of itself. So every byte is covered by a sum, and every flipped bit is found.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "io/limits.h"
#include "kernels/tensor.h"

namespace furrow::train {

struct Snapshot {
  NamedTensors tensors;                       // "model.inc.double_conv.0.weight", "adam.m", ...; any name but "seal"
  std::map<std::string, std::string> values;  // "step" -> "1200"; UTF-8
};

// Numbers as text that reads back to the same bits.
std::string exact_text(double value);
// The values of a snapshot read back. ErrorCode::malformed, naming the key, where it is missing or no such number.
int64_t integer_value(const Snapshot& snapshot, const std::string& key);
uint64_t unsigned_value(const Snapshot& snapshot, const std::string& key);
double real_value(const Snapshot& snapshot, const std::string& key);

// The first NaN or infinity among the floating tensors whose names begin with `prefix`.
struct BadValue {
  std::string tensor;
  int64_t index = 0;  // of the element, in the tensor's order
};
std::optional<BadValue> first_non_finite(const NamedTensors& tensors, std::string_view prefix = "");

// Writes it durably (io/atomic_file.h): afterwards `path` is this snapshot, or, where an Error leaves, what it was.
// Before the file is touched: ErrorCode::malformed for a tensor with NaN or infinity, which would replace a good one.
// Otherwise ErrorCode::io.
void write_snapshot(const std::string& path, const Snapshot& snapshot);

// Tensors point into the mapped file. ErrorCode::checksum, with the first byte and the name of the damaged part, where
// a sum does not fit or the seal is missing (a file that was cut has none); ErrorCode::unsupported for a later
// version; ErrorCode::io.
Snapshot read_snapshot(const std::string& path, const io::Limits& limits = {});
// The same from memory that `owner` keeps alive.
Snapshot read_snapshot(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                       const io::Limits& limits = {});

// The checkpoints of one run in a folder that exists: last.safetensors, the one before it as previous.safetensors, and
// best.safetensors. Each is replaced atomically, and at every moment one of the first two is whole.
class CheckpointStore {
 public:
  explicit CheckpointStore(std::string folder) : folder_(std::move(folder)) {}

  std::string last_path() const { return folder_ + "/last.safetensors"; }
  std::string previous_path() const { return folder_ + "/previous.safetensors"; }
  std::string best_path() const { return folder_ + "/best.safetensors"; }

  // Makes `snapshot` the last one; the last one before becomes `previous`, if it is known to be whole.
  void save(const Snapshot& snapshot);
  // Makes the last one the best one too (a second name for the same file; `snapshot`, written again, where the file
  // system has no hard links). Only after save() of that snapshot.
  void mark_best(const Snapshot& snapshot);

  // The newest one that can be read. A warning names what is wrong with any that cannot. Where none can be read, the
  // error of `last`; ErrorCode::io where there is none.
  struct Found {
    Snapshot snapshot;
    std::string path;
    std::vector<std::string> warnings;
  };
  Found newest(const io::Limits& limits = {});

 private:
  std::string folder_;
  bool last_is_whole_ = false;  // written or read to its end by this object
};

}  // namespace furrow::train
