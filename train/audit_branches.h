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
    std::string op;             // "relu", "max_pool2x2", "max_pool3x3"
    int64_t units = 0, of = 0;  // with another side, or another place of the maximum; or that could have it
  };
  std::vector<Layer> layers;            // in the order of the forward pass
  std::vector<std::string> parameters;  // keys of those whose gradient passes through one
};

// Whose float32 it is: that of a pass that can be looked at, or also that of another program.
enum class Rounded : uint8_t { here, elsewhere };

// One forward pass in training mode on `backend`, of float32, and one on device ref, of the network that recognise()
// sees in `weights`; input {N,H,W,C} float64. Units of `here` are those that differ between the two. Of `elsewhere`
// they are those that may: whose input, in float64, is no further from zero than twice what float32 moved any of that
// layer's, or whose maximum no further than twice that from the next. Takes the memory of all activations, twice.
Branches other_branches(const NamedTensors& weights, const Tensor& input, Backend& backend, Rounded rounded);

}  // namespace furrow::train
