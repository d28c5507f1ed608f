#include "train/audit_branches.h"

#include <algorithm>
#include <cmath>

#include "kernels/device.h"
#include "nn/recognise.h"

namespace furrow::train {
namespace {

// A recorded forward pass and all that it needs. Its tape has no memory of its own, so that nothing is forgotten or
// overwritten and every value lies where the host can read it.
class Pass {
 public:
  Pass(const NamedTensors& weights, const Tensor& input, Backend& backend)
      : network_(loaded(weights, backend.dtype())), tape_(backend, Mode::training) {
    network_->forward(tape_, tape_.input(input.to(backend.dtype())));
  }
  const Network& network() const { return *network_; }
  const std::vector<Node>& nodes() const { return tape_.nodes(); }
  std::vector<double> value(VarId id) const {
    const Node& node = nodes()[static_cast<size_t>(id)];
    require(node.value.shape() == node.shape && !node.value.empty(), "other_branches: a value that was kept");
    const Tensor wide = node.value.to(DType::f64);
    return {wide.values<double>().begin(), wide.values<double>().end()};
  }

 private:
  static std::unique_ptr<Network> loaded(const NamedTensors& weights, DType type) {
    auto network = build(recognise(weights));
    network->load(weights, type);
    return network;
  }
  std::unique_ptr<Network> network_;
  Tape tape_;
};

int64_t other_sides(const std::vector<double>& a, const std::vector<double>& b) {
  int64_t count = 0;
  for (size_t i = 0; i < a.size(); ++i) count += (a[i] > 0) != (b[i] > 0);
  return count;
}

// body(place of the first element) for every 2x2 window.
template <class Body>
void for_each_window(const Shape& x, const Body& body) {
  for (int64_t n = 0; n < x.n; ++n)
    for (int64_t h = 0; h + 1 < x.h; h += 2)
      for (int64_t w = 0; w + 1 < x.w; w += 2)
        for (int64_t c = 0; c < x.c; ++c) body(static_cast<size_t>(((n * x.h + h) * x.w + w) * x.c + c));
}

// Of the elements 0 to 3 of a window, in row-major order, from its first.
size_t offset(const Shape& x, int element) { return static_cast<size_t>(((element / 2) * x.w + element % 2) * x.c); }

// Which of the four is the first greatest.
int place_of_maximum(const std::vector<double>& values, const Shape& x, size_t at) {
  int best = 0;
  for (int i = 1; i < 4; ++i)
    if (values[at + offset(x, i)] > values[at + offset(x, best)]) best = i;
  return best;
}

int64_t other_places(const std::vector<double>& a, const std::vector<double>& b, const Shape& x) {
  int64_t count = 0;
  for_each_window(x, [&](size_t at) { count += place_of_maximum(a, x, at) != place_of_maximum(b, x, at); });
  return count;
}

// How far another program's float32 may be from float64: this one's furthest, twice, since its sums run in another
// order.
double reach(const std::vector<double>& a, const std::vector<double>& exact) {
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(a[i] - exact[i]));
  return 2 * most;
}

int64_t sides_in_reach(const std::vector<double>& exact, double reach) {
  return std::ranges::count_if(exact, [&](double v) { return std::abs(v) <= reach; });
}

// Equals are not counted: every program takes the first, and of a ReLU's zeros no gradient comes back.
int64_t places_in_reach(const std::vector<double>& exact, const Shape& x, double reach) {
  int64_t count = 0;
  for_each_window(x, [&](size_t at) {
    const double best = exact[at + offset(x, place_of_maximum(exact, x, at))];
    for (int i = 0; i < 4; ++i)
      if (const double other = exact[at + offset(x, i)]; other < best && best - other <= 2 * reach)
        return void(++count);
  });
  return count;
}

}  // namespace

Branches other_branches(const NamedTensors& weights, const Tensor& input, Backend& backend, Rounded rounded) {
  const auto exact_backend = make_backend({DeviceKind::ref, 0}, nullptr);
  const Pass ours(weights, input, backend), exact(weights, input, *exact_backend);
  require(ours.nodes().size() == exact.nodes().size(), "other_branches: the same network");
  Branches out;
  size_t last = 0;
  for (size_t i = 0; i < ours.nodes().size(); ++i) {
    const Node& node = ours.nodes()[i];
    int64_t units = 0;
    if (node.op == OpKind::relu || node.op == OpKind::max_pool2x2) {
      const bool relu = node.op == OpKind::relu;
      const Shape& x = ours.nodes()[static_cast<size_t>(node.in[0])].shape;
      const std::vector<double> a = ours.value(node.in[0]), b = exact.value(node.in[0]);
      if (rounded == Rounded::here)
        units = relu ? other_sides(a, b) : other_places(a, b, x);
      else
        units = relu ? sides_in_reach(b, reach(a, b)) : places_in_reach(b, x, reach(a, b));
    }
    if (units == 0) continue;
    last = i;
    out.layers.push_back({node.where != nullptr ? node.where->path() : "",
                          node.op == OpKind::relu ? "relu" : "max_pool2x2", units, node.shape.elements()});
  }
  for (const Module::Keyed& k : ours.network().parameters())
    for (size_t i = 0; i < last; ++i)
      if (ours.nodes()[i].parameter == k.parameter) out.parameters.push_back(k.key);
  return out;
}

}  // namespace furrow::train
