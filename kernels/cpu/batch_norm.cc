// Batch normalisation per channel: with given statistics, with those of the batch, and the gradient of both.
//
// Sums over n,h,w run in blocks of fixed size: 64 pixels (of gradients, 32) in float32 while they are in the first
// cache, blocks in double and in order, in tasks and then over tasks. So a tensor is read once for its statistics, and
// bits are the same for any number of threads. Sums over fewer than 49 pixels (kernels/short_sums.h), and the gradients
// that follow from them, are computed in double and rounded once. Values whose sum over a block, or whose deviations'
// squares, are beyond float32's range give NaN or infinite moments.
#include <algorithm>
#include <cmath>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/panels.h"

namespace furrow::cpu {
namespace {

constexpr int64_t kBlockPixels = 64, kGradBlockPixels = 32, kTaskPixels = 1024;

const float* vector_of(const Tensor& t, int64_t channels) {
  require(t.shape() == Shape{1, 1, 1, channels}, "batch_norm: a vector of another length");
  return t.values<float>().data();
}
float* vector_of(Tensor& t, int64_t channels) {
  require(t.shape() == Shape{1, 1, 1, channels}, "batch_norm: a vector of another length");
  return t.values<float>().data();
}

// body(task, first pixel, last pixel + 1) for runs of kTaskPixels pixels.
template <class Body>
void split(ThreadPool* pool, const Shape& s, const Body& body) {
  for_tasks(pool, ceil_div(s.pixels(), kTaskPixels),
            [&](int64_t task, int) { body(task, task * kTaskPixels, std::min((task + 1) * kTaskPixels, s.pixels())); });
}

// Mean and sum of squared deviations of `count` values, per channel.
struct Moments {
  explicit Moments(int64_t channels) : mean(static_cast<size_t>(channels)), squares(mean.size()) {}
  // Joins those of `more` further values. Source: Chan, Golub and LeVeque 1983, "Algorithms for computing the sample
  // variance", equation 2.1.
  void join(double more, const double* its_mean, const double* its_squares) {
    const double both = count + more, share = more / both, weight = count * share;
    for (size_t c = 0; c < mean.size(); ++c) {
      const double difference = its_mean[c] - mean[c];
      mean[c] += difference * share;
      squares[c] += its_squares[c] + difference * difference * weight;
    }
    count = both;
  }
  double count = 0;
  std::vector<double> mean, squares;
};

// Of one block: around its own mean as Real rounds it, corrected by what the deviations from that add up to.
template <class Real>
class BlockMoments {
 public:
  explicit BlockMoments(int64_t channels)
      : c_(channels),
        centre_(static_cast<size_t>(c_)),
        sum_(centre_.size()),
        squares_(centre_.size()),
        mean_(centre_.size()),
        exact_(centre_.size()) {}
  void join_to(Moments& moments, const float* x, int64_t pixels) {
    const auto count = static_cast<Real>(pixels);
    Real *centre = centre_.data(), *sum = sum_.data(), *squares = squares_.data();
    std::fill_n(centre, c_, Real{}), std::fill_n(sum, c_, Real{}), std::fill_n(squares, c_, Real{});
    for (int64_t p = 0; p < pixels; ++p)
      for (int64_t c = 0; c < c_; ++c) centre[c] += static_cast<Real>(x[p * c_ + c]);
    for (int64_t c = 0; c < c_; ++c) centre[c] /= count;
    for (int64_t p = 0; p < pixels; ++p)
      for (int64_t c = 0; c < c_; ++c) {
        const Real d = static_cast<Real>(x[p * c_ + c]) - centre[c];
        sum[c] += d;
        squares[c] += d * d;
      }
    for (int64_t c = 0; c < c_; ++c) {
      const double off = static_cast<double>(sum[c]) / static_cast<double>(pixels);
      mean_[static_cast<size_t>(c)] = static_cast<double>(centre[c]) + off;
      exact_[static_cast<size_t>(c)] = static_cast<double>(squares[c]) - off * static_cast<double>(sum[c]);
    }
    moments.join(static_cast<double>(pixels), mean_.data(), exact_.data());
  }

