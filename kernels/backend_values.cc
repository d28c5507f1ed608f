// Setting and scaling values where they lie in the host's memory.
#include <algorithm>

#include "kernels/backend.h"

namespace furrow {
namespace {

// body(span of T) for the type of a floating tensor.
template <class Body>
void with_values(Tensor& t, const Body& body) {
  if (t.dtype() == DType::f64) return body(t.values<double>());
  body(t.values<float>());
}

}  // namespace

void Backend::put(const Tensor& from, Tensor& to) {
  require(from.shape() == to.shape() && from.dtype() == to.dtype(), "put: shape or type");
  with_values(to, [&](auto values) {
    std::ranges::copy(from.values<typename decltype(values)::value_type>(), values.begin());
  });
}

void Backend::zero(Tensor& t) {
  with_values(t, [](auto values) { std::ranges::fill(values, 0); });
}

void Backend::scale(Tensor& t, double factor) {
  with_values(t, [&](auto values) {
    for (auto& value : values) value = static_cast<std::decay_t<decltype(value)>>(value * factor);
  });
}

}  // namespace furrow
