#include "nn/plan.h"

#include <algorithm>

#include "kernels/checked.h"
#include "nn/graph.h"
#include "nn/placement.h"

namespace furrow {

std::shared_ptr<const Packed> PackedWeights::get(const std::string& key,
                                                 const std::function<std::unique_ptr<Packed>()>& prepare) {
  const std::lock_guard lock(mutex_);
  auto& entry = entries_[key];
  if (entry == nullptr) entry = prepare();
  return entry;
}

size_t PackedWeights::bytes() const {
  const std::lock_guard lock(mutex_);
  size_t total = 0;
  for (const auto& [key, packed] : entries_) total += packed == nullptr ? 0 : packed->bytes();
  return total;
}

size_t PackedWeights::prepared() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

namespace {

constexpr size_t kAlignment = Arena::kAlignment;

size_t round_up(size_t value) { return (value + kAlignment - 1) / kAlignment * kAlignment; }

Graph optimise(Graph graph, const PlanOptions& options, bool in_bytes) {
  graph = take_resize(take_cut(std::move(graph)));
  graph = fuse_add(sink_upsampling(fold_batch_norm(std::move(graph))));
  graph = merge_padding(fuse_relu(std::move(graph)));
  if (options.fuse_pool) graph = fuse_pool(std::move(graph));
  if (options.fuse_head) graph = fuse_head(std::move(graph));
  if (in_bytes && !options.quantisation.empty()) graph = quantise(std::move(graph), options.quantisation);
  return graph;
}

}  // namespace

// Lays out the steps and their memory. Step 0 reorders the input; the nodes follow; where no head wrote the output as a
// dense tensor, a last step reorders it back.
struct Plan::Builder {
  Plan& plan;
  Backend& backend;
  Graph graph;
  std::vector<LiveBlock> blocks = {};
  std::vector<int> block_of = std::vector<int>(graph.shapes.size(), -1);  // by ValueId
  int dense_output = -1;                                                  // block of the result
  const Tensor& pixel_values = {};
  int pixels_workspace = -1;  // its block

  int open(size_t bytes, size_t step) {
    blocks.push_back({bytes, static_cast<int>(step), static_cast<int>(step)});
    return static_cast<int>(blocks.size() - 1);
  }
  void write(ValueId v, size_t step) {
    const auto at = static_cast<size_t>(v);
    const Shape& shape = graph.shapes[at];
    block_of[at] = open(stored(v) ? backend.placed_bytes_of_bytes(shape) : backend.placed_bytes(shape), step);
  }
  Quantised stored(ValueId v) const {
    const auto at = static_cast<size_t>(v);
    return graph.quantised.empty() || !graph.stored_bytes[at] ? Quantised{} : graph.quantised[at];
  }
  void read(ValueId v, size_t step) {
    blocks[static_cast<size_t>(block_of[static_cast<size_t>(v)])].last = static_cast<int>(step);
  }
  size_t dense_bytes(ValueId v) const {
    return static_cast<size_t>(graph.shapes[static_cast<size_t>(v)].elements()) * size_of(backend.dtype());
  }

  void add(Action action, Step step, StepInfo info) {
    plan.steps_.push_back({.action = action, .step = step});
    plan.infos_.push_back(std::move(info));
  }

  void add_reorder(Action action, ValueId v) {
    const Shape& s = graph.shapes[static_cast<size_t>(v)];
    add(action, PoolStep{},
        {.where = action == Action::place ? "(input)" : "(output)",
         .op = action == Action::place ? "place" : "unplace",
         .problem = to_string(s),
         .algorithm = "copy",
         .bytes = dense_bytes(v) + backend.placed_bytes(s),
         .writes = {action == Action::place ? "input" : "output"},
         .quantised_name = action == Action::place ? Quantisation::kPixels : ""});
  }

  void add_node(const GraphNode& node) {
    const size_t at = plan.steps_.size();
    const Step step = planned_step(node, graph);
    StepInfo info{.where = join_paths(node.modules),
                  .op = op_name(step),
                  .problem = problem(step),
                  .algorithm = backend.algorithm(step),
                  .bytes = min_bytes(step, size_of(backend.dtype())),
                  .flops = flops(step),
                  .parameters = node.parameters,
                  .quantised_name = node.unpadded,
                  .in_bytes = node.in_bytes};
    const bool stores = !std::holds_alternative<ConvStep>(step) || std::get<ConvStep>(step).store_y;
    for (const ValueId v : {stores ? node.y : -1, node.pooled, node.head})
      if (v >= 0) info.writes.push_back(graph.names[static_cast<size_t>(v)]);
    plan.workspace_bytes_ = std::max(plan.workspace_bytes_, backend.workspace_bytes(step));
    const auto* conv = std::get_if<ConvStep>(&step);
    if (conv == nullptr || conv->store_y) write(node.y, at);
    if (node.pooled >= 0) write(node.pooled, at);
    if (node.head >= 0) dense_output = open(dense_bytes(node.head), at);
    for (ValueId in : node.in) read(in, at);
    if (node.residual >= 0) read(node.residual, at);
    const std::string key = node.modules.front()->path() + "|" + info.op + "|" + info.algorithm;
    add(Action::run, step, std::move(info));
    if (!node.w.empty() && plan.weights_ != nullptr)
      plan.steps_.back().packed = plan.weights_->get(key, [&] { return backend.prepare(step, folded_weights(node)); });
  }

