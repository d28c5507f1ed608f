#include "train/audit_branches.h"

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

// Which of the four elements of a 2x2 window is the first greatest.
int place_of_maximum(const std::vector<double>& x, const Shape& shape, size_t at) {
  const auto row = static_cast<size_t>(shape.w * shape.c), pixel = static_cast<size_t>(shape.c);
  const size_t four[] = {at, at + pixel, at + row, at + row + pixel};
  int best = 0;
  for (int i = 1; i < 4; ++i)
    if (x[four[i]] > x[four[best]]) best = i;
  return best;
}

int64_t other_places(const std::vector<double>& a, const std::vector<double>& b, const Shape& x) {
  int64_t count = 0;
  for (int64_t n = 0; n < x.n; ++n)
    for (int64_t h = 0; h + 1 < x.h; h += 2)
      for (int64_t w = 0; w + 1 < x.w; w += 2)
        for (int64_t c = 0; c < x.c; ++c) {
          const auto at = static_cast<size_t>(((n * x.h + h) * x.w + w) * x.c + c);
          count += place_of_maximum(a, x, at) != place_of_maximum(b, x, at);
        }
  return count;
}

}  // namespace

Branches other_branches(const NamedTensors& weights, const Tensor& input, Backend& backend) {
  const auto exact_backend = make_backend({DeviceKind::ref, 0}, nullptr);
  const Pass ours(weights, input, backend), exact(weights, input, *exact_backend);
  require(ours.nodes().size() == exact.nodes().size(), "other_branches: the same network");
  Branches out;
  size_t last = 0;
  for (size_t i = 0; i < ours.nodes().size(); ++i) {
    const Node& node = ours.nodes()[i];
    const auto id = static_cast<VarId>(i);
    int64_t units = 0;
    if (node.op == OpKind::relu)
      units = other_sides(ours.value(id), exact.value(id));
    else if (node.op == OpKind::max_pool2x2)
      units = other_places(ours.value(node.in[0]), exact.value(node.in[0]),
                           ours.nodes()[static_cast<size_t>(node.in[0])].shape);
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
