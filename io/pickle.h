// What a pickle of torch.save holds, as inert values. Nothing named in the pickle is ever looked up, imported or
// called.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "io/limits.h"
#include "io/read_budget.h"
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
  element_type,  // a torch.dtype that is read; `index` is a DType
  inert,         // a device, a bytearray: carried along, never used
};

// 16 bytes, freely copied. Containers live in the Pickle's arena and are meant by index, so copies share them, as in
// Python, and no destructor recurses however deep they nest.
struct PickleValue {
  PickleKind kind = PickleKind::none;
  uint32_t index = 0;  // text, bytes, encoded: offset in the pickle; containers, storage, tensor: position in the arena
  int64_t number = 0;  // boolean, integer: the value; real: its bits; text, bytes, encoded: length

  double real() const { return std::bit_cast<double>(number); }
};

// What a persistent id (BINPERSID) stands for: it differs between the containers.
enum class PickleIds : uint8_t {
  none,    // no value may have one
  zip,     // ('storage', TYPE, key, location, elements)
  stream,  // the same and (view key, first element, elements), or None: the part of the storage that is meant
  tar,     // the number of a tensor, as text
};

// Where a pickle stands, for messages and for the meaning of its ids.
struct PickleSource {
  std::string_view entry = "data.pkl";  // must outlive the Pickle
  uint64_t at = 0;                      // added to the offsets in messages: where the pickle begins
  PickleIds ids = PickleIds::zip;
  std::shared_ptr<ReadBudget> budget = {};  // of the file; none: the pickle is all there is
};

// A typed block of raw bytes. Of an untyped one (`torch.storage.UntypedStorage`) the elements are bytes.
struct PickleStorage {
  DType dtype = DType::f32;
  PickleValue key;
  int64_t elements = 0;
  bool untyped = false;
  // The part that tensors count from; all of it, under no key, where the file states no view.
  PickleValue view_key;
  int64_t view_begin = 0, view_elements = 0;
  uint64_t at = 0;  // byte, see PickleSource
};

// A view of a storage. Whether it fits is for the reader of tensors to check; the numbers are as in the pickle.
struct PickleTensor {
  uint32_t storage = 0;
  PickleValue offset, size, stride;  // integer, tuple of integers, tuple of integers
  DType dtype = DType::f32;
  int64_t id = 0;      // PickleIds::tar: everything above but `dtype` stands elsewhere, under this number
  bool empty = false;  // a Parameter made without arguments, until BUILD gives it its tensor
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
  const PickleSource& source() const { return source_; }
  ReadBudget& budget() const { return *source_.budget; }
  std::string_view entry() const { return source_.entry; }

 private:
  friend class PickleMachine;
  struct Node {
    std::vector<PickleValue> items;
    uint32_t depth = 1;
  };
  Pickle(std::span<const std::byte> bytes, const PickleSource& source)
      : bytes_(bytes), source_(source), share_(source.budget) {}
  std::span<const std::byte> bytes_;
  PickleSource source_;
  std::deque<Node> nodes_;
  std::deque<PickleStorage> storages_;
  std::deque<PickleTensor> tensors_;
  PickleValue root_;
  BudgetShare share_;  // what all this takes
};

inline bool is_dict(const PickleValue& value) {
  return value.kind == PickleKind::dict || value.kind == PickleKind::ordered_dict;
}

// Runs the pickle (protocol 2 to 4) on a machine that knows 46 opcodes and the names of io/pickle_globals.h; `bytes`
// must outlive the result. Everything else is refused by name with its offset: ErrorCode::malformed, or unsupported
// where it is a class (a whole model was pickled, not its state_dict) or a kind of tensor that is not read. Steps,
// objects, values and memory of all pickles with one budget count together: ErrorCode::limit.
Pickle run_pickle(std::span<const std::byte> bytes, const Limits& limits, const PickleSource& source = {});

// The same for a pickle that `bytes` begin with. `length`: of it; what follows is not looked at.
Pickle run_pickle_ahead(std::span<const std::byte> bytes, const Limits& limits, const PickleSource& source,
                        uint64_t& length);

}  // namespace furrow::io