 private:
  int64_t c_;
  std::vector<Real> centre_, sum_, squares_;
  std::vector<double> mean_, exact_;
};

template <class Real>
Moments moments_of(ThreadPool* pool, const Tensor& x) {
  const Shape& s = x.shape();
  const float* from = x.values<float>().data();
  std::vector<Moments> parts(static_cast<size_t>(ceil_div(s.pixels(), kTaskPixels)), Moments(s.c));
  split(pool, s, [&](int64_t task, int64_t begin, int64_t end) {
    BlockMoments<Real> block(s.c);
    for (int64_t p = begin; p < end; p += kBlockPixels)
      block.join_to(parts[static_cast<size_t>(task)], from + p * s.c, std::min(kBlockPixels, end - p));
  });
  Moments all(s.c);
  for (const Moments& part : parts) all.join(part.count, part.mean.data(), part.squares.data());
  return all;
}

// y = (x - mean) * scale + beta
void normalise(ThreadPool* pool, const Tensor& x, const float* mean, const float* scale, const float* beta, Tensor& y) {
  const Shape& s = x.shape();
  const float* from = x.values<float>().data();
  float* to = y.values<float>().data();
  split(pool, s, [&](int64_t, int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p)
      for (int64_t c = 0; c < s.c; ++c) to[p * s.c + c] = (from[p * s.c + c] - mean[c]) * scale[c] + beta[c];
  });
}

// Sums of dy and of dy * xh.
struct GradientSums {
  std::vector<double> dy, dy_xh;
};
template <class Real>
GradientSums gradient_sums(ThreadPool* pool, const Tensor& x, const float* mean, const float* rstd, const Tensor& dy) {
  const Shape& s = x.shape();
  const auto channels = static_cast<size_t>(s.c);
  const float *from = x.values<float>().data(), *gradient = dy.values<float>().data();
  const int64_t tasks = ceil_div(s.pixels(), kTaskPixels);
  std::vector<double> parts(static_cast<size_t>(2 * tasks * s.c));
  split(pool, s, [&](int64_t task, int64_t begin, int64_t end) {
    std::vector<Real> block(2 * channels);
    Real *sum = block.data(), *product = sum + s.c;
    double* part = parts.data() + 2 * task * s.c;
    for (int64_t p = begin; p < end; p += kGradBlockPixels) {
      std::ranges::fill(block, Real{});
      for (int64_t q = p; q < std::min(p + kGradBlockPixels, end); ++q)
        for (int64_t c = 0; c < s.c; ++c) {
          const auto d = static_cast<Real>(gradient[q * s.c + c]);
          const Real distance = static_cast<Real>(from[q * s.c + c]) - static_cast<Real>(mean[c]);
          sum[c] += d;
          product[c] += d * (distance * static_cast<Real>(rstd[c]));
        }
      for (int64_t c = 0; c < 2 * s.c; ++c) part[c] += static_cast<double>(sum[c]);
    }
  });
  GradientSums sums{std::vector<double>(channels), std::vector<double>(channels)};
  for (size_t task = 0; task < static_cast<size_t>(tasks); ++task)
    for (size_t c = 0; c < channels; ++c) {
      sums.dy[c] += parts[2 * task * channels + c];
      sums.dy_xh[c] += parts[(2 * task + 1) * channels + c];
    }
  return sums;
}

// dx = scale * ((dy - level) - (x - mean) * slope): the formula with what does not depend on the pixel taken out.
template <class Real>
void gradient_of_x(ThreadPool* pool, const Tensor& x, const float* gamma, const float* mean, const float* rstd,
                   bool fixed_stats, const GradientSums& sums, double M, const Tensor& dy, Tensor& dx, Grad mode) {
  const Shape& s = x.shape();
  const auto channels = static_cast<size_t>(s.c);
  std::vector<Real> scale(channels), level(channels), slope(channels), centre(mean, mean + channels);
  for (size_t c = 0; c < channels; ++c) {
    const auto r = static_cast<double>(rstd[c]);
    scale[c] = static_cast<Real>(static_cast<double>(gamma[c]) * r);
    level[c] = fixed_stats ? 0 : static_cast<Real>(sums.dy[c] / M);
    slope[c] = fixed_stats ? 0 : static_cast<Real>(r * sums.dy_xh[c] / M);
  }
  const float *from = x.values<float>().data(), *gradient = dy.values<float>().data();
  float* to = dx.values<float>().data();
  split(pool, s, [&](int64_t, int64_t begin, int64_t end) {
    const Real *a = scale.data(), *b = level.data(), *k = slope.data(), *mu = centre.data();
    for (int64_t p = begin; p < end; ++p) {
      const float *value = from + p * s.c, *g = gradient + p * s.c;
      float* own = to + p * s.c;
      const auto all = [&](auto result, auto keep) {
        for (int64_t c = 0; c < s.c; ++c) keep(own[c], result(c));
      };
      const auto put = [](float& at, Real v) { at = static_cast<float>(v); };
      const auto add = [](float& at, Real v) { at = static_cast<float>(static_cast<Real>(at) + v); };
      const auto alone = [&](int64_t c) { return a[c] * static_cast<Real>(g[c]); };
      const auto centred = [&](int64_t c) {
        return a[c] * ((static_cast<Real>(g[c]) - b[c]) - (static_cast<Real>(value[c]) - mu[c]) * k[c]);
      };
      if (fixed_stats)
        mode == Grad::overwrite ? all(alone, put) : all(alone, add);
      else
        mode == Grad::overwrite ? all(centred, put) : all(centred, add);
    }
  });
}

}  // namespace

void CpuBackend::batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const BatchNormStats& stats,
                            Tensor& y) {
  require(stats.mean != nullptr && stats.var != nullptr && y.shape() == x.shape(), "batch_norm: tensors");
  const int64_t channels = x.shape().c;
  const float *var = vector_of(*stats.var, channels), *factor = vector_of(gamma, channels);
  std::vector<float> scale(static_cast<size_t>(channels));
  for (int64_t c = 0; c < channels; ++c)
    scale[static_cast<size_t>(c)] =
        static_cast<float>(static_cast<double>(factor[c]) / std::sqrt(static_cast<double>(var[c]) + stats.eps));
  normalise(pool_, x, vector_of(*stats.mean, channels), scale.data(), vector_of(beta, channels), y);
}

