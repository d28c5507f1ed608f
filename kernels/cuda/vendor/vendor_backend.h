// VendorBackend: CudaBackend whose convolutions may be computed by cuDNN and cuBLASLt.
//
// Planned convolutions go to cuDNN, those that are one matrix product (1x1, one source) and 2x2 transposed ones to
// cuBLASLt. Maxima, heads and everything else stay with Furrow's kernels. Of training cuDNN computes the convolutions
// and both their gradients (cudnn_eager.h), without the heads; transposed ones are Furrow's there. After use() all of
// training is: times are measured of planned steps alone. Images keep their layout: pad channels are zeros, so the
// libraries are given whole pitches of channels, with zero weights for the pads, and write zero pads.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/vendor/cublaslt_gemm.h"
#include "kernels/cuda/vendor/cudnn_conv.h"
#include "kernels/cuda/vendor/cudnn_eager.h"

namespace furrow::gpu {

class VendorBackend : public CudaBackend {
 public:
  // Opens both libraries. Precision::fp32 is not theirs: ErrorCode::usage. Errors otherwise as open_cudnn().
  VendorBackend(std::unique_ptr<Runtime> runtime, const KernelApi& kernels, Precision precision);

  // Which of the steps that takes() go to the libraries; at first all do. Before anything is planned.
  void use(std::function<bool(const Step&)> wanted) { wanted_ = std::move(wanted); }
  // The same, of measured times: those steps that were faster on machine(). False, and nothing changes, where the times
  // are of other machines, versions or precisions alone.
  bool use(const Tuning& tuning);
  // Whether the step is of a form that a library computes.
  bool takes(const Step& step) const;
  // The same, and the library has an algorithm for it.
  bool offers(const Step& step) const;
  // What measured times hold for:
  // "furrow 0.1.0; NVIDIA H200, sm_90; driver 13.0, runtime 13.0; cudnn 9.19.0; cublaslt 13.0.2; fp16".
  std::string machine() const;

  std::string name() const override;  // "cuda (NVIDIA H200, sm_90; fp16; cudnn 9.19.0, cublaslt 13.0.2)"
  std::string algorithm(const Step& step) const override;  // "cudnn 9.19.0 engine 38, pool apart"
  size_t workspace_bytes(const Step& step) const override;
  std::unique_ptr<Packed> prepare(const Step& step, const StepWeights& weights) override;
  void run(const Step& step, const Packed* packed, const StepBuffers& buffers) override;

 protected:
  bool narrow_conv(Staged& staged, const ConvForward& args, const float* w) override;
  bool narrow_grad_input(Staged& staged, const ConvGradInput& args) override;
  bool narrow_grad_weight(Staged& staged, const ConvGradWeight& args) override;

 private:
  bool computes_eager(const ConvGeometry& geometry, const ConstImage& x, const ConstImage& y) const;
  CudnnEager eager(Staged& staged) const;
  struct Weights;
  bool uses(const Step& step) const;
  bool is_product(const ConvStep& step) const;
  CudnnProblem cudnn_problem(const ConvStep& step, int source) const;
  GemmProblem product(const ConvStep& step) const;
  GemmProblem product(const UpconvStep& step) const;
  size_t library_workspace(const Step& step) const;
  std::shared_ptr<void> upload(const void* data, size_t bytes);
  std::shared_ptr<void> upload_weights(const Tensor& w, int64_t first, int64_t channels);
  void convolve(const ConvStep& step, const Weights& weights, const Placed* x, const Placed& y, std::byte* workspace);
  void upconvolve(const UpconvStep& step, const Weights& weights, const Placed& x, const Placed& y,
                  std::byte* workspace);

  std::function<bool(const Step&)> wanted_;
  // Plans are made when a step is first asked about, which changes no answer.
  std::unique_ptr<CudnnConv> cudnn_;
  std::unique_ptr<CublasLtGemm> cublaslt_;
};

}  // namespace furrow::gpu
