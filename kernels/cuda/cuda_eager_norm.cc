// Eager batch normalisation, float32.
#include "kernels/cuda/staged.h"

namespace furrow::gpu {
namespace {

const float* floats(const ConstImage& image) { return static_cast<const float*>(image.data); }
float* floats(const Image& image) { return static_cast<float*>(image.data); }

void check(const Tensor& x, std::initializer_list<const Tensor*> vectors) {
  for (const Tensor* v : vectors)
    require(v == nullptr || v->shape() == Shape{1, 1, 1, x.shape().c}, "batch_norm: one value per channel");
}

}  // namespace

void CudaBackend::batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const BatchNormStats& stats, Tensor& y) {
  require(stats.mean != nullptr && stats.var != nullptr && y.shape() == x.shape(), "batch_norm: statistics or shape of y");
  check(x, {&gamma, &beta, stats.mean, stats.var});
  Staged staged(*this);
  kernels_.batch_norm->apply(stream_, {.x = staged.in(x), .y = staged.out(y),
                                       .with = {.gamma = floats(staged.in(gamma)), .beta = floats(staged.in(beta)),
                                                .mean = floats(staged.in(stats.mean)), .var = floats(staged.in(stats.var)),
                                                .eps = stats.eps}});
  staged.done();
}

void CudaBackend::batch_norm_train(const Tensor& x, const Tensor& gamma, const Tensor& beta, const BatchNormTrain& options,
                                   Tensor& y, Tensor& saved_mean, Tensor& saved_rstd) {
  require(y.shape() == x.shape() && (options.running_mean == nullptr) == (options.running_var == nullptr),
          "batch_norm_train: shape of y, or one running statistic without the other");
  require(x.shape().pixels() > 1, "batch_norm_train: one value per channel has no variance");
  check(x, {&gamma, &beta, &saved_mean, &saved_rstd, options.running_mean, options.running_var});
  Staged staged(*this);
  const ConstImage xi = staged.in(x);
  float *mean = floats(staged.out(saved_mean)), *rstd = floats(staged.out(saved_rstd));
  kernels_.batch_norm->stats(stream_, {.x = xi, .eps = options.eps, .momentum = options.momentum, .mean = mean, .rstd = rstd,
                                       .running_mean = floats(staged.out(options.running_mean, true)),
                                       .running_var = floats(staged.out(options.running_var, true)),
                                       .workspace = static_cast<float*>(staged.scratch(batch_norm_workspace(xi.pixels(), xi.c)))});
  kernels_.batch_norm->apply(stream_, {.x = xi, .y = staged.out(y),
                                       .with = {.gamma = floats(staged.in(gamma)), .beta = floats(staged.in(beta)),
                                                .mean = mean, .rstd = rstd}});
  staged.done();
}

void CudaBackend::batch_norm_grad(const Tensor& x, const Tensor& gamma, const Tensor& mean, const Tensor& rstd, bool fixed_stats,
                                  const Tensor& dy, Tensor* dx, Tensor* dgamma, Tensor* dbeta, Grad mode) {
  require(dy.shape() == x.shape() && (dx == nullptr || dx->shape() == x.shape()), "batch_norm_grad: shapes");
  check(x, {&gamma, &mean, &rstd, dgamma, dbeta});
  const bool accumulate = mode == Grad::accumulate;
  Staged staged(*this);
  const ConstImage xi = staged.in(x);
  const size_t workspace = batch_norm_workspace(xi.pixels(), xi.c), sums = 2 * sizeof(float) * static_cast<size_t>(xi.c);
  auto* scratch = static_cast<std::byte*>(staged.scratch(workspace + sums));
  BatchNormGradArgs args{.x = xi, .dy = staged.in(dy),
                         .with = {.gamma = floats(staged.in(gamma)), .mean = floats(staged.in(mean)), .rstd = floats(staged.in(rstd))},
                         .sums = reinterpret_cast<float*>(scratch + workspace),
                         .dgamma = floats(staged.out(dgamma, accumulate)), .dbeta = floats(staged.out(dbeta, accumulate)),
                         .accumulate_vectors = accumulate, .workspace = reinterpret_cast<float*>(scratch),
                         .dx = staged.out(dx, accumulate), .fixed_stats = fixed_stats, .accumulate_dx = accumulate};
  if (dgamma != nullptr || dbeta != nullptr || !fixed_stats) kernels_.batch_norm->grad_reduce(stream_, args);
  if (dx != nullptr) kernels_.batch_norm->grad_apply(stream_, args);
  staged.done();
}

}  // namespace furrow::gpu
