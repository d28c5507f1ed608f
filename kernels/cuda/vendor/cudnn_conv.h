// Convolution and its gradients by cuDNN 9: the problem, the plan cuDNN's heuristic gives it, its execution.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <memory>
#include <optional>
#include <string>
#include <tuple>

#include "kernels/cuda/vendor/cudnn_descriptor.h"
#include "kernels/planned.h"

namespace furrow::gpu {

// Most workspace that a plan of either library may ask for, bytes.
inline constexpr size_t kVendorWorkspace = size_t{256} << 20;

enum class ConvPass : uint8_t { forward, grad_input, grad_weight };

// forward      y = act(w * x + added + bias)
// grad_input   x = the gradient of the input from y = that of the output, and w
// grad_weight  w = the gradient of the weights from x and y = the gradient of the output
// x {n,h,w,c} and y {n,oh,ow,oc} are NHWC with pixels `pitch` elements apart, w {oc,kernel_h,kernel_w,c} is dense
// (cuDNN takes no other); every address is a multiple of 16 bytes. Multiplications in `type` (f32: TensorFloat-32 where
// the GPU has it), sums in float32.
struct CudnnProblem {
  ConvPass pass = ConvPass::forward;
  DType type = DType::f16;  // of x, w and, without y_is_f32, y: f16, bf16, f32
  bool y_is_f32 = false;    // forward: partial sums
  int64_t n = 0, h = 0, w = 0, c = 0, x_pitch = 0;
  int64_t oc = 0, y_pitch = 0;
  ConvGeometry geometry;
  bool added = false;  // forward: a float32 tensor of y's shape and pitch
  bool bias = false;   // forward: float32 {oc}
  bool relu = false;   // forward
  int64_t out_h() const { return geometry.out(h, geometry.kernel_h); }
  int64_t out_w() const { return geometry.out(w, geometry.kernel_w); }
  auto key() const {
    return std::tuple(pass, type, y_is_f32, n, h, w, c, x_pitch, oc, y_pitch, geometry.kernel_h, geometry.kernel_w,
                      geometry.stride, geometry.pad, added, bias, relu);
  }
  friend bool operator<(const CudnnProblem& a, const CudnnProblem& b) { return a.key() < b.key(); }
};
std::string to_string(const CudnnProblem& problem);  // "forward F16 1x64x64x32 -> 1x64x64x16 k3s1p1"

// Device memory of one execution; those the pass writes are written. Absent ones are null.
struct CudnnPointers {
  void *x = nullptr, *w = nullptr, *y = nullptr;
  const void *added = nullptr, *bias = nullptr;
  void* workspace = nullptr;  // plan().workspace bytes
};

class CudnnConv {
 public:
  CudnnConv(std::shared_ptr<const CudnnLibrary> library, Stream stream) : cudnn_(std::move(library), stream) {}

  struct Plan {
    CudnnDescriptor config, plan;  // the plan refers to its configuration
    size_t workspace = 0;          // bytes
    int64_t engine = 0;            // cuDNN's number of the algorithm
  };
  // The first configuration of heuristic mode A that adds in the same order each time and that cuDNN can build within
  // kVendorWorkspace. Kept: a problem is planned once. Throws ErrorCode::device where cuDNN fails, or has no such
  // configuration.
  const Plan& plan(const CudnnProblem& problem);
  // Whether plan() finds one; that there is none is kept too. Throws where the device is lost.
  bool can(const CudnnProblem& problem);
  // Gives the work to the stream.
  void run(const CudnnProblem& problem, const CudnnPointers& pointers);
  const std::string& version() const { return cudnn_.library().version; }

 private:
  Plan make_plan(const CudnnProblem& problem);
  CudnnHandle cudnn_;
  std::map<CudnnProblem, Plan> plans_;
  std::set<CudnnProblem> refused_;
};

}  // namespace furrow::gpu
