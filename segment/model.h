// Model: weights, the network they belong to, and how a photo must be prepared for them.
//
// A native file is safetensors whose string metadata says everything that weights alone do not: see weights/README.md
// and to_metadata() below. A PyTorch checkpoint has none of it and gets the defaults of ModelInfo.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io/limits.h"
#include "io/texture.h"
#include "kernels/tensor.h"
#include "nn/quantisation.h"

namespace furrow {

struct Architecture;
class Network;
namespace io {
struct Checkpoint;
}

// What is done to the scaled pixel x before the network sees it.
enum class Normalisation : uint8_t {
  none,      // x
  imagenet,  // (x - mean) / std, mean .485 .456 .406, std .229 .224 .225
  half,      // 2x - 1, to [-1, 1]
};

// What the file's own program let the network's forward return; the networks here always end in logits z.
enum class Output : uint8_t {
  logits,   // z; its program takes sigmoid(z) > threshold
  sigmoid,  // q = sigmoid(z); its program takes the sigmoid again: sigmoid(q) > threshold
};

// Sides of the square that a network may be given, pixels.
inline constexpr int64_t kSmallestSize = 32, kLargestSize = 4096;

// How the maps were made that stand beside the photo as fourth channel. The default is that of the published maps.
struct TextureInput {
  io::TextureRecipe recipe = io::TextureRecipe::closest;
  double sigma = 5;    // of the Gaussian, pixels of a photo of 1024; in proportion elsewhere (io::texture_sigma)
  bool masked = true;  // 0 outside skin and nose (io::kTextureLabels), where labels are given
  bool operator==(const TextureInput&) const = default;
};

// The facts that travel with weights. The first group is stored in a native file, the second is found while loading.
struct ModelInfo {
  std::string name;          // short, for people: "furrow-mini"
  std::string architecture;  // Architecture::text(): "unet base 16, 3 -> 1, transposed"
  bool raw_scale = false;    // pixels enter as 0..255 (scale "1") instead of 0..1 (scale "1/255")
  Normalisation normalisation = Normalisation::imagenet;
  std::string resize = "pillow-lanczos";  // also "pillow-bilinear", "pillow-nearest"
  int64_t size = 512;                     // side of the square the network was trained on, pixels
  std::vector<int> kept_labels = {1,
                                  10};  // face-parsing classes in which marks count, where labels are given: skin, nose
  bool masked_input = false;            // trained on photos whose pixels outside kept_labels are black
  double threshold = 0.5;               // wrinkle where probability > threshold
  Output output = Output::logits;
  // Of a network of 4 channels. Empty: the file does not say, and TextureInput{} is taken, with a note.
  std::optional<TextureInput> texture;
  Quantisation quantisation = {};  // what device cpu computes in 8 bits; empty: nothing
  std::string licence = "unknown";
  std::string citation;
  std::string source_sha256;  // of the file the weights were first taken from, 64 hex digits or ""

  std::string container;  // as io/checkpoint.h names it
  std::string sha256;     // of the whole file read, 64 hex digits
  uint64_t file_bytes = 0;
  std::vector<std::string> notes;  // warnings in words
};

// What holds of a network whose file says nothing: ModelInfo{}, and of a face parser Pillow's BILINEAR, as the
// published one's program resizes.
ModelInfo default_info(const Architecture& architecture);

// The first group as safetensors string metadata: keys "furrow.version" ("1"), "furrow.name", "furrow.architecture",
// "furrow.scale", "furrow.normalisation", "furrow.resize" ("pillow-lanczos 512"), "furrow.kept_labels" ("1,10"),
// "furrow.input" ("photo" | "masked"), "furrow.threshold", "furrow.output", "furrow.licence", "furrow.citation",
// "furrow.source_sha256"; and where there is a texture, "furrow.texture" ("closest 5" | "authors 2.5 masked": recipe,
// sigma, whether masked). Of a quantised model "furrow.int8", for each value its name, scale and zero point, and
// "furrow.int8_float", the modules that stay in float32: "inc.double_conv.2 0.0173 0;pixels 0.03 97", "outc.conv". Of a
// face parser, as `architecture` says it is, not what only wrinkles have: kept_labels, input, threshold.
std::map<std::string, std::string> to_metadata(const ModelInfo& info);

// The inverse. Keys without the prefix "furrow." are left alone; what no key says is as in `defaults`.
// Errors: ErrorCode::unsupported for a version other than "1" or an unknown value of a closed list;
// ErrorCode::malformed for a missing version, an unknown furrow key, a number that is none or out of range
// (size 32..4096, threshold (0,1), labels 0..255, sigma (0,100], scale 1e-30..1e30, zero point 0..255, texts over 4096
// bytes or not printable). All name the key.
ModelInfo from_metadata(const std::map<std::string, std::string>& metadata, const ModelInfo& defaults = {});

// Immutable once loaded; may be shared by any number of Segmenters and threads.
class Model {
 public:
  // Reads the file (any container io/checkpoint.h knows), recognises the network from its keys, loads it strictly.
  // Errors: those of io::read_checkpoint, recognise() and Network::load; ErrorCode::malformed where the metadata
  // contradicts the tensors; ErrorCode::unsupported for networks that want something else than an RGB photo (3
  // channels) or, but for a face parser, a photo and its texture map (4).
  static Model load(const std::string& path, const io::Limits& limits = {});
  // The same from memory, which `owner` keeps alive; `name` stands for the file in errors and for a nameless model.
  static Model load(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const std::string& name,
                    const io::Limits& limits = {});

  const ModelInfo& info() const { return info_; }
  // To say what a foreign checkpoint cannot: normalisation, output, licence ... What was found while loading stays:
  // `architecture` and the second group of ModelInfo.
  // Throws as from_metadata() where the information could not be stored.
  void set_info(ModelInfo info);

  const Network& network() const { return *network_; }
  // Values as read, in file order; their bytes may lie in the mapped file.
  const NamedTensors& tensors() const { return tensors_; }
  int64_t in_channels() const { return in_channels_; }      // 3 or 4
  bool takes_texture() const { return in_channels_ == 4; }  // RGB, then the map
  int64_t classes() const { return classes_; }
  // Whether it labels the parts of a face (segment/face_classes.h) and finds no wrinkles.
  bool parses_faces() const { return parses_faces_; }
  // Throws ErrorCode::unsupported where it does.
  void require_wrinkles() const;

 private:
  Model() = default;
  static Model from(io::Checkpoint file, const std::string& fallback_name);
  ModelInfo info_;
  NamedTensors tensors_;
  std::shared_ptr<const Network> network_;
  int64_t in_channels_ = 3, classes_ = 1;
  bool parses_faces_ = false;
};

// How a native file stores a tensor. DType::f32 keeps float32 and narrower as they are and rounds float64; DType::f16
// rounds floating tensors to float16, except tensors that would suffer: any |value| > 65504, or a batch-norm variance
// below 2^-14 (float16's smallest normal number). Integers stay. ErrorCode::internal for another dtype.
NamedTensor stored_as(const NamedTensor& tensor, DType type);

// Writes a native file, atomically: equal models give equal bytes; every tensor as stored_as() says. A model
// without source_sha256 gets the sha256 of the file it was read from.
// Errors: those of io::write_safetensors; ErrorCode::internal for another dtype.
void save_native(const std::string& path, const Model& model, DType type);

}  // namespace furrow
