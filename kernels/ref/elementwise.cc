// Operations on each value alone, and their gradients.
#include <cmath>

#include "kernels/random.h"
#include "kernels/ref/loops.h"
#include "kernels/ref/ref_backend.h"

namespace furrow {
namespace {

// Calls body(i) for every element, rows shared out over the pool.
template <class Body>
void for_each_element(ThreadPool* pool, const Shape& s, const Body& body) {
  const int64_t row_length = s.w * s.c;
  parallel_for(pool, s.n * s.h, [&](int64_t row, int) {
    for (int64_t i = row * row_length; i < (row + 1) * row_length; ++i) body(static_cast<size_t>(i));
  });
}

}  // namespace

void RefBackend::relu(const Tensor& x, Tensor& y) {
  require(y.shape() == x.shape(), "relu: shapes");
  const auto from = x.values<double>();
  auto to = y.values<double>();
  for_each_element(pool_, x.shape(), [&](size_t i) { to[i] = from[i] <= 0 ? 0 : from[i]; });
}

void RefBackend::relu_grad(const Tensor& y, const Tensor& dy, Tensor& dx, Grad mode) {
  require(dy.shape() == y.shape() && dx.shape() == y.shape(), "relu_grad: shapes");
  const auto value = y.values<double>(), gradient = dy.values<double>();
  auto to = dx.values<double>();
  for_each_element(pool_, y.shape(), [&](size_t i) { ref::store(to[i], value[i] <= 0 ? 0 : gradient[i], mode); });
}

void RefBackend::sigmoid(const Tensor& x, Tensor& y) {
  require(y.shape() == x.shape(), "sigmoid: shapes");
  const auto from = x.values<double>();
  auto to = y.values<double>();
  for_each_element(pool_, x.shape(), [&](size_t i) { to[i] = ref::stable_sigmoid(from[i]); });
}

void RefBackend::sigmoid_grad(const Tensor& y, const Tensor& dy, Tensor& dx, Grad mode) {
  require(dy.shape() == y.shape() && dx.shape() == y.shape(), "sigmoid_grad: shapes");
  const auto value = y.values<double>(), gradient = dy.values<double>();
  auto to = dx.values<double>();
  for_each_element(pool_, y.shape(),
                   [&](size_t i) { ref::store(to[i], gradient[i] * value[i] * (1 - value[i]), mode); });
}

void RefBackend::add(const Tensor& a, const Tensor& b, Tensor& y) {
  require(a.shape() == b.shape() && y.shape() == a.shape(), "add: shapes");
  const auto left = a.values<double>(), right = b.values<double>();
  auto to = y.values<double>();
  for_each_element(pool_, y.shape(), [&](size_t i) { to[i] = left[i] + right[i]; });
}

void RefBackend::gate(const Tensor& x, const Tensor& z, Tensor& y) {
  const Shape& s = x.shape();
  require(y.shape() == s && z.shape() == Shape{s.n, s.h, s.w, 1}, "gate: shapes");
  const auto from = x.values<double>(), logits = z.values<double>();
  auto to = y.values<double>();
  for_each_element(pool_, z.shape(), [&](size_t pixel) {
    const double open = ref::stable_sigmoid(logits[pixel]);
    const auto C = static_cast<size_t>(s.c);
    for (size_t i = pixel * C; i < (pixel + 1) * C; ++i) to[i] = from[i] * open;
  });
}

void RefBackend::gate_grad(const Tensor& x, const Tensor& z, const Tensor& dy, Tensor* dx, Tensor* dz, Grad mode) {
  const Shape& s = x.shape();
  require(dy.shape() == s && z.shape() == Shape{s.n, s.h, s.w, 1}, "gate_grad: shapes");
  require((dx == nullptr || dx->shape() == s) && (dz == nullptr || dz->shape() == z.shape()), "gate_grad: results");
  const auto from = x.values<double>(), logits = z.values<double>(), gradient = dy.values<double>();
  const auto C = static_cast<size_t>(s.c);
  for_each_element(pool_, z.shape(), [&](size_t pixel) {
    const double open = ref::stable_sigmoid(logits[pixel]);
    double sum = 0;
    for (size_t i = pixel * C; i < (pixel + 1) * C; ++i) {
      sum += gradient[i] * from[i];
      if (dx != nullptr) ref::store(dx->values<double>()[i], gradient[i] * open, mode);
    }
    if (dz != nullptr) ref::store(dz->values<double>()[pixel], open * (1 - open) * sum, mode);
  });
}

void RefBackend::dropout(const Tensor& x, const Dropout& draw, Tensor& y, Grad mode) {
  require(y.shape() == x.shape(), "dropout: shapes");
  require(draw.p >= 0 && draw.p < 1, "dropout: p is not in [0, 1)");
  const auto from = x.values<double>();
  auto to = y.values<double>();
  const Philox numbers(draw.seed);
  for_each_element(pool_, y.shape(), [&](size_t e) {
    const bool kept = numbers.uniform(draw.stream, draw.first + e) >= draw.p;
    ref::store(to[e], kept ? from[e] / (1 - draw.p) : 0, mode);
  });
}

}  // namespace furrow
