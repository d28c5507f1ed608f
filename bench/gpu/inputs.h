// What the networks of the benchmark are made of, and the pictures that they see.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/device.h"
#include "nn/network.h"

namespace furrow::bench {

constexpr int kInputSets = 8;  // which timing and correctness take in turn

// A network of random values whose activations keep one size and whose logits vary about 0; of 3 channels, one class.
std::unique_ptr<Network> random_network(const Architecture& architecture);
std::unique_ptr<Network> random_unet(int64_t base);

// How far a network's logits may be off, as ||got - want|| / ||want||: what the protocol says (fp16 2e-3, tf32 1e-3,
// bf16 1e-2) or, where this network answers roundings more strongly, twice what it makes of rounding nothing but its
// convolutions' weights and its input, once, in float32 arithmetic: `response`. Right results are off by 0.6 to 1.3 of
// it (docs/gpu.md). The kernels in 16 bits read the input with more digits than that; tests/cuda/network_test.cc, not
// this bound, holds them to it.
struct LogitBound {
  Precision precision;
  double error = 0, response = 0;
  std::string note() const;  // "rounding weights and input alone: 0.0014"
};
std::vector<LogitBound> logit_bounds(int64_t base);  // of random_unet(base): fp32, tf32, bf16, fp16

// `sets` batches of pictures with structure, normalised as photos are: slow waves, a bright disc with an edge, and
// noise. No two pictures are alike; the same on every machine up to the last digits of cos().
std::vector<Tensor> structured_inputs(const Shape& shape, int sets = kInputSets);

}  // namespace furrow::bench
