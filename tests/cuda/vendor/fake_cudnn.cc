// A cuDNN that records descriptors, fails when told to, checks what it is given, and computes on the host, slowly:
// built as a shared object with the library's own names.
#include "tests/cuda/vendor/fake_cudnn.h"

#include <algorithm>
#include <array>

#include "kernels/cuda/vendor/cudnn_api.h"
#include "kernels/half.h"

namespace {

using namespace furrow::gpu::cudnn;
using furrow::gpu::fake::CudnnRecord;
using furrow::gpu::fake::CudnnState;
using Record = std::shared_ptr<CudnnRecord>;

constexpr int kBadParam = 2000, kNotSupported = 3000;

CudnnState& state() {
  static CudnnState it;
  return it;
}
bool fails() { return ++state().calls == state().fail_at; }
Record find(void* descriptor) {
  const auto found = state().live.find(descriptor);
  return found == state().live.end() ? nullptr : found->second;
}
Record referred(const CudnnRecord& record, int name, size_t index = 0) {
  const auto pointers = record.get<void*>(name);
  if (index >= pointers.size()) return nullptr;
  for (const Record& other : record.refers_to)
    if (other.get() == pointers[index]) return other;
  return nullptr;
}
size_t size_of_type(int type) {
  switch (type) {
    case kTypeInt64:
    case kTypeVoidPtr:
    case kTypeDescriptor:
    case kTypeHandle: return 8;
    case kTypeBoolean: return sizeof(bool);
    default: return 4;
  }
}

// A tensor's values while a graph runs: real memory, or its own where virtual.
struct Values {
  std::vector<int64_t> dims, strides;
  int type = kDataFloat;
  void* data = nullptr;
  std::vector<float> own;

  size_t offset(const std::array<int64_t, 4>& at) const {
    int64_t sum = 0;
    for (size_t i = 0; i < 4; ++i) sum += (dims[i] == 1 ? 0 : at[i]) * strides[i];
    return static_cast<size_t>(sum);
  }
  float read(const std::array<int64_t, 4>& at) const {
    const size_t o = offset(at);
    if (type == kDataFloat) return static_cast<const float*>(data)[o];
    const uint16_t bits = static_cast<const uint16_t*>(data)[o];
    return type == kDataHalf ? furrow::f16_to_f32(bits) : furrow::bf16_to_f32(bits);
  }
  void write(const std::array<int64_t, 4>& at, float value) {
    const size_t o = offset(at);
    if (type == kDataFloat)
      static_cast<float*>(data)[o] = value;
    else
      static_cast<uint16_t*>(data)[o] = type == kDataHalf ? furrow::f32_to_f16(value) : furrow::f32_to_bf16(value);
  }
};

template <class Body>
void for_each(const std::vector<int64_t>& dims, const Body& body) {
  for (int64_t a = 0; a < dims[0]; ++a)
    for (int64_t b = 0; b < dims[1]; ++b)
      for (int64_t c = 0; c < dims[2]; ++c)
        for (int64_t d = 0; d < dims[3]; ++d) body(std::array<int64_t, 4>{a, b, c, d});
}

class Execution {
 public:
  explicit Execution(const CudnnRecord& pack) {
    const auto ids = pack.get<int64_t>(kPackIds);
    const auto pointers = pack.get<void*>(kPackPointers);
    complete_ = ids.size() == pointers.size();
    for (size_t i = 0; complete_ && i < ids.size(); ++i) memory_[ids[i]] = pointers[i];
  }

  int run(const CudnnRecord& graph) {
    if (!complete_) return kBadParam;
    for (size_t i = 0; i < graph.get<void*>(kGraphOperations).size(); ++i) {
      const Record operation = referred(graph, kGraphOperations, i);
      if (operation == nullptr) return kBadParam;
      ++state().operations[operation->type];
      int status = kNotSupported;
      if (operation->type == kConvForward) status = forward(*operation);
      if (operation->type == kConvBackwardData)
        status = backward(*operation, kBackwardDataDy, kBackwardDataW, kBackwardDataDx, kBackwardDataConv, false);
      if (operation->type == kConvBackwardFilter)
        status =
            backward(*operation, kBackwardFilterDy, kBackwardFilterDw, kBackwardFilterX, kBackwardFilterConv, true);
      if (operation->type == kPointwiseOperation) status = pointwise(*operation);
      if (status != 0) return status;
    }
    return 0;
  }

