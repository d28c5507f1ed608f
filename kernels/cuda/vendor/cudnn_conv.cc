#include "kernels/cuda/vendor/cudnn_conv.h"

#include <algorithm>
#include <list>
#include <vector>

namespace furrow::gpu {
namespace {

using namespace cudnn;

// Names of the tensors of a problem inside cuDNN.
enum Id : int64_t { kX = 1, kW, kY, kAdded, kBias, kProduct, kSum, kBiased };

constexpr int64_t kMostConfigurations = 16;  // of the heuristic's list; later ones are slower

int conv_type(DType type) {
  require(type == DType::f32 || type == DType::f16 || type == DType::bf16, "cuDNN: element type");
  return type == DType::f32 ? kDataFloat : type == DType::f16 ? kDataHalf : kDataBfloat16;
}

// One operation graph under construction. cuDNN writes shapes as N, C, H, W whatever the order in memory.
class Graph {
 public:
  Graph(const CudnnHandle& cudnn, const CudnnProblem& problem) : cudnn_(cudnn), p_(problem) {}

  CudnnDescriptor build() {
    switch (p_.pass) {
      case ConvPass::forward: forward(); break;
      case ConvPass::grad_input: backward_data(); break;
      case ConvPass::grad_weight: backward_filter(); break;
    }
    std::vector<void*> operations;
    for (const CudnnDescriptor& operation : operations_) operations.push_back(operation.get());
    CudnnDescriptor graph(cudnn_, kOperationGraph, "the convolution");
    graph.set(kGraphOperations, kTypeDescriptor, std::span<void* const>(operations))
        .set(kGraphHandle, kTypeHandle, {cudnn_.get()})
        .finalize();
    return graph;
  }

 private:
  const CudnnDescriptor& tensor(Id id, int type, std::initializer_list<int64_t> dims,
                                std::initializer_list<int64_t> strides, bool is_virtual = false) {
    CudnnDescriptor t(cudnn_, kTensor, "a tensor");
    t.set<int64_t>(kTensorId, kTypeInt64, {id})
        .set(kTensorType, kTypeDataType, {type})
        .set(kTensorDims, kTypeInt64, dims)
        .set(kTensorStrides, kTypeInt64, strides)
        .set<int64_t>(kTensorAlignment, kTypeInt64, {16})
        .set(kTensorVirtual, kTypeBoolean, {is_virtual})
        .finalize();
    parts_.push_back(std::move(t));
    return parts_.back();
  }
  const CudnnDescriptor& x() {
    return tensor(kX, conv_type(p_.type), {p_.n, p_.c, p_.h, p_.w},
                  {p_.h * p_.w * p_.x_pitch, 1, p_.w * p_.x_pitch, p_.x_pitch});
  }
  const CudnnDescriptor& w() {
    const int64_t kh = p_.geometry.kernel_h, kw = p_.geometry.kernel_w;
    return tensor(kW, conv_type(p_.type), {p_.oc, p_.c, kh, kw}, {kh * kw * p_.c, 1, kw * p_.c, p_.c});
  }
  // A tensor of y's shape.
  const CudnnDescriptor& like_y(Id id, int type, bool is_virtual = false) {
    const int64_t oh = p_.out_h(), ow = p_.out_w(), pitch = p_.y_pitch;
    return tensor(id, type, {p_.n, p_.oc, oh, ow}, {oh * ow * pitch, 1, ow * pitch, pitch}, is_virtual);
  }
  const CudnnDescriptor& convolution() {
    CudnnDescriptor c(cudnn_, kConvolution, "a convolution");
    const int64_t pad = p_.geometry.pad, stride = p_.geometry.stride;
    c.set<int64_t>(kConvSpatialDims, kTypeInt64, {2})
        .set(kConvCompType, kTypeDataType, {kDataFloat})
        .set(kConvMode, kTypeConvolutionMode, {kCrossCorrelation})
        .set(kConvPrePaddings, kTypeInt64, {pad, pad})
        .set(kConvPostPaddings, kTypeInt64, {pad, pad})
        .set<int64_t>(kConvDilations, kTypeInt64, {1, 1})
        .set(kConvStrides, kTypeInt64, {stride, stride})
        .finalize();
    parts_.push_back(std::move(c));
    return parts_.back();
  }
  // out = mode(in [, b])
  void pointwise(int mode, const CudnnDescriptor& in, const CudnnDescriptor* b, const CudnnDescriptor& out) {
    CudnnDescriptor how(cudnn_, kPointwise, "an elementwise operation");
    how.set(kPointwiseMode, kTypePointwiseMode, {mode}).set(kPointwiseMathPrec, kTypeDataType, {kDataFloat}).finalize();
    CudnnDescriptor operation(cudnn_, kPointwiseOperation, "an elementwise operation");
    operation.set(kOpPointwise, how).set(kOpPointwiseX, in);
    if (b != nullptr) operation.set(kOpPointwiseB, *b);
    operation.set(kOpPointwiseY, out).finalize();
    parts_.push_back(std::move(how));
    operations_.push_back(std::move(operation));
  }

