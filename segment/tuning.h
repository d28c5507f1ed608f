// The file of `furrow model tune`: which planned steps the vendor's libraries computed faster than Furrow's kernels, on
// which machine, with which versions, Furrow's own among them: kernels that changed are not judged by older times.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/device.h"
#include "nn/plan.h"

namespace furrow {

struct TunedStep {
  std::string key;                   // step_key()
  std::string own, vendor;           // what ran
  double own_ms = 0, vendor_ms = 0;  // medians
  bool vendor_is_faster() const { return vendor_ms < own_ms; }
};

// $XDG_CACHE_HOME/furrow/tune.json, else ~/.cache/furrow/tune.json; empty where neither variable is set.
std::string default_tuning_file();

// {"format":"furrow tune 1","machines":{MACHINE:{STEP:{"use","own","own_ms","vendor","vendor_ms"}}}}, at most 16 MiB.
// Throws ErrorCode::io where the file cannot be read, ErrorCode::configuration where it is not such a file.
std::shared_ptr<const Tuning> read_tuning(const std::string& path);

// Adds the steps of one machine to the file, in place of older ones of the same names, whole or not at all; creates the
// file's folder where it is missing. Errors as read_tuning, for a file that is there.
void write_tuning(const std::string& path, const std::string& machine, const std::vector<TunedStep>& steps);

// Runs both plans of one network in turns, `rounds` times after a first one that does not count, and gives for each
// step whose algorithms differ the medians of its times, waits of the host included in both.
std::vector<TunedStep> time_steps(Plan& own, Plan& vendor, const Tensor& input, int rounds);

}  // namespace furrow