 private:
  // Null where the tensor is not one, or has no memory.
  Values* values(const Record& tensor) {
    if (tensor == nullptr || tensor->type != kTensor) return nullptr;
    const int64_t id = tensor->get<int64_t>(kTensorId).at(0);
    if (const auto known = values_.find(id); known != values_.end()) return &known->second;
    Values v{tensor->get<int64_t>(kTensorDims),
             tensor->get<int64_t>(kTensorStrides),
             tensor->get<int>(kTensorType).at(0),
             nullptr,
             {}};
    if (v.dims.size() != 4 || v.strides.size() != 4) return nullptr;
    if (tensor->get<char>(kTensorVirtual).at(0) != 0) {
      size_t last = 0;
      for (size_t i = 0; i < 4; ++i) last += static_cast<size_t>((v.dims[i] - 1) * v.strides[i]);
      v.own.resize(last + 1);
      v.data = v.own.data();
    } else {
      v.data = memory_[id];
      if (v.data == nullptr || reinterpret_cast<uintptr_t>(v.data) % 16 != 0) return nullptr;
    }
    return &(values_[id] = std::move(v));
  }

  struct Window {
    int64_t pad, stride;
  };
  // False where the convolution is not a plain one, or y's size does not follow from x's.
  static bool window(const Record& conv, const Values& x, const Values& w, const Values& y, Window& out) {
    if (conv == nullptr || conv->type != kConvolution) return false;
    const auto pre = conv->get<int64_t>(kConvPrePaddings), post = conv->get<int64_t>(kConvPostPaddings);
    const auto strides = conv->get<int64_t>(kConvStrides), dilations = conv->get<int64_t>(kConvDilations);
    if (pre.size() != 2 || pre != post || strides.size() != 2 || dilations != std::vector<int64_t>{1, 1}) return false;
    if (pre[0] != pre[1] || strides[0] != strides[1] ||
        conv->get<int>(kConvMode) != std::vector<int>{kCrossCorrelation})
      return false;
    const int64_t c = w.dims[1], kw = w.dims[3];  // the library takes dense weights only
    if (w.strides != std::vector<int64_t>{w.dims[2] * kw * c, 1, kw * c, c}) return false;
    out = {pre[0], strides[0]};
    for (size_t i : {size_t{2}, size_t{3}})
      if (y.dims[i] != (x.dims[i] + 2 * out.pad - w.dims[i]) / out.stride + 1) return false;
    return x.dims[1] == w.dims[1] && y.dims[1] == w.dims[0] && x.dims[0] == y.dims[0];
  }

  int forward(const CudnnRecord& op) {
    Values *x = values(referred(op, kForwardX)), *w = values(referred(op, kForwardW)),
           *y = values(referred(op, kForwardY));
    Window at{};
    if (x == nullptr || w == nullptr || y == nullptr || !window(referred(op, kForwardConv), *x, *w, *y, at))
      return kBadParam;
    if (op.get<float>(kForwardAlpha) != std::vector<float>{1} || op.get<float>(kForwardBeta) != std::vector<float>{0})
      return kNotSupported;
    for_each(y->dims, [&](const std::array<int64_t, 4>& o) {
      double sum = 0;
      for (int64_t c = 0; c < w->dims[1]; ++c)
        for (int64_t i = 0; i < w->dims[2]; ++i)
          for (int64_t j = 0; j < w->dims[3]; ++j) {
            const int64_t ih = o[2] * at.stride + i - at.pad, iw = o[3] * at.stride + j - at.pad;
            if (ih >= 0 && iw >= 0 && ih < x->dims[2] && iw < x->dims[3])
              sum += static_cast<double>(x->read({o[0], c, ih, iw})) * w->read({o[1], c, i, j});
          }
      y->write(o, static_cast<float>(sum));
    });
    return 0;
  }

