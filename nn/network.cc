#include "nn/network.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "nn/bisenet.h"
#include "nn/resnet_unet.h"
#include "nn/unet.h"

namespace furrow {
namespace {

constexpr std::array<std::string_view, 6> kFamilies = {
    "unet", "attention-unet", "resnet50-unet", "resnet50-attention-unet", "bisenet", "bisenet-resnet34"};

// Takes `word` off the front of `text`; false where it does not stand there.
bool take(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

bool take(std::string_view& text, int64_t& number) {
  const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (status != std::errc() || *text.data() == '-') return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

void check_range(int64_t value, const char* what) {
  if (value < 1 || value > Architecture::kMaxChannels)
    throw Error(ErrorCode::limit, std::string("a network with ") + std::to_string(value) + " " + what + " (1.." +
                                      std::to_string(Architecture::kMaxChannels) + " are supported)");
}

void check_ranges(const Architecture& a) {
  check_range(a.base, "base channels");
  check_range(a.in_channels, "input channels");
  check_range(a.classes, "classes");
  if (!(a.dropout >= 0 && a.dropout < 1))
    throw Error(ErrorCode::limit, "a dropout of " + std::to_string(a.dropout) + " (0 up to, but not, 1 is supported)");
}

}  // namespace

std::string Architecture::text() const {
  const char* const up = bilinear ? ", bilinear" : ", transposed";
  return family + " base " + std::to_string(base) + ", " + std::to_string(in_channels) + " -> " +
         std::to_string(classes) + (parser() ? "" : up);
}

Architecture Architecture::parse(std::string_view text) {
  Architecture a;
  std::string_view rest = text;
  const auto named = [&](std::string_view family) { return take(rest, std::string(family) + " base "); };
  const auto* family = std::ranges::find_if(kFamilies, named);
  if (family != kFamilies.end()) a.family = *family;
  const bool numbers = family != kFamilies.end() && take(rest, a.base) && take(rest, ", ") &&
                       take(rest, a.in_channels) && take(rest, " -> ") && take(rest, a.classes);
  a.bilinear = rest == ", bilinear";
  const bool ends = a.parser() ? rest.empty() : a.bilinear || rest == ", transposed";
  if (!numbers || !ends)
    throw Error(ErrorCode::unsupported, "architecture \"" + printable(text) + "\" is not one this version has")
        .hint(
            "known: \"FAMILY base B, IN -> OUT, transposed|bilinear\", FAMILY unet, attention-unet, resnet50-unet or "
            "resnet50-attention-unet; \"FAMILY base B, IN -> OUT\", FAMILY bisenet or bisenet-resnet34");
  check_ranges(a);
  return a;
}

std::unique_ptr<Network> build(const Architecture& a) {
  if (std::ranges::find(kFamilies, a.family) == kFamilies.end())
    throw Error(ErrorCode::unsupported, "no network family \"" + printable(a.family) + "\"");
  check_ranges(a);
  if (a.attention() && a.base % 2 != 0)
    throw Error(ErrorCode::limit, "an attention gate halves the channels, and " + std::to_string(a.base) + " is odd");
  require(!(a.parser() && a.bilinear), "build: a face parser has one way of up-sampling");
  if (a.parser()) return std::make_unique<BiSeNet>(a);
  if (a.resnet()) return std::make_unique<ResNetUNet>(a);
  return std::make_unique<UNet>(a);
}

void Network::check_input(const Shape& x) const {
  const int64_t wanted = architecture().in_channels;
  if (x.c != wanted)
    throw Error(ErrorCode::unsupported,
                "the network takes " + std::to_string(wanted) + " input channels, not " + std::to_string(x.c));
  if (std::min(x.h, x.w) < min_side())
    throw Error(ErrorCode::unsupported, "a picture of " + std::to_string(x.w) + "x" + std::to_string(x.h) +
                                            " is too small for the network: each side needs " +
                                            std::to_string(min_side()) + " pixels");
}

}  // namespace furrow
