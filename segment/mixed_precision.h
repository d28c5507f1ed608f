// Which layers of a network stay in 8 bits, and which go back to float32.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace furrow {

struct MixedLayer {
  double moved = 0;   // what it alone in 8 bits moves the logits by, over their size; 0 or more
  uint64_t macs = 0;  // its multiplications, above 0
  bool in_bytes = true;
};

// Decides `in_bytes` of every layer so that agreement() of them is at least `least`, which it must be with none in
// bytes. Errors of layers add up as squares, and what a layer costs in float32 is its multiplications: while the
// agreement is less, the layer with the largest moved^2 / macs goes back to float32. Then each that went, the largest
// first, is in bytes again if the agreement stays. agreement() is asked once for each decision; returns the last that
// was enough. Throws ErrorCode::internal where it is not enough with every layer in float32.
double settle(std::vector<MixedLayer>& layers, double least,
              const std::function<double(const std::vector<MixedLayer>&)>& agreement);

}  // namespace furrow
