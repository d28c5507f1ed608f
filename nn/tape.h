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
#include <span>
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
  Few<VarId, kMostInputs> in;
  Shape shape;
  Tensor value;                   // of leaves that are parameters even on a tape of shapes
  Few<Tensor, kMostSaved> saved;  // see OpCall
  const Module* where = nullptr;  // whose forward recorded it
  const Parameter* parameter = nullptr;
  bool wants_grad = false;  // itself or something it depends on is trained
  VarId forgotten_at = -1;  // how many nodes there were when Tape::forget() took its value; -1: it never did
};

// training: batch norm normalises by the batch and moves its running statistics; dropouts draw.
enum class Mode : uint8_t { inference, training };

// What the dropouts of a tape draw from. An element's number is a function of seed, step, which dropout of the network
// it is, and its place in the whole batch, of which this tape may hold a part: the images from `first_image` on.
struct Draws {
  uint64_t seed = 0, step = 0;
  int64_t first_image = 0;
};

class Tape {
 public:
  Tape() = default;
  // With `memory`, which must outlive the tape, tensors come from there, and backward() gives them back as soon as it
  // has read them: it can be called once, and afterwards values of operations are gone.
  explicit Tape(Backend& backend, Mode mode = Mode::inference, TapeMemory* memory = nullptr)
      : backend_(&backend), mode_(mode), memory_(memory) {}
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;

  bool training() const { return mode_ == Mode::training; }
  const std::vector<Node>& nodes() const { return nodes_; }

  // A leaf with a value, of the back-end's element type; with `wants_grad`, backward() gives its gradient too.
  Var input(Tensor value, bool wants_grad = false);
  Var input(Shape shape);  // on a tape of shapes
  // The leaf of a parameter; the same one each time.
  Var parameter(const Parameter& parameter);

  // From here on, what each operation takes is appended to `milliseconds`, which must outlive the tape; null: no more.
  void time_operations(std::vector<double>* milliseconds) { milliseconds_ = milliseconds; }
  // For the next forward pass.
  void set_draws(const Draws& draws) { draws_ = draws; }
  // Whose batches the batch norms of a training tape normalise by, from the next forward pass on: with peers, each of
  // those runs the same network over its part.
  void set_shared(const Shared& shared) { shared_ = shared; }
  const Shared& shared() const { return shared_; }
  // What the next dropout of the network draws for x.
  Dropout next_dropout(double p, const Shape& x);

  // Appends one operation and, with a back-end, computes it. Inputs are distinct. `where`: the recording module, or
  // null.
  Var record(OpKind op, Attrs attrs, std::initializer_list<Var> in, const Module* where);

  // No later operation will read v. Where it is a ReLU in place of a batch norm's result, and the tape has a
  // TapeMemory, its value is given back at once, and backward() computes it again from the batch norm's x, to the same
  // bits, for as long as a gradient reads it: an activation less to keep for one more normalisation. Otherwise nothing
  // happens.
  void forget(Var v);

  // Gradients of sum(y * dy) with respect to every trained leaf that y depends on. The walk is the recording reversed;
  // into each gradient the first writer stores and later ones add. Gradients of an earlier call are dropped.
  void backward(Var y, const Tensor& dy);
  // The same of sum(y0 * dy0) + sum(y1 * dy1) + ..., of a network with several heads: results that no operation reads.
  struct Root {
    Var y;
    Tensor dy;
  };
  void backward(std::span<const Root> roots);
  // Of a single number y: dy = 1.
  void backward(Var y);
  // Empty where backward() never reached it (or it is no leaf: those gradients are freed on the way). With a TapeMemory
  // that has a place for it, a parameter's gradient is a window onto that, which may hold those of other tapes too.
  const Tensor& grad(Var leaf) const;
  const Tensor& grad(const Parameter& parameter) const;

  // Forgets everything recorded, and starts counting dropouts anew; keeps the room it took.
  void clear();

 private:
  friend struct Var;
  Var append(Node node);
  void run(const OpDef& def, const OpCall& call);  // timed where that was asked for
  VarId start(std::span<const Root> roots);        // of backward(): the last of them
  void propagate(const Node& node, VarId id);
  VarId leaf_of(const Parameter& p) const;  // -1: not recorded
  Tensor take(const Shape& shape) {
    return memory_ != nullptr ? memory_->take(shape, backend_->dtype()) : Tensor(shape, backend_->dtype());
  }
  Grad begin_gradient(const Node& source, Tensor& grad);
  bool can_forget(const Node& node) const;
  void remember(VarId id);
  void remember_for(const Node& node, VarId id);
  void forget_inputs(const Node& node, VarId id);

  Backend* backend_ = nullptr;
  Mode mode_ = Mode::inference;
  TapeMemory* memory_ = nullptr;
  std::vector<double>* milliseconds_ = nullptr;
  Draws draws_;
  Shared shared_;
  uint64_t dropouts_ = 0;  // recorded so far
  std::vector<Node> nodes_;
  std::vector<Tensor> grads_;  // by VarId
  // Kept by clear(), so that recording the same network again allocates nothing: an entry counts where its node is the
  // parameter's.
  std::unordered_map<const Parameter*, VarId> parameters_;
};

}  // namespace furrow
