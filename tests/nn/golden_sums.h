// One training step of a network against PyTorch's, by the sums that the golden scripts write.
#pragma once

#include <map>
#include <sstream>

#include "nn/tape.h"
#include "tests/nn/support.h"

namespace furrow {

// Sum, sum of squares and dot with cos(1..n) of a tensor in PyTorch's order of elements.
struct Sums {
  double sum = 0, squares = 0, dot = 0;
  explicit Sums(std::span<const double> values) {
    double i = 0;
    for (double v : values) sum += v, squares += v * v, dot += v * std::cos(++i);
  }
};

// Numbers of one size, and compared with 1e-9 of the size of the tensor: long float64 sums in another order. `noise`:
// what a gradient that is 0 but for rounding may hold.
inline void expect_close(const Sums& got, double sum, double squares, double dot, size_t count, const std::string& key,
                         double noise = 1e-12) {
  const double norm = std::sqrt(squares), tolerance = 1e-9 * norm * std::sqrt(static_cast<double>(count)) + noise;
  EXPECT_NEAR(got.sum, sum, tolerance) << key;
  EXPECT_NEAR(got.squares, squares, 1e-9 * squares + noise * noise * 1e4) << key;
  EXPECT_NEAR(got.dot, dot, tolerance) << key;
}

// `golden`: lines of a key and its three sums. Of "logits", "input" and every parameter's gradient and every buffer
// after one training step on x with dy = cos(1..n). The logits are forward(tape, input).
template <class Forward>
void expect_training_step_of(Network& network, Backend& backend, const Tensor& x, const std::string& golden,
                             double noise, const Forward& forward) {
  Tape tape(backend, Mode::training);
  const Var input = tape.input(x, true), y = forward(tape, input);
  Tensor dy(y.shape(), DType::f64);
  for (size_t i = 0; i < dy.values<double>().size(); ++i) dy.values<double>()[i] = std::cos(static_cast<double>(i + 1));
  tape.backward(y, dy);

  // Gradients under the parameters' keys, in PyTorch's order of elements: put where state() will find them.
  std::map<std::string, std::vector<double>> results;
  results["logits"] = {y.value().values<double>().begin(), y.value().values<double>().end()};
  results["input"] = {tape.grad(input).values<double>().begin(), tape.grad(input).values<double>().end()};
  const NamedTensors state = network.state();
  for (const Module::Keyed& k : network.parameters())
    if (k.parameter->trainable) k.parameter->value = tape.grad(*k.parameter);
  const NamedTensors gradients = network.state();
  const auto parameters = network.parameters();
  for (size_t i = 0; i < state.size(); ++i)
    results[state[i].name] = (parameters[i].parameter->trainable ? gradients : state)[i].to<double>();

  std::istringstream lines(golden);
  std::string key;
  double sum, squares, dot_product;
  size_t compared = 0;
  while (lines >> key >> sum >> squares >> dot_product) {
    ASSERT_TRUE(results.contains(key)) << key;
    const std::vector<double>& values = results.at(key);
    expect_close(Sums(values), sum, squares, dot_product, values.size(), key, noise);
    ++compared;
  }
  EXPECT_EQ(compared, results.size());
}

// The same of the network's own forward.
inline void expect_training_step(Network& network, Backend& backend, const Tensor& x, const std::string& golden,
                                 double noise = 1e-12) {
  expect_training_step_of(network, backend, x, golden, noise,
                          [&](Tape& tape, Var input) { return network.forward(tape, input); });
}

}  // namespace furrow
