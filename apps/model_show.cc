#include "apps/model_show.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>
#include <unordered_set>

#include "apps/embedded_model.h"
#include "io/checkpoint.h"
#include "io/mapped_file.h"
#include "io/sha256.h"
#include "kernels/secret_hash.h"
#include "nn/recognise.h"
#include "segment/face_classes.h"
#include "segment/model.h"
#include "segment/network_picture.h"

namespace furrow::apps {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kManifestBytes = size_t{1} << 20;

struct Shown {
  io::Checkpoint checkpoint;
  std::string architecture;  // empty where it is not recognised
  bool parser = false;       // of faces
  int64_t classes = 0;
  std::string why_not;
  std::optional<ModelInfo> info;  // where the metadata is Furrow's, or the network is known
};

Shown look(const std::string& path, const io::Limits& limits) {
  Shown shown;
  if (path == "default") {
    if (!has_embedded_model())
      throw Error(ErrorCode::usage, "this program was built without a model").hint("name a file");
    shown.checkpoint = io::read_checkpoint(embedded_bytes(), nullptr, limits);
  } else {
    shown.checkpoint = io::read_checkpoint(path, limits);
  }
  ModelInfo defaults;
  try {
    const Architecture architecture = recognise(shown.checkpoint.tensors);
    shown.architecture = architecture.text();
    shown.parser = architecture.parser();
    shown.classes = architecture.classes;
    defaults = default_info(architecture);
  } catch (const Error& error) { shown.why_not = error.reason(); }
  const auto& metadata = shown.checkpoint.metadata;
  const bool native =
      std::ranges::any_of(metadata, [](const auto& entry) { return entry.first.starts_with("furrow."); });
  if (native || !shown.architecture.empty()) shown.info = with_file(path, [&] { return from_metadata(metadata, defaults); });
  return shown;
}

int64_t parameter_count(const NamedTensors& tensors) {
  int64_t count = 0;
  for (const NamedTensor& tensor : tensors)
    if (!tensor.name.ends_with("running_mean") && !tensor.name.ends_with("running_var") &&
        !tensor.name.ends_with("num_batches_tracked"))
      count += tensor.elements();
  return count;
}

std::string normalisation_name(Normalisation n) {
  return n == Normalisation::none ? "none" : n == Normalisation::imagenet ? "imagenet" : "half";
}

std::string labels_text(const std::vector<int>& labels) {
  std::string text;
  for (int label : labels) text += (text.empty() ? "" : ",") + std::to_string(label);
  return text;
}

// "on cpu; 24 values, 1 module in float32"
std::string int8_text(const ModelInfo& info) {
  const size_t modules = info.quantisation.floats.size();
  return "on cpu; " + std::to_string(info.quantisation.values.size()) + " values, " + std::to_string(modules) +
         (modules == 1 ? " module" : " modules") + " in float32";
}

// "background", "skin" ... of a parser of those classes; of another numbers alone are known.
std::vector<std::string> class_names(const Shown& shown) {
  if (!shown.parser || shown.classes != static_cast<int64_t>(kFaceClasses.size())) return {};
  return {kFaceClasses.begin(), kFaceClasses.end()};
}

std::string output_text(const Shown& shown) {
  const ModelInfo& info = *shown.info;
  char threshold[32];
  std::snprintf(threshold, sizeof threshold, "%g", info.threshold);
  if (!shown.parser)
    return std::string(info.output == Output::logits ? "logits" : "sigmoid") + ", wrinkle above " + threshold;
  std::string text = std::to_string(shown.classes) + " classes, the one of the largest logit";
  for (const std::string& name : class_names(shown)) text += (text.ends_with("logit") ? ": " : ", ") + name;
  return text;
}

Json info_json(const Shown& shown) {
  const ModelInfo& info = *shown.info;
  Json out = {{"name", info.name},
              {"resize", info.resize},
              {"size", info.size},
              {"scale", info.raw_scale ? "1" : "1/255"},
              {"normalisation", normalisation_name(info.normalisation)},
              {"output", info.output == Output::logits ? "logits" : "sigmoid"}};
  if (shown.parser) {
    out["classes"] = class_names(shown);
  } else {
    out["threshold"] = info.threshold;
    out["kept_labels"] = info.kept_labels;
    out["masked_input"] = info.masked_input;
  }
  if (info.texture) out["texture"] = texture_text(info);
  if (!info.quantisation.empty()) out["int8"] = int8_text(info);
  return out;
}

// What is said of the whole file.
Json head_json(const std::string& path, const Shown& shown) {
  const io::Checkpoint& file = shown.checkpoint;
  Json out = {{"schema", "furrow.model/1"},
              {"file", printable(path, 4096)},
              {"container", file.container},
              {"bytes", file.file_bytes},
              {"sha256", file.sha256},
              {"nested_under", file.nested_under},
              {"stripped_prefix", file.stripped_prefix}};
  out["architecture"] = shown.architecture.empty() ? Json(nullptr) : Json(shown.architecture);
  if (!shown.why_not.empty()) out["not_recognised"] = printable(shown.why_not, 500);
  out["licence"] = shown.info ? printable(shown.info->licence, 4096) : "unknown";
  out["citation"] = shown.info ? printable(shown.info->citation, 4096) : "";
  if (shown.info) out["preprocessing"] = info_json(shown);
  out["parameters"] = parameter_count(file.tensors);
  return out;
}

std::string quoted(const std::string& text) { return Json(text).dump(); }

// Printed piece by piece: a name of 64 KiB takes four times that where it is all control characters, and a file may
// have thousands.
void print_json(const std::string& path, const Shown& shown) {
  constexpr size_t kPiece = size_t{64} << 10;
  const io::Checkpoint& file = shown.checkpoint;
  std::string out = head_json(path, shown).dump();
  const auto add = [&](const std::string& text) {
    out += text;
    if (out.size() < kPiece) return;
    cli::print(out);
    out.clear();
  };
  out.back() = ',';
  out += "\"metadata\":{";
  std::unordered_set<std::string, SecretHash> seen;  // two keys may be printed alike
  for (const auto& [key, value] : file.metadata)
    if (const auto [at, first] = seen.insert(printable(key, 4096)); first)
      add((seen.size() > 1 ? "," : "") + quoted(*at) + ":" + quoted(printable(value, 4096)));
  out += "},\"notes\":[";
  for (size_t i = 0; i < file.notes.size(); ++i) add((i > 0 ? "," : "") + quoted(printable(file.notes[i], 500)));
  out += "],\"tensors\":[";
  // A storage may have many names; the tensors keep all bytes, so a place in memory says what is there.
  std::map<std::tuple<const std::byte*, size_t, DType>, std::string> digests;
  for (const NamedTensor& tensor : file.tensors) {
    std::string& digest = digests[{tensor.bytes.data(), tensor.bytes.size(), tensor.dtype}];
    if (digest.empty()) digest = io::sha256_f32(tensor);
    // A name may be up to 64 KiB; names are compared, so they are cut nowhere below that.
    const Json row = {{"name", printable(tensor.name, 256 << 10)},
                      {"dtype", std::string(name(tensor.dtype))},
                      {"shape", tensor.dims},
                      {"sha256_f32", digest}};
    add((&tensor != file.tensors.data() ? "," : "") + row.dump());
  }
  cli::print(out + "]}\n");
}

std::string row(const std::string& label, const std::string& value) {
  return label + std::string(label.size() < 14 ? 14 - label.size() : 1, ' ') + value + "\n";
}

std::string show_text(const std::string& path, const Shown& shown) {
  const io::Checkpoint& file = shown.checkpoint;
  std::string text =
      row("file", printable(path, 400)) +
      row("container",
          file.container + (file.nested_under.empty() ? "" : ", tensors under '" + printable(file.nested_under) + "'") +
              (file.stripped_prefix.empty() ? "" : ", prefix '" + printable(file.stripped_prefix) + "' removed")) +
      row("size", std::to_string(file.file_bytes) + " bytes, sha256 " + file.sha256) +
      row("architecture",
          shown.architecture.empty() ? "not recognised: " + printable(shown.why_not, 400) : shown.architecture);
  if (shown.info) {
    const ModelInfo& info = *shown.info;
    if (!info.name.empty()) text += row("name", printable(info.name));
    if (info.texture) text += row("texture map", texture_text(info));
    if (!info.quantisation.empty()) text += row("int8", int8_text(info));
    text += row("input", "RGB photo, " + info.resize + " " + std::to_string(info.size) + ", scale " +
                             (info.raw_scale ? "1" : "1/255") + ", normalisation " +
                             normalisation_name(info.normalisation) +
                             (shown.parser ? "" : ", labels " + labels_text(info.kept_labels)));
    text += row("output", output_text(shown));
  }
  text += row("licence", shown.info ? printable(shown.info->licence, 400) : "unknown");
  if (shown.info && !shown.info->citation.empty()) text += row("citation", printable(shown.info->citation, 400));
  text += row("tensors", std::to_string(file.tensors.size()) + ", " + std::to_string(parameter_count(file.tensors)) +
                             " parameters");
  for (const std::string& note : file.notes) text += row("note", printable(note, 400));
  size_t widest = 0;
  for (const NamedTensor& tensor : file.tensors)
    widest = std::max(widest, std::min<size_t>(printable(tensor.name, 100).size(), 60));
  for (const NamedTensor& tensor : file.tensors) {
    std::string label = printable(tensor.name, 100);
    label.resize(std::max(label.size(), widest), ' ');
    std::string type(name(tensor.dtype));
    type.resize(5, ' ');
    text += "  " + label + "  " + type + " " + dims_to_string(tensor.dims) + "\n";
  }
  return text;
}

}  // namespace

