// `furrow model convert`.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/cli/report.h"
#include "apps/manifest.h"
#include "io/limits.h"

namespace furrow::apps {

struct ConvertOptions {
  std::string in, out, dtype = "keep";
  std::string nest;   // .pth: the key under which the tensors go, as the reference's own checkpoints have it; empty: bare
  bool force = false;
  // Metadata of the native file; what is absent is taken from the kind of checkpoint that `as` names, from what is
  // published about the very file, from the input, or from the documented defaults.
  std::optional<std::string> as;
  std::optional<std::string> name, normalisation, output, resize, labels, texture, licence, citation;
  std::optional<double> threshold;
  std::optional<int64_t> size;
};

// Writes OUT atomically. .safetensors: the native file where the architecture is recognised (its metadata carries
// preprocessing, licence and the source's sha256), otherwise the tensors as they are. .pth: a zip that torch.load opens
// with weights_only. Prints one line saying what was written. Errors: ErrorCode::usage for bad options or an existing OUT.
// What is published about IN is looked for in `manifest`.
int convert_model(const ConvertOptions& options, const io::Limits& limits, const cli::Common& common,
                  const std::vector<PublishedFile>& manifest = builtin_manifest());

}  // namespace furrow::apps
