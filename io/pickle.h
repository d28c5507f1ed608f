// What a pickle of torch.save holds, as inert values. Nothing named in the pickle is ever looked up, imported or
// called.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string_view>
#include <vector>

#include "io/limits.h"
#include "kernels/tensor.h"

namespace furrow::io {

enum class PickleKind : uint8_t {
  none,
  boolean,
  integer,
  big_integer,  // more than 64 bits; its value is not kept
  real,
  text,
  bytes,
  encoded,  // _codecs.encode(text, "latin1"): bytes, spelled as text
  tuple,
  list,
  dict,
  ordered_dict,
  set,
  global,  // an allowed name that was not applied to anything; `number` is a PickleGlobal
  storage,
  tensor,
  numpy_dtype,   // items: its type code ("f8"), its byte order ("<")
  numpy_scalar,  // items: dtype, bytes or encoded
  inert,         // a device, a dtype, a bytearray: carried along, never used
};

// 16 bytes, freely copied. Containers live in the Pickle's arena and are meant by index, so copies share them, as in
// Python, and no destructor recurses however deep they nest.
struct PickleValue {
  PickleKind kind = PickleKind::none;
  uint32_t index = 0;  // text, bytes, encoded: offset in the pickle; containers, storage, tensor: position in the arena
  int64_t number = 0;  // boolean, integer: the value; real: its bits; text, bytes, encoded: length

  double real() const { return std::bit_cast<double>(number); }
};

// ('storage', TYPE, key, location, elements): a typed block of raw bytes, the record `data/KEY`.
struct PickleStorage {
  DType dtype = DType::f32;
  PickleValue key;
  int64_t elements = 0;
  uint64_t at = 0;  // byte in the pickle
};

// A view of a storage. Whether it fits is for the reader of tensors to check; the numbers are as in the pickle.
struct PickleTensor {
  uint32_t storage = 0;
  PickleValue offset, size, stride;  // integer, tuple of integers, tuple of integers
  uint64_t at = 0;
};

class Pickle {
 public:
  PickleValue root() const { return root_; }
  // Of text, bytes and encoded values.
  std::string_view text(const PickleValue& value) const;
  // Members of a tuple, list or set; of a dictionary key, value, key, value ... in order of insertion.
  std::span<const PickleValue> items(const PickleValue& value) const;
  const PickleTensor& tensor(const PickleValue& value) const { return tensors_.at(value.index); }
  const PickleStorage& storage(const PickleTensor& tensor) const { return storages_.at(tensor.storage); }
  const std::deque<PickleStorage>& storages() const { return storages_; }

 private:
  friend class PickleMachine;
  struct Node {
    std::vector<PickleValue> items;
    uint32_t depth = 1;
  };
  explicit Pickle(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::span<const std::byte> bytes_;
  std::deque<Node> nodes_;
  std::deque<PickleStorage> storages_;
  std::deque<PickleTensor> tensors_;
  PickleValue root_;
};

inline bool is_dict(const PickleValue& value) {
  return value.kind == PickleKind::dict || value.kind == PickleKind::ordered_dict;
}

// Runs the pickle (protocol 2 to 4) on a machine that knows 46 opcodes and the names of io/pickle_globals.h; `bytes`
// must outlive the result. Everything else is refused by name with its offset: ErrorCode::malformed, or unsupported
// where it is a class (a whole model was pickled, not its state_dict) or a kind of tensor that is not read.
Pickle run_pickle(std::span<const std::byte> bytes, const Limits& limits);

}  // namespace furrow::io
