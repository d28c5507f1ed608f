#include "train/skipped_step.h"

#include <cmath>
#include <cstdio>

namespace furrow::train {

std::string skipped_step_text(const StepResult& step, float loss_scale) {
  if (!step.skipped) return {};
  std::string out = std::isfinite(step.loss.total) ? "" : "the loss, and ";
  if (step.bad.key.empty()) {
    out += "the gradient";
  } else {
    out += std::to_string(step.bad.elements) + " of " + std::to_string(step.bad.of) + " elements of the gradient of " +
           step.bad.key;
    if (step.bad.began != step.bad.key) out += ", after that of " + step.bad.began;
  }
  if (loss_scale > 0) {
    char scale[32];
    std::snprintf(scale, sizeof scale, "%.9g", static_cast<double>(loss_scale));
    out += std::string(" (the loss scale is now ") + scale + ")";
  }
  return out;
}

}  // namespace furrow::train
