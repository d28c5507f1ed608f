// Holds cudnn_api.h and cublaslt_api.h against the libraries' own headers. Compiled where those are installed; no code.
#include <cublasLt.h>
#include <cudnn.h>

#include <type_traits>

#include "kernels/cuda/vendor/cublaslt_api.h"
#include "kernels/cuda/vendor/cudnn_api.h"

namespace furrow::gpu {
namespace {

// Equal number of arguments, each of equal size and passed the same way (pointers as pointers), and results alike.
template <class A, class B>
constexpr bool alike = sizeof(A) == sizeof(B) && std::is_pointer_v<A> == std::is_pointer_v<B>;
template <class R1, class... A1, class R2, class... A2>
constexpr bool same_call(std::type_identity<R1 (*)(A1...)>, std::type_identity<R2 (*)(A2...)>) {
  if constexpr (sizeof...(A1) != sizeof...(A2)) {
    return false;
  } else if constexpr (std::is_void_v<R1> || std::is_void_v<R2>) {
    return std::is_void_v<R1> && std::is_void_v<R2> && (alike<A1, A2> && ...);
  } else {
    return alike<R1, R2> && (alike<A1, A2> && ...);
  }
}
#define FURROW_SAME_CALL(ours, theirs) \
  static_assert(same_call(std::type_identity<decltype(ours)>{}, std::type_identity<decltype(&theirs)>{}), #theirs)

FURROW_SAME_CALL(cudnn::Api::version, cudnnGetVersion);
FURROW_SAME_CALL(cudnn::Api::error_string, cudnnGetErrorString);
FURROW_SAME_CALL(cudnn::Api::last_error, cudnnGetLastErrorString);
FURROW_SAME_CALL(cudnn::Api::create, cudnnCreate);
FURROW_SAME_CALL(cudnn::Api::destroy, cudnnDestroy);
FURROW_SAME_CALL(cudnn::Api::set_stream, cudnnSetStream);
FURROW_SAME_CALL(cudnn::Api::create_descriptor, cudnnBackendCreateDescriptor);
FURROW_SAME_CALL(cudnn::Api::destroy_descriptor, cudnnBackendDestroyDescriptor);
FURROW_SAME_CALL(cudnn::Api::finalize, cudnnBackendFinalize);
FURROW_SAME_CALL(cudnn::Api::set_attribute, cudnnBackendSetAttribute);
FURROW_SAME_CALL(cudnn::Api::get_attribute, cudnnBackendGetAttribute);
FURROW_SAME_CALL(cudnn::Api::execute, cudnnBackendExecute);

static_assert(CUDNN_STATUS_SUCCESS == 0);
static_assert(cudnn::kDataFloat == CUDNN_DATA_FLOAT && cudnn::kDataHalf == CUDNN_DATA_HALF &&
              cudnn::kDataBfloat16 == CUDNN_DATA_BFLOAT16);
static_assert(cudnn::kPointwise == CUDNN_BACKEND_POINTWISE_DESCRIPTOR &&
              cudnn::kConvolution == CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
static_assert(cudnn::kEngine == CUDNN_BACKEND_ENGINE_DESCRIPTOR &&
              cudnn::kEngineConfig == CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
static_assert(cudnn::kEngineHeuristic == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR &&
              cudnn::kExecutionPlan == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
static_assert(cudnn::kConvForward == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
static_assert(cudnn::kConvBackwardFilter == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR);
static_assert(cudnn::kConvBackwardData == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR);
static_assert(cudnn::kPointwiseOperation == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
static_assert(cudnn::kOperationGraph == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR &&
              cudnn::kVariantPack == CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
static_assert(cudnn::kTensor == CUDNN_BACKEND_TENSOR_DESCRIPTOR);
static_assert(cudnn::kTypeHandle == CUDNN_TYPE_HANDLE && cudnn::kTypeDataType == CUDNN_TYPE_DATA_TYPE &&
              cudnn::kTypeBoolean == CUDNN_TYPE_BOOLEAN);
static_assert(cudnn::kTypeInt64 == CUDNN_TYPE_INT64 && cudnn::kTypeFloat == CUDNN_TYPE_FLOAT &&
              cudnn::kTypeVoidPtr == CUDNN_TYPE_VOID_PTR);
static_assert(cudnn::kTypeConvolutionMode == CUDNN_TYPE_CONVOLUTION_MODE &&
              cudnn::kTypeHeurMode == CUDNN_TYPE_HEUR_MODE);
static_assert(cudnn::kTypePointwiseMode == CUDNN_TYPE_POINTWISE_MODE &&
              cudnn::kTypeDescriptor == CUDNN_TYPE_BACKEND_DESCRIPTOR);
static_assert(cudnn::kPointwiseMode == CUDNN_ATTR_POINTWISE_MODE &&
              cudnn::kPointwiseMathPrec == CUDNN_ATTR_POINTWISE_MATH_PREC);
static_assert(cudnn::kConvCompType == CUDNN_ATTR_CONVOLUTION_COMP_TYPE &&
              cudnn::kConvMode == CUDNN_ATTR_CONVOLUTION_CONV_MODE);
static_assert(cudnn::kConvDilations == CUDNN_ATTR_CONVOLUTION_DILATIONS &&
              cudnn::kConvStrides == CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES);
static_assert(cudnn::kConvPostPaddings == CUDNN_ATTR_CONVOLUTION_POST_PADDINGS &&
              cudnn::kConvPrePaddings == CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS);
static_assert(cudnn::kConvSpatialDims == CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS);
static_assert(cudnn::kHeurMode == CUDNN_ATTR_ENGINEHEUR_MODE &&
              cudnn::kHeurGraph == CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
static_assert(cudnn::kHeurResults == CUDNN_ATTR_ENGINEHEUR_RESULTS &&
              cudnn::kConfigEngine == CUDNN_ATTR_ENGINECFG_ENGINE);
static_assert(cudnn::kPlanHandle == CUDNN_ATTR_EXECUTION_PLAN_HANDLE &&
              cudnn::kPlanConfig == CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
static_assert(cudnn::kPlanWorkspace == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE);
static_assert(cudnn::kForwardAlpha == CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA &&
              cudnn::kForwardBeta == CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA);
static_assert(cudnn::kForwardConv == CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC &&
              cudnn::kForwardW == CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W);
static_assert(cudnn::kForwardX == CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X &&
              cudnn::kForwardY == CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y);
static_assert(cudnn::kBackwardDataAlpha == CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA &&
              cudnn::kBackwardDataBeta == CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA);
static_assert(cudnn::kBackwardDataConv == CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC &&
              cudnn::kBackwardDataW == CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W);
static_assert(cudnn::kBackwardDataDx == CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX &&
              cudnn::kBackwardDataDy == CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY);
static_assert(cudnn::kBackwardFilterAlpha == CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA &&
              cudnn::kBackwardFilterBeta == CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA);
static_assert(cudnn::kBackwardFilterConv == CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC &&
              cudnn::kBackwardFilterDw == CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW);
static_assert(cudnn::kBackwardFilterX == CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X &&
              cudnn::kBackwardFilterDy == CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY);
static_assert(cudnn::kOpPointwise == CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR &&
              cudnn::kOpPointwiseX == CUDNN_ATTR_OPERATION_POINTWISE_XDESC);
static_assert(cudnn::kOpPointwiseB == CUDNN_ATTR_OPERATION_POINTWISE_BDESC &&
              cudnn::kOpPointwiseY == CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
static_assert(cudnn::kGraphHandle == CUDNN_ATTR_OPERATIONGRAPH_HANDLE &&
              cudnn::kGraphOperations == CUDNN_ATTR_OPERATIONGRAPH_OPS);
static_assert(cudnn::kTensorAlignment == CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT &&
              cudnn::kTensorType == CUDNN_ATTR_TENSOR_DATA_TYPE);
static_assert(cudnn::kTensorDims == CUDNN_ATTR_TENSOR_DIMENSIONS && cudnn::kTensorStrides == CUDNN_ATTR_TENSOR_STRIDES);
static_assert(cudnn::kTensorId == CUDNN_ATTR_TENSOR_UNIQUE_ID && cudnn::kTensorVirtual == CUDNN_ATTR_TENSOR_IS_VIRTUAL);
static_assert(cudnn::kPackIds == CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS &&
              cudnn::kPackPointers == CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
static_assert(cudnn::kPackWorkspace == CUDNN_ATTR_VARIANT_PACK_WORKSPACE &&
              cudnn::kEngineIndex == CUDNN_ATTR_ENGINE_GLOBAL_INDEX);
static_assert(cudnn::kEngineNotes == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE &&
              cudnn::kTypeNumericalNote == CUDNN_TYPE_NUMERICAL_NOTE &&
              cudnn::kNondeterministic == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC);
static_assert(cudnn::kCrossCorrelation == CUDNN_CROSS_CORRELATION && cudnn::kHeurModeA == CUDNN_HEUR_MODE_A);
static_assert(cudnn::kPointwiseAdd == CUDNN_POINTWISE_ADD && cudnn::kPointwiseRelu == CUDNN_POINTWISE_RELU_FWD);

FURROW_SAME_CALL(cublaslt::Api::version, cublasLtGetVersion);
FURROW_SAME_CALL(cublaslt::Api::status_name, cublasLtGetStatusName);
FURROW_SAME_CALL(cublaslt::Api::create, cublasLtCreate);
FURROW_SAME_CALL(cublaslt::Api::destroy, cublasLtDestroy);
FURROW_SAME_CALL(cublaslt::Api::desc_create, cublasLtMatmulDescCreate);
FURROW_SAME_CALL(cublaslt::Api::desc_destroy, cublasLtMatmulDescDestroy);
FURROW_SAME_CALL(cublaslt::Api::desc_set, cublasLtMatmulDescSetAttribute);
FURROW_SAME_CALL(cublaslt::Api::layout_create, cublasLtMatrixLayoutCreate);
FURROW_SAME_CALL(cublaslt::Api::layout_destroy, cublasLtMatrixLayoutDestroy);
FURROW_SAME_CALL(cublaslt::Api::layout_set, cublasLtMatrixLayoutSetAttribute);
FURROW_SAME_CALL(cublaslt::Api::preference_create, cublasLtMatmulPreferenceCreate);
FURROW_SAME_CALL(cublaslt::Api::preference_destroy, cublasLtMatmulPreferenceDestroy);
FURROW_SAME_CALL(cublaslt::Api::preference_set, cublasLtMatmulPreferenceSetAttribute);
FURROW_SAME_CALL(cublaslt::Api::heuristic, cublasLtMatmulAlgoGetHeuristic);
FURROW_SAME_CALL(cublaslt::Api::config_get, cublasLtMatmulAlgoConfigGetAttribute);
FURROW_SAME_CALL(cublaslt::Api::matmul, cublasLtMatmul);

static_assert(CUBLAS_STATUS_SUCCESS == 0);
static_assert(sizeof(cublaslt::Heuristic) == sizeof(cublasLtMatmulHeuristicResult_t) &&
              sizeof(cublaslt::Algorithm) == sizeof(cublasLtMatmulAlgo_t));
static_assert(offsetof(cublaslt::Heuristic, workspace) == offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
static_assert(offsetof(cublaslt::Heuristic, state) == offsetof(cublasLtMatmulHeuristicResult_t, state));
static_assert(cublaslt::kData32F == CUDA_R_32F && cublaslt::kData16F == CUDA_R_16F &&
              cublaslt::kData16BF == CUDA_R_16BF);
static_assert(cublaslt::kCompute32F == CUBLAS_COMPUTE_32F &&
              cublaslt::kCompute32FFastTf32 == CUBLAS_COMPUTE_32F_FAST_TF32);
static_assert(cublaslt::kTranspose == CUBLAS_OP_T && cublaslt::kDescTransA == CUBLASLT_MATMUL_DESC_TRANSA);
static_assert(cublaslt::kDescEpilogue == CUBLASLT_MATMUL_DESC_EPILOGUE &&
              cublaslt::kDescBiasPointer == CUBLASLT_MATMUL_DESC_BIAS_POINTER);
static_assert(cublaslt::kEpilogueBias == CUBLASLT_EPILOGUE_BIAS &&
              cublaslt::kEpilogueReluBias == CUBLASLT_EPILOGUE_RELU_BIAS);
static_assert(cublaslt::kLayoutBatchCount == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT &&
              cublaslt::kLayoutBatchStride == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET);
static_assert(cublaslt::kPreferenceWorkspace == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES &&
              cublaslt::kConfigId == CUBLASLT_ALGO_CONFIG_ID);

}  // namespace
}  // namespace furrow::gpu
