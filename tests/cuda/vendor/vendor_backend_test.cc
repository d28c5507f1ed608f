// Planned steps on the vendor back-end: the emulated device's memory, the fakes' arithmetic, held against the
// reference.
#include "kernels/cuda/vendor/vendor_backend.h"

#include <gtest/gtest.h>

#include "kernels/ref/ref_backend.h"
#include "tests/cuda/vendor/vendor_test_tools.h"
#include "tests/kernels/cases.h"
#include "tests/kernels/compare.h"

namespace furrow::gpu {
namespace {

using fake::cublaslt_state;
using fake::cudnn_state;
using fake::has;
using fake::message;

struct Results {
  Tensor y, pooled, head;
};

// One step through the whole page: place, prepare, run, unplace.
Results run_step(Backend& backend, const Step& step, const StepWeights& weights, const std::vector<Tensor>& inputs) {
  const DType type = backend.dtype();
  std::vector<Arena> arenas;
  const auto memory = [&](size_t bytes) {
    arenas.push_back(backend.reserve(std::max<size_t>(bytes, 1)));
    return arenas.back().take(std::max<size_t>(bytes, 1));
  };
  const auto placed = [&](const Shape& s) { return Placed{memory(backend.placed_bytes(s)), s}; };
  StepBuffers buffers;
  for (size_t i = 0; i < inputs.size(); ++i) {
    buffers.x[i] = placed(inputs[i].shape());
    backend.place(inputs[i].to(type), buffers.x[i]);
  }
  const Shape shape = output_shape(step);
  const auto* conv = std::get_if<ConvStep>(&step);
  const bool store = conv == nullptr || conv->store_y;
  if (store) buffers.y = placed(shape);
  const Shape half{shape.n, shape.h / 2, shape.w / 2, shape.c};
  if (conv != nullptr && conv->pool) buffers.pooled = placed(half);
  if (conv != nullptr && conv->head > 0) {
    const Shape s{shape.n, shape.h, shape.w, conv->head};
    buffers.head = Tensor(s, type);
  }
  buffers.workspace = memory(backend.workspace_bytes(step));
  const std::unique_ptr<Packed> packed = backend.prepare(step, weights);
  backend.run(step, packed.get(), buffers);
  backend.finish();
  Results out;
  const auto dense = [&](const Placed& from) {
    Tensor t(from.shape, type);
    backend.unplace(from, t);
    return t;
  };
  if (store) out.y = dense(buffers.y);
  if (conv != nullptr && conv->pool) out.pooled = dense(buffers.pooled);
  if (conv != nullptr && conv->head > 0) out.head = buffers.head;
  return out;
}

std::vector<Step> vendor_steps() {
  const Shape none{0, 0, 0, 0};
  return {
      ConvStep{.x = {{2, 6, 5, 3}, none}, .oc = 9, .geometry = {3, 3, 1, 1}, .act = Activation::relu},
      ConvStep{.x = {{1, 7, 6, 16}, none}, .oc = 8, .geometry = {3, 3, 2, 1}},
      ConvStep{.x = {{1, 6, 6, 9}, {1, 6, 6, 5}}, .oc = 7, .geometry = {3, 3, 1, 1}, .act = Activation::relu},
      ConvStep{.x = {{1, 4, 5, 8}, {1, 4, 5, 16}}, .oc = 4, .geometry = {1, 1, 1, 0}},
      ConvStep{.x = {{1, 5, 7, 8}, none}, .oc = 6, .geometry = {3, 3, 1, 1}, .act = Activation::relu, .pool = true},
      ConvStep{.x = {{1, 6, 4, 8}, none},
               .oc = 16,
               .geometry = {3, 3, 1, 1},
               .act = Activation::relu,
               .store_y = false,
               .pool = true,
               .head = 2},
      ConvStep{.x = {{2, 5, 3, 11}, none}, .oc = 19, .geometry = {1, 1, 1, 0}, .act = Activation::relu},
      ConvStep{.x = {{1, 5, 3, 8}, none}, .oc = 8, .geometry = {1, 1, 2, 0}},
      ConvStep{.x = {{1, 9, 9, 3}, none}, .oc = 8, .geometry = {7, 7, 2, 3}, .act = Activation::relu},
      UpconvStep{.x = {2, 3, 4, 9}, .y = {2, 6, 8, 5}},
      UpconvStep{.x = {2, 3, 4, 8}, .y = {2, 9, 11, 8}, .top = 1, .left = 2},
  };
}

class VendorBackendTest : public fake::VendorTest {
 protected:
  static std::unique_ptr<VendorBackend> make(Precision precision = Precision::fp16) {
    return std::make_unique<VendorBackend>(make_emulated_runtime(), emulated::api, precision);
  }
};

// The bars of the project's own kernels: operands and results rounded to the storage type, sums in float32.
double bar(Precision precision) {
  return precision == Precision::fp16 ? 2e-3 : precision == Precision::bf16 ? 1e-2 : 1e-3;
}

TEST_F(VendorBackendTest, StepsAgreeWithTheReference) {
  RefBackend ref(nullptr);
  for (const Precision precision : {Precision::fp16, Precision::bf16, Precision::tf32}) {
    const auto vendor = make(precision);
    for (const Step& step : vendor_steps()) {
      SCOPED_TRACE(op_name(step) + " " + problem(step) + " " + std::string(name(precision)));
      const StepWeights weights = cases::random_weights(step, 3);
      std::vector<Tensor> inputs;
      if (const auto* conv = std::get_if<ConvStep>(&step)) {
        for (const Shape& s : conv->x)
          if (s.c > 0) inputs.push_back(cases::random_values(s, 5 + inputs.size()));
      } else {
        inputs.push_back(cases::random_values(std::get<UpconvStep>(step).x, 5));
      }
      EXPECT_TRUE(vendor->takes(step));
      EXPECT_TRUE(has(vendor->algorithm(step), "cudnn 9.19.0 engine 38") ||
                  has(vendor->algorithm(step), "cublaslt 13.0.2 algorithm 21"))
          << vendor->algorithm(step);
      const Results want = run_step(ref, step, weights, inputs), got = run_step(*vendor, step, weights, inputs);
      const auto agree = [&](const Tensor& g, const Tensor& w) {
        ASSERT_EQ(g.empty(), w.empty());
        if (!w.empty()) {
          EXPECT_TRUE(close(g, w, {.absolute = bar(precision) * largest(w)}));
        }
      };
      agree(got.y, want.y);
      agree(got.pooled, want.pooled);
      agree(got.head, want.head);
    }
  }
  EXPECT_GT(cudnn_state().executions, 0);
  EXPECT_GT(cublaslt_state().products.size(), 0u);
}

// 1 + 2^-12 is 1 in either type; its remainder is in the channels beside it (kernels/cuda/image.h).
TEST_F(VendorBackendTest, FirstConvolutionsReadWhatRoundingTookFromTheInput) {
  for (const Precision precision : {Precision::fp16, Precision::bf16})
    for (const int64_t k : {3, 1}) {  // cuDNN's and cuBLASLt's
      const ConvStep step{.x = {{1, 5, 6, 3}, {0, 0, 0, 0}}, .oc = 8, .geometry = {k, k, 1, k / 2}};
      StepWeights weights = cases::random_weights(step, 3);
      std::ranges::fill(weights.w.values<double>(), 0);
      for (int64_t oc = 0; oc < 8; ++oc)
        weights.w.values<double>()[static_cast<size_t>(((oc * k + k / 2) * k + k / 2) * 3 + 1)] = 1;
      std::ranges::fill(weights.b.values<double>(), -1);
      Tensor x(step.x[0], DType::f64);
      std::ranges::fill(x.values<double>(), 1 + 0x1p-12);
      const Tensor y = run_step(*make(precision), step, weights, {x}).y.to(DType::f64);
      EXPECT_TRUE(std::ranges::all_of(y.values<double>(), [](double value) { return value == 0x1p-12; }))
          << name(precision) << " " << k;
    }
}

TEST_F(VendorBackendTest, TheTraceNamesLibraryAndAlgorithm) {
  const auto vendor = make();
  const auto steps = vendor_steps();
  EXPECT_EQ(vendor->algorithm(steps[0]), "cudnn 9.19.0 engine 38");
  EXPECT_EQ(vendor->algorithm(steps[2]), "cudnn 9.19.0 engine 38+38");
  EXPECT_EQ(vendor->algorithm(steps[5]), "cudnn 9.19.0 engine 38, pool apart, head apart");
  EXPECT_EQ(vendor->algorithm(steps[6]), "cublaslt 13.0.2 algorithm 21");
  EXPECT_EQ(vendor->algorithm(steps[9]), "cublaslt 13.0.2 algorithm 21");
  EXPECT_EQ(vendor->algorithm(PoolStep{{1, 4, 4, 8}}), "emulated fp16");
  EXPECT_EQ(vendor->name(), "cpu-emulated (fp16; cudnn 9.19.0, cublaslt 13.0.2)");
  EXPECT_EQ(vendor->machine(),
            "furrow " FURROW_VERSION "; emulated on this CPU; emulator; cudnn 9.19.0; cublaslt 13.0.2; fp16");
}

TEST_F(VendorBackendTest, UsesTheLibrariesWhereAskedAlone) {
  const auto vendor = make();
  vendor->use([](const Step& step) { return std::holds_alternative<UpconvStep>(step); });
  EXPECT_TRUE(has(vendor->algorithm(vendor_steps()[0]), "emulated fp16 mma"));
  EXPECT_TRUE(has(vendor->algorithm(vendor_steps()[9]), "cublaslt"));
  EXPECT_FALSE(vendor->takes(UpconvStep{.x = {1, 3, 3, 8}, .y = {1, 5, 6, 8}}));  // its last row is dropped
  EXPECT_FALSE(vendor->takes(PoolStep{{1, 4, 4, 8}}));
  EXPECT_TRUE(vendor->offers(vendor_steps()[0]));
  cudnn_state().no_engine = true;
  EXPECT_FALSE(vendor->offers(vendor_steps()[1]));
  EXPECT_TRUE(vendor->offers(vendor_steps()[6]));
}

TEST_F(VendorBackendTest, Fp32IsNotTheirs) {
  try {
    make(Precision::fp32);
    FAIL();
  } catch (const Error& error) { EXPECT_EQ(error.code(), ErrorCode::usage); }
}

TEST_F(VendorBackendTest, EveryCallMayFailWithoutALeak) {
  const std::vector<Step> steps{vendor_steps()[2], vendor_steps()[10]};
  const auto life = [&] {
    const auto vendor = make();
    for (const Step& step : steps) {
      const StepWeights weights = cases::random_weights(step, 3);
      std::vector<Tensor> inputs;
      if (const auto* conv = std::get_if<ConvStep>(&step)) {
        for (const Shape& s : conv->x) inputs.push_back(cases::random_values(s, 5));
      } else {
        inputs.push_back(cases::random_values(std::get<UpconvStep>(step).x, 5));
      }
      run_step(*vendor, step, weights, inputs);
    }
  };
  life();
  const int of_cudnn = cudnn_state().calls, of_cublaslt = cublaslt_state().calls;
  for (int n = 1; n <= of_cudnn + of_cublaslt; n += 7) {  // the libraries' own tests fail each of their calls
    SCOPED_TRACE(n);
    cudnn_state() = {};
    cublaslt_state() = {};
    (n <= of_cudnn ? cudnn_state().fail_at : cublaslt_state().fail_at) = n <= of_cudnn ? n : n - of_cudnn;
    const std::string text = message(life);
    if (text != "no error") {
      EXPECT_TRUE(has(text, n <= of_cudnn ? "error[device]: cuDNN" : "error[device]: cuBLASLt")) << text;
    }
    expect_nothing_alive();
  }
}

}  // namespace
}  // namespace furrow::gpu
