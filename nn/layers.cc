#include "nn/layers.h"

#include <cmath>

namespace furrow {
namespace {

// PyTorch draws weights and biases of convolutions from U(-1/sqrt(fan_in), 1/sqrt(fan_in)), fan_in = dims[1] * kh * kw;
// for a transposed convolution dims[1] is its *output* channels.
double bound(const std::vector<int64_t>& dims) {
  return 1 / std::sqrt(static_cast<double>(dims[1] * dims[2] * dims[3]));
}

Parameter vector_parameter(std::string name, int64_t channels, double constant) {
  return {.name = std::move(name), .dims = {channels}, .constant = constant};
}

Parameter buffer(std::string name, int64_t channels, double constant) {
  return {.name = std::move(name), .dims = {channels}, .trainable = false, .constant = constant};
}

}  // namespace

Conv2dLayer::Conv2dLayer(Module* parent, std::string name, const Options& o)
    : Module(parent, std::move(name)),
      geometry_{o.kernel, o.kernel, o.stride, o.pad},
      weight_(
          add_parameter({.name = "weight", .kind = ParameterKind::conv, .dims = {o.out, o.in, o.kernel, o.kernel}})) {
  weight_.bound = bound(weight_.dims);
  if (o.bias) bias_ = &add_parameter({.name = "bias", .dims = {o.out}, .bound = weight_.bound});
}

Var Conv2dLayer::forward(Tape& tape, Var x) const {
  const ConvAttrs attrs{geometry_, false};
  if (bias_ == nullptr) return tape.record(OpKind::conv2d, attrs, {x, tape.parameter(weight_)}, this);
  return tape.record(OpKind::conv2d, attrs, {x, tape.parameter(weight_), tape.parameter(*bias_)}, this);
}

Var Conv2dLayer::forward(Tape& tape, Var x0, Var x1) const {
  const ConvAttrs attrs{geometry_, true};
  if (bias_ == nullptr) return tape.record(OpKind::conv2d, attrs, {x0, x1, tape.parameter(weight_)}, this);
  return tape.record(OpKind::conv2d, attrs, {x0, x1, tape.parameter(weight_), tape.parameter(*bias_)}, this);
}

ConvTranspose2dLayer::ConvTranspose2dLayer(Module* parent, std::string name, int64_t in, int64_t out)
    : Module(parent, std::move(name)),
      weight_(add_parameter({.name = "weight", .kind = ParameterKind::transposed_conv, .dims = {in, out, 2, 2}})),
      bias_(add_parameter({.name = "bias", .dims = {out}})) {
  weight_.bound = bias_.bound = bound(weight_.dims);
}

Var ConvTranspose2dLayer::forward(Tape& tape, Var x) const {
  return tape.record(OpKind::upconv2x2, NoAttrs{}, {x, tape.parameter(weight_), tape.parameter(bias_)}, this);
}

BatchNorm2dLayer::BatchNorm2dLayer(Module* parent, std::string name, int64_t channels)
    : Module(parent, std::move(name)),
      weight_(add_parameter(vector_parameter("weight", channels, 1))),
      bias_(add_parameter(vector_parameter("bias", channels, 0))),
      running_mean_(add_parameter(buffer("running_mean", channels, 0))),
      running_var_(add_parameter(buffer("running_var", channels, 1))),
      num_batches_tracked_(
          add_parameter({.name = "num_batches_tracked", .kind = ParameterKind::counter, .trainable = false})) {}

Var BatchNorm2dLayer::forward(Tape& tape, Var x) const {
  const bool training = tape.training() && !running_mean_.frozen;
  if (training) ++num_batches_tracked_.value.values<int64_t>()[0];
  return tape.record(
      OpKind::batch_norm, BatchNormAttrs{.training = training, .shared = training ? tape.shared() : Shared()},
      {x, tape.parameter(weight_), tape.parameter(bias_), tape.parameter(running_mean_), tape.parameter(running_var_)},
      this);
}

}  // namespace furrow
