// ModelInfo to and from safetensors metadata. What comes from a file is believed only after it is checked.
#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <string_view>
#include <utility>

#include "kernels/error.h"
#include "nn/network.h"
#include "segment/model.h"

namespace furrow {
namespace {

constexpr std::string_view kPrefix = "furrow.";
constexpr std::string_view kVersion = "1";
constexpr std::string_view kParsers = "bisenet";  // how their architectures begin
constexpr size_t kTextBytes = 4096, kMostNames = 4096;

template <class T>
using Names = std::array<std::pair<std::string_view, T>, 3>;
constexpr Names<Normalisation> kNormalisations = {
    {{"none", Normalisation::none}, {"imagenet", Normalisation::imagenet}, {"half", Normalisation::half}}};
constexpr Names<io::TextureRecipe> kTextures = {{{"closest", io::TextureRecipe::closest},
                                                 {"authors", io::TextureRecipe::authors},
                                                 {"authors-inverse", io::TextureRecipe::authors_inverse}}};
constexpr std::string_view kMasked = " masked";
constexpr std::array<std::string_view, 3> kResizes = {"pillow-lanczos", "pillow-bilinear", "pillow-nearest"};

// Every error names its key as the entry.
Error bad(ErrorCode code, std::string_view key, const std::string& reason) {
  return Error(code, "model metadata: " + reason).in(key);
}

Error unknown_value(std::string_view key, std::string_view value, const std::string& known) {
  return bad(ErrorCode::unsupported, key, "unknown value '" + printable(value, 60) + "'").hint("known: " + known);
}

// A choice of two words.
bool second_of(std::string_view key, std::string_view value, std::string_view first, std::string_view second) {
  if (value == first) return false;
  if (value == second) return true;
  throw unknown_value(key, value, std::string(first) + ", " + std::string(second));
}

template <class T>
T number(std::string_view key, std::string_view text, T low, T high, const char* range) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw bad(ErrorCode::malformed, key, "'" + printable(text, 60) + "' is not a number");
  }
  if (!(value >= low && value <= high)) {  // also refuses NaN
    throw bad(ErrorCode::malformed, key, "'" + printable(text, 60) + "' is outside " + range);
  }
  return value;
}

double parse_threshold(std::string_view key, std::string_view text) {
  const double value = number<double>(key, text, 0.0, 1.0, "(0, 1)");
  if (value == 0.0 || value == 1.0) throw bad(ErrorCode::malformed, key, "the threshold is outside (0, 1)");
  return value;
}

std::vector<int> parse_labels(std::string_view key, std::string_view text) {
  std::vector<int> labels;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    labels.push_back(number<int>(key, text.substr(0, comma), 0, 255, "0..255"));
    text.remove_prefix(std::min(comma + 1, text.size()));
    if (labels.size() > 256) throw bad(ErrorCode::malformed, key, "more than 256 labels");
  }
  return labels;
}

void parse_resize(std::string_view key, std::string_view text, ModelInfo& info) {
  const size_t space = std::min(text.find(' '), text.size());
  const std::string_view rule = text.substr(0, space);
  if (std::ranges::find(kResizes, rule) == kResizes.end()) {
    throw unknown_value(key, text, "pillow-lanczos N, pillow-bilinear N, pillow-nearest N");
  }
  info.resize = rule;
  info.size =
      number<int64_t>(key, text.substr(std::min(space + 1, text.size())), kSmallestSize, kLargestSize, "32..4096");
}

// "closest 5", "authors 2.5 masked".
TextureInput parse_texture(std::string_view key, std::string_view text) {
  const size_t space = std::min(text.find(' '), text.size());
  const auto* recipe =
      std::ranges::find(kTextures, text.substr(0, space), &std::pair<std::string_view, io::TextureRecipe>::first);
  if (recipe == kTextures.end())
    throw unknown_value(key, text,
                        "closest, authors or authors-inverse, then a sigma, then perhaps masked: closest 5 masked");
  TextureInput out{.recipe = recipe->second, .sigma = 0, .masked = text.ends_with(kMasked)};
  if (out.masked) text.remove_suffix(kMasked.size());
  out.sigma = number<double>(key, text.substr(std::min(space + 1, text.size())), 0.0, 100.0, "(0, 100]");
  if (out.sigma == 0.0) throw bad(ErrorCode::malformed, key, "sigma 0 is outside (0, 100]");
  return out;
}