  // Both gradients: every product goes where the pass wants it.
  int backward(const CudnnRecord& op, int dy_name, int w_name, int x_name, int conv_name, bool filter) {
    Values *dy = values(referred(op, dy_name)), *w = values(referred(op, w_name)), *x = values(referred(op, x_name));
    Window at{};
    if (x == nullptr || w == nullptr || dy == nullptr || !window(referred(op, conv_name), *x, *w, *dy, at))
      return kBadParam;
    Values& result = filter ? *w : *x;
    std::map<std::array<int64_t, 4>, double> sums;
    for_each(result.dims, [&](const std::array<int64_t, 4>& i) { sums[i] = 0; });
    for_each(dy->dims, [&](const std::array<int64_t, 4>& o) {
      for (int64_t c = 0; c < w->dims[1]; ++c)
        for (int64_t i = 0; i < w->dims[2]; ++i)
          for (int64_t j = 0; j < w->dims[3]; ++j) {
            const std::array<int64_t, 4> in{o[0], c, o[2] * at.stride + i - at.pad, o[3] * at.stride + j - at.pad},
                tap{o[1], c, i, j};
            if (in[2] < 0 || in[3] < 0 || in[2] >= x->dims[2] || in[3] >= x->dims[3]) continue;
            sums[filter ? tap : in] += static_cast<double>(dy->read(o)) * (filter ? x->read(in) : w->read(tap));
          }
    });
    for (const auto& [index, sum] : sums) result.write(index, static_cast<float>(sum));
    return 0;
  }

  int pointwise(const CudnnRecord& op) {
    const Record how = referred(op, kOpPointwise);
    Values *x = values(referred(op, kOpPointwiseX)), *b = values(referred(op, kOpPointwiseB)),
           *y = values(referred(op, kOpPointwiseY));
    if (how == nullptr || x == nullptr || y == nullptr || x->dims != y->dims) return kBadParam;
    const int mode = how->get<int>(kPointwiseMode).at(0);
    if (mode == kPointwiseAdd ? b == nullptr : mode != kPointwiseRelu || b != nullptr) return kBadParam;
    for_each(y->dims, [&](const std::array<int64_t, 4>& o) {
      const float value = x->read(o);
      y->write(o, mode == kPointwiseAdd ? value + b->read(o) : value < 0 ? 0 : value);
    });
    return 0;
  }

  bool complete_ = false;
  std::map<int64_t, void*> memory_;
  std::map<int64_t, Values> values_;
};

int finalize_plan(CudnnRecord& plan) {
  const Record configuration = referred(plan, kPlanConfig);
  if (configuration == nullptr || plan.get<void*>(kPlanHandle).empty()) return kBadParam;
  if (configuration->refused) return kNotSupported;
  plan.workspace = configuration->workspace;
  ++state().plans;
  return 0;
}

}  // namespace

