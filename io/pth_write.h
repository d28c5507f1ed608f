// Writes `.pth` files that PyTorch opens, its safe loader included.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "kernels/tensor.h"

namespace furrow::io {

using PthScalar = std::variant<int64_t, double, std::string>;

struct PthOptions {
  // Key of the dictionary that holds the tensors, "model_state_dict" in the training files of this model family;
  // "" writes the bare state dictionary.
  std::string nest_under;
  // Entries beside `nest_under`, in this order ("epoch" -> 12); only with nest_under. PyTorch 1.13's safe loader
  // refuses any file with a floating-point number in its pickle, so write doubles only where that does not matter.
  std::vector<std::pair<std::string, PthScalar>> extra;
};

// A zip with stored records aligned to 64 bytes and CRCs, holding a protocol-2 pickle of an OrderedDict of
// torch._utils._rebuild_tensor_v2: what torch.save writes since 1.6. Atomic (io/atomic_file.h); the same input gives
// the same bytes. Refused: u16 and u32 tensors and files of 4 GiB or more (ErrorCode::unsupported).
void write_pth(const std::string& path, const NamedTensors& tensors, const PthOptions& options = {});

}  // namespace furrow::io
