#include "nn/recognise.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "kernels/secret_hash.h"

namespace furrow {
namespace {

class Keys {
 public:
  explicit Keys(const NamedTensors& tensors) {
    for (const NamedTensor& t : tensors) by_name_.emplace(t.name, &t);
  }
  bool has(std::string_view key) const { return by_name_.contains(key); }
  bool any(std::string_view prefix) const {
    return std::any_of(by_name_.begin(), by_name_.end(),
                       [&](const auto& entry) { return entry.first.starts_with(prefix); });
  }
  // Extent `axis` of a tensor; 0 where there is no such tensor or axis.
  int64_t dim(std::string_view key, size_t axis) const {
    const auto found = by_name_.find(key);
    return found != by_name_.end() && axis < found->second->dims.size() ? found->second->dims[axis] : 0;
  }

 private:
  std::unordered_map<std::string_view, const NamedTensor*, SecretHash> by_name_;
};

enum class Why : uint8_t { not_yet, never_ran, not_a_segmenter, other_layout };

struct Verdict {
  const char* network;
  Why why;
};

// The networks that wrinkle checkpoints and their companions come from, besides the ones this version builds. First
// match wins.
std::optional<Verdict> known_but_refused(const Keys& k) {
  if (k.any("swinViT.")) return Verdict{"SwinUNETR", Why::not_yet};
  if (k.any("cp.") && k.any("sp."))
    return Verdict{"BiSeNet in CoinCheung's layout (with a spatial path)", Why::other_layout};
  if (k.any("aspp.") && !k.has("bn1.running_mean")) return Verdict{"DeepLabV3 of FFHQ-Aging", Why::not_yet};
  if (k.has("firstconv.weight")) return Verdict{"ResNet50 U-Net with stem `firstconv` (D0)", Why::never_ran};
  if (k.has("inc.double_conv.0.weight") && k.has("attention1.W_g.0.weight")) {
    // Gates of the broken revision expect half the channels that reach them.
    const int64_t deepest = (k.any("up1.up.") ? 16 : 8) * k.dim("inc.double_conv.0.weight", 0);
    if (2 * k.dim("attention1.W_g.0.weight", 1) == deepest)
      return Verdict{"attention U-Net with half-width gates (B0)", Why::never_ran};
  }
  if (k.has("inc.double_conv.0.bias")) return Verdict{"U-Net with biased 3x3 convolutions", Why::other_layout};
  if (k.any("down_path.") && k.any("up_path.")) return Verdict{"U-Net in jvanvugt's layout", Why::other_layout};
  if (k.has("conv1.weight") && k.has("layer4.2.conv3.weight"))
    return Verdict{"ResNet50 classifier", Why::not_a_segmenter};
  if (k.has("conv1.weight") && k.has("layer4.2.conv2.weight"))
    return Verdict{"ResNet34 classifier", Why::not_a_segmenter};
  if (k.has("conv1.weight") && k.has("layer4.1.conv2.weight"))
    return Verdict{"ResNet18 classifier", Why::not_a_segmenter};
  return std::nullopt;
}

[[noreturn]] void refuse(const Verdict& v) {
  const std::string network = v.network;
  switch (v.why) {
    case Why::not_yet: throw Error(ErrorCode::unsupported, network + ": recognised, not supported by this version");
    case Why::never_ran:
      throw Error(ErrorCode::unsupported,
                  network + ": recognised, but this revision of the network could never run: its channels do not fit")
          .hint("use a checkpoint of a later revision");
    case Why::not_a_segmenter:
      throw Error(ErrorCode::unsupported,
                  network + ": recognised; it initialises an encoder and segments nothing by itself");
    case Why::other_layout: break;
  }
  throw Error(ErrorCode::unsupported, network + ": recognised, a layout that Furrow does not have");
}

[[noreturn]] void refuse_unknown(const NamedTensors& tensors) {
  std::vector<std::string> lines;
  for (const NamedTensor& t : tensors) lines.push_back(printable(t.name) + " " + dims_to_string(t.dims));
  throw Error(ErrorCode::unsupported, "unknown network: none of its " + std::to_string(tensors.size()) +
                                          " keys is one that Furrow knows" +
                                          (lines.empty() ? "" : "; the first is " + lines[0]))
      .details(std::move(lines));
}

Architecture face_parser(const Keys& keys) {
  constexpr std::string_view kFirst = "cp.resnet.conv1.weight", kLast = "conv_out.conv_out.weight";
  Architecture a;
  a.family = keys.has("cp.resnet.layer1.2.conv1.weight") ? "bisenet-resnet34" : "bisenet";
  a.base = keys.dim(kFirst, 0);
  a.in_channels = keys.dim(kFirst, 1);
  a.classes = keys.dim(kLast, 0) != 0 ? keys.dim(kLast, 0) : 19;  // without a head, load() says what is missing
  return Architecture::parse(a.text());                           // checks the ranges
}

}  // namespace

Architecture recognise(const NamedTensors& tensors) {
  const Keys keys(tensors);
  if (const auto verdict = known_but_refused(keys)) refuse(*verdict);
  if (keys.any("cp.resnet.")) return face_parser(keys);
  constexpr std::string_view kClassic = "inc.double_conv.0.weight", kResNet = "input_layer.0.weight",
                             kLast = "outc.conv.weight";
  const bool resnet = keys.has(kResNet);
  if (!resnet && !keys.has(kClassic)) refuse_unknown(tensors);
  const std::string_view first = resnet ? kResNet : kClassic;
  const bool attention = keys.has(resnet ? "att1.W_g.0.weight" : "attention1.W_g.0.weight");
  Architecture a;
  a.family = std::string(resnet ? "resnet50-" : "") + (attention ? "attention-unet" : "unet");
  a.base = keys.dim(first, 0);
  a.in_channels = keys.dim(first, 1);
  a.bilinear = !keys.any("up1.up.");
  if (keys.dim(kLast, 0) != 0) a.classes = keys.dim(kLast, 0);  // without a head, load() says what is missing
  return Architecture::parse(a.text());                         // checks the ranges
}

}  // namespace furrow
