// CudnnEager: a training step's convolutions and both their gradients by cuDNN, for a back-end of precision fp16, bf16
// or tf32.
//
// Tensors are float32 between operations, and what is multiplied is narrow, as in EagerMma (kernels/cuda/
// cuda_eager_mma.h): a call rounds its operands into images of the storage type with whole pitches of channels, the
// pads zeros, lets cuDNN multiply and add in float32, and widens the result, which was rounded to the storage type once
// (tf32: not at all). cuDNN writes a gradient of weights in the type of its operands, so that one is rounded too, as
// PyTorch's autocast does it and EagerMma does not: one beyond fp16's 65504 is infinite, and the loss scale goes down.
// What is added to a gradient is added in float32; a bias's gradient is summed from the float32 dy by Furrow's kernel.
//
// Two sources are two problems: forward adds the second to the first one's float32 sums, gradients are of one source
// each.
#pragma once

#include "kernels/cuda/conv.h"
#include "kernels/cuda/staged.h"
#include "kernels/cuda/vendor/cudnn_conv.h"

namespace furrow::gpu {

class CudnnEager {
 public:
  struct Device {
    CudnnConv& cudnn;
    Runtime& runtime;
    const KernelApi& kernels;
    Stream stream;
    DType storage;
  };
  // All of it lives as long as this.
  CudnnEager(const Device& device, Staged& staged) : on_(device), staged_(staged) {}

  // The arguments of the fp32 kernels (kernels/cuda/conv.h), dense float32 images that are not empty; `w` are the
  // unpacked weights, and c.weights, c.scratch, c.residual, c.pooled, c.head are not read. False, and nothing asked for, where cuDNN has no plan for one of
  // the problems (CudnnConv::can()): a function of shapes and versions, as a step's bits must be.
  bool forward(const ConvForward& c, const float* w) const;
  bool grad_input(const ConvGradInput& c) const;
  bool grad_weight(const ConvGradWeight& c) const;

 private:
  struct Source;
  struct Narrow;
  int pitch_of(int channels) const;
  Narrow narrow(const ConstImage& wide, ScratchLayout& layout) const;
  Narrow narrow_weights(const ConvGeometry& g, int oc, int ic, ScratchLayout& layout) const;
  void place(Narrow& image, std::byte* scratch) const;
  void fill(Narrow& image, std::byte* scratch) const;
  void fill_weights(Narrow& image, std::byte* scratch, const float* w, const Source& source, size_t slice) const;
  CudnnProblem problem(ConvPass pass, const ConstImage& x, const ConstImage& y, const ConvGeometry& geometry) const;
  size_t workspace(const CudnnProblem& problem) const { return on_.cudnn.plan(problem).workspace; }

  Device on_;
  Staged& staged_;
};

}  // namespace furrow::gpu
