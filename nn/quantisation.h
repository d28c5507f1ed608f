// Quantisation: what of a network is computed in 8 bits, and from which bytes.
#pragma once

#include <map>
#include <set>
#include <string>

#include "kernels/quantised.h"

namespace furrow {

// A convolution, transposed or not, is computed from bytes where all that it reads has an entry here, its module is not
// in `floats` and its sizes allow it (fits_bytes() in kernels/planned.h). Its result, and that of a first layer, is
// stored as bytes where all that read it compute from bytes. Everything else stays in the back-end's own type. Source:
// affine quantisation after Jacob et al. 2018, arXiv:1712.05877, section 2.1, with a scale per channel for weights.
struct Quantisation {
  // The picture that a network is given. (Before a first layer was computed from bytes, files had scales of `input`, of
  // which nothing was computed: they mean what they meant.)
  static constexpr const char* kPixels = "pixels";
  std::map<std::string, Quantised, std::less<>> values;  // by Plan::StepInfo::quantised_as()
  std::set<std::string, std::less<>> floats;             // paths of modules: the first of a step's
  bool empty() const { return values.empty(); }
  friend bool operator==(const Quantisation&, const Quantisation&) = default;
};

}  // namespace furrow
