// Matrix products by cuBLASLt: a 1x1 convolution is one, a 2x2 transposed convolution two.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "kernels/cuda/stream.h"
#include "kernels/cuda/vendor/library.h"
#include "kernels/tensor.h"

namespace furrow::gpu {

// y[b][m][o] = act(bias[o] + sum over i of w[o][i] * x[b][m][i]) for b < batch, m < rows, o < outputs: rows of x and y
// are `pitch` elements apart, batches `stride` elements; w is dense. All of one type, bias too; sums in float32. f32
// multiplies as TensorFloat-32. Every address is a multiple of 16 bytes.
struct GemmProblem {
  DType type = DType::f16;  // f16, bf16, f32
  int64_t rows = 0, inputs = 0, outputs = 0, x_pitch = 0, y_pitch = 0;
  int64_t batch = 1, x_stride = 0, y_stride = 0;
  bool relu = false;
  auto key() const {
    return std::tuple(type, rows, inputs, outputs, x_pitch, y_pitch, batch, x_stride, y_stride, relu);
  }
  friend bool operator<(const GemmProblem& a, const GemmProblem& b) { return a.key() < b.key(); }
};
std::string to_string(const GemmProblem& problem);  // "F16 4096x32 * 32x64"

class CublasLtGemm {
 public:
  CublasLtGemm(std::shared_ptr<const CublasLtLibrary> library, Stream stream);
  CublasLtGemm(const CublasLtGemm&) = delete;
  CublasLtGemm& operator=(const CublasLtGemm&) = delete;
  ~CublasLtGemm();

  struct Plan {
    std::shared_ptr<void> operation, w, x, y;  // descriptors; cuBLASLt's A, B, and both C and D
    cublaslt::Algorithm algorithm{};
    size_t workspace = 0;  // bytes, at most kVendorWorkspace
    int id = 0;            // cuBLASLt's number of the algorithm
  };
  // The heuristic's first choice. Kept: a problem is planned once. Throws ErrorCode::device where cuBLASLt fails, or
  // has none.
  const Plan& plan(const GemmProblem& problem);
  // Gives the work to the stream. workspace: plan().workspace bytes, 256-byte aligned.
  void run(const GemmProblem& problem, const void* x, const void* w, const void* bias, void* y, void* workspace);
  const std::string& version() const { return library_->version; }

 private:
  void check(int status, const char* doing) const;
  Plan make_plan(const GemmProblem& problem) const;
  std::shared_ptr<const CublasLtLibrary> library_;
  Stream stream_;
  void* handle_ = nullptr;
  std::map<GemmProblem, Plan> plans_;
};

}  // namespace furrow::gpu
