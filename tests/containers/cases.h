// The numbered cases of hostile and unusual checkpoint files, as bytes with the answer each must get. The numbers are
// fixed names, kept so that a case is never lost.
#pragma once

#include <string>
#include <vector>

#include "kernels/error.h"

namespace furrow::testing {

struct ExpectedTensor {
  std::string name;
  std::vector<int64_t> dims;
  std::vector<double> values;
};

struct Case {
  int number = 0;    // groups of equal number are variants of one case
  std::string name;  // CamelCase, for the test's name
  std::string bytes;
  ErrorCode code = ErrorCode::malformed;  // of a refusal
  std::string says = {};                  // a part of the refusal's line, or of a note where accepted
  bool accepted = false;
  std::vector<ExpectedTensor> tensors = {};  // where accepted: exactly these
};

std::vector<Case> pickle_cases();       // 1-58: opcodes, names, strings, dictionaries
std::vector<Case> tensor_cases();       // 59-90: storages, shapes, persistent ids
std::vector<Case> zip_cases();          // 91-130
std::vector<Case> foreign_cases();      // 146-150: files that are no checkpoint
std::vector<Case> stream_cases();       // 131-145 legacy streams; 152, 161 good ones; and what else they bring up
std::vector<Case> tar_cases();          // the same for the tar of 2017, named Tar...
std::vector<Case> accepted_cases();     // 151-178
std::vector<Case> safetensors_cases();  // 179-208

std::vector<Case> all_cases();  // of checkpoints

std::vector<Case> npy_cases();  // 209-244: arrays, which are no checkpoints

}  // namespace furrow::testing
