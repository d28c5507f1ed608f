#include "apps/model_convert.h"

#include <cmath>
#include <filesystem>
#include <sstream>
#include <vector>

#include "apps/model_preset.h"
#include "io/checkpoint.h"
#include "io/pth_write.h"
#include "io/safetensors.h"
#include "nn/network.h"
#include "nn/recognise.h"
#include "segment/model.h"

namespace furrow::apps {
namespace {

namespace fs = std::filesystem;

enum class Target { native, pth };

Target target_of(const std::string& out) {
  if (out.ends_with(".safetensors")) return Target::native;
  if (out.ends_with(".pth")) return Target::pth;
  throw Error(ErrorCode::usage, "cannot tell the format to write from the name")
      .file(out)
      .hint("end it in .safetensors or .pth");
}

// The metadata keys of a native file that the options set; from_metadata() then checks them like those of any file.
std::map<std::string, std::string> with_options(std::map<std::string, std::string> metadata,
                                                const ConvertOptions& options) {
  const auto set = [&](const char* key, const auto& value) {
    if (!value) return;
    std::ostringstream text;
    text << *value;
    metadata[std::string("furrow.") + key] = text.str();
  };
  set("name", options.name);
  set("normalisation", options.normalisation);
  set("output", options.output);
  set("threshold", options.threshold);
  set("kept_labels", options.labels);
  set("texture", options.texture);
  set("licence", options.licence);
  set("citation", options.citation);
  if (options.resize || options.size) {
    // One key holds both: "pillow-lanczos 512".
    std::string& resize = metadata["furrow.resize"];
    const size_t cut = resize.find(' ');
    const std::string rule = options.resize ? "pillow-" + *options.resize : resize.substr(0, cut);
    const std::string size = options.size ? std::to_string(*options.size) : resize.substr(cut + 1);
    resize = rule + " " + size;
  }
  return metadata;
}

bool asks_for_metadata(const ConvertOptions& o) {
  return o.as || o.name || o.normalisation || o.output || o.threshold || o.resize || o.size || o.labels || o.texture ||
         o.licence || o.citation;
}

// keep: as they are. f16: as a native file stores float16. f32: every floating tensor as float32.
NamedTensors stored_as(const NamedTensors& tensors, const std::string& dtype) {
  NamedTensors out;
  for (const NamedTensor& tensor : tensors) {
    const bool narrow = tensor.dtype == DType::f16 || tensor.dtype == DType::bf16;
    if (dtype == "f32" && narrow) {
      auto values = std::make_shared<const std::vector<float>>(tensor.to<float>());
      out.push_back({tensor.name, DType::f32, tensor.dims, std::as_bytes(std::span(*values)), values});
    } else {
      out.push_back(dtype == "keep" ? tensor : stored_as(tensor, dtype == "f16" ? DType::f16 : DType::f32));
    }
  }
  return out;
}

void check_options(const ConvertOptions& options) {
  if (options.dtype != "keep" && options.dtype != "f32" && options.dtype != "f16")
    throw Error(ErrorCode::usage, "--dtype " + printable(options.dtype) + ": unknown").hint("it takes keep, f32, f16");
  if (!options.nest.empty() && target_of(options.out) != Target::pth)
    throw Error(ErrorCode::usage, "--nest is for .pth files");
  std::error_code error;
  if (fs::exists(options.out, error) && fs::equivalent(options.in, options.out, error))
    throw Error(ErrorCode::usage, "input and output are the same file").file(options.out);
  if (!options.force && fs::exists(fs::symlink_status(options.out, error)))
    throw Error(ErrorCode::usage, "exists already").file(options.out).hint("--force overwrites it");
}

// The network that the tensors are the weights of, whole; nothing where Furrow knows no such network.
std::optional<Architecture> network_of(const NamedTensors& tensors) {
  std::optional<Architecture> architecture;
  try {
    architecture = recognise(tensors);
  } catch (const Error&) { return std::nullopt; }
  build(*architecture)->load(tensors);  // a network that is not whole must not get a native file
  return architecture;
}

Metadata native_metadata(const ConvertOptions& options, const io::Checkpoint& checkpoint,
                         const Architecture& architecture, const std::vector<PublishedFile>& manifest,
                         const cli::Common& common) {
  ModelInfo info = with_file(options.in, [&] { return from_metadata(checkpoint.metadata, default_info(architecture)); });
  info.architecture = architecture.text();
  if (info.source_sha256.empty()) info.source_sha256 = checkpoint.sha256;
  if (info.name.empty()) info.name = printable(fs::path(options.in).stem().string());
  if (options.texture && architecture.in_channels != 4)
    throw Error(ErrorCode::usage, "--texture: the network takes no texture map (" + architecture.text() + ")")
        .file(options.in)
        .hint("leave it out");
  if (architecture.parser() && (options.output || options.threshold || options.labels))
    throw Error(ErrorCode::usage, "--output, --threshold, --labels: a face parser has none (" + architecture.text() + ")")
        .file(options.in)
        .hint("leave them out");
  if (architecture.in_channels != 4) info.texture.reset();  // a mistake of the file's: Furrow would refuse the copy
  Metadata metadata = to_metadata(info);
  const auto take = [&](const Metadata& known) {
    // What the kind does not name is the default, not what the input said of itself.
    const Metadata defaults = to_metadata(default_info(architecture));
    for (const char* key :
         {"scale", "normalisation", "resize", "kept_labels", "input", "texture", "output", "threshold"})
      if (const auto value = defaults.find(std::string("furrow.") + key); value != defaults.end())
        metadata[value->first] = value->second;
      else
        metadata.erase(std::string("furrow.") + key);
    for (const auto& [key, value] : known) metadata[key] = value;
  };
  if (const auto known = known_file(checkpoint.sha256, checkpoint.file_bytes, architecture, manifest)) {
    take(known->metadata);
    cli::note(common, "by " + known->by + " this is the published file " + known->metadata.at("furrow.name") +
                          ": its preprocessing is written down");
  }
  if (options.as) take(preset(*options.as, architecture));
  metadata = with_options(std::move(metadata), options);
  try {
    return to_metadata(from_metadata(metadata, default_info(architecture)));
  } catch (const Error& error) {
    throw Error(ErrorCode::usage, error.reason()).in(error.entry()).hint(error.hint_text());
  }
}

}  // namespace

int convert_model(const ConvertOptions& options, const io::Limits& limits, const cli::Common& common,
                  const std::vector<PublishedFile>& manifest) {
  const Target target = target_of(options.out);
  check_options(options);
  const io::Checkpoint checkpoint = io::read_checkpoint(options.in, limits);
  const std::optional<Architecture> network = with_file(options.in, [&] { return network_of(checkpoint.tensors); });
  const NamedTensors tensors = stored_as(checkpoint.tensors, options.dtype);
  std::string what;
  if (target == Target::pth) {
    if (asks_for_metadata(options))
      throw Error(ErrorCode::usage, "a .pth file has no place for metadata").hint("write .safetensors");
    io::write_pth(options.out, tensors, {.nest_under = options.nest});
    what = "zip .pth";
    if (!checkpoint.metadata.empty())
      cli::note(
          common,
          "a .pth file has no place for the metadata of the input (licence, preprocessing): it is not in the output");
  } else if (network) {
    io::write_safetensors(options.out, tensors, native_metadata(options, checkpoint, *network, manifest, common));
    what = "native safetensors";
  } else {
    if (asks_for_metadata(options))
      throw Error(ErrorCode::unsupported, "metadata describes a network, and this file holds none that Furrow knows")
          .file(options.in);
    io::write_safetensors(options.out, tensors, checkpoint.metadata);
    what = "safetensors (network not recognised: tensors and metadata as they were)";
  }
  for (const std::string& note : checkpoint.notes) cli::note(common, note);
  if (common.json)
    cli::print("{\"schema\": \"furrow.convert/1\", \"tensors\": " + std::to_string(tensors.size()) + "}\n");
  else
    cli::print(printable(options.out, 400) + ": " + what + ", " + std::to_string(tensors.size()) + " tensors\n");
  return 0;
}

}  // namespace furrow::apps
