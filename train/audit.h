// The gradient audit: the training steps of a dump again, on a device of ours, beside what the other program kept of
// them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernels/device.h"
#include "train/audit_branches.h"
#include "train/audit_dump.h"

namespace furrow::train {

// In the order in which they are computed.
enum class AuditPart : uint8_t { loss, gradient, parameter, statistic, counter };
std::string_view name(AuditPart part);

// other_branch: float32 took, or in the dump may have taken, another branch than float64 before it
// (train/audit_branches.h), so that only gross errors would show: it is neither.
enum class AuditVerdict : uint8_t { agrees, departs, other_branch };
std::string_view name(AuditVerdict verdict);

// One array of the dump. a is ours, b the dump's, over all its elements:
//   largest = max|a-b| / max|b|       rms = sqrt(mean (a-b)^2 / mean b^2)
// with max|b| and mean b^2 no smaller than kAuditFloor (squared) times the greatest of the same part and step: an array
// that is zero but for rounding has no digits. An element that is not finite on either side makes both infinite.
//   moved (of parameters) = sqrt(sum (a-b)^2 / sum (b-b0)^2), b0 from before step 1: how much of the way is another's
struct AuditRow {
  AuditPart part = AuditPart::loss;
  int step = 1;
  std::string name;  // the key; "" of a loss
  std::vector<int64_t> dims;
  double largest = 0, rms = 0, moved = 0;
  double allowed = 0;  // of `largest`; of parameters in float32: of `moved`
  AuditVerdict verdict = AuditVerdict::agrees;
};
constexpr double kAuditFloor = 1e-6;

// What a row may show: of the first step, and at most where its steps multiply what they begin with, by `growth` each.
// A parameter is judged by `largest` where `moved` is 0, else by `moved`. Counters are whole numbers and agree where
// equal.
struct AuditTolerance {
  struct Bound {
    double first, most;
  };
  Bound loss, gradient, parameter, statistic, moved;
  double growth;
  const char* reason;
  double allowed(AuditPart part, int step) const;
};
// `exact`: float64 on both sides.
const AuditTolerance& audit_tolerance(bool exact);

struct Audit {
  std::vector<AuditRow> rows;   // loss of step 1; gradients from the output back; for each step its loss and its state
  std::optional<size_t> first;  // the first row that departs
  const AuditTolerance* tolerance = nullptr;
  std::string architecture;
  Branches branches;  // looked for where either side is float32 and something departs
};

// `weights`: where the dump started from, a network that recognise() knows. Parameters are all trained, dropout is
// none. Errors: those of recognise() and Module::load(); ErrorCode::unsupported with all keys that the dump lacks, has
// too many or has in another shape; ErrorCode::unsupported for a picture that the network does not take,
// ErrorCode::malformed for an input or target of other channels.
Audit audit_backward(const NamedTensors& weights, const AuditDump& dump, Backend& backend);

}  // namespace furrow::train
