// Where float32 takes another branch than float64: a ReLU whose input is zero but for rounding, a maximum of equals.
// The gradient of everything before such a unit is then that of another function, which no tolerance describes.
#pragma once

#include <string>
#include <vector>

#include "kernels/backend.h"

namespace furrow::train {

struct Branches {
  struct Layer {
    std::string where;          // path of the module
    std::string op;             // "relu", "max_pool2x2"
    int64_t units = 0, of = 0;  // with another side, or another place of the maximum
  };
  std::vector<Layer> layers;            // in the order of the forward pass
  std::vector<std::string> parameters;  // keys of those whose gradient passes through one
};

// One forward pass in training mode on `backend` and one on device ref, of the network that recognise() sees in
// `weights`; input {N,H,W,C} float64. Takes the memory of all activations, twice.
Branches other_branches(const NamedTensors& weights, const Tensor& input, Backend& backend);

}  // namespace furrow::train
