// The conformance cases: inputs, an independent model of what each word gives, and how closely two answers must agree.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/cuda/conformance/conformance.h"

namespace furrow::gpu {

// How words of an output are compared. Any NaN equals any NaN in all but `bits`.
enum class Agreement {
  bits,        // integers, data movement
  value,       // one float or half, exactly
  ulp,         // floats, at most `ulps` apart (or both below the smallest normal number)
  sum,         // a sum of products: |got - want| <= rounding * sum of |products| + the smallest normal number
};

struct ConformanceCase {
  const char* name;
  Word word;
  int in_words, out_words, samples;   // words per sample
  Agreement agreement;
  double model, device;   // ulps or `rounding`: emulator against the model, a GPU against the emulator
};

const std::vector<ConformanceCase>& conformance_cases();
const ConformanceCase* find_case(const std::string& name);

// The inputs of a case, the same in every process: chosen values (zeros, denormals, the largest, NaN, infinities) and
// pseudo-random ones.
std::vector<uint32_t> inputs(const ConformanceCase& c);

// What one sample must give, from the PTX and CUDA documentation, without the emulator. For Agreement::sum also the sum
// of the magnitudes that each output word adds up.
struct Modelled {
  std::vector<uint32_t> words;
  std::vector<double> magnitudes;
};
Modelled model(const ConformanceCase& c, const uint32_t* in);

struct Difference {
  int64_t words = 0, different = 0;
  double worst = 0;            // in the case's own measure; infinite where a NaN or a sign is wrong
  std::string first;           // where and what, of the first difference
};
// All samples' outputs `got` against `want`; `in` for the magnitudes of sums.
Difference compare(const ConformanceCase& c, const std::vector<uint32_t>& in, const std::vector<uint32_t>& got,
                   const std::vector<uint32_t>& want, double allowed);

// The number of the 16- or 8-bit or tf32 type that `word` of an mma multiplies, from its bits.
double decode_half(uint16_t bits);
double decode_brain(uint16_t bits);
double decode_float(uint32_t bits);

}  // namespace furrow::gpu
