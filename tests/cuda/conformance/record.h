// Running the conformance cases, and the file that keeps what a device answered.
//
// The file, all numbers little-endian, 32-bit: "FCF1"; the number of cases; the device's name (length, bytes); then
// each case: its name (length, bytes), words per sample in and out, samples, all inputs, all outputs. Then the file's
// sum: the 64-bit FNV-1a hash of everything before it.
#pragma once

#include <string>
#include <vector>

#include "kernels/cuda/runtime.h"
#include "tests/cuda/conformance/cases.h"

namespace furrow::gpu {

struct Answer {
  std::string name;   // of the case
  int in_words = 0, out_words = 0, samples = 0;
  std::vector<uint32_t> in, out;
};
struct Answers {
  std::string device;
  std::vector<Answer> cases;
};

// What the words of `in` give on a device.
std::vector<uint32_t> run_case(Runtime& runtime, const ConformanceKernels& kernels, const ConformanceCase& c,
                               const std::vector<uint32_t>& in);
// Every case on its own inputs.
Answers run_cases(Runtime& runtime, const ConformanceKernels& kernels);

std::string serialise(const Answers& answers);
// Throws ErrorCode::malformed or ErrorCode::checksum.
Answers parse(const std::string& bytes);

// The emulator's answers to the stored inputs against the stored outputs. Prints a line for each case; true where all
// agree.
bool replay(const Answers& stored, Runtime& emulator);

}  // namespace furrow::gpu
