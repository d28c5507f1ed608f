#include "segment/mixed_precision.h"

#include <algorithm>

#include "kernels/error.h"

namespace furrow {
namespace {

double harm(const MixedLayer& layer) { return layer.moved * layer.moved / static_cast<double>(layer.macs); }

}  // namespace

double settle(std::vector<MixedLayer>& layers, double least,
              const std::function<double(const std::vector<MixedLayer>&)>& agreement) {
  double reached = agreement(layers);
  std::vector<MixedLayer*> back;
  while (reached < least) {
    MixedLayer* worst = nullptr;
    for (MixedLayer& layer : layers)
      if (layer.in_bytes && (worst == nullptr || harm(layer) > harm(*worst))) worst = &layer;
    require(worst != nullptr, "settle: with every layer in float32 the masks are the same");
    worst->in_bytes = false;
    back.push_back(worst);
    reached = agreement(layers);
  }
  std::ranges::stable_sort(back, [](const MixedLayer* a, const MixedLayer* b) { return a->macs > b->macs; });
  for (MixedLayer* layer : back) {
    layer->in_bytes = true;
    const double with = agreement(layers);
    if (with >= least)
      reached = with;
    else
      layer->in_bytes = false;
  }
  return reached;
}

}  // namespace furrow
