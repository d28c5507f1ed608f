// CudaBackend: the Backend page on the CUDA kernels, on a GPU or on the emulator.
//
// One class serves both devices: it is given a Runtime (memory, copies, streams) and a KernelApi (launch functions). What
// it adds is bookkeeping: which kernel, which buffer, which shape. Eager operations compute in float32 on dense tensors;
// planned steps in the precision asked for, on images whose pixels start on 16 bytes (kernels/cuda/image.h).
#pragma once

#include <map>
#include <memory>
#include <string>

#include "kernels/backend.h"
#include "kernels/cuda/api.h"
#include "kernels/cuda/image.h"
#include "kernels/cuda/kept_memory.h"
#include "kernels/cuda/runtime.h"
#include "kernels/device.h"

namespace furrow::gpu {

class Staged;

// Device memory of one owner; null where `bytes` was 0.
std::shared_ptr<void> allocate_shared(const std::shared_ptr<Runtime>& runtime, size_t bytes);

class CudaBackend : public Backend {
 public:
  CudaBackend(std::unique_ptr<Runtime> runtime, const KernelApi& kernels, Precision precision);
  ~CudaBackend() override;
  std::string name() const override;   // "cpu-emulated (fp16)", "cuda (NVIDIA H200, sm_90; fp16)"
  DType dtype() const override { return DType::f32; }
  Precision precision() const { return precision_; }

  // -- eager operations: dense float32 tensors in device memory (an arena of reserve()) or in host memory. Host tensors
  //    are copied to the device and back for each operation, except on the emulator, where both are the same memory. An
  //    operation that writes device tensors alone does not wait, wherever it reads from (Staged).
  // cuda_eager_conv.cc: fp32; cuda_eager_mma.cc: the other precisions
  void conv2d(const Conv2d& op, Tensor& y) override;
  void conv2d_grad_input(const Conv2dGradInput& op, Tensor* dx0, Tensor* dx1, Grad mode) override;
  void conv2d_grad_weight(const Conv2dGradWeight& op, Tensor& dw, Tensor* db, Grad mode) override;
  void upconv2x2(const Tensor& x, const Tensor& w, const Tensor* b, Tensor& y) override;
  void upconv2x2_grad_input(const Tensor& dy, const Tensor& w, Tensor& dx, Grad mode) override;
  void upconv2x2_grad_weight(const Tensor& x, const Tensor& dy, Tensor& dw, Tensor* db, Grad mode) override;
  // cuda_eager_norm.cc
  void batch_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, const BatchNormStats& stats, Tensor& y) override;
  void batch_norm_train(const Tensor& x, const Tensor& gamma, const Tensor& beta, const BatchNormTrain& options, Tensor& y,
                        Tensor& saved_mean, Tensor& saved_rstd) override;
  void batch_norm_grad(const Tensor& x, const Tensor& gamma, const Tensor& mean, const Tensor& rstd, bool fixed_stats,
                       const Tensor& dy, Tensor* dx, Tensor* dgamma, Tensor* dbeta, Grad mode) override;
  void batch_norm_grad_shared(const Shared& shared, const Tensor& x, const Tensor& gamma, const Tensor& mean,
                              const Tensor& rstd, const Tensor& dy, Tensor* dx, Tensor* dgamma, Tensor* dbeta,
                              Grad mode) override;
  // cuda_eager_other.cc
  void relu(const Tensor& x, Tensor& y) override;
  void relu_grad(const Tensor& y, const Tensor& dy, Tensor& dx, Grad mode) override;
  void sigmoid(const Tensor& x, Tensor& y) override;
  void sigmoid_grad(const Tensor& y, const Tensor& dy, Tensor& dx, Grad mode) override;
  void add(const Tensor& a, const Tensor& b, Tensor& y) override;
  void gate(const Tensor& x, const Tensor& z, Tensor& y) override;
  void gate_grad(const Tensor& x, const Tensor& z, const Tensor& dy, Tensor* dx, Tensor* dz, Grad mode) override;
  void channel_gate(const Tensor& x, const Tensor& z, Tensor& y) override;
  void channel_gate_grad(const Tensor& x, const Tensor& z, const Tensor& dy, Tensor* dx, Tensor* dz, Grad mode) override;
  void dropout(const Tensor& x, const Dropout& draw, Tensor& y, Grad mode) override;
  void max_pool2x2(const Tensor& x, Tensor& y) override;
  void max_pool2x2_grad(const Tensor& x, const Tensor& dy, Tensor& dx, Grad mode) override;
  void max_pool3x3(const Tensor& x, Tensor& y) override;
  void max_pool3x3_grad(const Tensor& x, const Tensor& dy, Tensor& dx, Grad mode) override;
  void upsample_bilinear(const Tensor& x, Tensor& y) override;
  void upsample_bilinear_grad(const Tensor& dy, Tensor& dx, Grad mode) override;
  void upsample_nearest(const Tensor& x, Tensor& y) override;
  void upsample_nearest_grad(const Tensor& dy, Tensor& dx, Grad mode) override;
  void global_mean(const Tensor& x, Tensor& y) override;
  void global_mean_grad(const Tensor& dy, Tensor& dx, Grad mode) override;
  void pad(const Tensor& x, int64_t top, int64_t left, Tensor& y, Grad mode) override;
  void zero(Tensor& t) override;
  void scale(Tensor& t, double factor) override;
  // cuda_eager_training.cc: losses and optim_prepare wait for their value; optim_step once, for the state
  DiceFocalValue dice_focal(const DiceFocal& form, const Tensor& z, const Tensor& t, Tensor* dz) override;
  CrossEntropyValue cross_entropy(const CrossEntropy& form, const Tensor& z, const Tensor& labels, Tensor* dz) override;
  SoftDiceValue soft_dice(const SoftDice& form, const Tensor& z, const Tensor& labels, Tensor* dz) override;
  double squared_error(const Tensor& z, const Tensor& t, Tensor* dz) override;
  void optim_prepare(const Tensor& gradient, double max_norm, const LossScaling& scaling, OptimState& state) override;
  void adamw(const AdamW& options, double lr, std::span<const OptimSegment> segments, const OptimState& state,
             const Tensor& gradient, Tensor& m, Tensor& v, Tensor& p) override;
  void sgd(const Sgd& options, double lr, std::span<const OptimSegment> segments, const OptimState& state,
           const Tensor& gradient, Tensor& buffer, Tensor& p) override;
  void optim_step(const OptimStep& step, const Tensor& gradient, OptimState& state, Tensor& first, Tensor& second,
                  Tensor& p) override;

