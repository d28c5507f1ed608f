// The layer audit: the plan that a Segmenter runs, or the tape that the plan was made of, step by step, with every
// value in sight.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "io/image.h"
#include "kernels/backend.h"
#include "nn/network.h"
#include "segment/crop.h"
#include "segment/model.h"

namespace furrow {

// A value that a step wrote. Least and greatest are of its finite elements; both 0 where it has none.
struct AuditedValue {
  std::string name;  // layer_names(), nn/graph.h: "inc.double_conv.2"
  Shape shape;
  double least = 0, greatest = 0;
  uint64_t not_finite = 0;  // elements
  uint32_t checksum = 0;    // CRC-32C of its elements as little-endian float32 in the order [N,C,H,W]
};

struct AuditedStep {
  std::string where;             // the modules it covers: "inc.double_conv.3+4+5 down1.maxpool_conv.0"
  std::string op, problem;       // "conv2d+relu+pool", "1x64x64x3 -> 1x64x64x16 k3s1p1"
  std::string algorithm;         // what really ran; of the tape the operation itself: "eager"
  uint64_t parameters = 0;       // of those modules, as in the checkpoint, without running statistics
  uint64_t macs = 0, bytes = 0;  // half the operations by the formula; read and written at least once
  double milliseconds = 0;       // median over the rounds
  std::vector<AuditedValue> values;
};

struct LayerAudit {
  std::vector<AuditedStep> steps;
  Tensor logits;  // {1,H,W,classes}, in the host's memory
};

struct LayerAuditOptions {
  bool unfused = false;  // the tape, one operation after another, in place of the plan
  int rounds = 1;        // how often everything runs, at least once; the values are those of the last
};

// Given every value of the last round in the order in which they are computed, elements in the order [N,C,H,W],
// float32.
using ValueSink = std::function<void(const AuditedValue& value, std::span<const float> elements)>;

// Runs the network on `input` {1,H,W,in_channels} of the back-end's element type. The tape keeps all its values until
// the end; the plan none. Errors: those of Plan and Network::forward.
LayerAudit audit_layers(const Network& network, Backend& backend, const Tensor& input, const LayerAuditOptions& options,
                        const ValueSink& sink = {});

// What a Segmenter without labels and tiles gives its network for `crop` of an RGB photo: {1,side,side,in_channels}.
Tensor network_input(const Model& model, const io::Image& photo, const Crop& crop, int64_t side, DType type,
                     ThreadPool* pool);

// side x side x 3, the same on every machine: soft rings and lines, every channel its own.
io::Image synthetic_picture(int64_t side);

// 1 where a Segmenter would mark the model pixel, else 0; row-major. Where `threshold` is the probability to exceed.
std::vector<uint8_t> model_mask(const Model& model, const Tensor& logits, double threshold);

}  // namespace furrow
