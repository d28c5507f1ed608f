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

// Of maxima: x's windows of `kernel` squared begin every two pixels, the first `pad` outside it; y has a unit for each.
struct Windows {
  Shape x, y;
  int64_t kernel, pad;
};

// body(places of its elements inside the picture, in row-major order) for every window.
template <class Body>
void for_each_window(const Windows& windows, const Body& body) {
  const auto& [x, y, kernel, pad] = windows;
  std::vector<size_t> places;
  for (int64_t n = 0; n < y.n; ++n)
    for (int64_t h = 0; h < y.h; ++h)
      for (int64_t w = 0; w < y.w; ++w)
        for (int64_t c = 0; c < y.c; ++c) {
          const int64_t top = 2 * h - pad, left = 2 * w - pad;
          places.clear();
          for (int64_t i = std::max<int64_t>(top, 0); i < std::min(top + kernel, x.h); ++i)
            for (int64_t j = std::max<int64_t>(left, 0); j < std::min(left + kernel, x.w); ++j)
              places.push_back(static_cast<size_t>(((n * x.h + i) * x.w + j) * x.c + c));
          body(places);
        }
}

// Where the first greatest of these is.
size_t place_of_maximum(const std::vector<double>& values, const std::vector<size_t>& places) {
  size_t best = places[0];
  for (const size_t place : places)
    if (values[place] > values[best]) best = place;
  return best;
}

int64_t other_places(const std::vector<double>& a, const std::vector<double>& b, const Windows& windows) {
  int64_t count = 0;
  for_each_window(windows, [&](const std::vector<size_t>& places) {
    count += place_of_maximum(a, places) != place_of_maximum(b, places);
  });
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
int64_t places_in_reach(const std::vector<double>& exact, const Windows& windows, double reach) {
  int64_t count = 0;
  for_each_window(windows, [&](const std::vector<size_t>& places) {
    const double best = exact[place_of_maximum(exact, places)];
    count += std::ranges::any_of(places,
                                 [&](size_t place) { return exact[place] < best && best - exact[place] <= 2 * reach; });
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
    const bool relu = node.op == OpKind::relu, wide = node.op == OpKind::max_pool3x3;
    if (relu || wide || node.op == OpKind::max_pool2x2) {
      const Shape& x = ours.nodes()[static_cast<size_t>(node.in[0])].shape;
      const Windows windows{x, node.shape, wide ? 3 : 2, wide ? 1 : 0};
      const std::vector<double> a = ours.value(node.in[0]), b = exact.value(node.in[0]);
      if (rounded == Rounded::here)
        units = relu ? other_sides(a, b) : other_places(a, b, windows);
      else
        units = relu ? sides_in_reach(b, reach(a, b)) : places_in_reach(b, windows, reach(a, b));
    }
    if (units == 0) continue;
    last = i;
    out.layers.push_back({node.where != nullptr ? node.where->path() : "",
                          relu ? "relu" : (wide ? "max_pool3x3" : "max_pool2x2"), units, node.shape.elements()});
  }
  for (const Module::Keyed& k : ours.network().parameters())
    for (size_t i = 0; i < last; ++i)
      if (ours.nodes()[i].parameter == k.parameter) out.parameters.push_back(k.key);
  return out;
}

}  // namespace furrow::train
