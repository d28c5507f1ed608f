// A plan at work: its steps one by one, or recorded and replayed.
#include <cstring>

#include "nn/plan.h"
#include "nn/resize_logits.h"

namespace furrow {
namespace {

std::byte* bytes_of(const Tensor& t) {
  Tensor window = t;
  if (t.dtype() == DType::f64) return reinterpret_cast<std::byte*>(window.values<double>().data());
  return reinterpret_cast<std::byte*>(window.values<float>().data());
}

}  // namespace

void Plan::compute(size_t step) {
  const PlannedStep& s = steps_[step];
  if (s.action == Action::run) backend_->run(s.step, s.packed.get(), s.buffers);
  if (s.action == Action::unplace) backend_->unplace(s.buffers.x[0], output_);
}

// Every step but the placing of an input of values, which lies where its owner has it: pixels have a place of their
// own. On a device all of it, and the copy of the result, is recorded at the second run and replayed from then on.
void Plan::compute_all(bool of_pixels) {
  // Refers to nothing that moves with the plan: a recording may call it again.
  const auto work = [backend = backend_, steps = steps_.data(), count = steps_.size(), of_pixels,
                     pixels = pixels().data(), values = pixel_values_, workspace = pixels_workspace_, output = output_,
                     host_output = host_output_] {
    Tensor result = output, on_host = host_output;
    if (of_pixels) backend->place_pixels(pixels, values, workspace, steps[0].buffers.y);
    for (const PlannedStep* s = steps + 1; s != steps + count; ++s) {
      if (s->action == Action::unplace)
        backend->unplace(s->buffers.x[0], result);
      else
        backend->run(s->step, s->packed.get(), s->buffers);
    }
    if (!backend->in_host_memory()) backend->start_fetch(result, on_host);
  };
  Replay& replay = of_pixels ? from_pixels_ : from_values_;
  if (replay.state == Recording::to_try && !backend_->in_host_memory()) {  // in host memory there is nothing to launch
    replay.state = Recording::tried;
    try {
      replay.recorded = backend_->record(work);
    } catch (const DeviceLost&) {
      throw;
    } catch (const Error& error) {  // memory for the recording, say: the steps themselves need none
      if (error.code() != ErrorCode::device) throw;
    }
  }
  if (replay.recorded != nullptr) {
    replay.recorded->replay();
  } else {
    work();
  }
  if (replay.state == Recording::before_first_run) replay.state = Recording::to_try;
}

std::span<uint8_t> Plan::pixels() const {
  return {reinterpret_cast<uint8_t*>(pixels_.data()),
          pixels_.data() == nullptr ? 0 : static_cast<size_t>(input_.elements())};
}

Tensor Plan::run(const Tensor& input, Trace* trace) {
  run_from(&input, trace);
  return result();
}

Tensor Plan::run_pixels(Trace* trace) {
  run_from(nullptr, trace);
  return result();
}

Plan::SmallLogits Plan::run_small(const Tensor& input, Trace* trace) {
  run_from(&input, trace);
  return {small(), result_.h, result_.w};
}

Plan::SmallLogits Plan::run_small_pixels(Trace* trace) {
  run_from(nullptr, trace);
  return {small(), result_.h, result_.w};
}

void Plan::run_from(const Tensor* input, Trace* trace) {
  if (input != nullptr)
    require(input->shape() == input_ && input->dtype() == backend_->dtype(),
            "Plan::run: the planned shape and element type");
  else
    require(!pixel_values_.empty(), "Plan::run_pixels: a plan that takes pixels");
  Stopwatch watch;
  const auto note = [&](size_t i) {
    backend_->finish();
    const StepInfo& info = infos_[i];
    trace->add({info.where, info.op, info.problem, info.algorithm, info.bytes, info.flops, watch.milliseconds()});
    watch = {};
  };
  if (input != nullptr) backend_->place(*input, steps_[0].buffers.y);
  if (trace == nullptr) {
    compute_all(input == nullptr);
  } else {
    if (input == nullptr)
      backend_->place_pixels(pixels().data(), pixel_values_, pixels_workspace_, steps_[0].buffers.y);
    note(0);
    for (size_t i = 1; i < steps_.size(); ++i) {
      compute(i);
      note(i);
    }
    if (!backend_->in_host_memory()) backend_->start_fetch(output_, host_output_);
  }
  if (!backend_->in_host_memory()) backend_->finish();
}

// The part that was asked for, where that is less than the steps leave (Graph::cut).
Tensor Plan::small() {
  const Tensor& whole = backend_->in_host_memory() ? output_ : host_output_;
  if (cut_.empty()) return whole;
  const Shape &from = whole.shape(), &to = cut_.shape();
  const size_t row = static_cast<size_t>(to.w * to.c) * size_of(cut_.dtype()),
               stride = static_cast<size_t>(from.w * from.c) * size_of(cut_.dtype());
  for (int64_t r = 0; r < to.n * to.h; ++r)
    std::memcpy(bytes_of(cut_) + static_cast<size_t>(r) * row,
                bytes_of(whole) + static_cast<size_t>(r / to.h * from.h + r % to.h) * stride, row);
  return cut_;
}

Tensor Plan::result() {
  Tensor logits = small();
  if (logits.shape() == result_) return logits;
  if (resized_.empty()) resized_ = Tensor(result_, logits.dtype());
  if (backend_->in_host_memory())
    backend_->upsample_bilinear(logits, resized_);  // to the bit what the network's own last operation makes of them
  else
    resize_logits(logits, resized_);
  return resized_;
}

}  // namespace furrow
