// A dump: what another program computed in a few training steps of a network, kept in a file for the gradient audit
// (train/audit.h). docs/audit.md has a PyTorch script that writes one.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "io/checkpoint.h"
#include "nn/train_step.h"

namespace furrow::train {

// More steps than any audit needs; bounds the time that a file may ask for.
constexpr int64_t kMostAuditSteps = 1000;

struct AuditDump {
  Tensor input;                        // {N,H,W,C} float64
  Tensor target;                       // {N,H,W,C} float64, or {N,H,W,1} int32 for cross-entropy
  furrow::TrainOptions options;        // loss, optimiser, weight decay, clipping
  double lr = 0;                       // the same for every step
  bool narrow = false;                 // computed in less than float64: some gradient or state is stored as such
  std::vector<double> losses;          // before each step, from the first on
  NamedTensors gradients;              // of the first step, before clipping, under the parameters' keys
  std::map<int, NamedTensors> states;  // after step 1, 2, ...: parameters, running statistics, counters; any of them
};

// The arrays of a .pth or .safetensors file, all of them dense and in PyTorch's order:
//
//   input           [N,C,H,W] floating            target   [N,C,H,W] floating, or [N,H,W] int64 for cross-entropy
//   losses          [S], 1 <= S <= kMostAuditSteps
//   gradient/KEY    of the loss of step 1 by each parameter
//   stepK/KEY       each entry of the state dictionary after step K, for any K of 1..S
//
// and its plain values: of .safetensors the __metadata__, of .pth dictionaries `loss` and `optimiser` beside the
// arrays:
//
//   loss.kind       dice_focal | squared_error | cross_entropy
//   loss.*          of dice_focal: the fields of DiceFocal (kernels/losses.h), which keep their defaults where absent;
//                   of cross_entropy: ignore_index
//   optimiser.kind  adamw, with lr, beta1, beta2, eps, weight_decay | sgd, with lr, momentum, weight_decay [, nesterov]
//   optimiser.max_norm   the norm that gradients are clipped to; absent: they are not; 0, which makes PyTorch set
//                   them all to 0, is refused
//
// Errors: those of io::read_checkpoint; ErrorCode::malformed for an array that is missing, has another rank, type or
// extent, or holds what is not finite in input or target, and for a value that is missing or no number;
// ErrorCode::unsupported for arrays, kinds and values that are none of these (all of them in one report).
AuditDump audit_dump_of(const io::Checkpoint& file);
AuditDump read_audit_dump(const std::string& path, const io::Limits& limits);

}  // namespace furrow::train
