#include "nn/resize_logits.h"

#include <algorithm>
#include <vector>

#include "kernels/error.h"

namespace furrow {
namespace {

// Where output `o` of `out` lies among `in` values: between `low` and the next, `part` of the way.
struct Between {
  int64_t low = 0;
  double part = 0;
  Between(int64_t o, int64_t in, int64_t out) {
    const double at =
        out > 1 ? static_cast<double>(o) * static_cast<double>(in - 1) / static_cast<double>(out - 1) : 0.0;
    low = std::min(static_cast<int64_t>(at), std::max<int64_t>(in - 2, 0));
    part = at - static_cast<double>(low);
  }
};

// A row of y at a time: first the row of x between two others, then that at every column.
template <class T>
void resize(const Tensor& x, Tensor& y) {
  const Shape &from = x.shape(), &to = y.shape();
  const auto c = static_cast<size_t>(to.c), row = static_cast<size_t>(from.w) * c;
  std::vector<T> between(row);
  const T* source = x.values<T>().data();
  T* out = y.values<T>().data();
  for (int64_t n = 0; n < to.n; ++n)
    for (int64_t h = 0; h < to.h; ++h) {
      const Between v(h, from.h, to.h);
      const T* upper = source + static_cast<size_t>(n * from.h + v.low) * row;
      const T* lower = from.h > 1 ? upper + row : upper;
      const auto below = static_cast<T>(v.part);
      for (size_t i = 0; i < row; ++i) between[i] = (1 - below) * upper[i] + below * lower[i];
      for (int64_t w = 0; w < to.w; ++w, out += c) {
        const Between u(w, from.w, to.w);
        const T* left = between.data() + static_cast<size_t>(u.low) * c;
        const T* right = from.w > 1 ? left + c : left;
        const auto after = static_cast<T>(u.part);
        for (size_t k = 0; k < c; ++k) out[k] = (1 - after) * left[k] + after * right[k];
      }
    }
}

}  // namespace

void resize_logits(const Tensor& x, Tensor& y) {
  const Shape &from = x.shape(), &to = y.shape();
  require(from.n == to.n && from.c == to.c && std::min({from.h, from.w, to.h, to.w}) > 0 && x.dtype() == y.dtype(),
          "resize_logits: shapes or types");
  if (x.dtype() == DType::f64)
    resize<double>(x, y);
  else
    resize<float>(x, y);
}

}  // namespace furrow
