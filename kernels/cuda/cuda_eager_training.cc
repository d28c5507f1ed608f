// Eager losses and optimiser steps, float32. What the page returns by value, the kernels leave in device memory: each of these
// waits for the device once, to read it, but for adamw() and sgd() on device tensors, which return nothing and do not wait.
#include "kernels/cuda/staged.h"

namespace furrow::gpu {
namespace {

void flat(const Tensor& t, int64_t count) {
  require(t.shape() == Shape{1, 1, 1, count}, "optimiser: buffers of one length");
}

}  // namespace

DiceFocalValue CudaBackend::dice_focal(const DiceFocal& form, const Tensor& z, const Tensor& t, Tensor* dz) {
  const Shape& s = z.shape();
  require(s.c == 1 && t.shape() == s && (dz == nullptr || dz->shape() == s), "dice_focal: shapes");
  Staged staged(*this);
  ScratchLayout layout;
  const size_t value = layout.add(sizeof(DiceFocalValue)), work = layout.add(dice_focal_workspace(s.n, s.h, s.w));
  auto* scratch = static_cast<std::byte*>(staged.scratch(layout.bytes()));
  kernels_.loss->dice_focal(stream_, {.form = form,
                                      .z = staged.in(z),
                                      .targets = staged.in(t).data,
                                      .target_type = DType::f32,
                                      .dz = staged.out(dz),
                                      .scale = {},
                                      .value = reinterpret_cast<DiceFocalValue*>(scratch + value),
                                      .workspace = scratch + work});
  staged.done();
  DiceFocalValue out;
  download(scratch + value, &out, sizeof out);
  return out;
}

CrossEntropyValue CudaBackend::cross_entropy(const CrossEntropy& form, const Tensor& z, const Tensor& labels, Tensor* dz) {
  const Shape& s = z.shape();
  require(labels.shape() == Shape{s.n, s.h, s.w, 1} && (dz == nullptr || dz->shape() == s), "cross_entropy: shapes");
  const std::vector<float>& weights = form.class_weights;
  require(weights.empty() || static_cast<int64_t>(weights.size()) == s.c, "cross_entropy: a weight per class");
  Staged staged(*this);
  ScratchLayout layout;
  const size_t value = layout.add(sizeof(CrossEntropyValue)), work = layout.add(cross_entropy_workspace(s.n, s.h, s.w));
  auto* scratch = static_cast<std::byte*>(staged.scratch(layout.bytes()));
  const void* weights_there = weights.empty() ? nullptr : staged.in_bytes(weights.data(), weights.size() * sizeof(float));
  kernels_.loss->cross_entropy(stream_, {.z = staged.in(z),
                                         .labels = staged.in_bytes(labels.values<int32_t>().data(), labels.bytes()),
                                         .label_type = DType::i32,
                                         .ignore_index = form.ignore_index,
                                         .class_weights = static_cast<const float*>(weights_there),
                                         .dz = staged.out(dz),
                                         .scale = {},
                                         .value = reinterpret_cast<CrossEntropyValue*>(scratch + value),
                                         .workspace = scratch + work});
  staged.done();
  CrossEntropyValue out;
  download(scratch + value, &out, sizeof out);
  return out;
}

SoftDiceValue CudaBackend::soft_dice(const SoftDice& form, const Tensor& z, const Tensor& labels, Tensor* dz) {
  const Shape& s = z.shape();
  require(labels.shape() == Shape{s.n, s.h, s.w, 1} && (dz == nullptr || dz->shape() == s), "soft_dice: shapes");
  const std::vector<float>& weights = form.entropy.class_weights;
  require(weights.empty() || static_cast<int64_t>(weights.size()) == s.c, "soft_dice: a weight per class");
  Staged staged(*this);
  ScratchLayout layout;
  const size_t value = layout.add(sizeof(SoftDiceValue)), work = layout.add(soft_dice_workspace(s.n, s.h, s.w, s.c));
  auto* scratch = static_cast<std::byte*>(staged.scratch(layout.bytes()));
  const void* weights_there = weights.empty() ? nullptr : staged.in_bytes(weights.data(), weights.size() * sizeof(float));
  const SoftDice bare{.dice_weight = form.dice_weight,
                      .entropy_weight = form.entropy_weight,
                      .first_class = form.first_class,
                      .over_batch = form.over_batch,
                      .classes_together = form.classes_together,
                      .eps = form.eps,
                      .entropy = {.ignore_index = form.entropy.ignore_index}};   // the weights are the host's: see class_weights
  kernels_.loss->soft_dice(stream_, {.form = bare,
                                     .z = staged.in(z),
                                     .labels = staged.in_bytes(labels.values<int32_t>().data(), labels.bytes()),
                                     .label_type = DType::i32,
                                     .class_weights = static_cast<const float*>(weights_there),
                                     .dz = staged.out(dz),
                                     .scale = {},
                                     .value = reinterpret_cast<SoftDiceValue*>(scratch + value),
                                     .workspace = scratch + work});
  staged.done();
  SoftDiceValue out;
  download(scratch + value, &out, sizeof out);
  return out;
}

// The differences, their norm by the optimiser's kernel, and the differences scaled.
double CudaBackend::squared_error(const Tensor& z, const Tensor& t, Tensor* dz) {
  const int64_t count = z.shape().elements();
  require(count > 0 && t.shape() == z.shape() && (dz == nullptr || dz->shape() == z.shape()), "squared_error: shapes");
  Staged staged(*this);
  ScratchLayout layout;
  const size_t state = layout.add(sizeof(OptimState)), work = layout.add(optim_workspace(count)),
               kept = layout.add(dz == nullptr ? z.bytes() : 0);
  auto* scratch = static_cast<std::byte*>(staged.scratch(layout.bytes()));
  const ConstImage output = staged.in(z);
  Image difference{scratch + kept, DType::f32, output.n, output.h, output.w, output.c, output.c};
  if (dz != nullptr) difference = staged.out(dz);
  kernels_.elementwise->combine(stream_, {.a = output, .b = staged.in(t), .y = difference, .alpha = 1, .beta = -1});
  OptimState norm;
  if (!upload(scratch + state, &norm, sizeof norm)) finish();
  kernels_.optim->prepare(stream_, {.gradient = static_cast<const float*>(difference.data),
                                    .count = count,
                                    .max_norm = 0,
                                    .scaling = {},
                                    .state = reinterpret_cast<OptimState*>(scratch + state),
                                    .workspace = scratch + work});
  const auto N = static_cast<double>(count);
  if (dz != nullptr)
    kernels_.elementwise->combine(stream_, {.a = difference, .b = {}, .y = difference, .alpha = static_cast<float>(2 / N)});
  staged.done();
  download(scratch + state, &norm, sizeof norm);
  return norm.norm * norm.norm / N;
}

void CudaBackend::optim_prepare(const Tensor& gradient, double max_norm, const LossScaling& scaling, OptimState& state) {
  const int64_t count = gradient.shape().elements();
  flat(gradient, count);
  Staged staged(*this);
  kernels_.optim->prepare(stream_, {.gradient = static_cast<const float*>(staged.in(gradient).data),
                                    .count = count,
                                    .max_norm = max_norm,
                                    .scaling = scaling,
                                    .state = static_cast<OptimState*>(staged.inout_bytes(&state, sizeof state)),
                                    .workspace = staged.scratch(optim_workspace(count))});
  staged.done();
}

void CudaBackend::adamw(const AdamW& options, double lr, std::span<const OptimSegment> segments, const OptimState& state,
                        const Tensor& gradient, Tensor& m, Tensor& v, Tensor& p) {
  const OptimStep step{.optimiser = options, .lr = lr, .segments = segments};   // read until done()
  Staged staged(*this);
  launch(staged, step, static_cast<const OptimState*>(staged.in_bytes(&state, sizeof state)), gradient, m, v, p);
  staged.done();
}

void CudaBackend::sgd(const Sgd& options, double lr, std::span<const OptimSegment> segments, const OptimState& state,
                      const Tensor& gradient, Tensor& buffer, Tensor& p) {
  Tensor none;
  const OptimStep step{.optimiser = options, .lr = lr, .segments = segments};   // read until done()
  Staged staged(*this);
  launch(staged, step, static_cast<const OptimState*>(staged.in_bytes(&state, sizeof state)), gradient, buffer, none, p);
  staged.done();
}

// The kernels read skip, step and factor where prepare() left them, so the host need not know those before it asks for
// the update.
void CudaBackend::optim_step(const OptimStep& step, const Tensor& gradient, OptimState& state, Tensor& first,
                             Tensor& second, Tensor& p) {
  const int64_t count = gradient.shape().elements();
  flat(gradient, count);
  Staged staged(*this);
  auto* there = static_cast<OptimState*>(const_cast<void*>(staged.in_bytes(&state, sizeof state)));
  kernels_.optim->prepare(stream_, {.gradient = static_cast<const float*>(staged.in(gradient).data),
                                    .count = count,
                                    .max_norm = step.max_norm,
                                    .scaling = step.scaling,
                                    .state = there,
                                    .workspace = staged.scratch(optim_workspace(count))});
  launch(staged, step, there, gradient, first, second, p);
  if (there != &state) download(there, &state, sizeof state);   // the step's one wait
  staged.done();
}

void CudaBackend::launch(Staged& staged, const OptimStep& step, const OptimState* state, const Tensor& gradient,
                         Tensor& first, Tensor& second, Tensor& p) {
  const int64_t count = p.shape().elements();
  const auto* adamw = std::get_if<AdamW>(&step.optimiser);
  const auto* sgd = std::get_if<Sgd>(&step.optimiser);
  const bool has_first = adamw != nullptr || sgd->momentum != 0;
  flat(gradient, count);
  flat(p, count);
  if (has_first) flat(first, count);
  if (adamw != nullptr) flat(second, count);
  const auto written = [&](Tensor& t) { return static_cast<float*>(staged.out(t, true).data); };
  const OptimBuffers buffers{
      .gradient = static_cast<const float*>(staged.in(gradient).data),
      .parameters = written(p),
      .count = count,
      .segments = static_cast<const OptimSegment*>(staged.in_bytes(step.segments.data(), step.segments.size_bytes())),
      .segment_count = static_cast<int>(step.segments.size()),
      .lr = static_cast<const double*>(staged.in_bytes(&step.lr, sizeof step.lr)),
      .state = state};
  float* moment = has_first ? written(first) : nullptr;
  if (adamw != nullptr)
    kernels_.optim->adamw(stream_, {.options = *adamw, .buffers = buffers, .m = moment, .v = written(second)});
  else
    kernels_.optim->sgd(stream_, {.options = *sgd, .buffers = buffers, .buffer = moment});
}

}  // namespace furrow::gpu