  // Returns where the blocks lie, and how many bytes that and the workspace take.
  std::pair<BlockPlacement, size_t> lay_out() {
    add_reorder(Action::place, graph.input);
    write(graph.input, 0);
    if (!pixel_values.empty())
      pixels_workspace = open(backend.place_pixels_bytes(graph.shapes[static_cast<size_t>(graph.input)]), 0);
    for (const GraphNode& node : graph.nodes) add_node(node);
    if (dense_output < 0) {
      const size_t at = plan.steps_.size();
      read(graph.output, at);
      dense_output = open(dense_bytes(graph.output), at);
      add_reorder(Action::unplace, graph.output);
    }
    BlockPlacement placement = place_blocks(blocks, kAlignment);
    const size_t bytes = (Checked(placement.bytes) + round_up(plan.workspace_bytes_)).size();
    return {std::move(placement), bytes};
  }

  void build() {
    const auto [placement, bytes] = lay_out();
    plan.activation_bytes_ = placement.bytes;
    plan.activation_bound_ = live_bytes_bound(blocks, kAlignment);
    plan.arena_ = backend.reserve(bytes);
    connect(placement);
    if (!pixel_values.empty()) take_pixels();
  }

  void take_pixels() {
    const Shape& s = plan.input_;
    require(pixel_values.shape() == Shape{1, 1, s.c, 256} && pixel_values.dtype() == backend.dtype(),
            "Plan: a value for every byte of every channel");
    plan.pixels_ = backend.reserve_host(static_cast<size_t>(s.elements()));
    plan.pixel_values_ = pixel_values;
    if (backend.in_host_memory()) return;
    plan.pixel_table_ = backend.reserve(pixel_values.bytes());
    plan.pixel_values_ = plan.pixel_table_.take(pixel_values.shape(), pixel_values.dtype());
    backend.put(pixel_values, plan.pixel_values_);
  }

  // Turns offsets into addresses.
  void connect(const BlockPlacement& placement) {
    std::byte* base = plan.arena_.data();
    const auto offset = [&](int block) { return placement.offsets[static_cast<size_t>(block)]; };
    const auto placed = [&](ValueId v) {
      const int block = v < 0 ? -1 : block_of[static_cast<size_t>(v)];
      return block < 0 ? Placed{} : Placed{base + offset(block), graph.shapes[static_cast<size_t>(v)], stored(v)};
    };
    plan.output_ = Tensor(graph.shapes[static_cast<size_t>(graph.output)], backend.dtype(), base + offset(dense_output),
                          plan.arena_.owner());
    if (!backend.in_host_memory()) {
      const Arena memory = backend.reserve_host(plan.output_.bytes());
      plan.host_output_ = Tensor(plan.output_.shape(), backend.dtype(), memory.data(), memory.owner());
    }
    if (pixels_workspace >= 0) plan.pixels_workspace_ = base + offset(pixels_workspace);
    if (graph.cut) plan.cut_ = Tensor(*graph.cut, backend.dtype());
    plan.result_ = graph.cut.value_or(plan.output_.shape());
    if (graph.resize) plan.result_.h = graph.resize->h, plan.result_.w = graph.resize->w;
    plan.steps_[0].buffers.y = placed(graph.input);
    if (plan.steps_.back().action == Action::unplace) plan.steps_.back().buffers.x[0] = placed(graph.output);
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      const GraphNode& node = graph.nodes[i];
      StepBuffers& b = plan.steps_[i + 1].buffers;
      for (size_t s = 0; s < node.in.size(); ++s) b.x[s] = placed(node.in[s]);
      b.residual = placed(node.residual);
      b.y = placed(node.y);
      b.pooled = placed(node.pooled);
      if (node.head >= 0) b.head = plan.output_;
      b.workspace = base + placement.bytes;
    }
    for (size_t i = 0; i < plan.steps_.size(); ++i) {
      const StepBuffers& b = plan.steps_[i].buffers;
      const std::byte* first = b.y.data != nullptr ? b.y.data : b.pooled.data;
      plan.infos_[i].offset =
          static_cast<size_t>(first != nullptr ? first - base : static_cast<std::ptrdiff_t>(offset(dense_output)));
    }
  }
};

Plan::Plan(const Network& network, Backend& backend, const Shape& input, PlanOptions options)
    : backend_(&backend),
      input_(input),
      weights_(options.weights != nullptr ? options.weights : std::make_shared<PackedWeights>()) {
  Builder{.plan = *this,
          .backend = backend,
          .graph = optimise(graph_of(network, input), options, backend.has_bytes()),
          .pixel_values = options.pixel_values}
      .build();
}

PlanSize plan_size(const Network& network, Backend& backend, const Shape& input, const PlanOptions& options) {
  Plan shapes(backend, input);  // without weights: none are packed
  Plan::Builder builder{.plan = shapes,
                        .backend = backend,
                        .graph = optimise(graph_of(network, input), options, backend.has_bytes()),
                        .pixel_values = options.pixel_values};
  PlanSize out{.arena = builder.lay_out().second};
  for (const GraphNode& node : builder.graph.nodes) {
    const auto elements = static_cast<size_t>(node.w.shape().elements() + node.head_w.shape().elements());
    if (elements == 0) continue;
    out.packed += backend.packed_bytes(planned_step(node, builder.graph));
    out.packing = std::max(out.packing, out.packed + elements * sizeof(double));
  }
  return out;
}

}  // namespace furrow