#define FURROW_EXPORT __attribute__((visibility("default")))
extern "C" {

FURROW_EXPORT CudnnState* furrow_fake_cudnn() { return &state(); }

FURROW_EXPORT size_t cudnnGetVersion() { return state().version; }
FURROW_EXPORT const char* cudnnGetErrorString(int status) {
  return status == kNotSupported ? "FAKE_STATUS_NOT_SUPPORTED" : "FAKE_STATUS_BAD_PARAM";
}
FURROW_EXPORT void cudnnGetLastErrorString(char* message, size_t bytes) { std::strncpy(message, "as told", bytes); }

FURROW_EXPORT int cudnnCreate(void** handle) {
  if (fails()) return kBadParam;
  *handle = new char;
  state().handles.insert(*handle);
  return 0;
}
FURROW_EXPORT int cudnnDestroy(void* handle) {
  if (state().handles.erase(handle) == 1) delete static_cast<char*>(handle);
  return fails() ? kBadParam : 0;
}
FURROW_EXPORT int cudnnSetStream(void* handle, void*) {
  return fails() || state().handles.count(handle) == 0 ? kBadParam : 0;
}

FURROW_EXPORT int cudnnBackendCreateDescriptor(int type, void** descriptor) {
  if (fails()) return kBadParam;
  auto record = std::make_shared<CudnnRecord>();
  record->type = type;
  state().all.push_back(record);
  *descriptor = record.get();
  state().live[record.get()] = record;
  return 0;
}
FURROW_EXPORT int cudnnBackendDestroyDescriptor(void* descriptor) {
  if (state().live.erase(descriptor) == 0) return kBadParam;
  return fails() ? kBadParam : 0;
}

FURROW_EXPORT int cudnnBackendSetAttribute(void* descriptor, int name, int type, int64_t count, const void* values) {
  const Record record = find(descriptor);
  if (fails() || record == nullptr || record->finalized || count < 0 || values == nullptr) return kBadParam;
  CudnnRecord::Attribute attribute{type, count, {}};
  const auto* bytes = static_cast<const std::byte*>(values);
  attribute.bytes.assign(bytes, bytes + static_cast<size_t>(count) * size_of_type(type));
  if (type == kTypeDescriptor)
    for (int64_t i = 0; i < count; ++i) {
      const Record other = find(static_cast<void* const*>(values)[i]);
      if (other == nullptr || !other->finalized) return kBadParam;
      record->refers_to.push_back(other);
    }
  if (type == kTypeHandle && state().handles.count(*static_cast<void* const*>(values)) == 0) return kBadParam;
  record->attributes[name] = std::move(attribute);
  return 0;
}

FURROW_EXPORT int cudnnBackendFinalize(void* descriptor) {
  const Record record = find(descriptor);
  if (fails() || record == nullptr || record->finalized) return kBadParam;
  if (record->type == kExecutionPlan)
    if (const int status = finalize_plan(*record); status != 0) return status;
  record->finalized = true;
  return 0;
}

FURROW_EXPORT int cudnnBackendGetAttribute(void* descriptor, int name, int type, int64_t room, int64_t* count,
                                           void* values) {
  using namespace furrow::gpu::fake;
  const Record record = find(descriptor);
  if (fails() || record == nullptr || (record->type != kEngine && !record->finalized)) return kBadParam;
  const auto put = [&](int64_t value) {
    if (type != kTypeInt64 || room < 1) return kBadParam;
    *static_cast<int64_t*>(values) = value, *count = 1;
    return 0;
  };
  if (record->type == kExecutionPlan && name == kPlanWorkspace) return put(record->workspace);
  if (record->type == kEngine && name == kEngineIndex) return put(record->engine);
  if (record->type == kEngine && name == kEngineNotes) {  // tensor cores, and what the engine is here for
    const std::vector<int> notes =
        record->engine == kLooseEngine ? std::vector<int>{0, kNondeterministic} : std::vector<int>{0};
    *count = static_cast<int64_t>(notes.size());
    if (type != kTypeNumericalNote || record->engine == 0) return kBadParam;
    std::copy_n(notes.begin(), std::min(room, *count), static_cast<int*>(values));
    return 0;
  }
  if (record->type == kEngineConfig && name == kConfigEngine && room == 1) {
    const Record engine = find(*static_cast<void**>(values));
    if (engine == nullptr || engine->type != kEngine) return kBadParam;
    engine->engine = record->engine, *count = 1;
    return 0;
  }
  if (record->type != kEngineHeuristic || name != kHeurResults) return kBadParam;
  if (record->get<int>(kHeurMode) != std::vector<int>{kHeurModeA}) return kNotSupported;
  *count = state().no_engine ? 0 : 4;
  for (int64_t i = 0; i < std::min(room, *count); ++i) {
    const Record configuration = find(static_cast<void**>(values)[i]);
    if (configuration == nullptr || configuration->type != kEngineConfig) return kBadParam;
    configuration->finalized = true;
    configuration->refers_to = {referred(*record, kHeurGraph)};
    configuration->engine =
        std::array{kRefusedEngine, kGreedyEngine, kLooseEngine, kUsableEngine}[static_cast<size_t>(i)];
    configuration->refused = i == 0;
    configuration->workspace = i == 1 ? int64_t{1} << 30 : kFakeWorkspace;
  }
  return 0;
}

FURROW_EXPORT int cudnnBackendExecute(void* handle, void* plan_descriptor, void* pack_descriptor) {
  const Record plan = find(plan_descriptor), pack = find(pack_descriptor);
  if (fails() || state().handles.count(handle) == 0 || plan == nullptr || pack == nullptr || !plan->finalized ||
      !pack->finalized)
    return kBadParam;
  const Record configuration = referred(*plan, kPlanConfig);
  void* workspace = pack->get<void*>(kPackWorkspace).at(0);
  if (configuration == nullptr || find(configuration.get()) == nullptr || workspace == nullptr)
    return kBadParam;  // the plan refers to it
  ++state().executions;
  std::memset(workspace, 0xFF, static_cast<size_t>(plan->workspace));  // NaNs over whatever it might overlap
  const int status = Execution(*pack).run(*configuration->refers_to.at(0));
  std::memset(workspace, 0xFF, static_cast<size_t>(plan->workspace));
  return status;
}

}  // extern "C"
