// What the targets share: limits that small inputs can reach, and the checks of every result.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "io/limits.h"
#include "kernels/error.h"

namespace furrow::fuzz {

inline io::Limits small_limits() {
  io::Limits limits;
  limits.zip_entries = 40;
  limits.pickle_bytes = 1 << 16;
  limits.pickle_opcodes = 5'000;
  limits.pickle_stack = 200;
  limits.pickle_memo = 200;
  limits.pickle_depth = 20;
  limits.pickle_objects = 400;
  limits.pickle_values = 1'000;
  limits.name_bytes = 200;
  limits.tensors = 30;
  limits.expand_slack = 1 << 16;
  limits.safetensors_header = 1 << 12;
  limits.npy_header = 1 << 10;
  limits.config_bytes = 1 << 14;
  limits.config_keys = 200;
  limits.csv_line = 1 << 10;
  limits.csv_columns = 20;
  limits.csv_keys = 50;
  return limits;
}

// Reads every byte, so that a sanitizer sees one that is not there.
inline void touch(std::span<const std::byte> bytes) {
  volatile unsigned sum = 0;
  for (const std::byte byte : bytes) sum = sum + static_cast<unsigned>(byte);
}

// An Error must be printable in one line, and no broken promise of Furrow's own.
inline void check(const Error& error) {
  if (error.line().size() > 500 || error.code() == ErrorCode::internal) std::abort();
}

}  // namespace furrow::fuzz
