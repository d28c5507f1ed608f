// The two halves of read_pth: which values of the pickle are the weights, and what their bytes are.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "io/limits.h"
#include "io/pickle.h"
#include "io/zip.h"
#include "kernels/checked.h"
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

// Turns tensor values into dense arrays. Every claim is checked by check() before build() allocates anything.
class PthTensors {
 public:
  // One tensor, its numbers checked against the storage record.
  struct Plan {
    std::string name;
    DType dtype = DType::f32;
    const ZipEntry* record = nullptr;
    std::vector<int64_t> dims, strides;
    uint64_t offset = 0, elements = 0;
    bool dense = true;
  };

  // `root` ends in '/'. Throws malformed where one record is claimed with two element types or sizes.
  PthTensors(const ZipArchive& zip, std::string root, const Pickle& pickle, std::shared_ptr<const void> owner,
             uint64_t file_bytes, const Limits& limits);

  Plan check(const std::string& name, const PickleValue& value);
  NamedTensor build(Plan tensor);

 private:
  void check_claims(Plan& out, const PickleTensor& tensor);
  void charge(const Checked& bytes);
  const ZipData& data_of(const ZipEntry& record);

  const ZipArchive& zip_;
  const std::string root_;
  const Pickle& pickle_;
  const std::shared_ptr<const void> owner_;
  const Limits limits_;
  const Checked budget_;
  Checked used_ = 0;
  std::unordered_map<const ZipEntry*, ZipData> data_;
};

}  // namespace furrow::io
