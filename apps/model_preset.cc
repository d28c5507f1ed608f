#include "apps/model_preset.h"

#include <algorithm>
#include <array>

#include "io/closest.h"
#include "kernels/error.h"

namespace furrow::apps {
namespace {

constexpr size_t kLeastDigits = 8;

struct Kind {
  std::string_view name, published;  // as --as takes it; the manifest's entry that speaks for it
  bool (*fits)(const Architecture& network);
  std::string_view networks;
};
constexpr std::array<Kind, 3> kKinds = {{
    // Not its attention U-Nets: one kind of them takes the sigmoid inside, the other gives logits, of the same keys.
    {"seed-2025-02", "seed-2025-02",
     [](const Architecture& a) { return a.family == "unet" && a.in_channels == 3 && a.classes == 1 && !a.bilinear; },
     "transposed unet 3 -> 1"},
    {"seed-2025-04", "seed-2025-04", [](const Architecture& a) { return a.resnet(); },
     "resnet50-unet or resnet50-attention-unet"},
    {"labhai", "labhai-stage2-unet",  // not its first stage, 3 -> 1, which makes texture maps
     [](const Architecture& a) { return a.family == "unet" && a.in_channels == 4 && a.classes == 2 && a.bilinear; },
     "bilinear unet 4 -> 2"},
}};

// Without what only networks of photo and texture map have.
Metadata for_network(Metadata metadata, const Architecture& network) {
  if (network.in_channels != 4) metadata.erase("furrow.texture");
  return metadata;
}

// A network by the hash of all of it or, where only its first digits are known, by eight of them or more and the size.
// Encoders, whose entry names no output, are no networks.
bool is_known(const PublishedFile& file, const std::string& sha256, uint64_t bytes) {
  if (!file.preprocessing.contains("furrow.output")) return false;
  if (!file.sha256.empty()) return file.sha256 == sha256;
  return file.size == bytes && file.sha256_prefix.size() >= kLeastDigits && sha256.starts_with(file.sha256_prefix);
}

}  // namespace

Metadata preset(std::string_view name, const Architecture& network) {
  const auto* kind = std::ranges::find(kKinds, name, &Kind::name);
  if (kind == kKinds.end()) {
    std::vector<std::string> names;
    for (const Kind& k : kKinds) names.emplace_back(k.name);
    const std::string close = io::closest_word(name, names);
    throw Error(ErrorCode::usage, "--as " + printable(name) + ": no kind of checkpoint that Furrow knows")
        .hint(close.empty() ? "it takes seed-2025-02, seed-2025-04, labhai" : "did you mean " + close + "?");
  }
  if (!kind->fits(network))
    throw Error(ErrorCode::usage, "--as " + std::string(name) + ": that is a " + std::string(kind->networks) +
                                      ", the file holds a " + network.text())
        .hint("leave --as out and say what the network expects: --normalisation, --output, --size, --labels");
  return for_network(find_published(builtin_manifest(), kind->published).preprocessing, network);
}

std::optional<KnownFile> known_file(const std::string& sha256, uint64_t bytes, const Architecture& network,
                                    const std::vector<PublishedFile>& manifest) {
  if (sha256.empty()) return std::nullopt;
  const auto found =
      std::ranges::find_if(manifest, [&](const PublishedFile& file) { return is_known(file, sha256, bytes); });
  if (found == manifest.end()) return std::nullopt;
  KnownFile out{for_network(found->preprocessing, network), "its SHA-256"};
  if (found->sha256.empty())
    out.by = "its size and the first " + std::to_string(found->sha256_prefix.size()) + " digits of its SHA-256";
  out.metadata["furrow.name"] = found->name;
  out.metadata["furrow.licence"] = found->licence;
  out.metadata["furrow.citation"] = found->citation;
  return out;
}

}  // namespace furrow::apps