int show_model(const std::string& path, const io::Limits& limits, const cli::Common& common) {
  const Shown shown = look(path, limits);
  if (common.json) print_json(path, shown);
  else cli::print(show_text(path, shown));
  return 0;
}

std::string list_published(const std::vector<PublishedFile>& manifest, bool json) {
  std::string text;
  Json list = Json::array();
  for (const PublishedFile& file : manifest) {
    std::string label = file.name;
    label.resize(std::max<size_t>(label.size(), 24), ' ');
    text += printable(label, 400) + "  " + printable(file.what, 400) + "\n" + std::string(26, ' ') +
            "licence: " + printable(file.licence, 400) + "\n";
    list.push_back({{"name", file.name},
                    {"file", file.file},
                    {"what", file.what},
                    {"origin", file.origin},
                    {"direct", file.direct},
                    {"size", file.size ? Json(*file.size) : Json(nullptr)},
                    {"sha256", file.sha256.empty() ? Json(nullptr) : Json(file.sha256)},
                    {"licence", file.licence},
                    {"citation", file.citation}});
  }
  return json ? Json{{"schema", "furrow.published/1"}, {"files", list}}.dump() + "\n" : text;
}

std::string verdict_json(const PublishedFile& known, const std::string& path, const std::string& sha256, bool proved) {
  return Json{{"schema", "furrow.verify/1"},
              {"name", known.name},
              {"file", printable(path, 4096)},
              {"sha256", sha256},
              {"proved", proved},
              {"licence", known.licence},
              {"citation", known.citation}}
             .dump() +
         "\n";
}

std::vector<PublishedFile> read_manifest(const std::string& path) {
  const auto map = io::MappedFile::open(path);
  if (map->bytes().size() > kManifestBytes)
    throw Error(ErrorCode::limit, "too large for a manifest").file(path).limit(kManifestBytes, map->bytes().size());
  return parse_manifest({reinterpret_cast<const char*>(map->bytes().data()), map->bytes().size()}, path);
}

}  // namespace furrow::apps