  void forward() {
    const int y_type = p_.y_is_f32 ? kDataFloat : conv_type(p_.type);
    int left = (p_.added ? 1 : 0) + (p_.bias ? 1 : 0) + (p_.relu ? 1 : 0);  // operations after the convolution
    // What operation writes: y where it is the last, else a value that stays inside the kernel.
    const auto result = [&](Id id) -> const CudnnDescriptor& {
      return left == 0 ? like_y(kY, y_type) : like_y(id, kDataFloat, true);
    };
    const CudnnDescriptor* value = &result(kProduct);
    CudnnDescriptor conv(cudnn_, kConvForward, "a forward convolution");
    conv.set(kForwardX, x()).set(kForwardW, w()).set(kForwardY, *value).set(kForwardConv, convolution());
    conv.set(kForwardAlpha, kTypeFloat, {1.0f}).set(kForwardBeta, kTypeFloat, {0.0f}).finalize();
    operations_.push_back(std::move(conv));
    const auto then = [&](int mode, const CudnnDescriptor* b, Id id) {
      --left;
      const CudnnDescriptor& out = result(id);
      pointwise(mode, *value, b, out);
      value = &out;
    };
    if (p_.added) then(kPointwiseAdd, &like_y(kAdded, kDataFloat), kSum);
    if (p_.bias) then(kPointwiseAdd, &tensor(kBias, kDataFloat, {1, p_.oc, 1, 1}, {p_.oc, 1, p_.oc, p_.oc}), kBiased);
    if (p_.relu) then(kPointwiseRelu, nullptr, kY);
  }
  void backward_data() {
    CudnnDescriptor conv(cudnn_, kConvBackwardData, "the gradient of a convolution's input");
    conv.set(kBackwardDataDy, like_y(kY, conv_type(p_.type))).set(kBackwardDataW, w()).set(kBackwardDataDx, x());
    conv.set(kBackwardDataConv, convolution());
    conv.set(kBackwardDataAlpha, kTypeFloat, {1.0f}).set(kBackwardDataBeta, kTypeFloat, {0.0f}).finalize();
    operations_.push_back(std::move(conv));
  }
  void backward_filter() {
    CudnnDescriptor conv(cudnn_, kConvBackwardFilter, "the gradient of a convolution's weights");
    conv.set(kBackwardFilterDy, like_y(kY, conv_type(p_.type))).set(kBackwardFilterX, x()).set(kBackwardFilterDw, w());
    conv.set(kBackwardFilterConv, convolution());
    conv.set(kBackwardFilterAlpha, kTypeFloat, {1.0f}).set(kBackwardFilterBeta, kTypeFloat, {0.0f}).finalize();
    operations_.push_back(std::move(conv));
  }

