// A cuBLASLt that records products, fails when told to, checks what it is given, and computes on the host: built as a
// shared object with the library's own names.
#include "tests/cuda/vendor/fake_cublaslt.h"

#include <cstring>

#include "kernels/cuda/vendor/cublaslt_api.h"
#include "kernels/half.h"

namespace {

using namespace furrow::gpu::cublaslt;
using namespace furrow::gpu::fake;

constexpr int kInvalid = 7, kUnsupported = 15;

CublasLtState& state() {
  static CublasLtState it;
  return it;
}
bool fails() { return ++state().calls == state().fail_at; }
template <class Map>
typename Map::mapped_type* find(Map& map, void* key) {
  const auto found = map.find(key);
  return found == map.end() ? nullptr : &found->second;
}
template <class T>
int put(T& field, const void* value, size_t bytes) {
  if (bytes != sizeof field) return kInvalid;
  std::memcpy(&field, value, bytes);
  return 0;
}

float read(const void* data, int type, int64_t at) {
  if (type == kData32F) return static_cast<const float*>(data)[at];
  const uint16_t bits = static_cast<const uint16_t*>(data)[at];
  return type == kData16F ? furrow::f16_to_f32(bits) : furrow::bf16_to_f32(bits);
}
void write(void* data, int type, int64_t at, float value) {
  if (type == kData32F)
    static_cast<float*>(data)[at] = value;
  else
    static_cast<uint16_t*>(data)[at] = type == kData16F ? furrow::f32_to_f16(value) : furrow::f32_to_bf16(value);
}

// D = op(A) * B with op(A) of d.rows x k: the only form Furrow asks for.
bool fits(const LtOperation& op, const LtLayout& a, const LtLayout& b, const LtLayout& c, const LtLayout& d) {
  const bool tf32 = op.compute == kCompute32FFastTf32;
  if (op.transpose_a != kTranspose || op.scale != kData32F || (tf32 ? d.type != kData32F : op.compute != kCompute32F))
    return false;
  if (a.type != d.type || b.type != d.type || !(c == d)) return false;
  if (a.rows != b.rows || a.cols != d.rows || b.cols != d.cols || a.batch != d.batch || b.batch != d.batch)
    return false;
  return a.ld >= static_cast<int64_t>(a.rows) && b.ld >= static_cast<int64_t>(b.rows) &&
         d.ld >= static_cast<int64_t>(d.rows);
}
bool aligned(const void* p) { return p != nullptr && reinterpret_cast<uintptr_t>(p) % 16 == 0; }

}  // namespace

