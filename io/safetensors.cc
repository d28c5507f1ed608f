#include "io/safetensors.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>

#include "io/cursor.h"
#include "io/non_finite.h"
#include "io/safetensors_header.h"
#include "kernels/checked.h"

namespace furrow::io {
namespace {

constexpr std::array kTypes = {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i64,     DType::i32,
                               DType::i16, DType::i8,  DType::u8,  DType::u16,  DType::boolean, DType::u32};
// Types of the format that Furrow has no use for; known so that the message can say so.
constexpr std::array<std::string_view, 9> kUnreadTypes = {"U64",     "C64",     "F8_E4M3", "F8_E5M2",    "F8_E8M0",
                                                          "F6_E2M3", "F6_E3M2", "F4",      "F8_E4M3FNUZ"};

std::optional<DType> type_named(std::string_view text) {
  for (const DType type : kTypes)
    if (name(type) == text) return type;
  return std::nullopt;
}

std::string range_of(const SafetensorsEntry& entry) {
  return entry.offsets.size() == 2
             ? "[" + std::to_string(entry.offsets[0]) + ", " + std::to_string(entry.offsets[1]) + ")"
             : "unknown";
}

[[noreturn]] void refuse(const SafetensorsEntry& entry, const std::string& why, uint64_t at,
                         ErrorCode code = ErrorCode::malformed) {
  throw Error(code, "tensor " + printable(entry.name) + ", bytes " + range_of(entry) + ": " + why).at(at).in("header");
}

NamedTensor check_entry(const SafetensorsEntry& entry, uint64_t header_at, const Limits& limits) {
  const auto no = [&](const std::string& why) { refuse(entry, why, header_at); };
  if (!entry.has_dtype) no("dtype is missing");
  if (!entry.has_shape) no("shape is missing");
  if (!entry.has_offsets) no("data_offsets is missing");
  if (entry.offsets.size() != 2) no("data_offsets has " + std::to_string(entry.offsets.size()) + " numbers, not 2");
  if (entry.shape.size() > limits.rank) no("more than " + std::to_string(limits.rank) + " axes");
  const std::optional<DType> type = type_named(entry.dtype);
  if (!type && std::ranges::find(kUnreadTypes, entry.dtype) != kUnreadTypes.end())
    refuse(entry, "dtype " + entry.dtype + " is not read", header_at, ErrorCode::unsupported);
  if (!type) no("unknown dtype " + printable(entry.dtype, 40));
  if (entry.offsets[0] > entry.offsets[1]) no("the range is reversed");

  NamedTensor out;
  out.name = entry.name;
  out.dtype = *type;
  Checked size = size_of(*type), most = size;
  try {
    for (const uint64_t extent : entry.shape) {
      size *= extent;
      most *= std::max<uint64_t>(extent, 1);  // no product of any axes may wrap, empty ones beside them or not
      out.dims.push_back(Checked(extent).signed_value());
    }
    most.signed_value();
  } catch (const Error&) { no("the shape overflows 64 bits"); }
  if (size != Checked(entry.offsets[1] - entry.offsets[0]))
    no("shape " + dims_to_string(out.dims) + " of " + entry.dtype + " is " + std::to_string(size.value()) +
       " bytes, the range " + std::to_string(entry.offsets[1] - entry.offsets[0]));
  return out;
}

// Ordered by place, the ranges must cover the data exactly: nothing can hide in a hole or behind the end.
void check_tiling(const std::vector<SafetensorsEntry>& entries, uint64_t header_at, uint64_t data_at,
                  uint64_t data_size) {
  std::vector<size_t> order(entries.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, [&](size_t a, size_t b) { return entries[a].offsets < entries[b].offsets; });
  uint64_t at = 0;
  for (const size_t i : order) {
    const SafetensorsEntry& entry = entries[i];
    if (entry.offsets[0] < at) refuse(entry, "overlaps the tensor before it", header_at);
    if (entry.offsets[0] > at)
      refuse(entry, std::to_string(entry.offsets[0] - at) + " bytes before it belong to no tensor", header_at);
    at = entry.offsets[1];
    if (at > data_size)
      refuse(entry, "reaches beyond the data of " + std::to_string(data_size) + " bytes: the file is cut", header_at);
  }
  if (at != data_size)
    throw Error(ErrorCode::malformed, std::to_string(data_size - at) + " bytes at the end belong to no tensor")
        .at(data_at + at);
}

}  // namespace

Checkpoint read_safetensors(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const Limits& limits,
                            bool look_at_values) {
  Cursor cursor(bytes, 0, "the safetensors header");
  const uint64_t length = cursor.u64();
  if (length > cursor.left())
    throw Error(ErrorCode::malformed, "the header is said to have " + std::to_string(length) + " bytes, the file has " +
                                          std::to_string(cursor.left()) + " more: the file is cut or no safetensors")
        .at(0);
  if (length > limits.safetensors_header)
    throw Error(ErrorCode::limit, "the header is too large").at(0).limit(limits.safetensors_header, length);
  const uint64_t header_at = cursor.at();
  const std::string_view json = cursor.text(length);
  if (!json.starts_with('{'))
    throw Error(ErrorCode::malformed, "the header does not begin with {").at(header_at).in("header");
  const uint64_t data_at = cursor.at();

  SafetensorsHeader header = parse_safetensors_header(json, header_at, limits);
  Checkpoint out;
  for (const SafetensorsEntry& entry : header.entries) out.tensors.push_back(check_entry(entry, header_at, limits));
  check_tiling(header.entries, header_at, data_at, bytes.size() - data_at);
  if (out.tensors.empty()) throw Error(ErrorCode::malformed, "holds no tensors").at(header_at).in("header");
  for (size_t i = 0; i < out.tensors.size(); ++i) {
    const auto& offsets = header.entries[i].offsets;
    out.tensors[i].bytes =
        bytes.subspan(static_cast<size_t>(data_at + offsets[0]), static_cast<size_t>(offsets[1] - offsets[0]));
    out.tensors[i].owner = owner;
  }
  out.container = "safetensors";
  out.metadata = std::move(header.metadata);
  if (look_at_values) note_non_finite(out.tensors, out.notes);
  return out;
}

}  // namespace furrow::io
