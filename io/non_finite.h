// Finds NaN and infinity among stored weights.
#pragma once

#include <string>
#include <vector>

#include "kernels/tensor.h"

namespace furrow::io {

// Whether any element of a floating-point tensor is NaN or infinite; false for integers.
bool has_non_finite(const NamedTensor& tensor);

// Appends one note that names the first few such tensors; nothing where all values are finite.
void note_non_finite(const NamedTensors& tensors, std::vector<std::string>& notes);

}  // namespace furrow::io
