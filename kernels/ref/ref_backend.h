// RefBackend: float64 and naive loops; the meaning of every operation, which the fast back-ends are held against.
//
// Read it beside kernels/backend.h: one file per family, one function per formula, indices named as in the formula.
// Every value is computed by one task in one fixed order, so the bits are the same for any number of threads.
// Outputs may not overlap inputs, except where an operation is elementwise.
#pragma once

#include "kernels/backend.h"

namespace furrow {

class RefBackend : public Backend {
 public:
  using Backend::Backend;
  std::string name() const override { return "ref"; }
  DType dtype() const override { return DType::f64; }

  // conv.cc
  void conv2d(const Conv2d& op, Tensor& y) override;
  void conv2d_grad_input(const Conv2dGradInput& op, Tensor* dx0, Tensor* dx1, Grad mode) override;
  void conv2d_grad_weight(const Conv2dGradWeight& op, Tensor& dw, Tensor* db, Grad mode) override;

  // upconv.cc
  void upconv2x2(const Tensor& x, const Tensor& w, const Tensor* b, Tensor& y) override;
  void upconv2x2_grad_input(const Tensor& dy, const Tensor& w, Tensor& dx, Grad mode) override;
  void upconv2x2_grad_weight(const Tensor& x, const Tensor& dy, Tensor& dw, Tensor* db, Grad mode) override;

  // batch_norm.cc
  void batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const BatchNormStats& stats,
                  Tensor& y) override;
  void batch_norm_train(const Tensor& x, const Tensor& gamma, const Tensor& beta, const BatchNormTrain& options,
                        Tensor& y, Tensor& saved_mean, Tensor& saved_rstd) override;
  void batch_norm_grad(const Tensor& x, const Tensor& gamma, const Tensor& mean, const Tensor& rstd, bool fixed_stats,
                       const Tensor& dy, Tensor* dx, Tensor* dgamma, Tensor* dbeta, Grad mode) override;
  void batch_norm_grad_shared(const Shared& shared, const Tensor& x, const Tensor& gamma, const Tensor& mean,
                              const Tensor& rstd, const Tensor& dy, Tensor* dx, Tensor* dgamma, Tensor* dbeta,
                              Grad mode) override;

  // elementwise.cc
  void relu(const Tensor& x, Tensor& y) override;
  void relu_grad(const Tensor& y, const Tensor& dy, Tensor& dx, Grad mode) override;
  void sigmoid(const Tensor& x, Tensor& y) override;
  void sigmoid_grad(const Tensor& y, const Tensor& dy, Tensor& dx, Grad mode) override;
  void add(const Tensor& a, const Tensor& b, Tensor& y) override;
  void gate(const Tensor& x, const Tensor& z, Tensor& y) override;
  void gate_grad(const Tensor& x, const Tensor& z, const Tensor& dy, Tensor* dx, Tensor* dz, Grad mode) override;
  void dropout(const Tensor& x, const Dropout& draw, Tensor& y, Grad mode) override;

  // channels.cc
  void channel_gate(const Tensor& x, const Tensor& z, Tensor& y) override;
  void channel_gate_grad(const Tensor& x, const Tensor& z, const Tensor& dy, Tensor* dx, Tensor* dz,
                         Grad mode) override;
  void global_mean(const Tensor& x, Tensor& y) override;
  void global_mean_grad(const Tensor& dy, Tensor& dx, Grad mode) override;

  // resample.cc
  void max_pool2x2(const Tensor& x, Tensor& y) override;
  void max_pool2x2_grad(const Tensor& x, const Tensor& dy, Tensor& dx, Grad mode) override;
  void max_pool3x3(const Tensor& x, Tensor& y) override;
  void max_pool3x3_grad(const Tensor& x, const Tensor& dy, Tensor& dx, Grad mode) override;
  void upsample_bilinear(const Tensor& x, Tensor& y) override;
  void upsample_bilinear_grad(const Tensor& dy, Tensor& dx, Grad mode) override;
  void upsample_nearest(const Tensor& x, Tensor& y) override;
  void upsample_nearest_grad(const Tensor& dy, Tensor& dx, Grad mode) override;
  void pad(const Tensor& x, int64_t top, int64_t left, Tensor& y, Grad mode) override;

  // training.cc: losses.h and optim.h, in one thread each
  DiceFocalValue dice_focal(const DiceFocal& form, const Tensor& z, const Tensor& t, Tensor* dz) override;
  CrossEntropyValue cross_entropy(const CrossEntropy& form, const Tensor& z, const Tensor& labels, Tensor* dz) override;
  SoftDiceValue soft_dice(const SoftDice& form, const Tensor& z, const Tensor& labels, Tensor* dz) override;
  double squared_error(const Tensor& z, const Tensor& t, Tensor* dz) override;
  void optim_prepare(const Tensor& gradient, double max_norm, const LossScaling& scaling, OptimState& state) override;
  void adamw(const AdamW& options, double lr, std::span<const OptimSegment> segments, const OptimState& state,
             const Tensor& gradient, Tensor& m, Tensor& v, Tensor& p) override;
  void sgd(const Sgd& options, double lr, std::span<const OptimSegment> segments, const OptimState& state,
           const Tensor& gradient, Tensor& buffer, Tensor& p) override;

 private:
  void batch_norm_grad_of(const Shared& shared, const Tensor& x, const Tensor& gamma, const Tensor& mean,
                          const Tensor& rstd, bool fixed_stats, const Tensor& dy, Tensor* dx, Tensor* dgamma,
                          Tensor* dbeta, Grad mode);
};

}  // namespace furrow
