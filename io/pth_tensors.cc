#include <algorithm>
#include <cstring>

#include "io/pth_parts.h"
#include "kernels/error.h"

namespace furrow::io {
namespace {

// What a record takes beside its key, which stands in its name too; and a tensor beside its name, of which there are
// copies: a selection, a plan and a result, their dims and strides.
constexpr uint64_t kRecordBytes = 224, kNamedBytes = 560;

Error malformed(const std::string& reason) { return Error(ErrorCode::malformed, reason); }

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

bool PthRecords::add(std::string_view key, std::span<const std::byte> stored, const ZipEntry* entry) {
  share_.charge(kRecordBytes + 2 * key.size(), "the storages");
  return by_key_.try_emplace(std::string(key), PthRecord{name(key), stored, entry}).second;
}

const PthRecord* PthRecords::find(std::string_view key) const {
  const auto it = by_key_.find(std::string(key));
  return it == by_key_.end() ? nullptr : &it->second;
}

PthTensors::PthTensors(const PthRecords& records, std::shared_ptr<const void> owner, std::shared_ptr<ReadBudget> budget)
    : records_(records), owner_(std::move(owner)), share_(std::move(budget)) {}

PthTensors::Plan PthTensors::check(const std::string& name, PthClaim claim) {
  share_.charge(kNamedBytes + 2 * name.size(), "the tensors");
  Plan out;
  out.name = name;
  out.dtype = claim.dtype;
  out.record = records_.find(claim.key);
  if (out.record == nullptr) throw malformed("its record " + printable(records_.name(claim.key)) + " is missing");
  const uint64_t record_size = out.record->size();
  if (Checked(claim.elements) * claim.width != Checked(record_size))
    throw malformed("claims " + std::to_string(claim.elements) + " elements of " + std::to_string(claim.width) +
                    " bytes; its record " + printable(out.record->name) + " has " + std::to_string(record_size) +
                    " bytes");
  require(claim.begin <= claim.end && claim.end <= record_size, "views lie in their storages");
  const uint64_t width = size_of(claim.dtype), room = (claim.end - claim.begin) / width;
  // `most` counts an empty axis as 1, so that no product of any subset of the axes can wrap either.
  Checked elements = 1, most = 1, last = claim.offset;
  for (size_t i = 0; i < claim.dims.size(); ++i) {
    const Checked size = Checked::from_signed(claim.dims[i]);
    elements *= size;
    most *= std::max<uint64_t>(size.value(), 1);
    if (size > Checked(0)) last += (size - 1) * Checked::from_signed(claim.strides[i]);
  }
  (most * width).signed_value();
  out.elements = elements.value();
  if (out.elements == 0 ? claim.offset > room : last >= Checked(room))
    throw malformed("shape " + dims_to_string(claim.dims) + " at offset " + std::to_string(claim.offset) +
                    " reaches element " + std::to_string(last.value()) + " of a storage of " + std::to_string(room));
  out.at = (Checked(claim.offset) * width + claim.begin).value();
  out.dims = std::move(claim.dims), out.strides = std::move(claim.strides);
  out.dense = is_dense(out);
  if (!out.dense) share_.charge(elements * width, "the tensors");
  if (out.record->deflated() && data_.emplace(out.record, ZipData{}).second) share_.charge(record_size, "the tensors");
  return out;
}

const ZipData& PthTensors::data_of(const PthRecord& record) {
  ZipData& data = data_[&record];
  if (data.bytes.data() == nullptr)
    data = record.deflated() ? read_zip_entry(*record.entry) : ZipData{record.stored, {}};
  return data;
}

NamedTensor PthTensors::build(Plan plan) {
  const ZipData& data = data_of(*plan.record);
  const size_t width = size_of(plan.dtype), size = static_cast<size_t>(plan.elements) * width;
  NamedTensor out;
  if (plan.dense) {
    out.bytes = data.bytes.subspan(plan.elements == 0 ? 0 : static_cast<size_t>(plan.at), size);
    out.owner = data.owner ? data.owner : owner_;
  } else {
    const auto copy = std::make_shared<std::vector<std::byte>>(size);
    gather(plan, data.bytes.data() + static_cast<size_t>(plan.at), copy->data());
    out.bytes = *copy;
    out.owner = copy;
  }
  out.name = std::move(plan.name);
  out.dtype = plan.dtype;
  out.dims = std::move(plan.dims);
  return out;
}

}  // namespace furrow::io
