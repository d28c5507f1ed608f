// A plan run step by step, with everything that it writes in sight.
#include "nn/plan.h"

namespace furrow {

Tensor Plan::run_watched(const Tensor& input, const Watch& watch) {
  require(input.shape() == input_ && input.dtype() == backend_->dtype(),
          "Plan::run_watched: the planned shape and element type");
  for (size_t i = 0; i < steps_.size(); ++i) {
    const PlannedStep& s = steps_[i];
    const StepBuffers& b = s.buffers;
    const Stopwatch stopwatch;
    if (s.action == Action::place)
      backend_->place(input, b.y);
    else
      compute(i);
    backend_->finish();
    const double milliseconds = stopwatch.milliseconds();

    std::vector<Tensor> values;  // in the order of StepInfo::writes
    for (const Placed& placed : {b.y, b.pooled}) {
      if (placed.data == nullptr) continue;
      values.emplace_back(placed.shape, backend_->dtype());
      backend_->unplace(placed, values.back());
    }
    if (!b.head.empty() || s.action == Action::unplace) {
      if (!backend_->in_host_memory()) backend_->fetch(output_, host_output_);
      backend_->finish();
      values.push_back(backend_->in_host_memory() ? output_ : host_output_);  // before anything is cut off
    }
    backend_->finish();
    require(values.size() == infos_[i].writes.size(), "Plan::run_watched: a name for each value");
    std::vector<Written> written;
    for (size_t v = 0; v < values.size(); ++v) written.push_back({infos_[i].writes[v], values[v]});
    watch(i, milliseconds, written);
  }
  return result();
}

}  // namespace furrow
