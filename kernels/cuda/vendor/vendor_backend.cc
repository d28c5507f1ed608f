#include "kernels/cuda/vendor/vendor_backend.h"

#include <algorithm>
#include <vector>

#include "kernels/cuda/cuda_eager_mma.h"
#include "kernels/half.h"

namespace furrow::gpu {
namespace {

constexpr size_t kAlign = 256;
size_t round_up(size_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

// The head as a step of its own, which Furrow's kernels compute.
ConvStep head_step(const ConvStep& s) { return {.x = {s.y(), {0, 0, 0, 0}}, .oc = s.head, .geometry = {1, 1, 1, 0}}; }

// Elements of `type` from float64, rounded once to float32 and once to the type.
class Elements {
 public:
  Elements(DType type, size_t count) : type_(type), bytes_(count * size_of(type)) {}
  void set(size_t at, double value) {
    const auto f = static_cast<float>(value);
    if (type_ == DType::f32) {
      reinterpret_cast<float*>(bytes_.data())[at] = f;
    } else {
      reinterpret_cast<uint16_t*>(bytes_.data())[at] = type_ == DType::f16 ? f32_to_f16(f) : f32_to_bf16(f);
    }
  }
  const void* data() const { return bytes_.data(); }
  size_t bytes() const { return bytes_.size(); }

 private:
  DType type_;
  std::vector<std::byte> bytes_;
};

}  // namespace

struct VendorBackend::Weights : public Packed {
  std::shared_ptr<void> w[2], bias;
  std::unique_ptr<Packed> head;
  size_t total = 0;
  size_t bytes() const override { return total + (head == nullptr ? 0 : head->bytes()); }
};

VendorBackend::VendorBackend(std::unique_ptr<Runtime> runtime, const KernelApi& kernels, Precision precision)
    : CudaBackend(std::move(runtime), kernels, precision) {
  if (precision == Precision::fp32)
    throw Error(ErrorCode::usage, "--kernels vendor computes in fp16, bf16 or tf32, not in fp32")
        .hint("--kernels own does");
  cudnn_ = std::make_unique<CudnnConv>(open_cudnn(), stream_);
  cublaslt_ = std::make_unique<CublasLtGemm>(open_cublaslt(), stream_);
}

bool VendorBackend::use(const Tuning& tuning) {
  const auto measured = tuning.vendor_steps.find(machine());
  if (measured == tuning.vendor_steps.end()) return false;
  use([steps = measured->second](const Step& step) { return steps.contains(step_key(step)); });
  return true;
}

std::string VendorBackend::machine() const {
  return "furrow " FURROW_VERSION "; " + runtime_->name() + "; " + runtime_->versions() + "; cudnn " + cudnn_->version() + "; cublaslt " +
         cublaslt_->version() + "; " + std::string(furrow::name(precision()));
}

std::string VendorBackend::name() const {
  std::string text = CudaBackend::name();
  text.insert(text.size() - 1, "; cudnn " + cudnn_->version() + ", cublaslt " + cublaslt_->version());
  return text;
}

bool VendorBackend::is_product(const ConvStep& s) const {
  return s.geometry == ConvGeometry{1, 1, 1, 0} && s.x[1].c == 0;
}

bool VendorBackend::takes(const Step& step) const {
  if (const auto* conv = std::get_if<ConvStep>(&step)) return !conv->residual;
  const auto* up = std::get_if<UpconvStep>(&step);
  return up != nullptr && up->top >= 0 && up->left >= 0 && up->top + 2 * up->x.h <= up->y.h &&
         up->left + 2 * up->x.w <= up->y.w;
}

bool VendorBackend::offers(const Step& step) const {
  if (!takes(step)) return false;
  try {
    library_workspace(step);
    return true;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::device) throw;
    return false;
  }
}

bool VendorBackend::uses(const Step& step) const { return takes(step) && (!wanted_ || wanted_(step)); }

CudnnProblem VendorBackend::cudnn_problem(const ConvStep& s, int source) const {
  const bool first_of_two = s.x[1].c > 0 && source == 0;
  const int64_t c = pitch_of(s.x[source].c), oc = pitch_of(s.oc);
  return {.type = storage(),
          .y_is_f32 = first_of_two,
          .n = s.x[0].n,
          .h = s.x[0].h,
          .w = s.x[0].w,
          .c = c,
          .x_pitch = c,
          .oc = oc,
          .y_pitch = oc,
          .geometry = s.geometry,
          .added = source == 1,
          .bias = !first_of_two,
          .relu = !first_of_two && s.act == Activation::relu};
}

GemmProblem VendorBackend::product(const ConvStep& s) const {
  const int64_t c = pitch_of(s.x[0].c), oc = pitch_of(s.oc);
  return {.type = storage(),
          .rows = s.x[0].n * s.x[0].h * s.x[0].w,
          .inputs = c,
          .outputs = oc,
          .x_pitch = c,
          .y_pitch = oc,
          .relu = s.act == Activation::relu};
}

// Row 2h+i of y holds, for each w, the pixels of j = 0 and 1 side by side: one product per i, whose outputs are (j,
// oc), one row of x at a time. The rows of all pictures are evenly spaced only where y has no others.
GemmProblem VendorBackend::product(const UpconvStep& s) const {
  const int64_t c = pitch_of(s.x.c), oc = pitch_of(s.y.c);
  return {.type = storage(),
          .rows = s.x.w,
          .inputs = c,
          .outputs = 2 * oc,
          .x_pitch = c,
          .y_pitch = 2 * oc,
          .batch = s.y.h == 2 * s.x.h ? s.x.n * s.x.h : s.x.h,
          .x_stride = s.x.w * c,
          .y_stride = 2 * s.y.w * oc};
}

size_t VendorBackend::library_workspace(const Step& step) const {
  runtime_->use();
  if (const auto* up = std::get_if<UpconvStep>(&step)) return round_up(cublaslt_->plan(product(*up)).workspace);
  const auto& conv = std::get<ConvStep>(step);
  if (is_product(conv)) return round_up(cublaslt_->plan(product(conv)).workspace);
  const size_t first = cudnn_->plan(cudnn_problem(conv, 0)).workspace;
  if (conv.x[1].c == 0) return round_up(first);
  const Shape y = conv.y();  // with two sources, the first one's sums in float32 as well
  const auto sums = static_cast<size_t>(y.n * y.h * y.w * pitch_of(y.c)) * sizeof(float);
  return round_up(sums) + round_up(std::max(first, cudnn_->plan(cudnn_problem(conv, 1)).workspace));
}

std::string VendorBackend::algorithm(const Step& step) const {
  if (!uses(step)) return CudaBackend::algorithm(step);
  runtime_->use();
  const auto* conv = std::get_if<ConvStep>(&step);
  if (conv == nullptr || is_product(*conv)) {
    const int id = cublaslt_->plan(conv == nullptr ? product(std::get<UpconvStep>(step)) : product(*conv)).id;
    const std::string text = "cublaslt " + cublaslt_->version() + " algorithm " + std::to_string(id);
    if (conv == nullptr) return text;
    return text + (conv->pool ? ", pool apart" : "") + (conv->head > 0 ? ", head apart" : "");
  }
  std::string text =
      "cudnn " + cudnn_->version() + " engine " + std::to_string(cudnn_->plan(cudnn_problem(*conv, 0)).engine);
  if (conv->x[1].c > 0) text += "+" + std::to_string(cudnn_->plan(cudnn_problem(*conv, 1)).engine);
  return text + (conv->pool ? ", pool apart" : "") + (conv->head > 0 ? ", head apart" : "");
}

size_t VendorBackend::workspace_bytes(const Step& step) const {
  if (!uses(step)) return CudaBackend::workspace_bytes(step);
  size_t bytes = library_workspace(step);
  if (const auto* conv = std::get_if<ConvStep>(&step)) {
    if (!conv->store_y) bytes += round_up(placed_bytes(conv->y()));
    if (conv->head > 0)
      bytes += round_up(placed_bytes(head_step(*conv).y())) + CudaBackend::workspace_bytes(head_step(*conv));
  }
  return bytes;
}

std::shared_ptr<void> VendorBackend::upload(const void* data, size_t bytes) {
  std::shared_ptr<void> memory = allocate_shared(runtime_, bytes);
  runtime_->upload(stream_, memory.get(), data, bytes);
  runtime_->synchronize(stream_);  // `data` need not outlive the call
  return memory;
}

// Channels [first, first + channels) of w {OC,KH,KW,IC} as {pitch(OC),KH,KW,pitch(channels)}, the rest zeros; of few
// channels in 16 bits a second time, for what rounding took from an input (kernels/cuda/image.h).
std::shared_ptr<void> VendorBackend::upload_weights(const Tensor& w, int64_t first, int64_t channels) {
  const Shape& s = w.shape();
  const Tensor wide = w.to(DType::f64);
  const auto values = wide.values<double>();
  const int64_t pitch = pitch_of(channels), taps = s.h * s.w;
  Elements packed(storage(), static_cast<size_t>(pitch_of(s.n) * taps * pitch));
  const bool twice = storage() != DType::f32 && channels <= kSplitChannels;
  for (int64_t row = 0; row < s.n * taps; ++row)
    for (int64_t c = 0; c < channels; ++c) {
      const double value = values[static_cast<size_t>(row * s.c + first + c)];
      packed.set(static_cast<size_t>(row * pitch + c), value);
      if (twice) packed.set(static_cast<size_t>(row * pitch + kSplitChannels + c), value);
    }
  return upload(packed.data(), packed.bytes());
}

std::unique_ptr<Packed> VendorBackend::prepare(const Step& step, const StepWeights& weights) {
  if (!uses(step)) return CudaBackend::prepare(step, weights);
  runtime_->use();
  auto out = std::make_unique<Weights>();
  const Tensor b = weights.b.empty() ? Tensor() : weights.b.to(DType::f64);
  const auto bias_of = [&](int64_t oc) { return b.empty() ? 0 : b.values<double>()[static_cast<size_t>(oc)]; };
  const size_t element = size_of(storage());
  if (const auto* conv = std::get_if<ConvStep>(&step)) {
    const int64_t taps = conv->geometry.kernel_h * conv->geometry.kernel_w, oc = pitch_of(conv->oc);
    out->w[0] = upload_weights(weights.w, 0, conv->x[0].c);
    out->total += static_cast<size_t>(oc * taps * pitch_of(conv->x[0].c)) * element;
    if (conv->x[1].c > 0) {
      out->w[1] = upload_weights(weights.w, conv->x[0].c, conv->x[1].c);
      out->total += static_cast<size_t>(oc * taps * pitch_of(conv->x[1].c)) * element;
    }
    // cuBLASLt wants the bias in y's type; cuDNN adds a float32 one.
    Elements bias(is_product(*conv) ? storage() : DType::f32, static_cast<size_t>(oc));
    for (int64_t i = 0; i < conv->oc; ++i) bias.set(static_cast<size_t>(i), bias_of(i));
    out->bias = upload(bias.data(), bias.bytes());
    out->total += bias.bytes();
    if (conv->head > 0) out->head = CudaBackend::prepare(head_step(*conv), {.w = weights.head_w, .b = weights.head_b});
    return out;
  }
  // w {OC,2,2,IC} as [i][j][pitch(OC)][pitch(IC)], the bias twice.
  const auto& up = std::get<UpconvStep>(step);
  const int64_t c = pitch_of(up.x.c), oc = pitch_of(up.y.c);
  const Tensor wide = weights.w.to(DType::f64);
  const auto values = wide.values<double>();
  Elements packed(storage(), static_cast<size_t>(4 * oc * c)), bias(storage(), static_cast<size_t>(2 * oc));
  for (int64_t o = 0; o < up.y.c; ++o)
    for (int64_t phase = 0; phase < 4; ++phase) {
      bias.set(static_cast<size_t>(phase % 2 * oc + o), bias_of(o));
      for (int64_t i = 0; i < up.x.c; ++i)
        packed.set(static_cast<size_t>((phase * oc + o) * c + i),
                   values[static_cast<size_t>((o * 4 + phase) * up.x.c + i)]);
    }
  out->w[0] = upload(packed.data(), packed.bytes());
  out->bias = upload(bias.data(), bias.bytes());
  out->total = packed.bytes() + bias.bytes();
  return out;
}

void VendorBackend::convolve(const ConvStep& s, const Weights& weights, const Placed* x, const Placed& y,
                             std::byte* workspace) {
  if (is_product(s))
    return cublaslt_->run(product(s), x[0].data, weights.w[0].get(), weights.bias.get(), y.data, workspace);
  const CudnnProblem first = cudnn_problem(s, 0);
  if (s.x[1].c == 0)
    return cudnn_->run(
        first,
        {.x = x[0].data, .w = weights.w[0].get(), .y = y.data, .bias = weights.bias.get(), .workspace = workspace});
  const CudnnProblem second = cudnn_problem(s, 1);
  std::byte* sums = workspace;
  workspace += round_up(static_cast<size_t>(first.n * first.out_h() * first.out_w() * first.y_pitch) * sizeof(float));
  cudnn_->run(first, {.x = x[0].data, .w = weights.w[0].get(), .y = sums, .workspace = workspace});
  cudnn_->run(second, {.x = x[1].data,
                       .w = weights.w[1].get(),
                       .y = y.data,
                       .added = sums,
                       .bias = weights.bias.get(),
                       .workspace = workspace});
}

void VendorBackend::upconvolve(const UpconvStep& s, const Weights& weights, const Placed& x, const Placed& y,
                               std::byte* workspace) {
  const GemmProblem problem = product(s);
  const auto element = static_cast<int64_t>(size_of(storage()));
  const int64_t c = pitch_of(s.x.c), oc = pitch_of(s.y.c);
  if (s.y.h != 2 * s.x.h || s.y.w != 2 * s.x.w) runtime_->zero(stream_, y.data, placed_bytes(s.y));
  const int64_t calls = problem.batch == s.x.h ? s.x.n : 1;  // per picture, or all at once
  for (int64_t n = 0; n < calls; ++n)
    for (int64_t i = 0; i < 2; ++i)
      cublaslt_->run(problem, x.data + n * s.x.h * s.x.w * c * element,
                     static_cast<const std::byte*>(weights.w[0].get()) + i * 2 * oc * c * element, weights.bias.get(),
                     y.data + ((n * s.y.h + s.top + i) * s.y.w + s.left) * oc * element, workspace);
}

void VendorBackend::run(const Step& step, const Packed* packed, const StepBuffers& buffers) {
  if (!uses(step)) return CudaBackend::run(step, packed, buffers);
  runtime_->use();
  const auto* weights = dynamic_cast<const Weights*>(packed);
  require(weights != nullptr, "VendorBackend::run: weights that this back-end did not prepare");
  std::byte* next = buffers.workspace;
  const auto take = [&](size_t bytes) {
    std::byte* memory = next;
    next += round_up(bytes);
    return memory;
  };
  std::byte* workspace = take(library_workspace(step));
  if (const auto* up = std::get_if<UpconvStep>(&step))
    return upconvolve(*up, *weights, buffers.x[0], buffers.y, workspace);
  const auto& conv = std::get<ConvStep>(step);
  const Placed y = conv.store_y ? buffers.y : Placed{take(placed_bytes(conv.y())), conv.y()};
  convolve(conv, *weights, buffers.x, y, workspace);
  if (conv.pool) CudaBackend::run(PoolStep{conv.y()}, nullptr, {.x = {y, {}}, .y = buffers.pooled});
  if (conv.head == 0) return;
  const ConvStep head = head_step(conv);
  const Placed placed{take(placed_bytes(head.y())), head.y()};
  CudaBackend::run(head, weights->head.get(), {.x = {y, {}}, .y = placed, .workspace = next});
  Tensor logits = buffers.head;
  unplace(placed, logits);
}

// Where there is nothing to compute Furrow's kernels know what that means.
bool VendorBackend::computes_eager(const ConvGeometry& geometry, const ConstImage& x, const ConstImage& y) const {
  return !wanted_ && !is_eager_head(geometry, y.c) && x.pixels() > 0 && x.c > 0 && y.pixels() > 0 && y.c > 0;
}

CudnnEager VendorBackend::eager(Staged& staged) const {
  return {{*cudnn_, *runtime_, kernels_, stream_, storage()}, staged};
}

bool VendorBackend::narrow_conv(Staged& staged, const ConvForward& args, const float* w) {
  if (computes_eager(args.geometry, args.x0, args.y) && eager(staged).forward(args, w)) return true;
  return CudaBackend::narrow_conv(staged, args, w);
}

bool VendorBackend::narrow_grad_input(Staged& staged, const ConvGradInput& args) {
  const ConstImage dx = args.dx0 ? args.dx0 : args.dx1;
  if (computes_eager(args.geometry, dx, args.dy) && eager(staged).grad_input(args)) return true;
  return CudaBackend::narrow_grad_input(staged, args);
}

bool VendorBackend::narrow_grad_weight(Staged& staged, const ConvGradWeight& args) {
  if (computes_eager(args.geometry, args.x0, args.dy) && eager(staged).grad_weight(args)) return true;
  return CudaBackend::narrow_grad_weight(staged, args);
}

}  // namespace furrow::gpu
