// The layer audit: the plan that a Segmenter runs, or the tape that the plan was made of, step by step, with every
// value in sight.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "io/image.h"
#include "io/picture.h"
#include "kernels/backend.h"
#include "nn/plan.h"
#include "segment/crop.h"
#include "segment/model.h"
#include "segment/region.h"

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

// The same of a plan that exists: the very one that a Segmenter runs (segment/compute.h).
LayerAudit audit_plan(Plan& plan, const Tensor& input, int rounds, const ValueSink& sink = {});

// What a Segmenter gives its network, and where in the photo it lies.
struct NetworkView {
  Tensor input;  // {1,side,side,in_channels}
  Grid grid;
  int64_t x = 0, y = 0;            // the corner of the window in the grid; without tiles 0, 0
  size_t window = 1, windows = 1;  // which, from 1 on, row by row, and of how many
};

// Of a Segmenter with `options` for `crop` of an RGB photo; with tiles the window in the middle (of an even number the
// one after the middle), whose plan is every window's; never the mirrored picture of `flip`. `labels`: of the photo, or
// null. Errors: those of KeptPixels.
NetworkView network_view(const Model& model, const io::Image& photo, const Crop& crop, const SegmentOptions& options,
                         const io::LabelMap* labels, DType type, ThreadPool* pool);

// NetworkView::input without labels and tiles.
Tensor network_input(const Model& model, const io::Image& photo, const Crop& crop, int64_t side, DType type,
                     ThreadPool* pool);

// side x side x 3, the same on every machine: soft rings and lines, every channel its own.
io::Image synthetic_picture(int64_t side);

// 1 where the model marks the model pixel, else 0; row-major. Where `threshold` is the probability to exceed.
std::vector<uint8_t> model_mask(const Model& model, const Tensor& logits, double threshold);

// Of a face parser: of every model pixel the first class with the largest logit; row-major.
std::vector<uint8_t> model_labels(const Tensor& logits);

// Sets the elements of model_mask() or model_labels() to 0 that a Segmenter does not count: model pixels outside the
// photo, and those that are not kept. Returns how many lie in the photo.
int64_t limit_mask(std::span<uint8_t> mask, const NetworkView& view, const KeptPixels& kept, int64_t photo_w,
                   int64_t photo_h);

}  // namespace furrow
