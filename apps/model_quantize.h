// `furrow model quantize`: finds, from photos, how a network's values become bytes, and which layers stay in float32.
#pragma once

#include <optional>
#include <string>

#include "apps/cli/report.h"
#include "io/limits.h"

namespace furrow::apps {

struct QuantizeOptions {
  std::string model, out;       // a weight file, or "default"; a .safetensors file
  std::string data;             // a folder of photos, or a data set with a folder images
  std::string crop = "auto";    // face, none; auto: none in a data set, face elsewhere
  int64_t photos = 32;          // the first of them, by name
  double iou = 0.99;            // of the masks of all photos with those in float32, at least
  std::optional<int64_t> size;  // side of the network's input; default the model's
  int threads = 0;
  bool force = false;
};

// Prints a row per step and writes the native file, atomically: the weights as they are, with ModelInfo::quantisation.
// Layers go back to float32, the one whose bytes alone move the logits most first, until the masks agree. Returns 0.
// Throws ErrorCode::usage for options out of range and where there is no photo or OUT exists; ErrorCode::unsupported
// where no mix of precisions agrees; those of reading models and photos.
int quantize_model(const QuantizeOptions& options, const io::Limits& limits, const cli::Common& common);

}  // namespace furrow::apps
