// Checkpoint: the named tensors of a weight file, whatever its container.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io/limits.h"
#include "kernels/tensor.h"

namespace furrow::io {

class MappedFile;

struct Checkpoint {
  std::string container;        // "zip .pth", "legacy stream", "tar of 2017" or "safetensors"
  std::string nested_under;     // wrapper key that held the tensors ("model_state_dict"), or ""; of a checkpoint of
                                // `furrow train`: "average" or "model"
  std::string stripped_prefix;  // "module." where every name had it, or ""
  NamedTensors tensors;         // in the file's order, names as in the file but for the stripped prefix
  // safetensors: its __metadata__. PyTorch's containers: the plain values beside the tensors, as text ("epoch" -> "12",
  // "all_metrics.iou" -> "0.41").
  std::map<std::string, std::string> metadata;
  std::vector<std::string> notes;  // warnings in words, for a person
  std::string sha256;              // of the whole file, 64 hexadecimal digits
  uint64_t file_bytes = 0;
  std::shared_ptr<const MappedFile> mapped;  // where tensors may lie; null for memory
};

// Reads a zip `.pth` (io/pth.h), a legacy stream (io/pth_stream.h), a tar of 2017 (io/pth_tar.h) or a safetensors file;
// its content decides which, never its name (but a container of pickles that calls itself .safetensors is refused: who
// sends a file under that name promises that it holds no pickle). Nothing in the file is looked up, imported or called.
// Tensors that lie dense in the file point into its mapping. Every other kind of file is named in the refusal. Throws
// only Error: malformed, unsupported, limit, checksum, io.
Checkpoint read_checkpoint(const std::string& path, const Limits& limits = {});

// The same from memory that `owner` keeps alive (a model compiled into the program).
Checkpoint read_checkpoint(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                           const Limits& limits = {});

}  // namespace furrow::io
