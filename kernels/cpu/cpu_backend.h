// Device `cpu`: native float32 kernels for inference and training, AVX-512, AVX2 or portable chosen at run time.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "kernels/backend.h"
#include "kernels/cpu/isa.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/steps.h"
#include "kernels/device.h"

namespace furrow::cpu {

// Planned steps, for inference, run on the blocked buffers of layout.h. The eager operations and their gradients, which
// training is made of, run on dense NHWC tensors: convolutions as products of panel matrices (eager_conv.h), everything
// else as plain loops. Either way bits depend on inputs and instruction set, not on the number of threads. The eager
// operations share one scratch memory, kept from call to call; from several threads they take turns.
class CpuBackend : public Backend {
 public:
  // Throws ErrorCode::device where the CPU lacks `isa`.
  CpuBackend(Isa isa, ThreadPool* pool, MemoryClass memory = MemoryClass::normal);
  // With choose_isa(), which reads FURROW_ISA.
  explicit CpuBackend(ThreadPool* pool, MemoryClass memory = MemoryClass::normal)
      : CpuBackend(choose_isa(), pool, memory) {}

  std::string name() const override;  // "cpu (avx512)"
  DType dtype() const override { return DType::f32; }

  // eager_conv.cc
  void conv2d(const Conv2d& op, Tensor& y) override;
  void conv2d_grad_input(const Conv2dGradInput& op, Tensor* dx0, Tensor* dx1, Grad mode) override;
  void conv2d_grad_weight(const Conv2dGradWeight& op, Tensor& dw, Tensor* db, Grad mode) override;
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
  void dropout(const Tensor& x, const Dropout& draw, Tensor& y, Grad mode) override;
  // gate.cc
  void gate(const Tensor& x, const Tensor& z, Tensor& y) override;
  void gate_grad(const Tensor& x, const Tensor& z, const Tensor& dy, Tensor* dx, Tensor* dz, Grad mode) override;
  // channels.cc
  void channel_gate(const Tensor& x, const Tensor& z, Tensor& y) override;
  void channel_gate_grad(const Tensor& x, const Tensor& z, const Tensor& dy, Tensor* dx, Tensor* dz,
                         Grad mode) override;
  void global_mean(const Tensor& x, Tensor& y) override;
  void global_mean_grad(const Tensor& dy, Tensor& dx, Grad mode) override;
  // nearest.cc
  void upsample_nearest(const Tensor& x, Tensor& y) override;
  void upsample_nearest_grad(const Tensor& dy, Tensor& dx, Grad mode) override;
  // pool3x3.cc
  void max_pool3x3(const Tensor& x, Tensor& y) override;
  void max_pool3x3_grad(const Tensor& x, const Tensor& dy, Tensor& dx, Grad mode) override;
  // eager_resample.cc
  void max_pool2x2(const Tensor& x, Tensor& y) override;
  void max_pool2x2_grad(const Tensor& x, const Tensor& dy, Tensor& dx, Grad mode) override;
  void upsample_bilinear(const Tensor& x, Tensor& y) override;
  void upsample_bilinear_grad(const Tensor& dy, Tensor& dx, Grad mode) override;
  void pad(const Tensor& x, int64_t top, int64_t left, Tensor& y, Grad mode) override;

  // losses.cc, soft_dice.cc
  DiceFocalValue dice_focal(const DiceFocal& form, const Tensor& z, const Tensor& t, Tensor* dz) override;
  CrossEntropyValue cross_entropy(const CrossEntropy& form, const Tensor& z, const Tensor& labels, Tensor* dz) override;
  SoftDiceValue soft_dice(const SoftDice& form, const Tensor& z, const Tensor& labels, Tensor* dz) override;
  double squared_error(const Tensor& z, const Tensor& t, Tensor* dz) override;

  // optim.cc
  void optim_prepare(const Tensor& gradient, double max_norm, const LossScaling& scaling, OptimState& state) override;
  void adamw(const AdamW& options, double lr, std::span<const OptimSegment> segments, const OptimState& state,
             const Tensor& gradient, Tensor& m, Tensor& v, Tensor& p) override;
  void sgd(const Sgd& options, double lr, std::span<const OptimSegment> segments, const OptimState& state,
           const Tensor& gradient, Tensor& buffer, Tensor& p) override;

  // cpu_backend.cc
  size_t placed_bytes(const Shape& shape) const override;
  bool has_bytes() const override { return true; }
  size_t placed_bytes_of_bytes(const Shape& shape) const override;
  void place(const Tensor& dense, const Placed& to) override;
  void unplace(const Placed& from, Tensor& dense) override;
  void place_pixels(const uint8_t* pixels, const Tensor& values, std::byte* workspace, const Placed& to) override;
  size_t place_pixels_bytes(const Shape&) const override { return 0; }
  std::string algorithm(const Step& step) const override;
  size_t workspace_bytes(const Step& step) const override;
  size_t packed_bytes(const Step& step) const override;
  std::unique_ptr<Packed> prepare(const Step& step, const StepWeights& weights) override;
  void run(const Step& step, const Packed* packed, const StepBuffers& buffers) override;
  size_t scratch_bytes(const std::function<void(Backend&)>& calls) const override;
  size_t scratch_held() const { return scratch_.held_bytes(); }  // what eager operations have come to so far

 private:
  void batch_norm_grad_of(const Shared& shared, const Tensor& x, const Tensor& gamma, const Tensor& mean,
                          const Tensor& rstd, bool fixed_stats, const Tensor& dy, Tensor* dx, Tensor* dgamma,
                          Tensor* dbeta, Grad mode);
  void grad_bias(const Tensor& dy, Tensor& db, Grad mode);

  Isa isa_;
  MemoryClass memory_;
  Machine machine_;
  const LossKernels* losses_;
  Scratch scratch_;
};

}  // namespace furrow::cpu
