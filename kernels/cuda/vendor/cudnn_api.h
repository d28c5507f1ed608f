// The functions and numbers of cuDNN 9's backend C API that Furrow uses, as a table: from the library or a test's fake.
//
// Declared here rather than taken from cudnn.h, so that every build has the provider, whether or not cuDNN's headers
// are installed, and tests run against a fake on any machine. Where the headers are installed, abi_check.cc holds every
// number and signature of this page against them. Handles and descriptors are void*, enumerations int.
#pragma once

#include <cstddef>
#include <cstdint>

namespace furrow::gpu::cudnn {

// Each is the function named beside it, with its arguments. A status of 0 is success.
struct Api {
  size_t (*version)();                                    // cudnnGetVersion: 91900 is 9.19.0
  const char* (*error_string)(int status);                // cudnnGetErrorString
  void (*last_error)(char* message, size_t bytes);        // cudnnGetLastErrorString
  int (*create)(void** handle);                           // cudnnCreate, on the current GPU
  int (*destroy)(void* handle);                           // cudnnDestroy
  int (*set_stream)(void* handle, void* stream);          // cudnnSetStream
  int (*create_descriptor)(int type, void** descriptor);  // cudnnBackendCreateDescriptor
  int (*destroy_descriptor)(void* descriptor);            // cudnnBackendDestroyDescriptor
  int (*finalize)(void* descriptor);                      // cudnnBackendFinalize
  int (*set_attribute)(void* descriptor, int name, int type, int64_t count,
                       const void* values);  // cudnnBackendSetAttribute
  // cudnnBackendGetAttribute; with room for none it tells the count alone
  int (*get_attribute)(void* descriptor, int name, int type, int64_t room, int64_t* count, void* values);
  int (*execute)(void* handle, void* plan, void* variant_pack);  // cudnnBackendExecute
};

constexpr int kDataFloat = 0, kDataHalf = 2, kDataBfloat16 = 9;  // cudnnDataType_t

// cudnnBackendDescriptorType_t
constexpr int kPointwise = 0, kConvolution = 1, kEngine = 2, kEngineConfig = 3, kEngineHeuristic = 4,
              kExecutionPlan = 5, kConvForward = 10, kConvBackwardFilter = 11, kConvBackwardData = 12,
              kPointwiseOperation = 13, kOperationGraph = 15, kVariantPack = 16, kTensor = 17;

// cudnnBackendAttributeType_t
constexpr int kTypeHandle = 0, kTypeDataType = 1, kTypeBoolean = 2, kTypeInt64 = 3, kTypeFloat = 4, kTypeVoidPtr = 6,
              kTypeConvolutionMode = 7, kTypeHeurMode = 8, kTypeNumericalNote = 11, kTypePointwiseMode = 14,
              kTypeDescriptor = 15;

// cudnnBackendAttributeName_t
constexpr int kPointwiseMode = 0, kPointwiseMathPrec = 1;
constexpr int kConvCompType = 100, kConvMode = 101, kConvDilations = 102, kConvStrides = 103, kConvPostPaddings = 104,
              kConvPrePaddings = 105, kConvSpatialDims = 106;
constexpr int kHeurMode = 200, kHeurGraph = 201, kHeurResults = 202;
constexpr int kConfigEngine = 300;
constexpr int kPlanHandle = 400, kPlanConfig = 401, kPlanWorkspace = 402;
constexpr int kForwardAlpha = 700, kForwardBeta = 701, kForwardConv = 702, kForwardW = 703, kForwardX = 704,
              kForwardY = 705;
constexpr int kBackwardDataAlpha = 706, kBackwardDataBeta = 707, kBackwardDataConv = 708, kBackwardDataW = 709,
              kBackwardDataDx = 710, kBackwardDataDy = 711;
constexpr int kBackwardFilterAlpha = 712, kBackwardFilterBeta = 713, kBackwardFilterConv = 714, kBackwardFilterDw = 715,
              kBackwardFilterX = 716, kBackwardFilterDy = 717;
constexpr int kOpPointwise = 750, kOpPointwiseX = 751, kOpPointwiseB = 752, kOpPointwiseY = 753;
constexpr int kGraphHandle = 800, kGraphOperations = 801;
constexpr int kTensorAlignment = 900, kTensorType = 901, kTensorDims = 902, kTensorStrides = 903, kTensorId = 906,
              kTensorVirtual = 907;
constexpr int kPackIds = 1000, kPackPointers = 1001, kPackWorkspace = 1003;
constexpr int kEngineIndex = 1301, kEngineNotes = 1303;

constexpr int kCrossCorrelation = 1;                    // cudnnConvolutionMode_t
constexpr int kPointwiseAdd = 0, kPointwiseRelu = 100;  // cudnnPointwiseMode_t
constexpr int kHeurModeA = 3;                           // cudnnBackendHeurMode_t
constexpr int kNondeterministic = 4;                    // cudnnBackendNumericalNote_t

}  // namespace furrow::gpu::cudnn
