// Device `cpu`: native float32 kernels for inference, AVX-512, AVX2 or portable chosen at run time.
#pragma once

#include <memory>
#include <string>

#include "kernels/backend.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/steps.h"

namespace furrow::cpu {

// Planned steps run on the blocked buffers of layout.h. The eager operations are there for checking a network layer by
// layer: convolutions go through the same inner loops, the rest are plain loops. It computes no gradients and no batch
// statistics: those throw ErrorCode::unsupported.
class CpuBackend : public Backend {
 public:
  // Throws ErrorCode::device where the CPU lacks `isa`.
  CpuBackend(Isa isa, ThreadPool* pool);
  // With choose_isa(), which reads FURROW_ISA.
  explicit CpuBackend(ThreadPool* pool) : CpuBackend(choose_isa(), pool) {}

  std::string name() const override;  // "cpu (avx512)"
  DType dtype() const override { return DType::f32; }

  void conv2d(const Conv2d& op, Tensor& y) override;
  void conv2d_grad_input(const Conv2dGradInput& op, Tensor* dx0, Tensor* dx1, Grad mode) override;
  void conv2d_grad_weight(const Conv2dGradWeight& op, Tensor& dw, Tensor* db, Grad mode) override;
  void upconv2x2(const Tensor& x, const Tensor& w, const Tensor* b, Tensor& y) override;
  void upconv2x2_grad_input(const Tensor& dy, const Tensor& w, Tensor& dx, Grad mode) override;
  void upconv2x2_grad_weight(const Tensor& x, const Tensor& dy, Tensor& dw, Tensor* db, Grad mode) override;
  void batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const BatchNormStats& stats,
                  Tensor& y) override;
  void batch_norm_train(const Tensor& x, const Tensor& gamma, const Tensor& beta, const BatchNormTrain& options,
                        Tensor& y, Tensor& saved_mean, Tensor& saved_rstd) override;
  void batch_norm_grad(const Tensor& x, const Tensor& gamma, const Tensor& mean, const Tensor& rstd, bool fixed_stats,
                       const Tensor& dy, Tensor* dx, Tensor* dgamma, Tensor* dbeta, Grad mode) override;
  void relu(const Tensor& x, Tensor& y) override;
  void relu_grad(const Tensor& y, const Tensor& dy, Tensor& dx, Grad mode) override;
  void sigmoid(const Tensor& x, Tensor& y) override;
  void sigmoid_grad(const Tensor& y, const Tensor& dy, Tensor& dx, Grad mode) override;
  void add(const Tensor& a, const Tensor& b, Tensor& y) override;
  void dropout(const Tensor& x, const Dropout& draw, Tensor& y, Grad mode) override;
  void max_pool2x2(const Tensor& x, Tensor& y) override;
  void max_pool2x2_grad(const Tensor& x, const Tensor& dy, Tensor& dx, Grad mode) override;
  void upsample_bilinear(const Tensor& x, Tensor& y) override;
  void upsample_bilinear_grad(const Tensor& dy, Tensor& dx, Grad mode) override;
  void pad(const Tensor& x, int64_t top, int64_t left, Tensor& y, Grad mode) override;

  size_t placed_bytes(const Shape& shape) const override;
  void place(const Tensor& dense, const Placed& to) override;
  void unplace(const Placed& from, Tensor& dense) override;
  std::string algorithm(const Step& step) const override;
  size_t workspace_bytes(const Step& step) const override;
  std::unique_ptr<Packed> prepare(const Step& step, const StepWeights& weights) override;
  void run(const Step& step, const Packed* packed, const StepBuffers& buffers) override;

 private:
  // Runs one step on dense tensors: places `x`, prepares, runs, unplaces y.
  void run_dense(const Step& step, const Tensor* const (&x)[2], const StepWeights& weights, Tensor& y);
  // Runs body(begin, end) over [0, elements) in tasks of fixed size.
  template <class Body>
  void split(int64_t elements, const Body& body);

  Isa isa_;
  Machine machine_;
};

}  // namespace furrow::cpu
