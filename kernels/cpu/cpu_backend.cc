// The planned half of the back-end: which step goes where.
#include "kernels/cpu/cpu_backend.h"

#include "kernels/cpu/byte_conv.h"
#include "kernels/cpu/more_steps.h"
#include "kernels/cpu/products.h"
#include "kernels/cpu/winograd4.h"

namespace furrow::cpu {
namespace {

const PackedWeights& weights_of(const Packed* packed) {
  const auto* weights = dynamic_cast<const PackedWeights*>(packed);
  require(weights != nullptr, "CpuBackend::run: a step with weights needs what prepare returned");
  return *weights;
}

// The ways to compute a convolution or a transposed one.
template <class S>
struct Way {
  std::unique_ptr<PackedWeights> (*pack)(const Machine&, const S&, const StepWeights&);
  size_t (*workspace)(const Machine&, const S&);
  void (*run)(const Machine&, const S&, const PackedWeights&, const StepBuffers&);
  std::string (*algorithm)(const Machine&, const S&);
};
constexpr Way<ConvStep> kDirect{pack_conv, conv_workspace, run_conv, conv_algorithm};
constexpr Way<ConvStep> kWinograd{pack_winograd4, winograd4_workspace, run_winograd4, winograd4_algorithm};
constexpr Way<ConvStep> kProduct{pack_product, product_workspace, run_product, product_algorithm};
constexpr Way<ConvStep> kBytes{pack_byte_conv, byte_conv_workspace, run_byte_conv, byte_conv_algorithm};
constexpr Way<UpconvStep> kUpconv{pack_upconv, upconv_workspace, run_upconv, upconv_algorithm};
constexpr Way<UpconvStep> kUpconvProduct{pack_product, product_workspace, run_product, product_algorithm};
constexpr Way<UpconvStep> kUpconvBytes{pack_byte_upconv, byte_upconv_workspace, run_byte_upconv, byte_upconv_algorithm};

// A function of one image's shape, the memory class and what is to be in 8 bits.
const Way<ConvStep>& way_of(const ConvStep& step, MemoryClass memory) {
  if (step.bytes.x[0]) return kBytes;
  if (step.bytes.y) return kDirect;
  if (memory == MemoryClass::normal && winograd4_fits(step)) return kWinograd;
  return product_fits(step) ? kProduct : kDirect;
}
const Way<UpconvStep>& way_of(const UpconvStep& step, MemoryClass) {
  if (step.bytes.x[0]) return kUpconvBytes;
  return product_fits(step) ? kUpconvProduct : kUpconv;
}

void check_extents(const Shape& s) {
  require(s.n > 0 && s.h > 0 && s.w > 0 && s.c > 0, "CpuBackend: an extent of a placed tensor is not positive");
}

}  // namespace

CpuBackend::CpuBackend(Isa isa, ThreadPool* pool, MemoryClass memory)
    : Backend(pool),
      isa_(isa),
      memory_(memory),
      machine_{&row_kernels(isa), &tile_kernels(isa), &byte_kernels(isa), pool},
      losses_(&loss_kernels(isa)) {}

std::string CpuBackend::name() const { return "cpu (" + std::string(cpu::name(isa_)) + ")"; }

size_t CpuBackend::placed_bytes(const Shape& shape) const {
  return static_cast<size_t>(BlockedLayout(shape).floats()) * sizeof(float);
}

size_t CpuBackend::placed_bytes_of_bytes(const Shape& shape) const {
  return static_cast<size_t>(BlockedLayout::of_bytes(shape).floats());
}

void CpuBackend::place(const Tensor& dense, const Placed& to) {
  check_extents(dense.shape());
  expect(to, dense.shape(), "CpuBackend::place: the buffer's shape");
  if (to.quantised) return place_bytes(machine_, dense.values<float>().data(), to);
  place_rows(pool_, dense.values<float>().data(), BlockedLayout(to.shape), floats(to.data));
}

void CpuBackend::place_pixels(const uint8_t* pixels, const Tensor& values, std::byte*, const Placed& to) {
  check_extents(to.shape);
  expect(to, to.shape, "CpuBackend::place_pixels: the buffer");
  require(values.shape() == Shape{1, 1, to.shape.c, 256} && values.dtype() == DType::f32,
          "CpuBackend::place_pixels: the values");
  if (to.quantised) return place_pixel_bytes(machine_, pixels, values.values<float>().data(), to);
  place_pixel_rows(pool_, pixels, values.values<float>().data(), BlockedLayout(to.shape), floats(to.data));
}

void CpuBackend::unplace(const Placed& from, Tensor& dense) {
  check_extents(dense.shape());
  expect(from, dense.shape(), "CpuBackend::unplace: the buffer's shape");
  if (from.quantised) {
    const BlockedLayout layout = BlockedLayout::of_bytes(from.shape);
    Tensor real({1, 1, 1, layout.floats()});
    dequantise(pool_, from, real.values<float>().data());
    return unplace_rows(pool_, real.values<float>().data(), layout, dense.values<float>().data());
  }
  unplace_rows(pool_, floats(from), BlockedLayout(from.shape), dense.values<float>().data());
}

std::string CpuBackend::algorithm(const Step& step) const {
  if (const auto* conv = std::get_if<ConvStep>(&step)) return way_of(*conv, memory_).algorithm(machine_, *conv);
  if (const auto* up = std::get_if<UpconvStep>(&step)) return way_of(*up, memory_).algorithm(machine_, *up);
  if (std::holds_alternative<UpsampleStep>(step)) return "bilinear portable nChw16c";
  if (std::holds_alternative<GateStep>(step)) return "gate portable nChw16c";
  if (std::holds_alternative<NearestStep>(step)) return "nearest portable nChw16c";
  if (std::holds_alternative<MeanStep>(step)) return "mean portable nChw16c";
  if (std::holds_alternative<ChannelGateStep>(step)) return "channel gate portable nChw16c";
  if (std::get<PoolStep>(step).window == 3) return "max portable nChw16c";
  return std::string("max ") + machine_.rows->isa + " nChw16c";
}

size_t CpuBackend::workspace_bytes(const Step& step) const {
  if (const auto* conv = std::get_if<ConvStep>(&step)) return way_of(*conv, memory_).workspace(machine_, *conv);
  if (const auto* up = std::get_if<UpconvStep>(&step)) return way_of(*up, memory_).workspace(machine_, *up);
  if (const auto* upsample = std::get_if<UpsampleStep>(&step)) return upsample_workspace(*upsample);
  if (const auto* gate = std::get_if<ChannelGateStep>(&step)) return channel_gate_workspace(*gate);
  return 0;
}

size_t CpuBackend::packed_bytes(const Step& step) const {
  const auto* conv = std::get_if<ConvStep>(&step);
  if (const StepBytes* bytes = bytes_of(step); bytes != nullptr && bytes->x[0])
    return static_cast<size_t>(weight_elements(step) * machine_.bytes->weight_bytes);
  if (conv == nullptr || &way_of(*conv, memory_) != &kWinograd) return Backend::packed_bytes(step);
  return winograd4_packed_bytes(*conv);
}

std::unique_ptr<Packed> CpuBackend::prepare(const Step& step, const StepWeights& weights) {
  if (const auto* conv = std::get_if<ConvStep>(&step)) return way_of(*conv, memory_).pack(machine_, *conv, weights);
  if (const auto* up = std::get_if<UpconvStep>(&step)) return way_of(*up, memory_).pack(machine_, *up, weights);
  return nullptr;
}

void CpuBackend::run(const Step& step, const Packed* packed, const StepBuffers& buffers) {
  if (const auto* conv = std::get_if<ConvStep>(&step)) {
    const auto convolve = way_of(*conv, memory_).run;
    if (!conv->residual) return convolve(machine_, *conv, weights_of(packed), buffers);
    ConvStep plain = *conv;
    plain.act = Activation::none;
    convolve(machine_, plain, weights_of(packed), buffers);
    return add_residual(machine_, *conv, buffers);
  }
  if (const auto* up = std::get_if<UpconvStep>(&step))
    return way_of(*up, memory_).run(machine_, *up, weights_of(packed), buffers);
  if (const auto* upsample = std::get_if<UpsampleStep>(&step)) return run_upsample(machine_, *upsample, buffers);
  if (const auto* gate = std::get_if<GateStep>(&step)) return run_gate(machine_, *gate, buffers);
  if (const auto* nearest = std::get_if<NearestStep>(&step)) return run_nearest(machine_, *nearest, buffers);
  if (const auto* mean = std::get_if<MeanStep>(&step)) return run_mean(machine_, *mean, buffers);
  if (const auto* gate = std::get_if<ChannelGateStep>(&step)) return run_channel_gate(machine_, *gate, buffers);
  const auto& pool = std::get<PoolStep>(step);
  if (pool.window == 3) return run_pool3x3(machine_, pool, buffers);
  run_pool(machine_, pool, buffers);
}

size_t CpuBackend::scratch_bytes(const std::function<void(Backend&)>& calls) const {
  CpuBackend twin(isa_, pool_, memory_);
  twin.scratch_.count_only();
  calls(twin);
  return twin.scratch_.most_bytes();
}

}  // namespace furrow::cpu
