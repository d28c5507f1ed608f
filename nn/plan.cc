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

// "inc.double_conv.3+4+5 down1.maxpool_conv.0": full path, then the last names of siblings that follow.
std::string join_paths(const std::vector<const Module*>& modules) {
  std::string out, parent;
  for (const Module* m : modules) {
    const std::string path = m->path();
    const size_t dot = path.rfind('.');
    const std::string above = dot == std::string::npos ? "" : path.substr(0, dot);
    const std::string last = dot == std::string::npos ? path : path.substr(dot + 1);
    if (out.empty())
      out = path;
    else
      out += above == parent ? "+" + last : " " + path;
    parent = above;
  }
  return out;
}

// The planned step of a node; weights apart.
Step lower(const GraphNode& node, const Graph& graph) {
  const auto shape = [&](ValueId v) { return graph.shapes.at(static_cast<size_t>(v)); };
  const PadAttrs at = node.placement.value_or(PadAttrs{});
  switch (node.op) {
    case OpKind::conv2d: {
      ConvStep step;
      step.x[0] = shape(node.in[0]);
      step.x[1] = node.in.size() > 1 ? shape(node.in[1]) : Shape{0, 0, 0, 0};
      step.oc = node.w.shape().n;
      step.geometry = std::get<ConvAttrs>(node.attrs).geometry;
      step.act = node.act;
      step.store_y = graph.readers(node.y) > 0;
      step.pool = node.pooled >= 0;
      step.head = node.head >= 0 ? node.head_w.shape().n : 0;
      return step;
    }
    case OpKind::upconv2x2: return UpconvStep{shape(node.in[0]), shape(node.y), at.top, at.left};
    case OpKind::upsample_bilinear: {
      const auto& size = std::get<ResizeAttrs>(node.attrs);
      return UpsampleStep{shape(node.in[0]), size.h, size.w, shape(node.y), at.top, at.left};
    }
    case OpKind::max_pool2x2: return PoolStep{shape(node.in[0])};
    default: break;
  }
  throw Error(ErrorCode::unsupported,
              "no planned step for " + std::string(op_def(node.op).name) + " at " + join_paths(node.modules));
}

Graph optimise(Graph graph, const PlanOptions& options) {
  graph = merge_padding(fuse_relu(fold_batch_norm(std::move(graph))));
  if (options.fuse_pool) graph = fuse_pool(std::move(graph));
  if (options.fuse_head) graph = fuse_head(std::move(graph));
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
    block_of[at] = open(backend.placed_bytes(graph.shapes[at]), step);
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
         .bytes = dense_bytes(v) + backend.placed_bytes(s)});
  }

  void add_node(const GraphNode& node) {
    const size_t at = plan.steps_.size();
    const Step step = lower(node, graph);
    StepInfo info{.where = join_paths(node.modules),
                  .op = op_name(step),
                  .problem = problem(step),
                  .algorithm = backend.algorithm(step),
                  .bytes = min_bytes(step, size_of(backend.dtype())),
                  .flops = flops(step)};
    plan.workspace_bytes_ = std::max(plan.workspace_bytes_, backend.workspace_bytes(step));
    const auto* conv = std::get_if<ConvStep>(&step);
    if (conv == nullptr || conv->store_y) write(node.y, at);
    if (node.pooled >= 0) write(node.pooled, at);
    if (node.head >= 0) dense_output = open(dense_bytes(node.head), at);
    for (ValueId in : node.in) read(in, at);
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
      return block < 0 ? Placed{} : Placed{base + offset(block), graph.shapes[static_cast<size_t>(v)]};
    };
    plan.output_ = Tensor(graph.shapes[static_cast<size_t>(graph.output)], backend.dtype(), base + offset(dense_output),
                          plan.arena_.owner());
    if (!backend.in_host_memory()) plan.host_output_ = Tensor(plan.output_.shape(), backend.dtype());
    plan.steps_[0].buffers.y = placed(graph.input);
    if (plan.steps_.back().action == Action::unplace) plan.steps_.back().buffers.x[0] = placed(graph.output);
    for (size_t i = 0; i < graph.nodes.size(); ++i) {
      const GraphNode& node = graph.nodes[i];
      StepBuffers& b = plan.steps_[i + 1].buffers;
      for (size_t s = 0; s < node.in.size(); ++s) b.x[s] = placed(node.in[s]);
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
  Builder{*this, backend, optimise(graph_of(network, input), options)}.build();
}

PlanSize plan_size(const Network& network, Backend& backend, const Shape& input) {
  Plan shapes(backend, input);  // without weights: none are packed
  Plan::Builder builder{shapes, backend, optimise(graph_of(network, input), {})};
  PlanSize out{.arena = builder.lay_out().second};
  for (const GraphNode& node : builder.graph.nodes) {
    const auto elements = static_cast<size_t>(node.w.shape().elements() + node.head_w.shape().elements());
    out.packed += elements * size_of(backend.dtype());
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
  if (backend_->in_host_memory()) return output_;
  if (steps_.back().action != Action::unplace) backend_->fetch(output_, host_output_);
  backend_->finish();
  return host_output_;
}

namespace {

std::string padded(std::string text, size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text + "  ";
}

std::string mib(size_t bytes) {
  const size_t tenths = (bytes * 10 + (size_t{1} << 19)) >> 20;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " MiB";
}

}  // namespace

std::string Plan::describe() const {
  const char* const titles[] = {"step", "modules", "op", "problem", "algorithm", "bytes", "flops", "offset"};
  std::vector<std::vector<std::string>> rows = {{std::begin(titles), std::end(titles)}};
  uint64_t total_bytes = 0, total_flops = 0;
  for (size_t i = 0; i < infos_.size(); ++i) {
    const StepInfo& s = infos_[i];
    rows.push_back({std::to_string(i), s.where, s.op, s.problem, s.algorithm, std::to_string(s.bytes),
                    std::to_string(s.flops), std::to_string(s.offset)});
    total_bytes += s.bytes;
    total_flops += s.flops;
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (size_t c = 0; c < row.size(); ++c) {
      size_t width = 0;
      for (const auto& other : rows) width = std::max(width, other[c].size());
      line += padded(row[c], width);
    }
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return out + std::to_string(infos_.size()) + " steps, " + std::to_string(total_flops) + " flops, " +
         std::to_string(total_bytes) + " bytes; activations " + mib(activation_bytes_) + ", workspace " +
         mib(workspace_bytes_) + ", packed weights " + mib(weights_->bytes()) + "\n";
}

}  // namespace furrow
