#include "nn/graph.h"

#include <cmath>
#include <map>

#include "kernels/checked.h"

namespace furrow {

int Graph::readers(ValueId value) const {
  int count = value == output ? 1 : 0;
  for (const GraphNode& node : nodes) {
    for (ValueId in : node.in) count += in == value;
    count += node.residual == value;
  }
  return count;
}

int Graph::only_reader(ValueId value) const {
  if (readers(value) != 1) return -1;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].residual == value) return static_cast<int>(i);
    for (ValueId in : nodes[i].in)
      if (in == value) return static_cast<int>(i);
  }
  return -1;  // the output
}

namespace {

void check_size(const Shape& s) {
  constexpr uint64_t kMaxElements = uint64_t{1} << 59;  // of eight bytes
  uint64_t elements = 0;
  try {
    elements =
        (Checked::from_signed(s.n) * Checked::from_signed(s.h) * Checked::from_signed(s.w) * Checked::from_signed(s.c))
            .value();
  } catch (const Error&) { elements = UINT64_MAX; }
  if (elements > kMaxElements)
    throw Error(ErrorCode::limit, "a tensor of the network would have too many elements").limit(kMaxElements, elements);
}

// Splits a node's inputs into activations and parameters, which stand where op.h says.
GraphNode convert(const Node& node, const std::vector<Node>& tape, ValueId id) {
  GraphNode out{
      .op = node.op, .attrs = node.attrs, .y = id, .modules = {node.where}, .parameters = parameters_of(node, tape)};
  std::vector<Tensor> constants;
  for (VarId in : node.in) {
    const Node& source = tape[static_cast<size_t>(in)];
    if (source.parameter != nullptr)
      constants.push_back(source.value);
    else
      out.in.push_back(in);
  }
  if (node.op == OpKind::batch_norm) {
    out.norm = Norm{constants.at(0), constants.at(1), constants.at(2), constants.at(3),
                    std::get<BatchNormAttrs>(node.attrs).eps};
  } else if (!constants.empty()) {
    out.w = constants[0];
    if (constants.size() > 1) out.b = constants[1];
  }
  return out;
}

}  // namespace

std::vector<std::string> layer_names(const std::vector<Node>& tape) {
  std::vector<std::string> names;
  std::map<std::string, int> times;
  for (const Node& node : tape) {
    std::string& name = names.emplace_back();
    if (node.op == OpKind::leaf) continue;
    if (node.where != nullptr) name = node.where->path();
    if (node.where == nullptr || !node.where->leaf() || name.empty())
      name += (name.empty() ? "" : ".") + std::string(op_def(node.op).name);
    if (const int time = ++times[name]; time > 1) name += "." + std::to_string(time);
  }
  return names;
}

uint64_t parameters_of(const Node& node, const std::vector<Node>& tape) {
  uint64_t count = 0;
  for (const VarId in : node.in) {
    const Node& source = tape[static_cast<size_t>(in)];
    if (source.parameter != nullptr && !source.parameter->name.starts_with("running_"))
      count += static_cast<uint64_t>(source.shape.elements());
  }
  return count;
}

Graph graph_of(const Network& network, const Shape& input) {
  require(network.loaded(), "graph_of: the network has no values yet");
  if (input.n < 1 || input.h < 1 || input.w < 1)
    throw Error(ErrorCode::unsupported, "an input of " + to_string(input) + " holds no picture");
  check_size(input);
  Tape tape;
  Graph graph;
  const Var x = tape.input(input);
  const Var y = network.forward(tape, x);
  graph.input = x.id;
  graph.names = layer_names(tape.nodes());
  graph.output = y.id;
  for (size_t id = 0; id < tape.nodes().size(); ++id) {
    const Node& node = tape.nodes()[id];
    check_size(node.shape);
    graph.shapes.push_back(node.shape);
    if (node.op != OpKind::leaf) graph.nodes.push_back(convert(node, tape.nodes(), static_cast<ValueId>(id)));
  }
  return graph;
}

StepWeights folded_weights(const GraphNode& node) {
  StepWeights out;
  out.w = node.w.to(DType::f64);
  const int64_t channels = out.w.shape().n;
  out.b = node.b.empty() ? Tensor({1, 1, 1, channels}, DType::f64) : node.b.to(DType::f64);
  if (!node.head_w.empty()) {
    out.head_w = node.head_w.to(DType::f64);
    out.head_b =
        node.head_b.empty() ? Tensor({1, 1, 1, node.head_w.shape().n}, DType::f64) : node.head_b.to(DType::f64);
  }
  if (!node.norm) return out;
  const Tensor gamma = node.norm->gamma.to(DType::f64), beta = node.norm->beta.to(DType::f64);
  const Tensor mean = node.norm->mean.to(DType::f64), var = node.norm->var.to(DType::f64);
  auto w = out.w.values<double>();
  auto b = out.b.values<double>();
  const size_t row = w.size() / static_cast<size_t>(channels);  // weights of one output channel
  for (size_t oc = 0; oc < b.size(); ++oc) {
    const double scale = gamma.values<double>()[oc] / std::sqrt(var.values<double>()[oc] + node.norm->eps);
    for (size_t i = 0; i < row; ++i) w[oc * row + i] *= scale;
    b[oc] = beta.values<double>()[oc] + (b[oc] - mean.values<double>()[oc]) * scale;
  }
  return out;
}

}  // namespace furrow
