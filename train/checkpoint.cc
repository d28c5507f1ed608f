#include "train/checkpoint.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>

#include "io/atomic_file.h"
#include "io/crc32c.h"
#include "io/mapped_file.h"
#include "io/non_finite.h"
#include "io/safetensors.h"

namespace furrow::train {
namespace {

constexpr std::string_view kMagic = "furrowck", kSeal = "seal", kSum = "crc32c.";
constexpr uint32_t kVersion = 1;

// The end of the file, little-endian.
struct Seal {
  std::array<char, 8> magic{};
  uint32_t version = kVersion;
  uint32_t header_crc = 0;    // of the header and the eight bytes of its length
  uint64_t header_bytes = 0;  // of both
  uint32_t spare = 0;
  uint32_t own_crc = 0;  // of the bytes before it
};
static_assert(sizeof(Seal) == 32 && offsetof(Seal, own_crc) == 28);

std::span<const std::byte> bytes_of(const Seal& seal) { return std::as_bytes(std::span(&seal, 1)); }

std::string sum_text(std::span<const std::byte> bytes) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", io::crc32c(bytes));
  return text;
}

template <class T>
T number(const Snapshot& snapshot, const std::string& key) {
  const auto found = snapshot.values.find(key);
  if (found == snapshot.values.end()) throw Error(ErrorCode::malformed, "the checkpoint does not say \"" + key + "\"");
  const std::string& text = found->second;
  T value{};
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc() || end != text.data() + text.size())
    throw Error(ErrorCode::malformed, "\"" + printable(text, 40) + "\" is no such number").in(key);
  return value;
}

template <class T>
int64_t first_bad(const NamedTensor& tensor) {
  const std::vector<T> values = tensor.to<T>();
  for (size_t i = 0; i < values.size(); ++i)
    if (!std::isfinite(values[i])) return static_cast<int64_t>(i);
  return -1;
}

[[noreturn]] void damaged(std::string_view part, uint64_t at) {
  throw Error(ErrorCode::checksum, "stored and computed checksum differ: the checkpoint is damaged").at(at).in(part);
}

}  // namespace

namespace {

// `summed` is told of each tensor whose sum has been checked.
Snapshot read_checked(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const io::Limits& limits,
                      const std::function<void(std::span<const std::byte>)>& summed) {
  Seal seal;
  if (bytes.size() < sizeof seal)
    throw Error(ErrorCode::checksum, std::to_string(bytes.size()) + " bytes are no checkpoint: the file is cut");
  const uint64_t seal_at = bytes.size() - sizeof seal;
  std::memcpy(&seal, bytes.data() + seal_at, sizeof seal);
  if (io::crc32c(bytes_of(seal).first(offsetof(Seal, own_crc))) != seal.own_crc ||
      std::string_view(seal.magic.data(), seal.magic.size()) != kMagic)
    throw Error(ErrorCode::checksum, "the seal of a checkpoint is damaged or missing: the file is cut, or is none")
        .at(seal_at)
        .in(kSeal);
  if (seal.version > kVersion)
    throw Error(ErrorCode::unsupported, "a checkpoint of version " + std::to_string(seal.version) +
                                            "; this program reads up to " + std::to_string(kVersion))
        .at(seal_at);
  if (seal.header_bytes > seal_at || io::crc32c(bytes.first(seal.header_bytes)) != seal.header_crc)
    damaged("header", 0);

  io::Checkpoint file = io::read_safetensors(bytes, std::move(owner), limits, false);
  Snapshot out;
  for (NamedTensor& tensor : file.tensors) {
    if (tensor.name == kSeal) continue;
    const auto sum = file.metadata.find(std::string(kSum) + tensor.name);
    if (sum == file.metadata.end() || sum->second != sum_text(tensor.bytes))
      damaged(tensor.name, static_cast<uint64_t>(tensor.bytes.data() - bytes.data()));
    if (summed) summed(tensor.bytes);
    out.tensors.push_back(std::move(tensor));
  }
  for (auto& [key, value] : file.metadata)
    if (!key.starts_with(kSum)) out.values.emplace(key, std::move(value));
  return out;
}

}  // namespace

Snapshot read_snapshot(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const io::Limits& limits) {
  return read_checked(bytes, std::move(owner), limits, nullptr);
}

std::string exact_text(double value) {
  char text[40];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  return {text, end};
}

int64_t integer_value(const Snapshot& snapshot, const std::string& key) { return number<int64_t>(snapshot, key); }
uint64_t unsigned_value(const Snapshot& snapshot, const std::string& key) { return number<uint64_t>(snapshot, key); }
double real_value(const Snapshot& snapshot, const std::string& key) { return number<double>(snapshot, key); }

std::optional<BadValue> first_non_finite(const NamedTensors& tensors, std::string_view prefix) {
  for (const NamedTensor& tensor : tensors) {
    if (!tensor.name.starts_with(prefix) || !io::has_non_finite(tensor)) continue;
    return BadValue{tensor.name, tensor.dtype == DType::f64 ? first_bad<double>(tensor) : first_bad<float>(tensor)};
  }
  return std::nullopt;
}

void write_snapshot(const std::string& path, const Snapshot& snapshot) {
  if (const auto bad = first_non_finite(snapshot.tensors))
    throw Error(ErrorCode::malformed, "not saved: element " + std::to_string(bad->index) + " is not a finite number")
        .file(path)
        .in(bad->tensor)
        .hint("a lower learning rate, gradient clipping or fp32 keeps training finite; the checkpoint before is kept");
  NamedTensors tensors = snapshot.tensors;
  std::map<std::string, std::string> metadata = snapshot.values;
  for (const NamedTensor& tensor : tensors) metadata[std::string(kSum) + tensor.name] = sum_text(tensor.bytes);
  // Bytes are the smallest elements and this is the last tensor of them, so it ends the file. It is filled once the
  // header has gone by.
  Seal seal;
  tensors.push_back({std::string(kSeal), DType::u8, {sizeof seal}, bytes_of(seal), nullptr});

  io::AtomicFile file(path);
  int piece = 0;
  io::write_safetensors(
      [&](std::span<const std::byte> bytes) {
        if (piece < 2) {
          seal.header_crc = io::crc32c(bytes, seal.header_crc);
          seal.header_bytes += bytes.size();
        }
        if (++piece == 2) {
          std::memcpy(seal.magic.data(), kMagic.data(), kMagic.size());
          seal.own_crc = io::crc32c(bytes_of(seal).first(offsetof(Seal, own_crc)));
        }
        file.write(bytes);
      },
      tensors, metadata);
  file.commit();
}

Snapshot read_snapshot(const std::string& path, const io::Limits& limits) {
  return with_file(path, [&] {
    const auto file = io::MappedFile::open(path);
    // An export needs a third of it: what has been summed does not stay in memory.
    Snapshot out = read_checked(file->bytes(), file, limits, [&](auto part) { file->forget(part); });
    file->check_unchanged();
    return out;
  });
}

}  // namespace furrow::train
