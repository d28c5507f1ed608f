// Zip `.pth`: what torch.save writes since PyTorch 1.6.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "io/checkpoint.h"
#include "io/limits.h"

namespace furrow::io {

// Reads `bytes`, which `owner` keeps alive. Layout: ROOT/data.pkl, a pickle; ROOT/data/KEY, the raw little-endian
// storages it names; ROOT/version; newer files also ROOT/byteorder, ROOT/.format_version, ROOT/.storage_alignment and
// ROOT/.data/serialization_id (docs/formats.md). Fills everything of the
// result but `sha256` and `file_bytes`. The tensors are looked for under "model_state_dict", "state_dict", "model",
// then at the top; the first that holds any wins. "module." and "_orig_mod." are stripped where every name has them.
// Entries that are no tensors are dropped with a note. Strided, transposed and expanded tensors are made dense, in the
// file's element type.
Checkpoint read_pth(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const Limits& limits = {});

}  // namespace furrow::io
