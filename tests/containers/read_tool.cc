// read_checkpoints: reads names of files from standard input, one a line, and prints one line of JSON for each:
//   {"tensors": [[name, dtype, shape, SHA-256 of its bytes], ...], "under": wrapper, "stripped": prefix}
//   {"error": code, "entry": where in the file, "reason": text}
// For scripts/differential_fuzz.py, which asks about a hundred thousand files.
#include <algorithm>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "io/checkpoint.h"
#include "io/sha256.h"

namespace {

using Json = nlohmann::ordered_json;

// Booleans as 0 and 1: any other byte but 0 means true as well, here and in PyTorch.
std::string digest(const furrow::NamedTensor& tensor) {
  if (tensor.dtype != furrow::DType::boolean) return furrow::io::sha256_hex(tensor.bytes);
  std::vector<std::byte> truths(tensor.bytes.size());
  std::ranges::transform(tensor.bytes, truths.begin(), [](std::byte b) { return std::byte(b != std::byte{0}); });
  return furrow::io::sha256_hex(truths);
}

Json look(const std::string& path) {
  try {
    const furrow::io::Checkpoint file = furrow::io::read_checkpoint(path);
    Json tensors = Json::array();
    // A storage may have many names; the tensors keep all bytes, so a place in memory says what is there.
    std::map<std::tuple<const std::byte*, size_t, furrow::DType>, std::string> digests;
    for (const furrow::NamedTensor& tensor : file.tensors) {
      std::string& known = digests[{tensor.bytes.data(), tensor.bytes.size(), tensor.dtype}];
      if (known.empty()) known = digest(tensor);
      tensors.push_back(Json::array({tensor.name, std::string(name(tensor.dtype)), tensor.dims, known}));
    }
    return {{"tensors", std::move(tensors)}, {"under", file.nested_under}, {"stripped", file.stripped_prefix}};
  } catch (const furrow::Error& error) {
    return {{"error", std::string(name(error.code()))}, {"entry", error.entry()}, {"reason", error.reason()}};
  }
}

}  // namespace

int main() {
  for (std::string path; std::getline(std::cin, path);)
    std::cout << look(path).dump(-1, ' ', true, Json::error_handler_t::replace) << std::endl;
  return 0;
}
