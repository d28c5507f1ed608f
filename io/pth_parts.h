// What the readers of PyTorch's three containers share: which values of the pickle are the weights, what the file says
// of each, and what their bytes are.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "io/checkpoint.h"
#include "io/limits.h"
#include "io/pickle.h"
#include "io/read_budget.h"
#include "io/zip.h"
#include "kernels/checked.h"
#include "kernels/secret_hash.h"
#include "kernels/tensor.h"

namespace furrow::io {

struct PthSelection {
  std::string nested_under, stripped_prefix;
  std::vector<std::pair<std::string, PickleValue>> tensors;  // name, tensor value; names unique
  std::map<std::string, std::string> metadata;
  std::vector<std::string> notes;
};

// Finds the dictionary of tensors (order: see read_pth). Throws malformed where there is none, listing the keys found,
// and for names that are no text, hold a zero byte or come twice.
PthSelection select_tensors(const Pickle& pickle, const Limits& limits);

// A number, truth value, text or NumPy scalar as text; false for everything else. Numbers are written so that reading
// them back gives the same value.
bool scalar_text(const Pickle& pickle, const PickleValue& value, std::string& out);

// What a file says of one tensor. Nothing of it is believed before PthTensors::check.
struct PthClaim {
  DType dtype = DType::f32;
  std::string_view key;                // of the record that holds its storage
  uint64_t elements = 0;               // of the storage, each of
  uint64_t width = 0;                  // bytes
  uint64_t begin = 0, end = 0;         // the bytes of the storage that the tensor may use
  uint64_t offset = 0;                 // of its first element, in elements of its own, from `begin`
  std::vector<int64_t> dims, strides;  // not negative, of one length, no more than limits.rank
};

// Rank, and signs of size, stride and offset, as both kinds of claim need them checked. Throws malformed, limit.
void check_shape(std::span<const int64_t> dims, std::span<const int64_t> strides, int64_t offset, const Limits& limits);

// The bytes of one storage.
struct PthRecord {
  std::string name;                   // for messages: "archive/data/0", "storage 94897569342944"
  std::span<const std::byte> stored;  // as they lie in the file
  const ZipEntry* entry = nullptr;    // of a zip: what must be inflated has one
  uint64_t size() const { return entry != nullptr ? entry->size : stored.size(); }
  bool deflated() const { return entry != nullptr && entry->deflated; }
};

// The storages of a file by their keys.
class PthRecords {
 public:
  // `prefix` and a key make the name of a record.
  PthRecords(std::string prefix, std::shared_ptr<ReadBudget> budget)
      : prefix_(std::move(prefix)), share_(std::move(budget)) {}
  // False where the key is taken. `entry` must outlive the records. Throws ErrorCode::limit.
  bool add(std::string_view key, std::span<const std::byte> stored, const ZipEntry* entry = nullptr);
  const PthRecord* find(std::string_view key) const;  // null: none
  std::string name(std::string_view key) const { return prefix_ + std::string(key); }

 private:
  const std::string prefix_;
  BudgetShare share_;
  std::unordered_map<std::string, PthRecord, SecretHash> by_key_;
};

// Turns claims into dense arrays. Every claim is checked by check() before build() allocates anything.
class PthTensors {
 public:
  // One tensor, its numbers checked against the storage record.
  struct Plan {
    std::string name;
    DType dtype = DType::f32;
    const PthRecord* record = nullptr;
    std::vector<int64_t> dims, strides;
    uint64_t at = 0, elements = 0;  // byte of the record; count
    bool dense = true;
  };

  PthTensors(const PthRecords& records, std::shared_ptr<const void> owner, std::shared_ptr<ReadBudget> budget);

  // Throws malformed and limit, without a place.
  Plan check(const std::string& name, PthClaim claim);
  NamedTensor build(Plan tensor);

 private:
  const ZipData& data_of(const PthRecord& record);

  const PthRecords& records_;
  const std::shared_ptr<const void> owner_;
  BudgetShare share_;
  std::unordered_map<const PthRecord*, ZipData> data_;
};

// Claims of a pickle that names its storages itself (PickleIds::zip, stream). Throws malformed, limit.
PthClaim claim_of(const Pickle& pickle, const PickleTensor& tensor, const Limits& limits);

// Throws malformed where one record is claimed with two element types or sizes, a view with two places, or a view
// reaches out of its storage.
void check_storages(const Pickle& pickle, const PthRecords& records);

// Selects the tensors of `pickle`, checks them all, then reads them. Fills everything of the result but `container`,
// `sha256` and `file_bytes`.
Checkpoint assemble_pth(const Pickle& pickle, const std::function<PthClaim(const PickleTensor&)>& claim,
                        PthTensors& tensors, const Limits& limits);

}  // namespace furrow::io
