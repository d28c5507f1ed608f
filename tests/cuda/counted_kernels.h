// The emulator's launch functions of convolutions, each counted: what a test holds a back-end's choice against.
#pragma once

#include <ostream>

#include "kernels/cuda/api.h"

namespace furrow::gpu {

struct Launches {
  int conv = 0, conv_grad_input = 0, conv_grad_weight = 0, upconv = 0, upconv_grad_input = 0,
      upconv_grad_weight = 0;  // fp32
  int mma_conv = 0, mma_upconv = 0, mma_grad_weight = 0, mma_grad_bias = 0;
  friend bool operator==(const Launches&, const Launches&) = default;
  friend std::ostream& operator<<(std::ostream& out, const Launches& l) {
    return out << "fp32: " << l.conv << " convolutions, gradients of " << l.conv_grad_input << " inputs, "
               << l.conv_grad_weight << " weights, " << l.upconv << " transposed, gradients of " << l.upconv_grad_input
               << " inputs, " << l.upconv_grad_weight << " weights; tensor cores: " << l.mma_conv << ", transposed "
               << l.mma_upconv << ", gradients of " << l.mma_grad_weight << " weights, " << l.mma_grad_bias
               << " biases";
  }
};
inline Launches& counted() {
  static Launches launches;
  return launches;
}

template <auto Family, auto Entry, auto Counter>
struct CountedEntry;
template <class F, const F* KernelApi::*Family, class Args, void (*F::*Entry)(Stream, const Args&),
          int Launches::*Counter>
struct CountedEntry<Family, Entry, Counter> {
  static void launch(Stream stream, const Args& args) {
    ++(counted().*Counter);
    ((emulated::api.*Family)->*Entry)(stream, args);
  }
};

inline const KernelApi& counted_kernels() {
  using A = KernelApi;
  using C = ConvKernels;
  using M = MmaConvKernels;
  using G = MmaConvGradKernels;
  using L = Launches;
  static const C conv = [] {
    C out = *emulated::api.conv;
    out.forward = CountedEntry<&A::conv, &C::forward, &L::conv>::launch;
    out.grad_input = CountedEntry<&A::conv, &C::grad_input, &L::conv_grad_input>::launch;
    out.grad_weight = CountedEntry<&A::conv, &C::grad_weight, &L::conv_grad_weight>::launch;
    out.upconv = CountedEntry<&A::conv, &C::upconv, &L::upconv>::launch;
    out.upconv_grad_input = CountedEntry<&A::conv, &C::upconv_grad_input, &L::upconv_grad_input>::launch;
    out.upconv_grad_weight = CountedEntry<&A::conv, &C::upconv_grad_weight, &L::upconv_grad_weight>::launch;
    return out;
  }();
  static const M mma_conv = [] {
    M out = *emulated::api.mma_conv;
    out.conv = CountedEntry<&A::mma_conv, &M::conv, &L::mma_conv>::launch;
    out.upconv = CountedEntry<&A::mma_conv, &M::upconv, &L::mma_upconv>::launch;
    return out;
  }();
  static const G mma_conv_grad{CountedEntry<&A::mma_conv_grad, &G::weight, &L::mma_grad_weight>::launch,
                               CountedEntry<&A::mma_conv_grad, &G::bias, &L::mma_grad_bias>::launch};
  static const KernelApi api = [] {
    KernelApi out = emulated::api;
    out.conv = &conv, out.mma_conv = &mma_conv, out.mma_conv_grad = &mma_conv_grad;
    return out;
  }();
  return api;
}

}  // namespace furrow::gpu
