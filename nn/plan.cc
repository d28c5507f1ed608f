#include "nn/plan.h"

#include <algorithm>
#include <cstring>

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

std::byte* bytes_of(const Tensor& t) {
  Tensor window = t;
  if (t.dtype() == DType::f64) return reinterpret_cast<std::byte*>(window.values<double>().data());
  return reinterpret_cast<std::byte*>(window.values<float>().data());
}

Graph optimise(Graph graph, const PlanOptions& options, bool in_bytes) {
  graph = take_cut(std::move(graph));
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
         .writes = {action == Action::place ? "input" : "output"}});
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
                  .unpadded = node.unpadded,
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
    if (!backend.in_host_memory()) plan.host_output_ = Tensor(plan.output_.shape(), backend.dtype());
    if (graph.cut) plan.cut_ = Tensor(*graph.cut, backend.dtype());
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
  Builder{*this, backend, optimise(graph_of(network, input), options, backend.has_bytes())}.build();
}

PlanSize plan_size(const Network& network, Backend& backend, const Shape& input, const PlanOptions& options) {
  Plan shapes(backend, input);  // without weights: none are packed
  Plan::Builder builder{shapes, backend, optimise(graph_of(network, input), options, backend.has_bytes())};
  PlanSize out{.arena = builder.lay_out().second};
  for (const GraphNode& node : builder.graph.nodes) {
    const auto elements = static_cast<size_t>(node.w.shape().elements() + node.head_w.shape().elements());
    if (elements == 0) continue;
    out.packed += backend.packed_bytes(planned_step(node, builder.graph));
    out.packing = std::max(out.packing, out.packed + elements * sizeof(double));
  }
  return out;
}

void Plan::compute(size_t step) {
  const PlannedStep& s = steps_[step];
  if (s.action == Action::run) backend_->run(s.step, s.packed.get(), s.buffers);
  if (s.action == Action::unplace)
    backend_->unplace(s.buffers.x[0], backend_->in_host_memory() ? output_ : host_output_);
}

// Every step after the first. Those that run on the device are recorded at the second run and replayed from then on; a
// last reorder crosses from the device to the host and stays out.
void Plan::compute_all() {
  const size_t end = steps_.back().action == Action::unplace ? steps_.size() - 1 : steps_.size();
  // Refers to nothing that moves with the plan: a recording may call it again.
  const auto steps = [backend = backend_, first = steps_.data() + 1, last = steps_.data() + end] {
    for (const PlannedStep* s = first; s != last; ++s) backend->run(s->step, s->packed.get(), s->buffers);
  };
  if (recording_ == Recording::to_try && !backend_->in_host_memory()) {  // in host memory there is nothing to launch
    recording_ = Recording::tried;
    try {
      recorded_ = backend_->record(steps);
    } catch (const DeviceLost&) {
      throw;
    } catch (const Error& error) {  // memory for the recording, say: the steps themselves need none
      if (error.code() != ErrorCode::device) throw;
    }
  }
  if (recorded_ != nullptr) {
    recorded_->replay();
  } else {
    steps();
  }
  if (recording_ == Recording::before_first_run) recording_ = Recording::to_try;
  if (end < steps_.size()) compute(end);
}

Tensor Plan::run(const Tensor& input, Trace* trace) {
  require(input.shape() == input_ && input.dtype() == backend_->dtype(),
          "Plan::run: the planned shape and element type");
  Stopwatch watch;
  const auto note = [&](size_t i) {
    if (trace == nullptr) return;
    backend_->finish();
    const StepInfo& info = infos_[i];
    trace->add({info.where, info.op, info.problem, info.algorithm, info.bytes, info.flops, watch.milliseconds()});
    watch = {};
  };
  backend_->place(input, steps_[0].buffers.y);
  note(0);
  if (trace == nullptr) {
    compute_all();
  } else {
    for (size_t i = 1; i < steps_.size(); ++i) {
      compute(i);
      note(i);
    }
  }
  if (backend_->in_host_memory()) return result_of(output_);
  if (steps_.back().action != Action::unplace) backend_->fetch(output_, host_output_);
  backend_->finish();
  return result_of(host_output_);
}

// The part that was asked for, where that is less than the steps leave (Graph::cut).
Tensor Plan::result_of(const Tensor& whole) {
  if (cut_.empty()) return whole;
  const Shape &from = whole.shape(), &to = cut_.shape();
  const size_t row = static_cast<size_t>(to.w * to.c) * size_of(cut_.dtype()),
               stride = static_cast<size_t>(from.w * from.c) * size_of(cut_.dtype());
  for (int64_t r = 0; r < to.n * to.h; ++r)
    std::memcpy(bytes_of(cut_) + static_cast<size_t>(r) * row,
                bytes_of(whole) + static_cast<size_t>(r / to.h * from.h + r % to.h) * stride, row);
  return cut_;
}

}  // namespace furrow