void CpuBackend::batch_norm_train(const Tensor& x, const Tensor& gamma, const Tensor& beta,
                                  const BatchNormTrain& options, Tensor& y, Tensor& saved_mean, Tensor& saved_rstd) {
  const Shape& s = x.shape();
  require(y.shape() == s, "batch_norm_train: output shape");
  require((options.running_mean == nullptr) == (options.running_var == nullptr),
          "batch_norm_train: one running statistic alone");
  const float* factor = vector_of(gamma, s.c);
  float *mean = vector_of(saved_mean, s.c), *rstd = vector_of(saved_rstd, s.c);
  Moments moments = is_short_sum(s.pixels()) ? moments_of<double>(pool_, x) : moments_of<float>(pool_, x);
  if (options.shared.peers != nullptr) share_moments(options.shared, moments.count, moments.mean, moments.squares);
  const double M = moments.count;
  require(M > 1, "batch_norm_train: one value per channel has no variance");
  std::vector<float> scale(moments.mean.size());
  for (size_t c = 0; c < scale.size(); ++c) {
    const double r = 1 / std::sqrt(moments.squares[c] / M + options.eps);
    mean[c] = static_cast<float>(moments.mean[c]);
    rstd[c] = static_cast<float>(r);
    scale[c] = static_cast<float>(static_cast<double>(factor[c]) * r);
  }
  normalise(pool_, x, mean, scale.data(), vector_of(beta, s.c), y);

  if (options.running_mean == nullptr) return;
  float *running_mean = vector_of(*options.running_mean, s.c), *running_var = vector_of(*options.running_var, s.c);
  const double m = options.momentum;
  for (size_t c = 0; c < scale.size(); ++c) {
    running_mean[c] = static_cast<float>((1 - m) * static_cast<double>(running_mean[c]) + m * moments.mean[c]);
    running_var[c] =
        static_cast<float>((1 - m) * static_cast<double>(running_var[c]) + m * (moments.squares[c] / (M - 1)));
  }
}

void CpuBackend::batch_norm_grad_of(const Shared& shared, const Tensor& x, const Tensor& gamma, const Tensor& mean,
                                    const Tensor& rstd, bool fixed_stats, const Tensor& dy, Tensor* dx, Tensor* dgamma,
                                    Tensor* dbeta, Grad mode) {
  const Shape& s = x.shape();
  require(dy.shape() == s && (dx == nullptr || dx->shape() == s), "batch_norm_grad: shapes");
  auto M = static_cast<double>(s.pixels());
  const float *factor = vector_of(gamma, s.c), *mu = vector_of(mean, s.c), *r = vector_of(rstd, s.c);
  const auto channels = static_cast<size_t>(s.c);
  GradientSums sums{std::vector<double>(channels), std::vector<double>(channels)};
  const bool in_double = is_short_sum(s.pixels());
  if (!fixed_stats || dgamma != nullptr || dbeta != nullptr)
    sums = (in_double ? gradient_sums<double> : gradient_sums<float>)(pool_, x, mu, r, dy);
  const auto store_sums = [&](const std::vector<double>& from, Tensor* to) {
    if (to == nullptr) return;
    float* at = vector_of(*to, s.c);
    for (size_t c = 0; c < channels; ++c)
      at[c] = static_cast<float>(mode == Grad::accumulate ? static_cast<double>(at[c]) + from[c] : from[c]);
  };
  store_sums(sums.dy_xh, dgamma), store_sums(sums.dy, dbeta);
  if (shared.peers != nullptr) M = share_sums(shared, M, sums.dy, sums.dy_xh);
  if (dx == nullptr) return;
  if (shared.absent) fixed_stats = true;
  (in_double ? gradient_of_x<double> : gradient_of_x<float>)(pool_, x, factor, mu, r, fixed_stats, sums, M, dy, *dx,
                                                             mode);
}

void CpuBackend::batch_norm_grad(const Tensor& x, const Tensor& gamma, const Tensor& mean, const Tensor& rstd,
                                 bool fixed_stats, const Tensor& dy, Tensor* dx, Tensor* dgamma, Tensor* dbeta,
                                 Grad mode) {
  batch_norm_grad_of({}, x, gamma, mean, rstd, fixed_stats, dy, dx, dgamma, dbeta, mode);
}

void CpuBackend::batch_norm_grad_shared(const Shared& shared, const Tensor& x, const Tensor& gamma, const Tensor& mean,
                                        const Tensor& rstd, const Tensor& dy, Tensor* dx, Tensor* dgamma, Tensor* dbeta,
                                        Grad mode) {
  require(shared.peers != nullptr, "batch_norm_grad_shared: no peers");
  batch_norm_grad_of(shared, x, gamma, mean, rstd, false, dy, dx, dgamma, dbeta, mode);
}

}  // namespace furrow::cpu
