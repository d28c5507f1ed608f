#include <algorithm>
#include <cstring>
#include <numeric>
#include <unordered_set>

#include "io/atomic_file.h"
#include "io/safetensors.h"
#include "io/utf8.h"
#include "kernels/secret_hash.h"

namespace furrow::io {
namespace {

std::string quoted(const std::string& text) {
  require(is_utf8(text), "write_safetensors: text is UTF-8");
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (code < 0x20)
      out += std::string("\\u00") + kDigits[code >> 4] + kDigits[code & 15];
    else
      out += c;
  }
  return out + '"';
}

std::string entry_json(const NamedTensor& tensor, uint64_t begin) {
  std::string shape;
  for (const int64_t extent : tensor.dims) shape += (shape.empty() ? "" : ",") + std::to_string(extent);
  return quoted(tensor.name) + ":{\"dtype\":\"" + std::string(name(tensor.dtype)) + "\",\"shape\":[" + shape +
         "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(begin + tensor.bytes.size()) + "]}";
}

}  // namespace

void write_safetensors(const ByteSink& sink, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::unordered_set<std::string, SecretHash> names = {"__metadata__"};
  for (const NamedTensor& tensor : tensors) {
    require(names.insert(tensor.name).second, "write_safetensors: names are unique and not __metadata__");
    require(tensor.bytes.size() == static_cast<size_t>(tensor.elements()) * size_of(tensor.dtype),
            "write_safetensors: byte count equals shape");
  }
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order,
                           [&](size_t a, size_t b) { return size_of(tensors[a].dtype) > size_of(tensors[b].dtype); });
  std::vector<uint64_t> begin(tensors.size());
  uint64_t at = 0;
  for (const size_t i : order) {
    begin[i] = at;
    at += tensors[i].bytes.size();
  }

  std::string header = "{";
  if (!metadata.empty()) {
    std::string pairs;
    for (const auto& [key, value] : metadata) pairs += (pairs.empty() ? "" : ",") + quoted(key) + ":" + quoted(value);
    header += "\"__metadata__\":{" + pairs + "}";
  }
  for (size_t i = 0; i < tensors.size(); ++i)
    header += (header.size() > 1 ? "," : "") + entry_json(tensors[i], begin[i]);
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');

  const uint64_t length = header.size();
  sink(std::as_bytes(std::span(&length, 1)));
  sink(std::as_bytes(std::span(header)));
  for (const size_t i : order) sink(tensors[i].bytes);
}

void write_safetensors(const std::string& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata) {
  AtomicFile file(path);
  write_safetensors([&](std::span<const std::byte> bytes) { file.write(bytes); }, tensors, metadata);
  file.commit();
}

}  // namespace furrow::io
