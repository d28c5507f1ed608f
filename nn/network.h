// Network: a module with a forward, and Architecture: the few words that say which one.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "nn/module.h"
#include "nn/tape.h"

namespace furrow {

// Everything that fixes a network's keys and shapes.
struct Architecture {
  // "unet": the classic U-Net; "attention-unet": with gates on its skips; "resnet50-unet": on the encoder of a
  // ResNet-50; "resnet50-attention-unet": that with gates; "bisenet", "bisenet-resnet34": the face parser.
  std::string family = "unet";
  int64_t base = 64, in_channels = 3, classes = 1;  // channels of the first level; of the input; of the output
  // Up-sampling of a U-Net: bilinear, or transposed convolution. A face parser has no choice, and false here.
  bool bilinear = false;
  double dropout = 0;  // of training, at the end of each double_conv; neither keys nor inference know it, nor text()
  bool attention() const { return family == "attention-unet" || family == "resnet50-attention-unet"; }
  bool resnet() const { return family.starts_with("resnet50-"); }
  bool parser() const { return family == "bisenet" || family == "bisenet-resnet34"; }  // of faces, not of wrinkles
  // "unet base 16, 3 -> 1, transposed", "bisenet base 64, 3 -> 19": what native files store and `model show` prints.
  std::string text() const;
  // The inverse. Throws ErrorCode::unsupported for anything else, ErrorCode::limit for numbers outside 1..kMaxChannels.
  static Architecture parse(std::string_view text);
  friend bool operator==(const Architecture&, const Architecture&) = default;

  static constexpr int64_t kMaxChannels = 1024;
};

class Network : public Module {
 public:
  // x {N,H,W,in_channels} -> logits {N,H,W,classes}. Written once: on a tape with a back-end it computes and records,
  // on a tape of shapes it yields the graph of the inference Plan. Throws ErrorCode::unsupported for a picture it
  // cannot take.
  virtual Var forward(Tape& tape, Var x) const = 0;
  virtual const Architecture& architecture() const = 0;
  // Smallest height and width that forward takes.
  virtual int64_t min_side() const = 0;
  // Prefixes of the keys of the encoder, the part that pretrained weights are for: what freeze() is given.
  virtual std::vector<std::string> encoder() const { return {}; }

 protected:
  // For forward(): throws ErrorCode::unsupported unless x has the channels and at least the size that it takes.
  void check_input(const Shape& x) const;
};

// The network of an architecture, without values yet: then load() or initialise(). Throws ErrorCode::unsupported for
// another family, ErrorCode::limit for numbers out of range and for gates on an odd base, of which they halve the
// channels. Of a face parser `bilinear` says nothing and must be false: ErrorCode::internal.
std::unique_ptr<Network> build(const Architecture& architecture);

}  // namespace furrow
