// Tape: what ran, in order. The autograd's record, the Plan's graph and the audit's list are this one vector of nodes.
//
//   Tape tape(backend);                       // computes and records
//   Var y = network.forward(tape, tape.input(x));
//   tape.backward(y, dy);                     // tape.grad(parameter), tape.grad(var)
//
//   Tape shapes;                              // no back-end: shapes only, nothing is computed or allocated
//   network.forward(shapes, shapes.input(Shape{1, 512, 512, 3}));
//
// An operation can only name nodes that exist, so the order of recording is a topological order. Not thread-safe.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <unordered_map>
#include <vector>

#include "nn/module.h"
#include "nn/op.h"

namespace furrow {

class Tape;
using VarId = int32_t;

// A value on a tape: a handle, cheap to copy, valid as long as the tape and until its clear().
struct Var {
  Tape* tape = nullptr;
  VarId id = -1;
  const Shape& shape() const;
  const Tensor& value() const;  // empty on a tape of shapes
};

struct Node {
  OpKind op = OpKind::leaf;
  Attrs attrs;
  std::vector<VarId> in;
  Shape shape;
  Tensor value;                   // of leaves that are parameters even on a tape of shapes
  std::vector<Tensor> saved;      // see OpCall
  const Module* where = nullptr;  // whose forward recorded it
  const Parameter* parameter = nullptr;
  bool wants_grad = false;  // itself or something it depends on is trained
};

// training: batch norm normalises by the batch and moves its running statistics.
enum class Mode : uint8_t { inference, training };

class Tape {
 public:
  Tape() = default;
  explicit Tape(Backend& backend, Mode mode = Mode::inference) : backend_(&backend), mode_(mode) {}
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  bool training() const { return mode_ == Mode::training; }
  const std::vector<Node>& nodes() const { return nodes_; }

  // A leaf with a value, of the back-end's element type; with `wants_grad`, backward() gives its gradient too.
  Var input(Tensor value, bool wants_grad = false);
  Var input(Shape shape);  // on a tape of shapes
  // The leaf of a parameter; the same one each time.
  Var parameter(const Parameter& parameter);

  // Appends one operation and, with a back-end, computes it. Inputs are distinct. `where`: the recording module, or
  // null.
  Var record(OpKind op, Attrs attrs, std::initializer_list<Var> in, const Module* where);

  // Gradients of sum(y * dy) with respect to every trained leaf that y depends on. The walk is the recording reversed;
  // into each gradient the first writer stores and later ones add. Gradients of an earlier call are dropped.
  void backward(Var y, const Tensor& dy);
  // Of a single number y: dy = 1.
  void backward(Var y);
  // Empty where backward() never reached it (or it is no leaf: those gradients are freed on the way).
  const Tensor& grad(Var leaf) const;
  const Tensor& grad(const Parameter& parameter) const;

  void clear();

 private:
  friend struct Var;
  Var append(Node node);
  void propagate(const Node& node, VarId id);

  Backend* backend_ = nullptr;
  Mode mode_ = Mode::inference;
  std::vector<Node> nodes_;
  std::vector<Tensor> grads_;  // by VarId
  std::unordered_map<const Parameter*, VarId> parameters_;
};

}  // namespace furrow
