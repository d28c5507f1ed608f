// What a person is told of a step whose gradient is not finite.
#pragma once

#include <string>

#include "nn/train_step.h"

namespace furrow::train {

// Empty where the step was not skipped. Else which gradient is bad, of which parameter the backward pass met it first,
// whether the loss was bad already, and, unless it is 0, what the loss scale has become:
//   "27 of 27 elements of the gradient of inc.double_conv.0.weight, after that of up3.conv.double_conv.3.weight (the
//   loss scale is now 32768)"
std::string skipped_step_text(const StepResult& step, float loss_scale);

}  // namespace furrow::train
