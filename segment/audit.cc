#include "segment/audit.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <optional>

#include "io/crc32c.h"
#include "kernels/trace.h"
#include "nn/graph.h"
#include "segment/network_picture.h"
#include "segment/preprocess.h"
#include "segment/region.h"
#include "segment/tile.h"

namespace furrow {
namespace {

// NHWC of either element type -> NCHW float32.
template <class T>
void reorder(const Tensor& from, std::vector<float>& to) {
  const Shape& s = from.shape();
  const auto values = from.values<T>();
  const auto plane = static_cast<size_t>(s.h * s.w), channels = static_cast<size_t>(s.c);
  to.resize(values.size());
  for (size_t n = 0; n < static_cast<size_t>(s.n); ++n)
    for (size_t c = 0; c < channels; ++c)
      for (size_t i = 0; i < plane; ++i)
        to[(n * channels + c) * plane + i] = static_cast<float>(values[(n * plane + i) * channels + c]);
}

AuditedValue look(const std::string& name, const Tensor& value, const ValueSink& sink) {
  static_assert(std::endian::native == std::endian::little, "checksums are of little-endian elements");
  std::vector<float> elements;
  if (value.dtype() == DType::f64)
    reorder<double>(value, elements);
  else
    reorder<float>(value, elements);
  AuditedValue out{.name = name, .shape = value.shape()};
  bool any = false;
  for (const float v : elements) {
    if (!std::isfinite(v)) {
      ++out.not_finite;
      continue;
    }
    out.least = any ? std::min<double>(out.least, v) : v;
    out.greatest = any ? std::max<double>(out.greatest, v) : v;
    any = true;
  }
  out.checksum = io::crc32c(std::as_bytes(std::span(elements)));
  if (sink) sink(out, elements);
  return out;
}

double middle_of(std::vector<double> values) {
  std::ranges::sort(values);
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

LayerAudit audit_tape(const Network& network, Backend& backend, const Tensor& input, int rounds,
                      const ValueSink& sink) {
  std::unique_ptr<Network> converted;
  if (network.dtype() != backend.dtype()) {
    converted = build(network.architecture());
    converted->load(network.state(), backend.dtype());
  }
  Tape tape(backend);
  LayerAudit audit;
  std::vector<std::vector<double>> times;
  for (int round = 0; round < rounds; ++round) {
    tape.clear();
    tape.time_operations(&times.emplace_back());
    audit.logits = (converted != nullptr ? *converted : network).forward(tape, tape.input(input)).value();
  }
  const std::vector<Node>& nodes = tape.nodes();
  const std::vector<std::string> names = layer_names(nodes);
  audit.steps.push_back(
      {"(input)", "input", to_string(input.shape()), "none", 0, 0, 0, 0, {look("input", input, sink)}});
  for (size_t id = 0; id < nodes.size(); ++id) {
    const Node& node = nodes[id];
    if (node.op == OpKind::leaf) continue;
    std::vector<Shape> in;
    std::string from;
    for (const VarId v : node.in) {
      const Node& source = nodes[static_cast<size_t>(v)];
      in.push_back(source.shape);
      if (source.parameter == nullptr) from += (from.empty() ? "" : ", ") + to_string(source.shape);
    }
    std::vector<double> taken;
    for (const auto& round : times) taken.push_back(round.at(audit.steps.size() - 1));
    const OpDef& def = op_def(node.op);
    audit.steps.push_back({names[id],
                           std::string(def.name),
                           from + " -> " + to_string(node.shape),
                           "eager",
                           parameters_of(node, nodes),
                           def.flops(node.attrs, in, node.shape) / 2,
                           min_bytes(in, node.shape, size_of(backend.dtype())),
                           middle_of(std::move(taken)),
                           {look(names[id], node.value, sink)}});
  }
  return audit;
}

}  // namespace

LayerAudit audit_plan(Plan& plan, const Tensor& input, int rounds, const ValueSink& sink) {
  require(rounds > 0, "audit_plan: at least one round");
  LayerAudit audit;
  for (const Plan::StepInfo& s : plan.steps())
    audit.steps.push_back({s.where, s.op, s.problem, s.algorithm, s.parameters, s.flops / 2, s.bytes, 0, {}});
  std::vector<std::vector<double>> times(audit.steps.size());
  for (int round = 1; round < rounds; ++round) {
    Trace trace;
    plan.run(input, &trace);
    for (size_t i = 0; i < times.size(); ++i) times[i].push_back(trace.records()[i].milliseconds);
  }
  const Tensor logits = plan.run_watched(input, [&](size_t step, double milliseconds, const auto& written) {
    times[step].push_back(milliseconds);
    for (const Plan::Written& w : written) audit.steps[step].values.push_back(look(w.name, w.value, sink));
  });
  for (size_t i = 0; i < times.size(); ++i) audit.steps[i].milliseconds = middle_of(std::move(times[i]));
  audit.logits = logits.to(logits.dtype());  // out of the plan's memory
  return audit;
}

LayerAudit audit_layers(const Network& network, Backend& backend, const Tensor& input, const LayerAuditOptions& options,
                        const ValueSink& sink) {
  require(options.rounds > 0, "audit_layers: at least one round");
  if (options.unfused) return audit_tape(network, backend, input, options.rounds, sink);
  Plan plan(network, backend, input.shape());
  return audit_plan(plan, input, options.rounds, sink);
}

NetworkView network_view(const Model& model, const io::Image& photo, const Crop& crop, const SegmentOptions& options,
                         const io::LabelMap* labels, DType type, ThreadPool* pool) {
  const ModelInfo& info = model.info();
  const int64_t side = options.size.value_or(info.size);
  const KeptPixels kept(labels, options.kept_labels.value_or(info.kept_labels), photo.width, photo.height);
  NetworkView view{.input = Tensor({1, side, side, model.in_channels()}, type), .grid = grid_of(crop, options, info)};
  const std::vector<int64_t> columns = window_starts(view.grid.columns, side),
                             rows = window_starts(view.grid.rows, side);
  const size_t column = columns.size() / 2, row = rows.size() / 2;
  view.x = columns[column];
  view.y = rows[row];
  view.window = row * columns.size() + column + 1;
  view.windows = rows.size() * columns.size();
  const NetworkPicture picture(photo, view.grid, model, kept, labels, texture_side(view.grid, options, info), pool);
  io::Image rgb(side, side, 3), texture(0, 0, 1);
  picture.window(view.x, view.y, rgb, texture);
  normalise(rgb, model.takes_texture() ? &texture : nullptr, info, false, view.input);
  return view;
}

Tensor network_input(const Model& model, const io::Image& photo, const Crop& crop, int64_t side, DType type,
                     ThreadPool* pool) {
  SegmentOptions options;
  options.size = side;
  return network_view(model, photo, crop, options, nullptr, type, pool).input;
}

io::Image synthetic_picture(int64_t side) {
  io::Image picture(side, side, 3);
  for (int64_t y = 0; y < side; ++y)
    for (int64_t x = 0; x < side; ++x) {
      // Whole numbers only: the same on every machine. In units of a 256th of the side from the centre.
      const int64_t u = (2 * x + 1 - side) * 128 / side, v = (2 * y + 1 - side) * 128 / side, ring = u * u + v * v;
      const bool line = (4 * y / side + x) % 17 == 0 && ring < 10000;
      uint8_t* const pixel = picture.row(y) + 3 * x;
      for (int64_t c = 0; c < 3; ++c) {
        const int64_t skin = 208 - 24 * c - ring / (160 - 20 * c) + (u + 2 * v + 7 * c) % 5;
        pixel[c] = static_cast<uint8_t>(std::clamp<int64_t>(line ? skin - 60 : skin, 0, 255));
      }
    }
  return picture;
}

std::vector<uint8_t> model_mask(const Model& model, const Tensor& logits, double threshold) {
  std::vector<float> plane(static_cast<size_t>(logits.shape().pixels()));
  add_probability(logits, false, 1, plane);
  const double above = effective_threshold(model.info(), model.classes(), threshold);
  std::vector<uint8_t> mask(plane.size());
  std::ranges::transform(plane, mask.begin(), [&](float p) { return static_cast<double>(p) > above ? 1 : 0; });
  return mask;
}

std::vector<uint8_t> model_labels(const Tensor& logits) {
  require(logits.shape().c <= 256, "model_labels: a label is a byte");
  const Tensor wide = logits.to(DType::f64);
  const auto classes = static_cast<size_t>(logits.shape().c);
  std::vector<uint8_t> labels(static_cast<size_t>(logits.shape().pixels()));
  const double* z = wide.values<double>().data();
  for (uint8_t& label : labels) {
    label = static_cast<uint8_t>(std::max_element(z, z + classes) - z);
    z += classes;
  }
  return labels;
}

int64_t limit_mask(std::span<uint8_t> mask, const NetworkView& view, const KeptPixels& kept, int64_t photo_w,
                   int64_t photo_h) {
  const Shape& s = view.input.shape();
  int64_t of_photo = 0;
  for (int64_t j = 0; j < s.h; ++j) {
    const int64_t y = view.grid.photo_y(view.y + j);
    for (int64_t i = 0; i < s.w; ++i) {
      const int64_t x = view.grid.photo_x(view.x + i);
      const bool inside = view.x + i < view.grid.columns && view.y + j < view.grid.rows && x >= 0 && x < photo_w &&
                          y >= 0 && y < photo_h;
      of_photo += inside;
      if (!inside || !kept(x, y)) mask[static_cast<size_t>(j * s.w + i)] = 0;
    }
  }
  return of_photo;
}

}  // namespace furrow