std::string parse_sha256(std::string_view key, std::string_view text) {
  const bool hex = std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (!text.empty() && (text.size() != 64 || !hex)) {
    throw bad(ErrorCode::malformed, key, "not 64 lower-case hexadecimal digits");
  }
  return std::string(text);
}

std::string parse_text(std::string_view key, std::string_view text) {
  if (text.size() > kTextBytes)
    throw bad(ErrorCode::malformed, key, "longer than 4096 bytes").limit(kTextBytes, text.size());
  if (printable(text, kTextBytes) != text) throw bad(ErrorCode::malformed, key, "holds bytes that cannot be printed");
  return std::string(text);
}

// The shortest decimal that reads back as the same number.
template <class T>
std::string shortest(T value) {
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof text, value);
  require(error == std::errc(), "to_metadata: 32 bytes hold any double");
  return std::string(text, end);
}

std::string labels_text(const std::vector<int>& labels) {
  std::string text;
  for (int label : labels) text += (text.empty() ? "" : ",") + std::to_string(label);
  return text;
}

Normalisation parse_normalisation(std::string_view key, std::string_view value) {
  const auto* found = std::ranges::find(kNormalisations, value, &std::pair<std::string_view, Normalisation>::first);
  if (found == kNormalisations.end()) throw unknown_value(key, value, "none, imagenet, half");
  return found->second;
}

std::string_view text_of(Normalisation normalisation) {
  const auto* found =
      std::ranges::find(kNormalisations, normalisation, &std::pair<std::string_view, Normalisation>::second);
  require(found != kNormalisations.end(), "to_metadata: normalisation");
  return found->first;
}

std::string text_of(const TextureInput& texture) {
  const auto* found =
      std::ranges::find(kTextures, texture.recipe, &std::pair<std::string_view, io::TextureRecipe>::second);
  require(found != kTextures.end(), "to_metadata: texture recipe");
  return std::string(found->first) + " " + shortest(texture.sigma) + std::string(texture.masked ? kMasked : "");
}

// Up to `end`, which is taken away with it; all of it where there is none.
std::string_view cut_off(std::string_view& text, char end) {
  const size_t at = std::min(text.find(end), text.size());
  const std::string_view part = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return part;
}

// A name of a network's: of modules and values.
std::string parse_name(std::string_view key, std::string_view text) {
  if (text.empty() || printable(text, kTextBytes) != text)
    throw bad(ErrorCode::malformed, key, "'" + printable(text, 60) + "' is not a name");
  return std::string(text);
}

void parse_int8(std::string_view key, std::string_view text, ModelInfo& info) {
  while (!text.empty()) {
    std::string_view entry = cut_off(text, ';');
    const std::string name = parse_name(key, cut_off(entry, ' '));
    const auto scale =
        number<float>(key, cut_off(entry, ' '), Quantised::kLeastScale, Quantised::kMostScale, "1e-30..1e30");
    const Quantised value{scale, number<int32_t>(key, entry, 0, 255, "0..255")};
    if (!info.quantisation.values.emplace(name, value).second)
      throw bad(ErrorCode::malformed, key, "'" + printable(name, 60) + "' twice");
    if (info.quantisation.values.size() > kMostNames) throw bad(ErrorCode::malformed, key, "more than 4096 values");
  }
}

std::string int8_text(const Quantisation& quantisation) {
  std::string text;
  for (const auto& [name, value] : quantisation.values)
    text += (text.empty() ? "" : ";") + name + " " + shortest(value.scale) + " " + std::to_string(value.zero_point);
  return text;
}

void parse_int8_float(std::string_view key, std::string_view text, ModelInfo& info) {
  while (!text.empty()) {
    info.quantisation.floats.insert(parse_name(key, cut_off(text, ' ')));
    if (info.quantisation.floats.size() > kMostNames) throw bad(ErrorCode::malformed, key, "more than 4096 modules");
  }
}

std::string int8_float_text(const Quantisation& quantisation) {
  std::string text;
  for (const std::string& module : quantisation.floats) text += (text.empty() ? "" : " ") + module;
  return text;
}

