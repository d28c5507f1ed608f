// The legacy stream: what torch.save wrote until PyTorch 1.6, and still writes when asked to
// (_use_new_zipfile_serialization=False).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "io/checkpoint.h"
#include "io/limits.h"

namespace furrow::io {

class Pickle;

// Whether `bytes` begin with the pickled magic number 0x1950a86a20f9469cfc6c.
bool is_pth_stream(std::string_view bytes);

// Reads `bytes`, which is_pth_stream, and which `owner` keeps alive. Layout, drawn in docs/formats.md: pickles of the
// magic number, the protocol version (1001), the machine that wrote it, the object, and the list of storage keys; then
// for each key an int64 with the number of elements and the little-endian elements. No checksum, no alignment. Result
// and rules for finding the tensors as read_pth; tensors that lie dense point into `bytes`. Refused besides what the
// pickle machine refuses: a storage that is listed twice, stored with another size than claimed, used but not stored,
// or stored but not used; bytes behind the last one; a big-endian writer (ErrorCode::unsupported).
Checkpoint read_pth_stream(std::span<const std::byte> bytes, std::shared_ptr<const void> owner,
                           const Limits& limits = {});

// The limits of each pickle beside the object, which hold a number or a short list; those of the file hold besides.
inline Limits small_pickle(Limits limits) {
  limits.pickle_objects = std::min<uint64_t>(limits.pickle_objects, 1'000);
  return limits;
}

// What stream and tar share: the dictionary about the machine that wrote the file. Throws malformed where it is none,
// where it states another protocol than `protocol`, and unsupported where it states big-endian data.
void check_sys_info(const Pickle& pickle, int64_t protocol, uint64_t at);

}  // namespace furrow::io