#define FURROW_EXPORT __attribute__((visibility("default")))
extern "C" {

FURROW_EXPORT CublasLtState* furrow_fake_cublaslt() { return &state(); }

FURROW_EXPORT size_t cublasLtGetVersion() { return state().version; }
FURROW_EXPORT const char* cublasLtGetStatusName(int) { return "FAKE_STATUS_INVALID_VALUE"; }
FURROW_EXPORT int cublasLtCreate(void** handle) {
  if (fails()) return kInvalid;
  state().handles.insert(*handle = new char);
  return 0;
}
FURROW_EXPORT int cublasLtDestroy(void* handle) {
  if (state().handles.erase(handle) == 1) delete static_cast<char*>(handle);
  return fails() ? kInvalid : 0;
}
FURROW_EXPORT int cublasLtMatmulDescCreate(void** desc, int compute, int scale) {
  if (fails()) return kInvalid;
  state().operations[*desc = new char] = {.compute = compute, .scale = scale};
  return 0;
}
FURROW_EXPORT int cublasLtMatmulDescDestroy(void* desc) {
  if (state().operations.erase(desc) == 1) delete static_cast<char*>(desc);
  return fails() ? kInvalid : 0;
}
FURROW_EXPORT int cublasLtMatmulDescSetAttribute(void* desc, int name, const void* value, size_t bytes) {
  LtOperation* op = find(state().operations, desc);
  if (fails() || op == nullptr) return kInvalid;
  switch (name) {
    case kDescTransA: return put(op->transpose_a, value, bytes);
    case kDescEpilogue: return put(op->epilogue, value, bytes);
    case kDescBiasPointer: return put(op->bias, value, bytes);
    default: return kInvalid;
  }
}
FURROW_EXPORT int cublasLtMatrixLayoutCreate(void** layout, int type, uint64_t rows, uint64_t cols, int64_t ld) {
  if (fails()) return kInvalid;
  state().layouts[*layout = new char] = {.type = type, .rows = rows, .cols = cols, .ld = ld};
  return 0;
}
FURROW_EXPORT int cublasLtMatrixLayoutDestroy(void* layout) {
  if (state().layouts.erase(layout) == 1) delete static_cast<char*>(layout);
  return fails() ? kInvalid : 0;
}
FURROW_EXPORT int cublasLtMatrixLayoutSetAttribute(void* layout, int name, const void* value, size_t bytes) {
  LtLayout* l = find(state().layouts, layout);
  if (fails() || l == nullptr) return kInvalid;
  if (name == kLayoutBatchCount) return put(l->batch, value, bytes);
  return name == kLayoutBatchStride ? put(l->stride, value, bytes) : kInvalid;
}
FURROW_EXPORT int cublasLtMatmulPreferenceCreate(void** preference) {
  if (fails()) return kInvalid;
  state().preferences.insert(*preference = new char);
  return 0;
}
FURROW_EXPORT int cublasLtMatmulPreferenceDestroy(void* preference) {
  if (state().preferences.erase(preference) == 1) delete static_cast<char*>(preference);
  return fails() ? kInvalid : 0;
}
FURROW_EXPORT int cublasLtMatmulPreferenceSetAttribute(void* preference, int name, const void* value, size_t bytes) {
  if (fails() || state().preferences.count(preference) == 0 || name != kPreferenceWorkspace) return kInvalid;
  return put(state().workspace_limit, value, bytes);
}
FURROW_EXPORT int cublasLtMatmulAlgoGetHeuristic(void* handle, void* desc, void* a, void* b, void* c, void* d,
                                                 void* preference, int wanted, Heuristic* results, int* count) {
  const LtOperation* op = find(state().operations, desc);
  const LtLayout *la = find(state().layouts, a), *lb = find(state().layouts, b), *lc = find(state().layouts, c),
                 *ld = find(state().layouts, d);
  if (fails() || state().handles.count(handle) == 0 || state().preferences.count(preference) == 0 || wanted < 1)
    return kInvalid;
  if (op == nullptr || la == nullptr || lb == nullptr || lc == nullptr || ld == nullptr ||
      !fits(*op, *la, *lb, *lc, *ld))
    return kUnsupported;
  ++state().heuristics;
  *count = state().no_algorithm ? 0 : 1;
  if (*count == 1) {
    *results = {};
    results->algorithm.data[0] = kFakeAlgorithm;
    results->workspace = kFakeLtWorkspace;
  }
  return 0;
}
FURROW_EXPORT int cublasLtMatmulAlgoConfigGetAttribute(const Algorithm* algorithm, int name, void* value, size_t bytes,
                                                       size_t* written) {
  if (fails() || name != kConfigId || bytes != sizeof(int32_t)) return kInvalid;
  const auto id = static_cast<int32_t>(algorithm->data[0]);
  std::memcpy(value, &id, sizeof id);
  *written = sizeof id;
  return 0;
}
FURROW_EXPORT int cublasLtMatmul(void* handle, void* desc, const void* alpha, const void* a, void* a_layout,
                                 const void* b, void* b_layout, const void* beta, const void*, void* c_layout, void* d,
                                 void* d_layout, const Algorithm* algorithm, void* workspace, size_t workspace_bytes,
                                 void*) {
  const LtOperation* op = find(state().operations, desc);
  const LtLayout *la = find(state().layouts, a_layout), *lb = find(state().layouts, b_layout),
                 *lc = find(state().layouts, c_layout), *ld = find(state().layouts, d_layout);
  if (fails() || state().handles.count(handle) == 0 || op == nullptr || la == nullptr || lb == nullptr ||
      lc == nullptr || ld == nullptr)
    return kInvalid;
  if (!fits(*op, *la, *lb, *lc, *ld) || algorithm->data[0] != kFakeAlgorithm || workspace == nullptr ||
      workspace_bytes != kFakeLtWorkspace)
    return kInvalid;
  if (*static_cast<const float*>(alpha) != 1 || *static_cast<const float*>(beta) != 0 ||
      (op->epilogue & kEpilogueBias) == 0)
    return kInvalid;
  if (!aligned(a) || !aligned(b) || !aligned(d) || !aligned(op->bias)) return kInvalid;
  state().products.push_back({*op, *la, *lb, *lc, *ld});
  std::memset(workspace, 0xFF, workspace_bytes);
  for (int64_t n = 0; n < ld->batch; ++n)
    for (int64_t col = 0; col < static_cast<int64_t>(ld->cols); ++col)
      for (int64_t row = 0; row < static_cast<int64_t>(ld->rows); ++row) {
        double sum = read(op->bias, ld->type, row);
        for (int64_t k = 0; k < static_cast<int64_t>(la->rows); ++k)
          sum += static_cast<double>(read(a, la->type, n * la->stride + row * la->ld + k)) *
                 read(b, lb->type, n * lb->stride + col * lb->ld + k);
        if (op->epilogue == kEpilogueReluBias && sum < 0) sum = 0;
        write(d, ld->type, n * ld->stride + col * ld->ld + row, static_cast<float>(sum));
      }
  return 0;
}

}  // extern "C"
