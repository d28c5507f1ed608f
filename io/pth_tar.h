// The tar of 2017: what torch.save wrote in PyTorch 0.1, and how torchvision's first ResNets are published.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "io/checkpoint.h"
#include "io/limits.h"

namespace furrow::io {

// Reads `bytes`, a tar (io/tar.h), which `owner` keeps alive. Layout, drawn in docs/formats.md: four members.
//   sys_info   a pickle: protocol 1000, byte order
//   pickle     the object; its persistent ids are numbers of tensors, as text
//   tensors    a pickled count; for each a pickle (number, storage's number, torch.FloatTensor), then int32 rank and
//              4 bytes that mean nothing, int64 sizes, int64 strides, int64 offset in elements
//   storages   a pickled count; for each a pickle (number, location, torch.FloatStorage), int64 elements, the elements,
//              little-endian; then a pickled list of views (number, storage's number, first element, elements)
// Result and rules for finding the tensors as read_pth. A tar that holds something else is refused by what it holds.
Checkpoint read_pth_tar(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const Limits& limits = {});

}  // namespace furrow::io
