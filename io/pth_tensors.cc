#include <algorithm>
#include <cstring>

#include "io/pth_parts.h"
#include "kernels/error.h"

namespace furrow::io {
namespace {

Error malformed(const std::string& reason) { return Error(ErrorCode::malformed, reason); }

bool is_plain_key(std::string_view key) {
  return !key.empty() &&
         key.find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_.-") == key.npos &&
         key.find_first_not_of('.') != key.npos;
}

std::vector<int64_t> numbers(const Pickle& pickle, const PickleValue& tuple, const char* what) {
  std::vector<int64_t> out;
  for (const PickleValue& value : pickle.items(tuple)) {
    if (value.number < 0) throw malformed(std::string("negative ") + what + " " + std::to_string(value.number));
    out.push_back(value.number);
  }
  return out;
}

// Dense in row-major order; the stride of an axis of length 1 means nothing.
bool is_dense(const PthTensors::Plan& tensor) {
  if (tensor.elements == 0) return true;
  uint64_t expected = 1;
  for (size_t i = tensor.dims.size(); i-- > 0;) {
    if (tensor.dims[i] != 1 && static_cast<uint64_t>(tensor.strides[i]) != expected) return false;
    expected *= static_cast<uint64_t>(tensor.dims[i]);
  }
  return true;
}

template <size_t kWidth>
void copy_row(std::byte*& to, const std::byte* from, int64_t count, int64_t stride) {
  for (int64_t i = 0; i < count; ++i, to += kWidth)
    std::memcpy(to, from + i * stride * static_cast<int64_t>(kWidth), kWidth);
}

// Copies element by element in row-major order; `from` is the element at index 0, 0, ...
void gather(const PthTensors::Plan& tensor, const std::byte* from, std::byte* to) {
  const size_t width = size_of(tensor.dtype), rank = tensor.dims.size();
  const auto copy = width == 1 ? copy_row<1> : width == 2 ? copy_row<2> : width == 4 ? copy_row<4> : copy_row<8>;
  std::vector<int64_t> index(rank, 0);
  const uint64_t rows = tensor.elements / static_cast<uint64_t>(tensor.dims.back());
  for (uint64_t row = 0; row < rows; ++row) {
    int64_t offset = 0;
    for (size_t i = 0; i + 1 < rank; ++i) offset += index[i] * tensor.strides[i];
    copy(to, from + offset * static_cast<int64_t>(width), tensor.dims.back(), tensor.strides.back());
    for (size_t i = rank - 1; i-- > 0;) {
      if (++index[i] < tensor.dims[i]) break;
      index[i] = 0;
    }
  }
}

}  // namespace

PthTensors::PthTensors(const ZipArchive& zip, std::string root, const Pickle& pickle, std::shared_ptr<const void> owner,
                       uint64_t file_bytes, const Limits& limits)
    : zip_(zip),
      root_(std::move(root)),
      pickle_(pickle),
      owner_(std::move(owner)),
      limits_(limits),
      budget_(Checked(file_bytes) * limits.expand_factor + limits.expand_slack) {
  std::unordered_map<std::string_view, const PickleStorage*> first;
  for (const PickleStorage& storage : pickle.storages()) {
    const std::string_view key = pickle.text(storage.key);
    if (!is_plain_key(key))
      throw malformed("a storage key that is no plain name: " + printable(key)).at(storage.at).in("data.pkl");
    const PickleStorage& other = *first.emplace(key, &storage).first->second;
    if (other.dtype != storage.dtype || other.elements != storage.elements)
      throw malformed("record data/" + std::string(key) + " is claimed as " + std::to_string(other.elements) + " x " +
                      std::string(name(other.dtype)) + " and as " + std::to_string(storage.elements) + " x " +
                      std::string(name(storage.dtype)))
          .at(storage.at)
          .in("data.pkl");
  }
}

void PthTensors::charge(const Checked& bytes) {
  used_ += bytes;
  if (used_ > budget_)
    throw Error(ErrorCode::limit, "the tensors would fill " + std::to_string(used_.value()) +
                                      " bytes, over the limit of " + std::to_string(budget_.value()));
}

void PthTensors::check_claims(Plan& out, const PickleTensor& tensor) {
  const PickleStorage& storage = pickle_.storage(tensor);
  const Checked width = size_of(storage.dtype);
  const std::string record = root_ + "data/" + std::string(pickle_.text(storage.key));
  out.dtype = storage.dtype;
  out.record = zip_.find(record);
  if (out.record == nullptr) throw malformed("its record " + printable(record) + " is missing");
  if (Checked::from_signed(storage.elements) * width != Checked(out.record->size))
    throw malformed("claims " + std::to_string(storage.elements) + " elements of " + std::to_string(width.value()) +
                    " bytes; its record " + printable(record) + " has " + std::to_string(out.record->size) + " bytes");
  const size_t rank = pickle_.items(tensor.size).size();
  if (rank > limits_.rank)
    throw Error(ErrorCode::limit,
                "has " + std::to_string(rank) + " axes, over the limit of " + std::to_string(limits_.rank));
  out.dims = numbers(pickle_, tensor.size, "size");
  out.strides = numbers(pickle_, tensor.stride, "stride");
  if (out.strides.size() != rank)
    throw malformed("has " + std::to_string(rank) + " sizes and " + std::to_string(out.strides.size()) + " strides");
  if (tensor.offset.number < 0) throw malformed("negative offset " + std::to_string(tensor.offset.number));
  out.offset = static_cast<uint64_t>(tensor.offset.number);
  // `most` counts an empty axis as 1, so that no product of any subset of the axes can wrap either.
  Checked elements = 1, most = 1, last = out.offset;
  for (size_t i = 0; i < rank; ++i) {
    const Checked size = Checked::from_signed(out.dims[i]);
    elements *= size;
    most *= std::max<uint64_t>(size.value(), 1);
    if (size > Checked(0)) last += (size - 1) * Checked::from_signed(out.strides[i]);
  }
  (most * width).signed_value();
  out.elements = elements.value();
  const bool inside = out.elements == 0 ? out.offset <= static_cast<uint64_t>(storage.elements)
                                        : last < Checked::from_signed(storage.elements);
  if (!inside)
    throw malformed("shape " + dims_to_string(out.dims) + " at offset " + std::to_string(out.offset) +
                    " reaches element " + std::to_string(last.value()) + " of a storage of " +
                    std::to_string(storage.elements));
  out.dense = is_dense(out);
  if (!out.dense) charge(elements * width);
  if (out.record->deflated && data_.emplace(out.record, ZipData{}).second) charge(out.record->size);
}

PthTensors::Plan PthTensors::check(const std::string& name, const PickleValue& value) {
  const PickleTensor& tensor = pickle_.tensor(value);
  Plan out;
  out.name = name;
  try {
    check_claims(out, tensor);
  } catch (const Error& error) {
    throw Error(error.code(), "tensor " + printable(name) + ": " + error.reason()).at(tensor.at).in("data.pkl");
  }
  return out;
}

const ZipData& PthTensors::data_of(const ZipEntry& record) {
  ZipData& data = data_[&record];
  if (data.bytes.data() == nullptr) data = zip_.read(record);
  return data;
}

NamedTensor PthTensors::build(Plan plan) {
  const ZipData& data = data_of(*plan.record);
  const size_t width = size_of(plan.dtype), size = static_cast<size_t>(plan.elements) * width;
  NamedTensor out;
  if (plan.dense) {
    out.bytes = data.bytes.subspan(plan.elements == 0 ? 0 : static_cast<size_t>(plan.offset) * width, size);
    out.owner = data.owner ? data.owner : owner_;
  } else {
    const auto copy = std::make_shared<std::vector<std::byte>>(size);
    gather(plan, data.bytes.data() + static_cast<size_t>(plan.offset) * width, copy->data());
    out.bytes = *copy;
    out.owner = copy;
  }
  out.name = std::move(plan.name);
  out.dtype = plan.dtype;
  out.dims = std::move(plan.dims);
  return out;
}

}  // namespace furrow::io
