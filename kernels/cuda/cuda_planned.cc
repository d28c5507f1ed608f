// Planned steps on the CUDA kernels: which launch a step becomes, and its weights in device memory.
//
// fp32 runs the kernels of conv.h on float images, the other precisions those of mma_conv.h on images whose pixels start on
// 16 bytes. The choice is a function of step, precision and device, never of time.
#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/checked.h"
#include "kernels/cuda/cuda_backend.h"

namespace furrow::gpu {
namespace {

// Weights of one step in device memory.
struct DeviceWeights : public Packed {
  std::shared_ptr<void> weights, bias, head_w, head_b;
  MmaConvLayout layout;   // of a tensor-core convolution
  MmaUpconvLayout upconv_layout;
  size_t total = 0;
  size_t bytes() const override { return total; }
};

const DeviceWeights& weights_of(const Packed* packed) {
  const auto* weights = dynamic_cast<const DeviceWeights*>(packed);
  require(weights != nullptr, "CudaBackend::run: weights that this back-end did not prepare");
  return *weights;
}

template <class T> const T* pointer(const std::shared_ptr<void>& memory) { return static_cast<const T*>(memory.get()); }

std::vector<float> as_floats(const Tensor& t) {
  if (t.empty()) return {};
  const Tensor narrow = t.to(DType::f32);
  return {narrow.values<float>().begin(), narrow.values<float>().end()};
}

// A head that does not fit a block's shared memory is a convolution of its own, in fp32, on the stored y. A fused head
// reads y before it is rounded to its type; the logits of either are float32 sums that are never rounded to 16 bits.
bool separate_head(const ConvStep& s, Precision precision) {
  return precision != Precision::fp32 && s.head > kMmaMaxHead;
}

constexpr ConvGeometry kHeadGeometry{1, 1, 1, 0};

int to_int(int64_t value) { return static_cast<int>(value); }

// Whether an input of 16 bits keeps what rounding takes from its values, in channels of its own.
bool splits(const Image& y) { return y.type != DType::f32 && y.c <= kSplitChannels; }

}  // namespace

DType CudaBackend::storage() const {
  if (precision_ == Precision::fp16) return DType::f16;
  return precision_ == Precision::bf16 ? DType::bf16 : DType::f32;
}

int CudaBackend::pitch_of(int64_t channels) const {
  const int64_t step = 16 / static_cast<int64_t>(size_of(storage()));
  return to_int((channels + step - 1) / step * step);
}

size_t CudaBackend::placed_bytes(const Shape& s) const {
  return (Checked::from_signed(s.n) * Checked::from_signed(s.h) * Checked::from_signed(s.w) *
          Checked::from_signed(pitch_of(s.c)) * size_of(storage()))
      .size();
}

Image CudaBackend::image(const Placed& placed) const {
  if (placed.data == nullptr) return {};
  const Shape& s = placed.shape;
  return {placed.data, storage(), to_int(s.n), to_int(s.h), to_int(s.w), to_int(s.c), pitch_of(s.c)};
}

void CudaBackend::place(const Tensor& dense, const Placed& to) {
  require(dense.shape() == to.shape && dense.dtype() == DType::f32 && to.data != nullptr, "place: shape or type");
  runtime_->use();
  const Image y = image(to);
  const void* from = dense.values<float>().data();
  if (!on_device(from)) {
    void *pinned = borrow(Slot::pinned_in, dense.bytes()), *staging = borrow(Slot::staging, dense.bytes());
    finish();   // an earlier copy out of the same memory
    std::memcpy(pinned, from, dense.bytes());
    runtime_->upload(stream_, staging, pinned, dense.bytes());
    from = staging;
  }
  (splits(y) ? kernels_.elementwise->split : kernels_.elementwise->convert)(
      stream_, {.x = {from, DType::f32, y.n, y.h, y.w, y.c, y.c}, .y = y});
}

size_t CudaBackend::place_pixels_bytes(const Shape& shape) const {
  const Checked elements = Checked::from_signed(shape.elements());
  return (elements * sizeof(float) + elements).size();   // the values, where they are split, and the bytes behind them
}

// The bytes cross over, four times fewer than their values would be; a kernel looks those up. Launches and a copy, all
// out of fixed memory: it can be recorded.
void CudaBackend::place_pixels(const uint8_t* pixels, const Tensor& values, std::byte* workspace, const Placed& to) {
  const Image y = image(to);
  require(values.shape() == Shape{1, 1, y.c, 256} && values.dtype() == DType::f32 && y.data != nullptr, "place_pixels: shape or type");
  runtime_->use();
  const auto elements = static_cast<size_t>(to.shape.elements());
  const uint8_t* from = pixels;
  if (!on_device(pixels)) {
    std::byte* bytes = workspace + elements * sizeof(float);
    runtime_->upload(stream_, bytes, pixels, elements);
    from = reinterpret_cast<const uint8_t*>(bytes);
  }
  Image wide = y;
  if (splits(y)) wide = {workspace, DType::f32, y.n, y.h, y.w, y.c, y.c};
  Image rows = wide;   // the pictures of a batch, one below the other
  rows.n = 1, rows.h = y.n * y.h;
  kernels_.picture->normalise(stream_, {.from = from, .width = y.w, .height = rows.h, .channels = y.c,
                                        .table = values.values<float>().data(), .kept = {}, .to = rows});
  if (splits(y)) kernels_.elementwise->split(stream_, {.x = wide, .y = y});
}

void CudaBackend::unplace(const Placed& from, Tensor& dense) {
  require(dense.shape() == from.shape && dense.dtype() == DType::f32 && from.data != nullptr, "unplace: shape or type");
  runtime_->use();
  const Image x = image(from);
  void* to = dense.values<float>().data();
  const bool direct = on_device(to);
  void* target = direct ? to : borrow(Slot::staging, dense.bytes());
  kernels_.elementwise->convert(stream_, {.x = x, .y = {target, DType::f32, x.n, x.h, x.w, x.c, x.c}});
  if (!direct) download(target, to, dense.bytes());
}

MmaConvLayout CudaBackend::mma_layout(const ConvStep& s) const {
  MmaConvShape shape{.type = storage(), .oc = to_int(s.oc), .kernel_h = to_int(s.geometry.kernel_h),
                     .kernel_w = to_int(s.geometry.kernel_w), .stride = to_int(s.geometry.stride)};
  for (int i = 0; i < 2; ++i) {
    shape.c[i] = to_int(s.x[i].c);
    shape.pitch[i] = s.x[i].c > 0 ? pitch_of(s.x[i].c) : 0;
  }
  const int head = separate_head(s, precision_) ? 0 : to_int(s.head);
  const size_t granted = runtime_->shared_limit();
  const MmaConvLayout layout = mma_conv_layout_within(shape, head, granted);
  const size_t wanted = mma_conv_shared_bytes(layout, head);
  if (wanted <= granted) return layout;
  throw Error(ErrorCode::unsupported,
              "a " + std::to_string(shape.kernel_h) + "x" + std::to_string(shape.kernel_w) + " convolution of stride " +
                  std::to_string(shape.stride) + ", " + std::to_string(s.x[0].c + s.x[1].c) + " to " + std::to_string(s.oc) +
                  " channels, wants " + std::to_string(wanted) + " bytes of shared memory in " +
                  std::string(furrow::name(precision_)) + ", and the device grants " + std::to_string(granted))
      .hint("precision fp32 wants less");
}

std::string CudaBackend::algorithm(const Step& step) const {
  const std::string how = (runtime_->emulated() ? "emulated " : "cuda ") + std::string(furrow::name(precision_));
  if (const auto* conv = std::get_if<ConvStep>(&step)) {
    if (precision_ == Precision::fp32) return how + " tile 16x16x" + std::to_string(kConvChannelTile);
    const MmaConvLayout l = mma_layout(*conv);
    return how + " mma tile " + std::to_string(kMmaRows) + "x" + std::to_string(l.block_columns) + "x" +
           std::to_string(l.block_oc) + (separate_head(*conv, precision_) ? ", head apart in fp32" : "");
  }
  if (std::holds_alternative<UpconvStep>(step)) return how + (precision_ == Precision::fp32 ? " tile" : " mma");
  return how;
}

size_t CudaBackend::workspace_bytes(const Step& step) const {
  if (const auto* mean = std::get_if<MeanStep>(&step)) return global_mean_workspace(mean->x.n, mean->x.h * mean->x.w, mean->x.c);
  const auto* conv = std::get_if<ConvStep>(&step);
  if (conv == nullptr || !separate_head(*conv, precision_)) return 0;
  const size_t y = placed_bytes(conv->y()), wide = storage() == DType::f32 ? 0 : 2 * y;   // y again in float32
  return (conv->store_y ? 0 : y) + wide;
}

std::unique_ptr<Packed> CudaBackend::prepare(const Step& step, const StepWeights& weights) {
  runtime_->use();
  auto out = std::make_unique<DeviceWeights>();
  const auto upload = [&](const void* data, size_t bytes) {
    std::shared_ptr<void> memory = allocate_shared(runtime_, bytes);
    if (bytes > 0) runtime_->upload(stream_, memory.get(), data, bytes);
    runtime_->synchronize(stream_);   // `data` need not outlive the call
    out->total += bytes;
    return memory;
  };
  const auto upload_floats = [&](const std::vector<float>& values) { return upload(values.data(), values.size() * sizeof(float)); };
  const auto upload_packed = [&](const MmaConvLayout& layout, const Tensor& w) {
    std::vector<std::byte> packed(layout.bytes());
    pack_mma_conv(layout, w, packed.data());
    return upload(packed.data(), packed.size());
  };
  out->bias = upload_floats(as_floats(weights.b));
  if (const auto* conv = std::get_if<ConvStep>(&step)) {
    if (precision_ == Precision::fp32) {
      out->weights = upload_floats(pack_conv(weights.w, conv->geometry, conv->x[0].c));
    } else {
      out->layout = mma_layout(*conv);
      out->weights = upload_packed(out->layout, weights.w);
    }
    out->head_b = upload_floats(as_floats(weights.head_b));
    if (separate_head(*conv, precision_)) {
      out->head_w = upload_floats(pack_conv(weights.head_w, kHeadGeometry, conv->oc));
    } else {
      out->head_w = upload_floats(as_floats(weights.head_w));
    }
  } else if (const auto* up = std::get_if<UpconvStep>(&step)) {
    if (precision_ == Precision::fp32) {
      out->weights = upload_floats(pack_upconv(weights.w));
    } else {
      out->upconv_layout = mma_upconv_layout(storage(), to_int(up->y.c), to_int(up->x.c), pitch_of(up->x.c));
      std::vector<std::byte> packed(out->upconv_layout.bytes());
      pack_mma_upconv(out->upconv_layout, weights.w, packed.data());
      out->weights = upload(packed.data(), packed.size());
    }
  }
  return out;
}

void CudaBackend::run_conv(const ConvStep& s, const Packed* packed, const StepBuffers& buffers) {
  const DeviceWeights& w = weights_of(packed);
  const Image y = s.store_y ? image(buffers.y) : Image{}, pooled = s.pool ? image(buffers.pooled) : Image{};
  float* logits = nullptr;
  if (s.head > 0) {
    Tensor head = buffers.head;
    require(head.shape() == Shape{s.y().n, s.y().h, s.y().w, s.head}, "run: shape of the head");
    logits = head.values<float>().data();
  }
  if (precision_ == Precision::fp32) {
    ConvForward args{.x0 = image(buffers.x[0]), .x1 = image(buffers.x[1]), .oc = to_int(s.oc), .geometry = s.geometry,
                     .weights = pointer<float>(w.weights), .bias = pointer<float>(w.bias), .residual = image(buffers.residual), .act = s.act, .y = y,
                     .pooled = pooled};
    args.head = {.channels = to_int(s.head), .w = pointer<float>(w.head_w), .b = pointer<float>(w.head_b), .out = logits};
    kernels_.conv->forward(stream_, args);
    return;
  }
  MmaConv args{.layout = w.layout, .weights = w.weights.get(), .bias = pointer<float>(w.bias),
               .x = {image(buffers.x[0]), image(buffers.x[1])}, .pad_h = to_int(s.geometry.pad), .pad_w = to_int(s.geometry.pad),
               .relu = s.act == Activation::relu, .out_h = to_int(s.y().h), .out_w = to_int(s.y().w),
               .residual = image(buffers.residual), .y = y, .pooled = pooled};
  if (!separate_head(s, precision_)) {
    args.head = {.channels = to_int(s.head), .w = pointer<float>(w.head_w), .b = pointer<float>(w.head_b), .logits = logits};
    kernels_.mma_conv->conv(stream_, args);
    return;
  }
  std::byte* next = buffers.workspace;
  if (!s.store_y) {
    args.y = image({next, s.y()});
    next += placed_bytes(s.y());
  }
  kernels_.mma_conv->conv(stream_, args);
  Image wide = args.y;
  if (storage() != DType::f32) {
    wide.data = next, wide.type = DType::f32;
    kernels_.elementwise->convert(stream_, {.x = args.y, .y = wide});
  }
  const int head = to_int(s.head);
  kernels_.conv->forward(stream_, {.x0 = wide, .oc = head, .geometry = kHeadGeometry, .weights = pointer<float>(w.head_w),
                                   .bias = pointer<float>(w.head_b),
                                   .y = {logits, DType::f32, wide.n, wide.h, wide.w, head, head}});
}

void CudaBackend::run(const Step& step, const Packed* packed, const StepBuffers& buffers) {
  runtime_->use();
  if (const auto* conv = std::get_if<ConvStep>(&step)) return run_conv(*conv, packed, buffers);
  const Image x = image(buffers.x[0]), y = image(buffers.y);
  if (const auto* up = std::get_if<UpconvStep>(&step)) {
    const DeviceWeights& w = weights_of(packed);
    if (precision_ == Precision::fp32)
      kernels_.conv->upconv(stream_, {.x = x, .weights = pointer<float>(w.weights), .bias = pointer<float>(w.bias), .y = y,
                                      .top = to_int(up->top), .left = to_int(up->left)});
    else
      kernels_.mma_conv->upconv(stream_, {.layout = w.upconv_layout, .weights = w.weights.get(), .bias = pointer<float>(w.bias),
                                          .x = x, .y = y, .top = to_int(up->top), .left = to_int(up->left)});
  } else if (const auto* resize = std::get_if<UpsampleStep>(&step)) {
    kernels_.resample->resize(stream_, {.x = x, .y = y, .rule = ResizeRule::align_corners, .h = to_int(resize->h),
                                        .w = to_int(resize->w), .top = to_int(resize->top), .left = to_int(resize->left)});
  } else if (std::holds_alternative<GateStep>(step)) {
    kernels_.elementwise->gate(stream_, {.x = x, .logits = image(buffers.x[1]), .y = y});
  } else if (const auto* nearest = std::get_if<NearestStep>(&step)) {
    kernels_.resample->resize(stream_, {.x = x, .y = y, .rule = ResizeRule::nearest, .h = to_int(nearest->h), .w = to_int(nearest->w)});
  } else if (std::holds_alternative<MeanStep>(step)) {
    kernels_.resample->global_mean(stream_, {.x = x, .y = y, .workspace = reinterpret_cast<float*>(buffers.workspace)});
  } else if (const auto* gated = std::get_if<ChannelGateStep>(&step)) {
    kernels_.elementwise->channel_gate(stream_, {.x = x, .logits = image(buffers.x[1]),
                                                 .residual = gated->residual ? image(buffers.residual) : Image{}, .y = y});
  } else if (std::get<PoolStep>(step).window == 3) {
    kernels_.resample->pool3x3(stream_, {.x = x, .y = y});
  } else {
    kernels_.resample->pool2x2(stream_, {.x = x, .y = y});
  }
}

}  // namespace furrow::gpu