  // -- planned inference: cuda_planned.cc
  size_t placed_bytes(const Shape& shape) const override;
  void place(const Tensor& dense, const Placed& to) override;
  void unplace(const Placed& from, Tensor& dense) override;
  void place_pixels(const uint8_t* pixels, const Tensor& values, std::byte* workspace, const Placed& to) override;
  size_t place_pixels_bytes(const Shape& shape) const override;
  std::string algorithm(const Step& step) const override;
  size_t workspace_bytes(const Step& step) const override;
  std::unique_ptr<Packed> prepare(const Step& step, const StepWeights& weights) override;
  void run(const Step& step, const Packed* packed, const StepBuffers& buffers) override;

  // -- memory and time: cuda_backend.cc
  bool in_host_memory() const override { return runtime_->emulated(); }
  Arena reserve(size_t bytes) override;
  void fetch(const Tensor& from, Tensor& to) override;
  void start_fetch(const Tensor& from, Tensor& to) override;
  Arena reserve_host(size_t bytes) override;   // pinned
  void put(const Tensor& from, Tensor& to) override;
  void finish() override;
  Stream stream() const { return stream_; }
  std::unique_ptr<Recorded> record(const std::function<void()>& work) override;

 protected:   // for VendorBackend
  // Eager convolutions with narrow operands, by EagerMma; false where they stay with the fp32 kernels, and nothing was
  // computed then.
  virtual bool narrow_conv(Staged& staged, const ConvForward& args, const float* w);
  virtual bool narrow_grad_input(Staged& staged, const ConvGradInput& args);
  virtual bool narrow_grad_weight(Staged& staged, const ConvGradWeight& args);
  void batch_norm_train_shared(const Tensor& x, const Tensor& gamma, const Tensor& beta, const BatchNormTrain& options, Tensor& y,
                               Tensor& saved_mean, Tensor& saved_rstd);
  void launch(Staged& staged, const OptimStep& step, const OptimState* state, const Tensor& gradient, Tensor& first,
              Tensor& second, Tensor& p);   // the update alone; `state` in device memory
  friend class Staged;
  friend class EagerMma;
  bool on_device(const void* memory) const;   // inside an arena of reserve()
  // Memory for the time until the next call of the same slot; grows, never shrinks. The pinned ones are the host's, and
  // what crosses to or from the device passes through them, so that copies run beside other streams' work.
  enum class Slot : uint8_t { staging, scratch, pinned_in, pinned_out };
  void* borrow(Slot slot, size_t bytes);
  void download(const void* device, void* host, size_t bytes);   // and waits
  // In the order of the stream, by way of pinned memory that the next finish() takes back: `host` may change at once.
  // False where most_pinned_ bytes are under way already, and `host` must stay until finish().
  [[nodiscard]] bool upload(void* device, const void* host, size_t bytes);
  void end_staging();                         // what an operation staged is not used by any later one
  DType storage() const;                      // of planned activations
  MmaConvLayout mma_layout(const ConvStep& step) const;
  void run_conv(const ConvStep& step, const Packed* packed, const StepBuffers& buffers);
  int pitch_of(int64_t channels) const;
  Image image(const Placed& placed) const;
  void resize(ResizeRule rule, const Tensor& x, Tensor& y);
  void resize_grad(ResizeRule rule, const Tensor& dy, Tensor& dx, Grad mode);

  std::shared_ptr<Runtime> runtime_;
  const KernelApi& kernels_;
  Precision precision_;
  Stream stream_;
  struct Borrowed { std::shared_ptr<void> memory; size_t bytes = 0; };
  Borrowed borrowed_[4];
  KeptMemory staged_, uploads_;               // copies of one operation in device memory; pinned ones, of uploads under way
  size_t most_pinned_ = size_t{256} << 20;    // of uploads_
  struct Ranges;                              // of the arenas that are alive
  std::shared_ptr<Ranges> arenas_;
};

}  // namespace furrow::gpu