// One line per key: how its text is made, and how it is checked and understood.
using View = std::string_view;
using Info = ModelInfo;
struct Field {
  std::string_view name;
  std::string (*get)(const ModelInfo& info);
  void (*set)(std::string_view key, std::string_view value, ModelInfo& info);
};
// clang-format off
const Field kFields[] = {
    {"name", [](const Info& i) { return i.name; }, [](View k, View v, Info& i) { i.name = parse_text(k, v); }},
    {"architecture", [](const Info& i) { return i.architecture; },
     [](View k, View v, Info& i) { i.architecture = parse_text(k, v); }},
    {"scale", [](const Info& i) { return std::string(i.raw_scale ? "1" : "1/255"); },
     [](View k, View v, Info& i) { i.raw_scale = second_of(k, v, "1/255", "1"); }},
    {"normalisation", [](const Info& i) { return std::string(text_of(i.normalisation)); },
     [](View k, View v, Info& i) { i.normalisation = parse_normalisation(k, v); }},
    {"resize", [](const Info& i) { return i.resize + " " + std::to_string(i.size); }, parse_resize},
    {"kept_labels", [](const Info& i) { return labels_text(i.kept_labels); },
     [](View k, View v, Info& i) { i.kept_labels = parse_labels(k, v); }},
    {"input", [](const Info& i) { return std::string(i.masked_input ? "masked" : "photo"); },
     [](View k, View v, Info& i) { i.masked_input = second_of(k, v, "photo", "masked"); }},
    {"threshold", [](const Info& i) { return shortest(i.threshold); },
     [](View k, View v, Info& i) { i.threshold = parse_threshold(k, v); }},
    {"output", [](const Info& i) { return std::string(i.output == Output::sigmoid ? "sigmoid" : "logits"); },
     [](View k, View v, Info& i) {
       i.output = second_of(k, v, "logits", "sigmoid") ? Output::sigmoid : Output::logits;
     }},
    {"licence", [](const Info& i) { return i.licence; }, [](View k, View v, Info& i) { i.licence = parse_text(k, v); }},
    {"citation", [](const Info& i) { return i.citation; },
     [](View k, View v, Info& i) { i.citation = parse_text(k, v); }},
    // Left out where there is none, so that earlier programs read such files.
    {"texture", [](const Info& i) { return i.texture ? text_of(*i.texture) : ""; },
     [](View k, View v, Info& i) { i.texture = parse_texture(k, v); }},
    {"int8", [](const Info& i) { return int8_text(i.quantisation); }, parse_int8},
    {"int8_float", [](const Info& i) { return int8_float_text(i.quantisation); }, parse_int8_float},
    {"source_sha256", [](const Info& i) { return i.source_sha256; },
     [](View k, View v, Info& i) { i.source_sha256 = parse_sha256(k, v); }},
};
// clang-format on

}  // namespace

ModelInfo default_info(const Architecture& architecture) {
  ModelInfo info;
  if (architecture.parser()) info.resize = "pillow-bilinear";
  return info;
}

std::map<std::string, std::string> to_metadata(const ModelInfo& info) {
  std::map<std::string, std::string> metadata = {{"furrow.version", std::string(kVersion)}};
  for (const Field& field : kFields) metadata[std::string(kPrefix) + std::string(field.name)] = field.get(info);
  if (!info.texture) metadata.erase("furrow.texture");
  if (info.quantisation.empty()) metadata.erase("furrow.int8");
  if (info.quantisation.floats.empty()) metadata.erase("furrow.int8_float");
  if (info.architecture.starts_with(kParsers))
    for (const char* key : {"furrow.kept_labels", "furrow.input", "furrow.threshold"}) metadata.erase(key);
  return metadata;
}

ModelInfo from_metadata(const std::map<std::string, std::string>& metadata, const ModelInfo& defaults) {
  ModelInfo info = defaults;
  const auto is_ours = [](const auto& entry) { return std::string_view(entry.first).starts_with(kPrefix); };
  if (std::ranges::none_of(metadata, is_ours)) return info;
  const auto version = metadata.find("furrow.version");
  if (version == metadata.end()) throw bad(ErrorCode::malformed, "furrow.version", "furrow keys without a version");
  if (version->second != kVersion) {
    throw bad(ErrorCode::unsupported, "furrow.version", "version '" + printable(version->second, 40) + "' is not known")
        .hint("this program reads version 1; a newer one may read the file");
  }
  for (const auto& [key, value] : metadata) {
    if (!std::string_view(key).starts_with(kPrefix) || key == "furrow.version") continue;
    const auto* field = std::ranges::find(kFields, std::string_view(key).substr(kPrefix.size()), &Field::name);
    if (field == std::end(kFields)) throw bad(ErrorCode::malformed, key, "unknown key");
    field->set(key, value, info);
  }
  return info;
}

}  // namespace furrow
