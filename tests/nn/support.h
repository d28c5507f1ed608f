// What the network tests share: random values, comparisons, the oracle back-end.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "kernels/device.h"
#include "nn/network.h"
#include "kernels/random.h"

namespace furrow {

inline std::unique_ptr<Backend> ref_backend(ThreadPool* pool = nullptr) {
  return make_backend({DeviceKind::ref, 0}, pool);
}

// Uniform in (low, high).
inline Tensor random_tensor(const Shape& shape, uint64_t seed, double low = -1, double high = 1) {
  Tensor t(shape, DType::f64);
  const Philox generator(seed);
  auto values = t.values<double>();
  for (size_t i = 0; i < values.size(); ++i) values[i] = low + (high - low) * generator.uniform(0, i);
  return t;
}

// Initial values, then batch norms that do something: scales, shifts and running statistics off their defaults.
inline std::unique_ptr<Network> random_network(const Architecture& a, uint64_t seed, DType type = DType::f64) {
  auto network = build(a);
  network->initialise(seed, type);
  for (const Module::Keyed& k : network->parameters()) {
    if (k.parameter->kind != ParameterKind::vector) continue;
    const bool positive = k.key.ends_with("running_var") || (k.key.ends_with(".weight") && k.parameter->constant == 1);
    const Tensor values = random_tensor(k.parameter->shape(), ++seed, positive ? 0.5 : -0.4, positive ? 1.5 : 0.4);
    k.parameter->value = values.to(type);
  }
  return network;
}

// Largest |a - b| over the largest |b|.
inline double relative_error(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.shape(), b.shape());
  if (a.shape() != b.shape()) return INFINITY;
  double error = 0, size = 0;
  const Tensor wide_a = a.to(DType::f64), wide_b = b.to(DType::f64);
  for (size_t i = 0; i < wide_a.values<double>().size(); ++i) {
    const double difference = std::abs(wide_a.values<double>()[i] - wide_b.values<double>()[i]);
    error = std::isnan(error) || difference <= error ? error : difference;  // a NaN stays
    size = std::max(size, std::abs(wide_b.values<double>()[i]));
  }
  EXPECT_GT(size, 0);
  return error / size;
}

inline double dot(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (size_t i = 0; i < a.values<double>().size(); ++i) sum += a.values<double>()[i] * b.values<double>()[i];
  return sum;
}

inline std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file.good()) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace furrow
