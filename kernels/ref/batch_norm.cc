// Batch normalisation per channel: with given statistics, with those of the batch, and the gradient of both.
// Sums over n,h,w run in one thread, in memory order: simple, and the same bits for any pool.
#include <cmath>

#include "kernels/ref/loops.h"
#include "kernels/ref/ref_backend.h"

namespace furrow {
namespace {

const double* vector_of(const Tensor& t, int64_t channels) {
  require(t.shape() == ref::vector_shape(channels), "batch_norm: a vector of another length");
  return t.values<double>().data();
}
double* vector_of(Tensor& t, int64_t channels) {
  require(t.shape() == ref::vector_shape(channels), "batch_norm: a vector of another length");
  return t.values<double>().data();
}

// Calls body(offset of the first element, channel count) for every pixel, rows shared out over the pool.
template <class Body>
void for_each_pixel(ThreadPool* pool, const Shape& s, const Body& body) {
  parallel_for(pool, s.n * s.h, [&](int64_t row, int) {
    for (int64_t w = 0; w < s.w; ++w) body((row * s.w + w) * s.c);
  });
}

// y = gamma * (x - mean) * rstd + beta
struct Normaliser {
  const double *gamma, *beta, *mean, *rstd;
  void run(ThreadPool* pool, const Tensor& x, Tensor& y) const {
    const Shape& s = x.shape();
    const double* from = x.values<double>().data();
    double* to = y.values<double>().data();
    for_each_pixel(pool, s, [&](int64_t at) {
      for (int64_t c = 0; c < s.c; ++c) to[at + c] = gamma[c] * ((from[at + c] - mean[c]) * rstd[c]) + beta[c];
    });
  }
};

}  // namespace

void RefBackend::batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const BatchNormStats& stats,
                            Tensor& y) {
  require(stats.mean != nullptr && stats.var != nullptr && y.shape() == x.shape(), "batch_norm: tensors");
  const int64_t C = x.shape().c;
  const double* var = vector_of(*stats.var, C);
  std::vector<double> rstd(static_cast<size_t>(C));
  for (int64_t c = 0; c < C; ++c) rstd[static_cast<size_t>(c)] = 1 / std::sqrt(var[c] + stats.eps);
  Normaliser{vector_of(gamma, C), vector_of(beta, C), vector_of(*stats.mean, C), rstd.data()}.run(pool_, x, y);
}

void RefBackend::batch_norm_train(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                  const BatchNormTrain& options, Tensor& y, Tensor& saved_mean, Tensor& saved_rstd) {
  const Shape& s = x.shape();
  require(y.shape() == s, "batch_norm_train: output shape");
  require((options.running_mean == nullptr) == (options.running_var == nullptr),
          "batch_norm_train: one running statistic alone");
  auto M = static_cast<double>(s.pixels());
  const auto C = static_cast<size_t>(s.c);
  double* mean = vector_of(saved_mean, s.c);
  double* rstd = vector_of(saved_rstd, s.c);
  const auto from = x.values<double>();

  // Two passes: the variance around the mean already known, so that a large mean costs no digits.
  std::vector<double> sum(C), squares(C);
  for (size_t i = 0; i < from.size(); ++i) sum[i % C] += from[i];
  for (size_t c = 0; c < C; ++c) mean[c] = sum[c] / M;
  for (size_t i = 0; i < from.size(); ++i) squares[i % C] += (from[i] - mean[i % C]) * (from[i] - mean[i % C]);
  if (options.shared.peers != nullptr) share_moments(options.shared, M, std::span(mean, C), squares);
  require(M > 1, "batch_norm_train: one value per channel has no variance");
  for (size_t c = 0; c < C; ++c) rstd[c] = 1 / std::sqrt(squares[c] / M + options.eps);
  Normaliser{vector_of(gamma, s.c), vector_of(beta, s.c), mean, rstd}.run(pool_, x, y);

  if (options.running_mean == nullptr) return;
  double* running_mean = vector_of(*options.running_mean, s.c);
  double* running_var = vector_of(*options.running_var, s.c);
  const double m = options.momentum;
  for (size_t c = 0; c < C; ++c) {
    running_mean[c] = (1 - m) * running_mean[c] + m * mean[c];
    running_var[c] = (1 - m) * running_var[c] + m * (squares[c] / (M - 1));
  }
}

void RefBackend::batch_norm_grad_of(const Shared& shared, const Tensor& x, const Tensor& gamma, const Tensor& mean,
                                    const Tensor& rstd, bool fixed_stats, const Tensor& dy, Tensor* dx, Tensor* dgamma,
                                    Tensor* dbeta, Grad mode) {
  const Shape& s = x.shape();
  require(dy.shape() == s && (dx == nullptr || dx->shape() == s), "batch_norm_grad: shapes");
  auto M = static_cast<double>(s.pixels());
  const auto C = static_cast<size_t>(s.c);
  const double *scale = vector_of(gamma, s.c), *mu = vector_of(mean, s.c), *r = vector_of(rstd, s.c);
  const auto from = x.values<double>(), gradient = dy.values<double>();

  std::vector<double> sum_dy(C), sum_dy_xh(C);
  for (size_t i = 0; i < from.size(); ++i) {
    const size_t c = i % C;
    sum_dy[c] += gradient[i];
    sum_dy_xh[c] += gradient[i] * ((from[i] - mu[c]) * r[c]);
  }
  if (dgamma != nullptr) ref::store(vector_of(*dgamma, s.c), sum_dy_xh.data(), s.c, mode);
  if (dbeta != nullptr) ref::store(vector_of(*dbeta, s.c), sum_dy.data(), s.c, mode);
  if (shared.peers != nullptr) M = share_sums(shared, M, sum_dy, sum_dy_xh);
  if (dx == nullptr) return;
  if (shared.absent) fixed_stats = true;

  double* to = dx->values<double>().data();
  for_each_pixel(pool_, s, [&](int64_t at) {
    for (size_t c = 0; c < C; ++c) {
      const size_t i = static_cast<size_t>(at) + c;
      const double xh = (from[i] - mu[c]) * r[c];
      const double centred = fixed_stats ? gradient[i] : gradient[i] - sum_dy[c] / M - xh * sum_dy_xh[c] / M;
      ref::store(to[i], scale[c] * r[c] * centred, mode);
    }
  });
}

void RefBackend::batch_norm_grad(const Tensor& x, const Tensor& gamma, const Tensor& mean, const Tensor& rstd,
                                 bool fixed_stats, const Tensor& dy, Tensor* dx, Tensor* dgamma, Tensor* dbeta,
                                 Grad mode) {
  batch_norm_grad_of({}, x, gamma, mean, rstd, fixed_stats, dy, dx, dgamma, dbeta, mode);
}

void RefBackend::batch_norm_grad_shared(const Shared& shared, const Tensor& x, const Tensor& gamma, const Tensor& mean,
                                        const Tensor& rstd, const Tensor& dy, Tensor* dx, Tensor* dgamma, Tensor* dbeta,
                                        Grad mode) {
  require(shared.peers != nullptr, "batch_norm_grad_shared: no peers");
  batch_norm_grad_of(shared, x, gamma, mean, rstd, false, dy, dx, dgamma, dbeta, mode);
}

}  // namespace furrow
