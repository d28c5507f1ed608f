#include "io/checkpoint.h"

#include <algorithm>
#include <cstdio>
#include <new>
#include <string_view>

#include "io/crc32c.h"
#include "io/cursor.h"
#include "io/foreign.h"
#include "io/mapped_file.h"
#include "io/pth.h"
#include "io/pth_stream.h"
#include "io/pth_tar.h"
#include "io/safetensors.h"
#include "io/sha256.h"
#include "io/tar.h"

namespace furrow::io {
namespace {

bool is_zip(std::string_view bytes) { return bytes.starts_with("PK\x03\x04") || bytes.starts_with("PK\x05\x06"); }

// The format has no magic number: a JSON object behind eight bytes of length, or something that was meant to be one,
// where the length is no text (its upper half is empty in every file under 4 GiB, and wild in a forged one).
bool is_safetensors(std::string_view bytes) {
  if (bytes.size() < 9) return false;
  const std::string_view high = bytes.substr(4, 4);
  const bool length = high == std::string_view("\0\0\0\0", 4) || static_cast<unsigned char>(high[3]) >= 0x80;
  return length && (bytes[8] == '{' || bytes[8] == '[' || bytes[8] == ' ' || bytes[8] == '"');
}

// A checkpoint of `furrow train` (train/checkpoint.h) holds the optimiser's state beside the weights: of "average." and
// "model." the first that is there becomes the checkpoint, the rest is left out.
void open_training_checkpoint(Checkpoint& file, std::span<const std::byte> bytes) {
  const auto sealed = [](const NamedTensor& t) {
    return t.name == "seal" && t.dtype == DType::u8 && t.dims == std::vector<int64_t>{32};
  };
  if (!std::ranges::any_of(file.tensors, sealed)) return;
  for (const std::string_view part : {"average", "model"}) {
    const std::string prefix = std::string(part) + ".";
    NamedTensors kept;
    for (const NamedTensor& tensor : file.tensors)
      if (tensor.name.starts_with(prefix)) {
        char sum[9];
        std::snprintf(sum, sizeof sum, "%08x", crc32c(tensor.bytes));
        if (const auto stored = file.metadata.find("crc32c." + tensor.name);
            stored == file.metadata.end() || stored->second != sum)
          throw Error(ErrorCode::checksum, "stored and computed checksum differ: the checkpoint is damaged")
              .at(static_cast<uint64_t>(tensor.bytes.data() - bytes.data()))
              .in(tensor.name);
        kept.push_back(tensor);
        kept.back().name.erase(0, prefix.size());
      }
    if (kept.empty()) continue;
    file.notes.push_back("a checkpoint of a training run: its " + prefix + "* tensors are taken, " +
                         std::to_string(file.tensors.size() - kept.size()) +
                         " others left out; how pictures enter stands in the run's model.safetensors alone");
    file.nested_under = part;
    file.tensors = std::move(kept);
    std::erase_if(file.metadata, [](const auto& entry) { return entry.first != "epoch" && entry.first != "step"; });
    return;
  }
}

Checkpoint read_content(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const Limits& limits) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (is_zip(text)) return read_pth(bytes, std::move(owner), limits);
  if (is_safetensors(text)) {
    Checkpoint out = read_safetensors(bytes, std::move(owner), limits);
    open_training_checkpoint(out, bytes);
    return out;
  }
  if (is_pth_stream(text) && has_tar_sum(text))
    throw Error(ErrorCode::malformed, "both a legacy stream and a tar archive; readers would disagree").at(0);
  if (is_pth_stream(text)) return read_pth_stream(bytes, std::move(owner), limits);
  if (is_tar(text)) return read_pth_tar(bytes, std::move(owner), limits);
  throw describe_foreign(bytes);
}

}  // namespace

Checkpoint read_checkpoint(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const Limits& limits) {
  try {
    Checkpoint out = read_content(bytes, std::move(owner), limits);
    out.file_bytes = bytes.size();
    out.sha256 = sha256_hex(bytes);
    return out;
  } catch (const std::bad_alloc&) {
    // Only for sizes that the file really has: claims are checked before anything is allocated for them.
    throw Error(ErrorCode::limit,
                "reading this file of " + std::to_string(bytes.size()) + " bytes needs more memory than there is");
  }
}

Checkpoint read_checkpoint(const std::string& path, const Limits& limits) {
  return with_file(path, [&] {
    const auto file = MappedFile::open(path);
    const std::string_view text(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
    const char* const pickled = is_zip(text)          ? "it is a zip that may hold a pickle"
                                : is_pth_stream(text) ? "it is a legacy stream, which is a pickle"
                                : is_tar(text)        ? "it is a tar that may hold a pickle"
                                                      : nullptr;
    if (pickled != nullptr && path.ends_with(".safetensors"))
      throw Error(ErrorCode::malformed, std::string("named .safetensors, but ") + pickled)
          .at(0)
          .hint("if you trust where it comes from, rename it to .pth");
    Checkpoint out = read_checkpoint(file->bytes(), file, limits);
    file->check_unchanged();
    out.mapped = file;
    return out;
  });
}

}  // namespace furrow::io
