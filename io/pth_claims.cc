#include <algorithm>
#include <string>

#include "io/non_finite.h"
#include "io/pth_parts.h"
#include "kernels/error.h"
#include "kernels/secret_hash.h"

namespace furrow::io {
namespace {

Error malformed(const std::string& reason) { return Error(ErrorCode::malformed, reason); }

// Keys become names of records: nothing that could be a path.
bool is_plain_key(std::string_view key) {
  return !key.empty() &&
         key.find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_.-") == key.npos &&
         key.find_first_not_of('.') != key.npos;
}

std::vector<int64_t> numbers(const Pickle& pickle, const PickleValue& tuple) {
  std::vector<int64_t> out;
  for (const PickleValue& value : pickle.items(tuple)) out.push_back(value.number);
  return out;
}

std::string described(const PickleStorage& storage) {
  return std::to_string(storage.elements) + " x " + std::string(storage.untyped ? "byte" : name(storage.dtype));
}

std::string view_of(const PickleStorage& storage) {
  return std::to_string(storage.view_elements) + " elements from " + std::to_string(storage.view_begin);
}

}  // namespace

void check_shape(std::span<const int64_t> dims, std::span<const int64_t> strides, int64_t offset,
                 const Limits& limits) {
  if (dims.size() > limits.rank)
    throw Error(ErrorCode::limit,
                "has " + std::to_string(dims.size()) + " axes, over the limit of " + std::to_string(limits.rank));
  for (const int64_t size : dims)
    if (size < 0) throw malformed("negative size " + std::to_string(size));
  for (const int64_t stride : strides)
    if (stride < 0) throw malformed("negative stride " + std::to_string(stride));
  if (strides.size() != dims.size())
    throw malformed("has " + std::to_string(dims.size()) + " sizes and " + std::to_string(strides.size()) + " strides");
  if (offset < 0) throw malformed("negative offset " + std::to_string(offset));
}

PthClaim claim_of(const Pickle& pickle, const PickleTensor& tensor, const Limits& limits) {
  const PickleStorage& storage = pickle.storage(tensor);
  PthClaim out;
  out.dtype = tensor.dtype;
  out.key = pickle.text(storage.key);
  out.elements = Checked::from_signed(storage.elements).value();
  out.width = size_of(storage.dtype);
  out.begin = (Checked::from_signed(storage.view_begin) * out.width).value();
  out.end = (Checked::from_signed(storage.view_elements) * out.width + out.begin).value();
  out.dims = numbers(pickle, tensor.size);
  out.strides = numbers(pickle, tensor.stride);
  check_shape(out.dims, out.strides, tensor.offset.number, limits);
  out.offset = Checked::from_signed(tensor.offset.number).value();
  return out;
}

void check_storages(const Pickle& pickle, const PthRecords& records) {
  BudgetShare share(pickle.source().budget);
  constexpr uint64_t kSeenBytes = 56;  // of an entry of either
  std::unordered_map<std::string_view, const PickleStorage*, SecretHash> first, views;
  with_place(pickle.source().at, pickle.entry(),
             [&] { share.charge(Checked(pickle.storages().size()) * (2 * kSeenBytes), "the storages"); });
  for (const PickleStorage& storage : pickle.storages()) {
    const auto refuse = [&](const std::string& why) { throw malformed(why).at(storage.at).in(pickle.entry()); };
    const std::string_view key = pickle.text(storage.key);
    if (!is_plain_key(key)) refuse("a storage key that is no plain name: " + printable(key));
    const PickleStorage& other = *first.emplace(key, &storage).first->second;
    if (other.dtype != storage.dtype || other.elements != storage.elements || other.untyped != storage.untyped)
      refuse("record " + records.name(key) + " is claimed as " + described(other) + " and as " + described(storage));
    if (storage.view_key.kind != PickleKind::text) continue;
    with_place(storage.at, pickle.entry(), [&] {
      if (Checked::from_signed(storage.view_begin) + Checked::from_signed(storage.view_elements) >
          Checked::from_signed(storage.elements))
        refuse("a view of " + view_of(storage) + ", beyond the storage of " + std::to_string(storage.elements));
    });
    const std::string_view view_key = pickle.text(storage.view_key);
    const PickleStorage& same = *views.emplace(view_key, &storage).first->second;
    if (pickle.text(same.key) != key || same.view_begin != storage.view_begin ||
        same.view_elements != storage.view_elements)
      refuse("the view " + printable(view_key, 40) + " is said to be " + view_of(same) + " and " + view_of(storage));
  }
  for (const PickleStorage& view : pickle.storages()) {
    if (view.view_key.kind != PickleKind::text) continue;
    if (const std::string_view key = pickle.text(view.view_key); first.contains(key))
      throw malformed("the key " + printable(key, 40) + " names a storage and a view").at(view.at).in(pickle.entry());
  }
}

Checkpoint assemble_pth(const Pickle& pickle, const std::function<PthClaim(const PickleTensor&)>& claim,
                        PthTensors& tensors, const Limits& limits) {
  PthSelection selection =
      with_place(pickle.source().at, pickle.entry(), [&] { return select_tensors(pickle, limits); });
  std::vector<PthTensors::Plan> plans;
  plans.reserve(selection.tensors.size());
  for (const auto& [name, value] : selection.tensors) {
    const PickleTensor& tensor = pickle.tensor(value);
    try {
      if (tensor.empty) throw malformed("is a Parameter that was never given its values");
      plans.push_back(tensors.check(name, claim(tensor)));
    } catch (const Error& error) {
      throw Error(error.code(), "tensor " + printable(name) + ": " + error.reason()).at(tensor.at).in(pickle.entry());
    }
  }
  Checkpoint out;
  out.tensors.reserve(plans.size());
  for (PthTensors::Plan& plan : plans) out.tensors.push_back(tensors.build(std::move(plan)));
  out.nested_under = std::move(selection.nested_under);
  out.stripped_prefix = std::move(selection.stripped_prefix);
  out.metadata = std::move(selection.metadata);
  out.notes = std::move(selection.notes);
  return out;
}

}  // namespace furrow::io
