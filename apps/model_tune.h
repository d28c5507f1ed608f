// `furrow model tune`: times Furrow's kernels against cuDNN and cuBLASLt, step by step, for this GPU.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "apps/cli/report.h"
#include "io/limits.h"

namespace furrow::apps {

struct TuneOptions {
  std::string model = "default";          // a weight file, or the model compiled in
  std::string device = "cuda", file;      // file: empty for default_tuning_file()
  std::optional<std::string> precision;   // fp16 (default), bf16, tf32
  std::optional<int64_t> size;            // side of the network's input; default the model's
  int rounds = 20;
};

// Prints one line per step that differs and adds the result to the file. Returns 0. Throws ErrorCode::device without a GPU
// or the libraries, ErrorCode::usage for other devices and for fp32.
int tune_model(const TuneOptions& options, const io::Limits& limits, const cli::Common& common);

}  // namespace furrow::apps
