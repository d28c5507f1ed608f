// Mutates a PNG so that it stays worth decoding: chunk CRCs are repaired, and half the time it is the filtered rows
// that are changed, inside their compressed stream.
#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "io/big_endian.h"

using furrow::io::be32;
using furrow::io::put_be32;

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

constexpr size_t kMostRaw = 1 << 16;

struct Chunk {
  std::string name;
  std::vector<uint8_t> data;
};

std::vector<Chunk> take_apart(const uint8_t* data, size_t size) {
  std::vector<Chunk> chunks;
  for (size_t at = 8; at + 12 <= size;) {
    const auto* p = reinterpret_cast<const std::byte*>(data + at);
    const size_t length = std::min<size_t>(be32(p), size - at - 12);
    chunks.push_back(
        {std::string(reinterpret_cast<const char*>(data + at + 4), 4), {data + at + 8, data + at + 8 + length}});
    at += length + 12;
  }
  return chunks;
}

std::vector<uint8_t> put_together(const std::vector<Chunk>& chunks) {
  std::vector<uint8_t> file = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  for (const Chunk& chunk : chunks) {
    const size_t at = file.size();
    file.resize(at + 12 + chunk.data.size());
    put_be32(&file[at], static_cast<uint32_t>(chunk.data.size()));
    std::memcpy(&file[at + 4], chunk.name.data(), 4);
    std::copy(chunk.data.begin(), chunk.data.end(), file.begin() + static_cast<ptrdiff_t>(at + 8));
    put_be32(&file[file.size() - 4], static_cast<uint32_t>(crc32_z(0, &file[at + 4], chunk.data.size() + 4)));
  }
  return file;
}

// Inflates all IDAT chunks, mutates, deflates into the first of them.
void mutate_rows(std::vector<Chunk>& chunks) {
  std::vector<uint8_t> packed;
  Chunk* first = nullptr;
  for (Chunk& chunk : chunks) {
    if (chunk.name != "IDAT") continue;
    if (first == nullptr) first = &chunk;
    packed.insert(packed.end(), chunk.data.begin(), chunk.data.end());
    chunk.data.clear();
  }
  if (first == nullptr) return;
  std::vector<uint8_t> raw(2 * kMostRaw);
  uLongf size = kMostRaw;
  if (uncompress(raw.data(), &size, packed.data(), packed.size()) != Z_OK) size = std::min<uLongf>(size, kMostRaw);
  size = LLVMFuzzerMutate(raw.data(), size, raw.size());
  uLongf bound = compressBound(size);
  first->data.resize(bound);
  compress2(first->data.data(), &bound, raw.data(), size, 1);
  first->data.resize(bound);
}

}  // namespace

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  if (seed % 2 == 0 || size < 20) size = LLVMFuzzerMutate(data, size, max_size);
  if (seed % 16 == 0) return size;  // left broken now and then
  std::vector<Chunk> chunks = take_apart(data, size);
  if (seed % 2 != 0) mutate_rows(chunks);
  const std::vector<uint8_t> file = put_together(chunks);
  if (file.size() > max_size) return size;
  std::copy(file.begin(), file.end(), data);
  return file.size();
}
