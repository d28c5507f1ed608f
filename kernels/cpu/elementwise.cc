// Operations on each value alone, and their gradients. All are bound by memory; the compiler's vectors are enough.
#include <algorithm>
#include <cmath>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/panels.h"

namespace furrow::cpu {
namespace {

constexpr int64_t kTaskElements = 16384;

const float* in(const Tensor& t) { return t.values<float>().data(); }
float* out(Tensor& t) { return t.values<float>().data(); }

// body(begin, end) over [0, elements) in tasks of fixed size.
template <class Body>
void split(ThreadPool* pool, int64_t elements, const Body& body) {
  for_tasks(pool, ceil_div(elements, kTaskElements),
            [&](int64_t task, int) { body(task * kTaskElements, std::min((task + 1) * kTaskElements, elements)); });
}

// to[i] = value(i), or is added to.
template <class Value>
void split_store(ThreadPool* pool, int64_t elements, float* to, Grad mode, const Value& value) {
  split(pool, elements, [&](int64_t begin, int64_t end) {
    if (mode == Grad::overwrite)
      for (int64_t i = begin; i < end; ++i) to[i] = value(i);
    else
      for (int64_t i = begin; i < end; ++i) to[i] += value(i);
  });
}

}  // namespace

void CpuBackend::relu(const Tensor& x, Tensor& y) {
  require(y.shape() == x.shape(), "relu: shape of y");
  const float* from = in(x);
  split_store(pool_, x.shape().elements(), out(y), Grad::overwrite,
              [=](int64_t i) { return from[i] < 0 ? 0 : from[i]; });
}

void CpuBackend::relu_grad(const Tensor& y, const Tensor& dy, Tensor& dx, Grad mode) {
  require(dy.shape() == y.shape() && dx.shape() == y.shape(), "relu_grad: shapes");
  const float *value = in(y), *gradient = in(dy);
  split_store(pool_, y.shape().elements(), out(dx), mode, [=](int64_t i) { return value[i] <= 0 ? 0 : gradient[i]; });
}

void CpuBackend::sigmoid(const Tensor& x, Tensor& y) {
  require(y.shape() == x.shape(), "sigmoid: shape of y");
  const float* from = in(x);
  split_store(pool_, x.shape().elements(), out(y), Grad::overwrite, [=](int64_t i) {
    const float e = std::exp(-std::fabs(from[i]));  // never overflows
    return (from[i] < 0 ? e : 1.0f) / (1.0f + e);
  });
}

void CpuBackend::sigmoid_grad(const Tensor& y, const Tensor& dy, Tensor& dx, Grad mode) {
  require(dy.shape() == y.shape() && dx.shape() == y.shape(), "sigmoid_grad: shapes");
  const float *value = in(y), *gradient = in(dy);
  split_store(pool_, y.shape().elements(), out(dx), mode,
              [=](int64_t i) { return gradient[i] * value[i] * (1 - value[i]); });
}

void CpuBackend::add(const Tensor& a, const Tensor& b, Tensor& y) {
  require(a.shape() == b.shape() && y.shape() == a.shape(), "add: shapes");
  const float *left = in(a), *right = in(b);
  split_store(pool_, a.shape().elements(), out(y), Grad::overwrite, [=](int64_t i) { return left[i] + right[i]; });
}

}  // namespace furrow::cpu
