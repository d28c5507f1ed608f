// What the tests against PyTorch's training share: its numbers, the problems, the back-ends.
#pragma once

#include "nn/train_step.h"
#include "tests/cuda/device_under_test.h"
#include "tests/kernels/golden.h"
#include "tests/nn/support.h"

namespace furrow {

inline const Golden& training_golden() {
  static const Golden instance("training");
  return instance;
}

// Numbers of one sequence in [0,1), as make_training_golden.py draws them.
inline Tensor drawn(const Shape& shape, uint64_t seed, uint64_t stream) {
  Tensor t(shape, DType::f64);
  const Philox numbers(seed);
  for (size_t i = 0; i < t.values<double>().size(); ++i) t.values<double>()[i] = numbers.uniform(stream, i);
  return t;
}
// On the emulator, or with FURROW_TEST_DEVICE=cuda on a GPU.
inline std::unique_ptr<Backend> cuda_kernels() {
  const DeviceKind kind = gpu::testing_on_gpu() ? DeviceKind::cuda : DeviceKind::cpu_emulated;
  return make_backend({kind, 0}, nullptr, {.precision = Precision::fp32});
}

}  // namespace furrow
