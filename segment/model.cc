#include "segment/model.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>

#include "io/checkpoint.h"
#include "io/mapped_file.h"
#include "io/safetensors.h"
#include "kernels/half.h"
#include "nn/network.h"
#include "nn/recognise.h"

namespace furrow {
namespace {

std::string stem(const std::string& path) { return std::filesystem::path(path).stem().string(); }

bool is_floating(DType type) {
  return type == DType::f32 || type == DType::f64 || type == DType::f16 || type == DType::bf16;
}

// Whether float16 would lose more than rounding: overflow, or a variance so small that its reciprocal root would move.
bool suffers_in_f16(const std::string& name, const std::vector<float>& values) {
  constexpr float kLargest = 65504.0f, kSmallestNormal = 0x1p-14f;
  const bool variance = name.ends_with("running_var");
  return std::ranges::any_of(values, [&](float v) {
    return !(std::abs(v) <= kLargest) || (variance && v != 0.0f && std::abs(v) < kSmallestNormal);
  });
}

// A tensor of the same name and dims that owns its bytes.
template <class T>
NamedTensor with_values(const NamedTensor& tensor, DType type, std::vector<T> values) {
  auto held = std::make_shared<const std::vector<T>>(std::move(values));
  return {tensor.name, type, tensor.dims, std::as_bytes(std::span<const T>(*held)), held};
}

constexpr const char* kUnknownTexture =
    "the weights do not say how their texture maps were made: recipe closest, sigma 5 is taken, masked where labels "
    "are given; `furrow model convert --texture` writes it down";

void refuse_texture(const ModelInfo& info) {
  if (info.texture)
    throw Error(ErrorCode::malformed, "the metadata tells of texture maps, the network takes none")
        .in("furrow.texture")
        .hint("furrow model convert writes the file without it");
}

// What a checkpoint says about itself, completed by what was found.
ModelInfo describe(const io::Checkpoint& file, const Architecture& found, const std::string& fallback_name) {
  ModelInfo info = from_metadata(file.metadata, default_info(found));
  const std::string text = found.text();
  if (!info.architecture.empty() && info.architecture != text) {
    throw Error(ErrorCode::malformed,
                "the metadata says '" + printable(info.architecture) + "', the tensors are " + text)
        .in("furrow.architecture");
  }
  info.architecture = text;
  if (info.name.empty()) info.name = fallback_name;
  info.container = file.container;
  info.sha256 = file.sha256;
  info.file_bytes = file.file_bytes;
  info.notes = file.notes;
  if (const bool takes = found.in_channels == 4; takes && !info.texture)
    info.notes.emplace_back(kUnknownTexture);
  else if (!takes)
    refuse_texture(info);
  return info;
}

}  // namespace

Model Model::load(const std::string& path, const io::Limits& limits) {
  return with_file(path, [&] { return from(io::read_checkpoint(path, limits), printable(stem(path))); });
}

Model Model::load(std::span<const std::byte> bytes, std::shared_ptr<const void> owner, const std::string& name,
                  const io::Limits& limits) {
  return with_file(name, [&] { return from(io::read_checkpoint(bytes, std::move(owner), limits), printable(name)); });
}

Model Model::from(io::Checkpoint file, const std::string& fallback_name) {
  const Architecture architecture = recognise(file.tensors);
  if (architecture.in_channels != 3 && (architecture.in_channels != 4 || architecture.parser())) {
    throw Error(ErrorCode::unsupported, "the network wants " + std::to_string(architecture.in_channels) +
                                            " input channels (" + architecture.text() + ")")
        .hint("networks are fed an RGB photo (3 channels), or one and its texture map (4)");
  }
  std::unique_ptr<Network> network = build(architecture);
  network->load(file.tensors, DType::f32);
  if (file.mapped != nullptr) file.mapped->forget(file.mapped->bytes());  // the network has copies; few read on
  Model model;
  model.info_ = describe(file, architecture, fallback_name);
  model.tensors_ = std::move(file.tensors);
  model.network_ = std::move(network);
  model.in_channels_ = architecture.in_channels;
  model.classes_ = architecture.classes;
  model.parses_faces_ = architecture.parser();
  return model;
}

void Model::require_wrinkles() const {
  if (parses_faces_)
    throw Error(ErrorCode::unsupported,
                "a face parser (" + info_.architecture + "): it labels parts of a face and finds no wrinkles")
        .hint("a parser goes to --parser, or to furrow prepare parse");
}

void Model::set_info(ModelInfo info) {
  // The same rules as for a file, so that whatever is set can be saved and read back.
  from_metadata(to_metadata(info));
  if (!takes_texture()) refuse_texture(info);
  info.architecture = info_.architecture;
  info.container = info_.container;
  info.sha256 = info_.sha256;
  info.file_bytes = info_.file_bytes;
  info.notes = info_.notes;
  if (info.texture) std::erase(info.notes, kUnknownTexture);
  info_ = std::move(info);
}

NamedTensor stored_as(const NamedTensor& tensor, DType type) {
  require(type == DType::f16 || type == DType::f32, "stored_as: float16 or float32");
  if (!is_floating(tensor.dtype) || tensor.dtype == type) return tensor;
  if (type == DType::f32 && tensor.dtype != DType::f64) return tensor;  // f16 and bf16 are exact as they are
  std::vector<float> values = tensor.to<float>();
  if (type == DType::f32 || suffers_in_f16(tensor.name, values))
    return with_values(tensor, DType::f32, std::move(values));
  std::vector<uint16_t> halves(values.size());
  std::ranges::transform(values, halves.begin(), f32_to_f16);
  return with_values(tensor, DType::f16, std::move(halves));
}

void save_native(const std::string& path, const Model& model, DType type) {
  ModelInfo info = model.info();
  if (info.source_sha256.empty()) info.source_sha256 = info.sha256;
  NamedTensors tensors;
  for (const NamedTensor& tensor : model.tensors()) tensors.push_back(stored_as(tensor, type));
  io::write_safetensors(path, tensors, to_metadata(info));
}

}  // namespace furrow
