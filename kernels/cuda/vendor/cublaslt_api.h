// The functions and numbers of cuBLASLt that Furrow uses, as a table: from the library or a test's fake. Declared here
// for the reasons cudnn_api.h gives, and checked against the library's header by abi_check.cc.
#pragma once

#include <cstddef>
#include <cstdint>

namespace furrow::gpu::cublaslt {

struct Algorithm {
  uint64_t data[8];
};                  // cublasLtMatmulAlgo_t
struct Heuristic {  // cublasLtMatmulHeuristicResult_t
  Algorithm algorithm;
  size_t workspace;
  int state;  // 0: the rest is valid
  float waves;
  int reserved[4];
};

// Each is the function named beside it, with its arguments. A status of 0 is success.
struct Api {
  size_t (*version)();                                                     // cublasLtGetVersion: 130002 is 13.0.2
  const char* (*status_name)(int status);                                  // cublasLtGetStatusName
  int (*create)(void** handle);                                            // cublasLtCreate, on the current GPU
  int (*destroy)(void* handle);                                            // cublasLtDestroy
  int (*desc_create)(void** desc, int compute_type, int scale_type);       // cublasLtMatmulDescCreate
  int (*desc_destroy)(void* desc);                                         // cublasLtMatmulDescDestroy
  int (*desc_set)(void* desc, int name, const void* value, size_t bytes);  // cublasLtMatmulDescSetAttribute
  int (*layout_create)(void** layout, int type, uint64_t rows, uint64_t cols,
                       int64_t ld);                                            // cublasLtMatrixLayoutCreate
  int (*layout_destroy)(void* layout);                                         // cublasLtMatrixLayoutDestroy
  int (*layout_set)(void* layout, int name, const void* value, size_t bytes);  // cublasLtMatrixLayoutSetAttribute
  int (*preference_create)(void** preference);                                 // cublasLtMatmulPreferenceCreate
  int (*preference_destroy)(void* preference);                                 // cublasLtMatmulPreferenceDestroy
  int (*preference_set)(void* preference, int name, const void* value,
                        size_t bytes);  // cublasLtMatmulPreferenceSetAttribute
  // cublasLtMatmulAlgoGetHeuristic
  int (*heuristic)(void* handle, void* desc, void* a, void* b, void* c, void* d, void* preference, int wanted,
                   Heuristic* results, int* count);
  // cublasLtMatmulAlgoConfigGetAttribute
  int (*config_get)(const Algorithm* algorithm, int name, void* value, size_t bytes, size_t* written);
  // cublasLtMatmul: D = alpha * op(A) * op(B) + beta * C, then the epilogue; matrices by columns
  int (*matmul)(void* handle, void* desc, const void* alpha, const void* a, void* a_layout, const void* b,
                void* b_layout, const void* beta, const void* c, void* c_layout, void* d, void* d_layout,
                const Algorithm* algorithm, void* workspace, size_t workspace_bytes, void* stream);
};

constexpr int kData32F = 0, kData16F = 2, kData16BF = 14;                // cudaDataType_t
constexpr int kCompute32F = 68, kCompute32FFastTf32 = 77;                // cublasComputeType_t
constexpr int kTranspose = 1;                                            // cublasOperation_t
constexpr int kDescTransA = 3, kDescEpilogue = 7, kDescBiasPointer = 8;  // cublasLtMatmulDescAttributes_t
constexpr int kEpilogueBias = 4, kEpilogueReluBias = 6;                  // cublasLtEpilogue_t
constexpr int kLayoutBatchCount = 5, kLayoutBatchStride = 6;             // cublasLtMatrixLayoutAttribute_t
constexpr int kPreferenceWorkspace = 1;                                  // cublasLtMatmulPreferenceAttributes_t
constexpr int kConfigId = 0;                                             // cublasLtMatmulAlgoConfigAttributes_t

}  // namespace furrow::gpu::cublaslt
