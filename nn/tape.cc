#include "nn/tape.h"

#include <algorithm>

namespace furrow {

const Shape& Var::shape() const { return tape->nodes_[static_cast<size_t>(id)].shape; }
const Tensor& Var::value() const { return tape->nodes_[static_cast<size_t>(id)].value; }

Var Tape::append(Node node) {
  nodes_.push_back(std::move(node));
  return {this, static_cast<VarId>(nodes_.size() - 1)};
}

Var Tape::input(Tensor value, bool wants_grad) {
  require(backend_ != nullptr && value.dtype() == backend_->dtype(),
          "Tape::input: a value of the back-end's element type");
  const Shape shape = value.shape();
  return append({.shape = shape, .value = std::move(value), .wants_grad = wants_grad});
}

Var Tape::input(Shape shape) {
  require(backend_ == nullptr, "Tape::input: this tape computes and needs a value");
  return append({.shape = shape});
}

Var Tape::parameter(const Parameter& p) {
  if (const auto found = parameters_.find(&p); found != parameters_.end()) return {this, found->second};
  if (backend_ != nullptr)
    require(!p.value.empty() && p.value.dtype() == backend_->dtype(),
            "Tape: a parameter of the back-end's element type");
  const Var leaf = append({.shape = p.shape(), .value = p.value, .parameter = &p, .wants_grad = p.trainable});
  parameters_.emplace(&p, leaf.id);
  return leaf;
}

Var Tape::record(OpKind op, Attrs attrs, std::initializer_list<Var> in, const Module* where) {
  Node node{.op = op, .attrs = attrs, .where = where};
  std::vector<Shape> shapes;
  std::vector<const Tensor*> values;
  for (const Var& v : in) {
    require(v.tape == this, "Tape::record: an input of another tape");
    require(std::find(node.in.begin(), node.in.end(), v.id) == node.in.end(), "Tape::record: the same input twice");
    const Node& source = nodes_[static_cast<size_t>(v.id)];
    node.in.push_back(v.id);
    shapes.push_back(source.shape);
    values.push_back(&source.value);
    node.wants_grad |= source.wants_grad;
  }
  const OpDef& def = op_def(op);
  node.shape = def.infer(attrs, shapes);
  if (backend_ != nullptr) {
    node.value = Tensor(node.shape, backend_->dtype());
    def.run({*backend_, attrs, values, node.value, node.saved});
  }
  return append(std::move(node));
}

void Tape::backward(Var y, const Tensor& dy) {
  require(y.tape == this && backend_ != nullptr, "Tape::backward: a value of this tape, and a tape that computes");
  require(dy.shape() == y.shape() && dy.dtype() == backend_->dtype(), "Tape::backward: dy is not like y");
  grads_.assign(nodes_.size(), Tensor());
  grads_[static_cast<size_t>(y.id)] = dy;
  for (VarId id = y.id; id >= 0; --id) {
    const Node& node = nodes_[static_cast<size_t>(id)];
    Tensor& grad = grads_[static_cast<size_t>(id)];
    if (node.op == OpKind::leaf || !node.wants_grad || grad.empty()) continue;
    propagate(node, id);
    grad = Tensor();  // every reader of this value has been walked, so nobody adds to it any more
  }
}

void Tape::backward(Var y) {
  require(backend_ != nullptr && y.shape().elements() == 1, "Tape::backward: y is not a single number");
  Tensor one(y.shape(), backend_->dtype());
  if (one.dtype() == DType::f64)
    one.values<double>()[0] = 1;
  else
    one.values<float>()[0] = 1;
  backward(y, one);
}

void Tape::propagate(const Node& node, VarId id) {
  std::vector<const Tensor*> values;
  std::vector<Tensor*> grads;
  bool all_first = true;
  for (VarId in : node.in) {
    const Node& source = nodes_[static_cast<size_t>(in)];
    Tensor& grad = grads_[static_cast<size_t>(in)];
    values.push_back(&source.value);
    grads.push_back(source.wants_grad ? &grad : nullptr);
    if (!source.wants_grad) continue;
    if (grad.empty())
      grad = Tensor(source.shape, backend_->dtype());  // zeros: adding to them is storing
    else
      all_first = false;
  }
  op_def(node.op).vjp({*backend_, node.attrs, values, node.value, node.saved, grads_[static_cast<size_t>(id)], grads,
                       all_first ? Grad::overwrite : Grad::accumulate});
}

const Tensor& Tape::grad(Var leaf) const {
  static const Tensor none;
  const auto at = static_cast<size_t>(leaf.id);
  return at < grads_.size() ? grads_[at] : none;
}

const Tensor& Tape::grad(const Parameter& p) const {
  const auto found = parameters_.find(&p);
  return grad(Var{nullptr, found == parameters_.end() ? -1 : found->second});
}

void Tape::clear() {
  nodes_.clear();
  grads_.clear();
  parameters_.clear();
}

}  // namespace furrow
