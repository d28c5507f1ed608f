#include "kernels/cuda/vendor/cublaslt_gemm.h"

#include "kernels/cuda/vendor/cudnn_conv.h"
#include "kernels/error.h"

namespace furrow::gpu {
namespace {

using namespace cublaslt;

constexpr const char* kHint = "--kernels own does without cuBLASLt";

int gemm_type(DType type) {
  require(type == DType::f32 || type == DType::f16 || type == DType::bf16, "cuBLASLt: element type");
  return type == DType::f32 ? kData32F : type == DType::f16 ? kData16F : kData16BF;
}

}  // namespace

std::string to_string(const GemmProblem& p) {
  return std::string(name(p.type)) + " " + (p.batch > 1 ? std::to_string(p.batch) + " of " : "") +
         std::to_string(p.rows) + "x" + std::to_string(p.inputs) + " * " + std::to_string(p.inputs) + "x" +
         std::to_string(p.outputs);
}

CublasLtGemm::CublasLtGemm(std::shared_ptr<const CublasLtLibrary> library, Stream stream)
    : library_(std::move(library)), stream_(stream) {
  check(library_->api.create(&handle_), "starting");
}

CublasLtGemm::~CublasLtGemm() { library_->api.destroy(handle_); }

void CublasLtGemm::check(int status, const char* doing) const {
  if (status == 0) return;
  throw Error(ErrorCode::device, "cuBLASLt " + library_->version + ": " + doing +
                                     " failed: " + printable(library_->api.status_name(status)))
      .hint(kHint);
}

CublasLtGemm::Plan CublasLtGemm::make_plan(const GemmProblem& p) const {
  const Api& api = library_->api;
  const auto own = [](void* made, int (*destroy)(void*)) {
    return std::shared_ptr<void>(made, [destroy](void* d) { destroy(d); });
  };
  const auto matrix = [&](int64_t rows, int64_t cols, int64_t ld, int64_t stride) {
    void* made = nullptr;
    check(api.layout_create(&made, gemm_type(p.type), static_cast<uint64_t>(rows), static_cast<uint64_t>(cols), ld),
          "describing a matrix");
    std::shared_ptr<void> layout = own(made, api.layout_destroy);
    if (p.batch > 1) {
      const auto batch = static_cast<int32_t>(p.batch);
      check(api.layout_set(made, kLayoutBatchCount, &batch, sizeof batch), "describing a matrix");
      check(api.layout_set(made, kLayoutBatchStride, &stride, sizeof stride), "describing a matrix");
    }
    return layout;
  };
  Plan plan;
  void* made = nullptr;
  check(api.desc_create(&made, p.type == DType::f32 ? kCompute32FFastTf32 : kCompute32F, kData32F),
        "describing a product");
  plan.operation = own(made, api.desc_destroy);
  const int32_t transpose = kTranspose;
  const uint32_t epilogue = p.relu ? kEpilogueReluBias : kEpilogueBias;
  // Not read while an algorithm is chosen, but its alignment counts: that of every bias here.
  const void* aligned = reinterpret_cast<const void*>(uintptr_t{256});  // NOLINT(performance-no-int-to-ptr)
  check(api.desc_set(made, kDescTransA, &transpose, sizeof transpose), "describing a product");
  check(api.desc_set(made, kDescEpilogue, &epilogue, sizeof epilogue), "describing a product");
  check(api.desc_set(made, kDescBiasPointer, &aligned, sizeof aligned), "describing a product");
  // Matrices by columns: rows of x, w and y here are columns there, so y' = w' transposed * x'.
  plan.w = matrix(p.inputs, p.outputs, p.inputs, 0);
  plan.x = matrix(p.inputs, p.rows, p.x_pitch, p.x_stride);
  plan.y = matrix(p.outputs, p.rows, p.y_pitch, p.y_stride);
  void* preference = nullptr;
  check(api.preference_create(&preference), "choosing an algorithm");
  const std::shared_ptr<void> owned = own(preference, api.preference_destroy);
  const uint64_t limit = kVendorWorkspace;
  check(api.preference_set(preference, kPreferenceWorkspace, &limit, sizeof limit), "choosing an algorithm");
  Heuristic found{};
  int count = 0;
  check(api.heuristic(handle_, made, plan.w.get(), plan.x.get(), plan.y.get(), plan.y.get(), preference, 1, &found,
                      &count),
        "choosing an algorithm");
  if (count < 1 || found.state != 0 || found.workspace > kVendorWorkspace)
    throw Error(ErrorCode::device, "cuBLASLt " + version() + " has no algorithm for " + to_string(p))
        .hint("--kernels own does without");
  plan.algorithm = found.algorithm;
  plan.workspace = found.workspace;
  size_t written = 0;
  check(api.config_get(&plan.algorithm, kConfigId, &plan.id, sizeof plan.id, &written), "naming an algorithm");
  return plan;
}

const CublasLtGemm::Plan& CublasLtGemm::plan(const GemmProblem& problem) {
  if (const auto known = plans_.find(problem); known != plans_.end()) return known->second;
  return plans_.emplace(problem, make_plan(problem)).first->second;
}

void CublasLtGemm::run(const GemmProblem& problem, const void* x, const void* w, const void* bias, void* y,
                       void* workspace) {
  const Plan& p = plan(problem);
  const Api& api = library_->api;
  check(api.desc_set(p.operation.get(), kDescBiasPointer, &bias, sizeof bias), "describing a product");
  const float one = 1, zero = 0;
  check(api.matmul(handle_, p.operation.get(), &one, w, p.w.get(), x, p.x.get(), &zero, y, p.y.get(), y, p.y.get(),
                   &p.algorithm, workspace, p.workspace, stream_.handle),
        "a product");
}

}  // namespace furrow::gpu
