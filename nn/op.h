// The op table: every operation a tape can record, with its shape rule, its computation, its gradient and its cost.
//
// To add an operation: a name in OpKind, its attributes in Attrs, one row in op.cc. The arithmetic itself stands on the
// Backend page (kernels/backend.h); this file only says how a recorded operation calls it.
#pragma once

#include <span>
#include <string_view>
#include <variant>

#include "kernels/backend.h"
#include "nn/few.h"
#include "nn/tape_memory.h"

namespace furrow {

// Inputs in order, optional ones in brackets. Every operation has one output.
enum class OpKind : uint8_t {
  leaf,               // nothing: an input or a parameter
  conv2d,             // x0, [x1], w, [b]          ConvAttrs
  upconv2x2,          // x, w, [b]                 none
  batch_norm,         // x, gamma, beta, running_mean, running_var   BatchNormAttrs
  relu,               // x                         InPlaceAttrs, or none
  sigmoid,            // x
  add,                // a, b
  max_pool2x2,        // x
  upsample_bilinear,  // x                         ResizeAttrs
  pad,                // x                         PadAttrs
  dropout,            // x                         Dropout
  max_pool3x3,        // x
  gate,               // x, z
  channel_gate,       // x, z
  global_mean,        // x
  upsample_nearest,   // x                         ResizeAttrs
};
inline constexpr size_t kMostInputs = 5, kMostSaved = 2;

struct NoAttrs {};
// The recorder knows that nobody else reads x and that the operation before does not want its result back for its own
// gradient (a batch norm and an addition do not). On a tape with a TapeMemory y then takes x's place, and x has no
// value any more.
struct InPlaceAttrs {};
struct ConvAttrs {
  ConvGeometry geometry;
  bool two_sources = false;
};
struct BatchNormAttrs {
  double eps = 1e-5, momentum = 0.1;
  bool training = false;
  Shared shared = {};  // of training
};
struct ResizeAttrs {
  int64_t h = 0, w = 0;
};  // size of the output
struct PadAttrs {
  int64_t top = 0, left = 0, h = 0, w = 0;
};  // x lies at (top, left) of an h x w output
using Attrs = std::variant<NoAttrs, InPlaceAttrs, ConvAttrs, BatchNormAttrs, ResizeAttrs, PadAttrs, Dropout>;

// What an operation is computed from. `saved` is what the gradient will want besides inputs and output.
struct OpCall {
  Backend& backend;
  const Attrs& attrs;
  std::span<const Tensor* const> in;
  Tensor& y;
  Few<Tensor, kMostSaved>& saved;
  TapeMemory* memory;  // null: the heap

  // For `saved`, in y's type; undefined values.
  Tensor fresh(const Shape& shape) const {
    return memory != nullptr ? memory->take(shape, y.dtype()) : Tensor(shape, y.dtype());
  }
};

// What a gradient is computed from, and where it goes: grads[i] belongs to in[i], null where nobody wants it, and is to
// be stored or added as modes[i] says.
struct VjpCall {
  Backend& backend;
  const Attrs& attrs;
  std::span<const Tensor* const> in;
  const Tensor& y;
  std::span<const Tensor> saved;
  const Tensor& dy;
  std::span<Tensor* const> grads;
  std::span<const Grad> modes;
};

struct OpDef {
  std::string_view name;
  Shape (*infer)(const Attrs& attrs, std::span<const Shape> in);  // shape of the output; throws ErrorCode::internal
  void (*run)(const OpCall& call);
  void (*vjp)(const VjpCall& call);                                                  // vector-Jacobian product
  uint64_t (*flops)(const Attrs& attrs, std::span<const Shape> in, const Shape& y);  // 2 per multiply-add
};

const OpDef& op_def(OpKind kind);

// Computes the output of a batch norm that has run once more, to the same bits: `saved` is what that run left. Running
// statistics stay. Not where several processes normalised together.
void batch_norm_again(const OpCall& call);

// Each input read once and the output written once, the least any algorithm moves.
uint64_t min_bytes(std::span<const Shape> in, const Shape& y, size_t element);

}  // namespace furrow
