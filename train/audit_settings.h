// The plain values of a dump: which loss and optimiser it was computed with.
#pragma once

#include <map>
#include <string>

#include "nn/train_step.h"

namespace furrow::train {

struct AuditSettings {
  furrow::TrainOptions options;
  double lr = 0;
  bool labels = false;  // the target is a class per pixel
};

// From "loss.*" and "optimiser.*" as train/audit_dump.h lists them; other entries are somebody else's. Errors as there.
AuditSettings audit_settings(const std::map<std::string, std::string>& values);

}  // namespace furrow::train
