// Every limit on untrusted input, with its default (docs/errors.md; printed by `furrow --limits`).
#pragma once

#include <cstdint>

namespace furrow::io {

struct Limits {
  // containers
  uint64_t zip_entries = 65'536;
  uint64_t pickle_bytes = uint64_t{64} << 20;
  uint64_t pickle_opcodes = 16'000'000;
  uint64_t pickle_stack = 1'000'000;
  uint64_t pickle_memo = 1'000'000;
  uint64_t pickle_depth = 64;
  uint64_t pickle_objects = 1'000'000;            // containers, storages and tensors together
  uint64_t pickle_values = 2'000'000;             // held by all containers together
  uint64_t name_bytes = 64 << 10;
  uint64_t tensors = 100'000;
  uint64_t rank = 8;
  uint64_t expand_factor = 4;                     // materialised bytes <= factor * file + slack
  uint64_t expand_slack = uint64_t{64} << 20;
  uint64_t inflate_ratio = 200;
  uint64_t safetensors_header = uint64_t{16} << 20;
  uint64_t npy_header = 10'000;                   // as numpy.load
  // pictures
  uint64_t picture_pixels = uint64_t{1} << 28;
  uint64_t picture_side = 65'535;
  uint64_t jpeg_scans = 100;
  // settings and tables
  uint64_t config_bytes = uint64_t{1} << 20;
  uint64_t config_depth = 16;
  uint64_t config_keys = 1'000;                   // keys and list items together
  uint64_t csv_line = 64 << 10;                   // bytes of one row
  uint64_t csv_columns = 1'000;
  uint64_t csv_keys = 1'000'000;                  // rows whose keys are compared
};

}  // namespace furrow::io
