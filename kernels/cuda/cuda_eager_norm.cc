// Eager batch normalisation, float32.
#include <cmath>

#include "kernels/cuda/staged.h"

namespace furrow::gpu {
namespace {

constexpr const char* kNoVariance = "batch_norm_train: one value per channel has no variance";

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
  check(x, {&gamma, &beta, &saved_mean, &saved_rstd, options.running_mean, options.running_var});
  if (options.shared.peers != nullptr) return batch_norm_train_shared(x, gamma, beta, options, y, saved_mean, saved_rstd);
  require(x.shape().pixels() > 1, kNoVariance);
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

// Statistics go over the host once: the device's, of its own part, in float32; those of all, in double; back to the device.
// With momentum 1 the running statistics of the kernel are those of its batch.
void CudaBackend::batch_norm_train_shared(const Tensor& x, const Tensor& gamma, const Tensor& beta, const BatchNormTrain& options,
                                          Tensor& y, Tensor& saved_mean, Tensor& saved_rstd) {
  const Shape vector = saved_mean.shape();
  const auto channels = static_cast<size_t>(vector.c);
  Tensor local_mean(vector), local_var(vector), unused_mean(vector), unused_rstd(vector);
  if (x.shape().pixels() == 1) {   // of one value the kernel has no variance: it is its mean, and the squares are 0
    Staged staged(*this);
    download(staged.in(x).data, local_mean.values<float>().data(), x.bytes());
  } else {
    Staged staged(*this);
    const ConstImage xi = staged.in(x);
    kernels_.batch_norm->stats(stream_, {.x = xi, .eps = options.eps, .momentum = 1, .mean = floats(staged.out(unused_mean)),
                                         .rstd = floats(staged.out(unused_rstd)),
                                         .running_mean = floats(staged.out(local_mean, true)),
                                         .running_var = floats(staged.out(local_var, true)),
                                         .workspace = static_cast<float*>(staged.scratch(batch_norm_workspace(xi.pixels(), xi.c)))});
    staged.done();
  }
  auto count = static_cast<double>(x.shape().pixels());
  std::vector<double> mean(channels), squares(channels);
  for (size_t c = 0; c < channels; ++c) {
    mean[c] = static_cast<double>(local_mean.values<float>()[c]);
    squares[c] = static_cast<double>(local_var.values<float>()[c]) * (count - 1);   // the kernel's variance is the unbiased one
  }
  share_moments(options.shared, count, mean, squares);
  require(count > 1, kNoVariance);
  Tensor all_mean(vector), all_rstd(vector);
  const double m = options.momentum;
  for (size_t c = 0; c < channels; ++c) {
    all_mean.values<float>()[c] = static_cast<float>(mean[c]);
    all_rstd.values<float>()[c] = static_cast<float>(1 / std::sqrt(squares[c] / count + options.eps));
    if (options.running_mean == nullptr) continue;
    float &running_mean = options.running_mean->values<float>()[c], &running_var = options.running_var->values<float>()[c];
    running_mean = static_cast<float>((1 - m) * static_cast<double>(running_mean) + m * mean[c]);
    running_var = static_cast<float>((1 - m) * static_cast<double>(running_var) + m * (squares[c] / (count - 1)));
  }
  put(all_mean, saved_mean);
  put(all_rstd, saved_rstd);
  Staged staged(*this);
  kernels_.batch_norm->apply(stream_, {.x = staged.in(x), .y = staged.out(y),
                                       .with = {.gamma = floats(staged.in(gamma)), .beta = floats(staged.in(beta)),
                                                .mean = floats(staged.in(saved_mean)), .rstd = floats(staged.in(saved_rstd))}});
  staged.done();
}

void CudaBackend::batch_norm_grad_shared(const Shared& shared, const Tensor& x, const Tensor& gamma, const Tensor& mean,
                                         const Tensor& rstd, const Tensor& dy, Tensor* dx, Tensor* dgamma, Tensor* dbeta, Grad mode) {
  require(shared.peers != nullptr && dy.shape() == x.shape() && (dx == nullptr || dx->shape() == x.shape()),
          "batch_norm_grad_shared: no peers, or shapes");
  check(x, {&gamma, &mean, &rstd, dgamma, dbeta});
  const bool accumulate = mode == Grad::accumulate;
  const auto channels = static_cast<size_t>(x.shape().c);
  Tensor sums({1, 1, 1, 2 * x.shape().c});
  const auto arguments = [&](Staged& staged) {
    return BatchNormGradArgs{.x = staged.in(x), .dy = staged.in(dy),
                             .with = {.gamma = floats(staged.in(gamma)), .mean = floats(staged.in(mean)), .rstd = floats(staged.in(rstd))}};
  };
  {
    Staged staged(*this);
    BatchNormGradArgs args = arguments(staged);
    args.sums = floats(staged.out(sums));
    args.dgamma = floats(staged.out(dgamma, accumulate)), args.dbeta = floats(staged.out(dbeta, accumulate));
    args.accumulate_vectors = accumulate;
    args.workspace = static_cast<float*>(staged.scratch(batch_norm_workspace(args.x.pixels(), args.x.c)));
    kernels_.batch_norm->grad_reduce(stream_, args);
    staged.done();
  }
  const auto own = static_cast<double>(x.shape().pixels());
  const auto values = sums.values<float>();
  std::vector<double> of_dy(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(channels)),
      of_product(values.begin() + static_cast<std::ptrdiff_t>(channels), values.end());
  const double share = own / share_sums(shared, own, of_dy, of_product);   // the kernel divides by its own pixels
  if (dx == nullptr) return;
  for (size_t c = 0; c < channels; ++c) {
    values[c] = static_cast<float>(of_dy[c] * share);
    values[channels + c] = static_cast<float>(of_product[c] * share);
  }
  Staged staged(*this);
  BatchNormGradArgs args = arguments(staged);
  args.sums = const_cast<float*>(floats(staged.in(sums)));   // apply reads them
  args.dx = staged.out(dx, accumulate);
  args.fixed_stats = shared.absent, args.accumulate_dx = accumulate, args.shared_sums = true;
  kernels_.batch_norm->grad_apply(stream_, args);
  staged.done();
}

}  // namespace furrow::gpu
