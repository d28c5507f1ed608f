// EagerMma: the eager convolutions on tensor cores, for a back-end of precision fp16, bf16 or tf32.
//
// Mixed precision as Micikevicius et al. 2018 describe it: tensors are float32 between operations (parameters,
// activations, gradients), and only what is multiplied is narrow. A call rounds its operands into images of the storage
// type, packs the weights, multiplies, adds in float32 and widens the result, which was rounded to the storage type
// once (tf32: not at all). What is added to a gradient is added in float32; gradients of weights and biases are float32
// sums that are never rounded, and a bias's are summed from the float32 dy. Small fp16 gradients vanish below 2^-24: a
// loss scale (kernels/optim_ops.h) is the caller's business. In tf32, images whose pixels start on 16 bytes are used
// where they lie.
//
// Shapes that stay with the fp32 kernels (each function then returns false and has computed nothing):
//   nothing to compute, or from: no pixels, no channels
//   1x1 convolutions of at most kMmaMaxHead output channels: 2 * IC * OC operations for 4 * (IC + OC) bytes, less than
//     OC/2 = 16 a byte, are bound by memory, which narrow copies would only add to; and a network's logits, which such
//     a convolution computes, reach the loss as float32 sums, as those of planned inference do
//   what wants more shared memory than the device grants a block
//
// Scratch memory is the back-end's own (Staged::scratch), in the order of its stream: the operands and the result in
// the storage type, the packed weights, and where a gradient is added to, the result in float32.
#pragma once

#include "kernels/cuda/staged.h"

namespace furrow::gpu {

// A convolution that stays with the fp32 kernels in every precision: see above.
constexpr bool is_eager_head(const ConvGeometry& g, int oc) {
  return g.kernel_h == 1 && g.kernel_w == 1 && oc <= kMmaMaxHead;
}

class EagerMma {
 public:
  // Both live as long as this. Takes nothing where the back-end's precision is fp32.
  EagerMma(CudaBackend& backend, Staged& staged);

  // The arguments of the fp32 kernels (kernels/cuda/conv.h), dense float32 images all; `w` are the unpacked weights,
  // and c.weights, c.scratch, c.residual, c.pooled, c.head are not read. Upconvolutions: top = left = 0, y of twice the
  // size.
  bool forward(const ConvForward& c, const float* w) const;
  bool grad_input(const ConvGradInput& c) const;
  bool grad_weight(const ConvGradWeight& c) const;
  bool upconv(const UpconvForward& c, const float* w) const;
  bool upconv_grad_input(const UpconvGradInput& c) const;
  bool upconv_grad_weight(const UpconvGradWeight& c) const;

 private:
  struct Operand;
  struct InputGradient;
  bool takes(const ConvGeometry& geometry, int oc) const;
  int pitch_of(int channels) const;
  Operand operand(const ConstImage& wide, ScratchLayout& layout) const;
  void place(Operand& operand, std::byte* scratch, bool read) const;
  bool input_gradient(const InputGradient& g) const;
  bool weight_gradient(MmaConvGradWeight g, const ConstImage& bias_dy, float* db) const;

  const KernelApi& kernels_;
  Stream stream_;
  Staged& staged_;
  bool narrow_;  // the precision is not fp32
  DType storage_;
  size_t granted_;  // bytes of shared memory a block
};

}  // namespace furrow::gpu
