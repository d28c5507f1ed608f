// safetensors (https://github.com/huggingface/safetensors): u64 header length, JSON header, data without holes.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "io/checkpoint.h"
#include "io/limits.h"
#include "kernels/tensor.h"

namespace furrow::io {

// Reads `bytes`, which `owner` keeps alive; tensors point into it, in the header's order. Fills `tensors`, `metadata`
// and `container`. Refused: what the format's specification refuses (holes, overlaps, trailing bytes, a shape that
// does not give the byte range, duplicate names), a header that does not begin with '{', and limits exceeded.
// look_at_values: whether a note says which tensors hold NaN or infinity; without, no element is read.
Checkpoint read_safetensors(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                            const Limits& limits = {}, bool look_at_values = true);

// Writes `tensors` atomically (io/atomic_file.h). The same input gives the same bytes: header in the order given,
// padded with spaces to a multiple of 8; data ordered by falling element size, so that every tensor is aligned to its
// element. Throws ErrorCode::internal for duplicate names or text that is not UTF-8, ErrorCode::io as AtomicFile.
void write_safetensors(const std::string& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata = {});

// The same bytes in pieces: the header's length, the header, then each tensor's bytes in the order of the data (among
// elements of one size that is the order of `tensors`). Errors: those above but for the file's, and what `sink` throws.
using ByteSink = std::function<void(std::span<const std::byte>)>;
void write_safetensors(const ByteSink& sink, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace furrow::io