  const CudnnHandle& cudnn_;
  const CudnnProblem& p_;
  std::list<CudnnDescriptor> parts_, operations_;  // lists: references to their elements stay valid
};

}  // namespace

std::string to_string(const CudnnProblem& p) {
  constexpr const char* kPasses[] = {"forward", "grad input", "grad weight"};
  const auto dims = [](int64_t a, int64_t b, int64_t c, int64_t d) {
    return std::to_string(a) + "x" + std::to_string(b) + "x" + std::to_string(c) + "x" + std::to_string(d);
  };
  return std::string(kPasses[static_cast<size_t>(p.pass)]) + " " + std::string(name(p.type)) + " " +
         dims(p.n, p.h, p.w, p.c) + " -> " + dims(p.n, p.out_h(), p.out_w(), p.oc) + " k" +
         std::to_string(p.geometry.kernel_h) + "s" + std::to_string(p.geometry.stride) + "p" +
         std::to_string(p.geometry.pad);
}

CudnnConv::Plan CudnnConv::make_plan(const CudnnProblem& problem) {
  const bool forward = problem.pass == ConvPass::forward;
  require(forward || (!problem.added && !problem.bias && !problem.relu && !problem.y_is_f32),
          "cuDNN: a gradient has no epilogue");
  Graph description(cudnn_, problem);
  const CudnnDescriptor graph = description.build();
  CudnnDescriptor heuristic(cudnn_, kEngineHeuristic, "the choice of an algorithm");
  heuristic.set(kHeurGraph, graph).set(kHeurMode, kTypeHeurMode, {kHeurModeA}).finalize();
  const int64_t known = heuristic.get(kHeurResults, {});
  std::vector<CudnnDescriptor> configurations;
  std::vector<void*> raw;
  for (int64_t i = 0; i < std::min(known, kMostConfigurations); ++i) {
    configurations.emplace_back(cudnn_, kEngineConfig, "the choice of an algorithm");
    raw.push_back(configurations.back().get());
  }
  const int64_t given = raw.empty() ? 0 : heuristic.get(kHeurResults, raw);
  std::string refused = "its heuristic knows none";
  for (size_t i = 0; i < std::min(static_cast<size_t>(given), configurations.size()); ++i) {
    CudnnDescriptor engine(cudnn_, kEngine, "an algorithm");
    void* of_configuration = engine.get();
    configurations[i].get(kConfigEngine, {&of_configuration, 1});
    // Sums by atomics, of weight gradients above all: a run that goes on would not be the run that was interrupted.
    const std::vector<int> notes = engine.get_notes(kEngineNotes, kTypeNumericalNote);
    if (std::ranges::find(notes, kNondeterministic) != notes.end()) {
      refused = "the last one's results differ from run to run";
      continue;
    }
    CudnnDescriptor plan(cudnn_, kExecutionPlan, "an algorithm");
    plan.set(kPlanHandle, kTypeHandle, {cudnn_.get()}).set(kPlanConfig, configurations[i]);
    if (const int status = plan.try_finalize(); status != 0) {  // listed, but not for this GPU or this version
      refused = cudnn_.reason(status, "the last one");
      continue;
    }
    const int64_t workspace = plan.get_int64(kPlanWorkspace);
    if (workspace < 0 || static_cast<size_t>(workspace) > kVendorWorkspace) {
      refused = "the last one wants " + std::to_string(workspace) + " bytes of workspace";
      continue;
    }
    const int64_t index = engine.get_int64(kEngineIndex);
    return {std::move(configurations[i]), std::move(plan), static_cast<size_t>(workspace), index};
  }
  throw Error(ErrorCode::device, "cuDNN " + version() + " has no algorithm for " + to_string(problem) + ": " + refused)
      .hint("--kernels own does without");
}

const CudnnConv::Plan& CudnnConv::plan(const CudnnProblem& problem) {
  if (const auto known = plans_.find(problem); known != plans_.end()) return known->second;
  return plans_.emplace(problem, make_plan(problem)).first->second;
}

bool CudnnConv::can(const CudnnProblem& problem) {
  if (refused_.contains(problem)) return false;
  try {
    plan(problem);
    return true;
  } catch (const DeviceLost&) {
    throw;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::device) throw;
    refused_.insert(problem);
    return false;
  }
}

void CudnnConv::run(const CudnnProblem& problem, const CudnnPointers& p) {
  const Plan& chosen = plan(problem);
  int64_t ids[5] = {kX, kW, kY};
  void* pointers[5] = {p.x, p.w, p.y};
  size_t count = 3;
  const auto also = [&](Id id, const void* pointer) {  // read only, but the library takes all as void*
    ids[count] = id, pointers[count] = const_cast<void*>(pointer), ++count;
  };
  if (problem.added) also(kAdded, p.added);
  if (problem.bias) also(kBias, p.bias);
  CudnnDescriptor pack(cudnn_, kVariantPack, "the memory of a convolution");
  pack.set(kPackPointers, kTypeVoidPtr, std::span<void* const>(pointers, count))
      .set(kPackIds, kTypeInt64, std::span<const int64_t>(ids, count))
      .set(kPackWorkspace, kTypeVoidPtr, {p.workspace})
      .finalize();
  cudnn_.check(cudnn_.api().execute(cudnn_.get(), chosen.plan.get(), pack.get()), "a convolution");
}

}  // namespace furrow::gpu
