// Matrix products as cuBLASLt is asked for them: layouts, results, plans kept, and failures of every call.
#include "kernels/cuda/vendor/cublaslt_gemm.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/cuda/vendor/cudnn_conv.h"
#include "tests/cuda/vendor/vendor_test_tools.h"

namespace furrow::gpu {
namespace {

using namespace cublaslt;
using fake::cublaslt_state;
using fake::has;
using fake::LtLayout;
using fake::Memory;
using fake::message;

GemmProblem batched(DType type = DType::f16) {
  return {.type = type,
          .rows = 5,
          .inputs = 3,
          .outputs = 6,
          .x_pitch = 8,
          .y_pitch = 16,
          .batch = 2,
          .x_stride = 40,
          .y_stride = 96,
          .relu = true};
}

struct Operands {
  explicit Operands(const GemmProblem& p)
      : x(p.type, static_cast<size_t>(p.batch * p.x_stride + p.rows * p.x_pitch)),
        w(p.type, static_cast<size_t>(p.outputs * p.inputs)),
        bias(p.type, static_cast<size_t>(p.outputs)),
        y(p.type, static_cast<size_t>(p.batch * p.y_stride + p.rows * p.y_pitch)) {
    const auto fill = [](Memory& m, int64_t count, int64_t step) {
      for (int64_t i = 0; i < count; ++i) m.write(static_cast<size_t>(i), static_cast<float>(i * step % 17 - 8) / 8);
    };
    fill(x, p.batch * p.x_stride + p.rows * p.x_pitch, 5);
    fill(w, p.outputs * p.inputs, 7);
    fill(bias, p.outputs, 3);
  }
  void run(CublasLtGemm& gemm, const GemmProblem& p) {
    alignas(256) static std::byte workspace[fake::kFakeLtWorkspace];
    gemm.run(p, x.data(), w.data(), bias.data(), y.data(), workspace);
  }
  Memory x, w, bias, y;
};

class CublasLtTest : public fake::VendorTest {};

TEST_F(CublasLtTest, LayoutsSayExactlyWhatTheProblemIs) {
  for (const auto& [type, data, compute] : {std::tuple{DType::f16, kData16F, kCompute32F},
                                            {DType::bf16, kData16BF, kCompute32F},
                                            {DType::f32, kData32F, kCompute32FFastTf32}}) {
    CublasLtGemm gemm(open_cublaslt(), Stream{});
    cublaslt_state().products.clear();
    const GemmProblem p = batched(type);
    Operands operands(p);
    operands.run(gemm, p);
    ASSERT_EQ(cublaslt_state().products.size(), 1u);
    const fake::LtProduct& product = cublaslt_state().products[0];
    EXPECT_EQ(product.a, (LtLayout{.type = data, .rows = 3, .cols = 6, .ld = 3, .stride = 0, .batch = 2}));
    EXPECT_EQ(product.b, (LtLayout{.type = data, .rows = 3, .cols = 5, .ld = 8, .stride = 40, .batch = 2}));
    EXPECT_EQ(product.d, (LtLayout{.type = data, .rows = 6, .cols = 5, .ld = 16, .stride = 96, .batch = 2}));
    EXPECT_EQ(product.operation.compute, compute);
    EXPECT_EQ(product.operation.epilogue, static_cast<uint32_t>(kEpilogueReluBias));
    EXPECT_EQ(product.operation.bias, operands.bias.data());
    EXPECT_EQ(cublaslt_state().workspace_limit, kVendorWorkspace);
    EXPECT_EQ(gemm.plan(p).id, fake::kFakeAlgorithm);
  }
}

TEST_F(CublasLtTest, ProductsAreTheFormula) {
  CublasLtGemm gemm(open_cublaslt(), Stream{});
  for (const DType type : {DType::f32, DType::f16, DType::bf16})
    for (const bool relu : {false, true}) {
      GemmProblem p = batched(type);
      p.relu = relu;
      Operands o(p);
      o.run(gemm, p);
      for (int64_t b = 0; b < p.batch; ++b)
        for (int64_t m = 0; m < p.rows; ++m)
          for (int64_t out = 0; out < p.outputs; ++out) {
            double sum = o.bias.read(static_cast<size_t>(out));
            for (int64_t i = 0; i < p.inputs; ++i)
              sum += static_cast<double>(o.w.read(static_cast<size_t>(out * p.inputs + i))) *
                     o.x.read(static_cast<size_t>(b * p.x_stride + m * p.x_pitch + i));
            if (relu && sum < 0) sum = 0;
            // One rounding to the storage type, of bf16 at most.
            ASSERT_NEAR(o.y.read(static_cast<size_t>(b * p.y_stride + m * p.y_pitch + out)), sum,
                        std::abs(sum) * 0x1p-8)
                << to_string(p);
          }
    }
}

TEST_F(CublasLtTest, AProblemIsPlannedOnce) {
  CublasLtGemm gemm(open_cublaslt(), Stream{});
  const GemmProblem p = batched();
  Operands o(p);
  for (int i = 0; i < 3; ++i) o.run(gemm, p);
  EXPECT_EQ(cublaslt_state().heuristics, 1);
  GemmProblem other = p;
  other.relu = false;
  gemm.plan(other);
  EXPECT_EQ(cublaslt_state().heuristics, 2);
}

TEST_F(CublasLtTest, NoAlgorithmNamesTheProblem) {
  CublasLtGemm gemm(open_cublaslt(), Stream{});
  cublaslt_state().no_algorithm = true;
  const std::string text = message([&] { gemm.plan(batched()); });
  EXPECT_TRUE(has(text, "cuBLASLt 13.0.2 has no algorithm for F16 2 of 5x3 * 3x6; --kernels own does without"))
      << text;
}

TEST_F(CublasLtTest, EveryCallMayFailWithoutALeak) {
  const GemmProblem p = batched();
  Operands o(p);
  const auto life = [&] {
    CublasLtGemm gemm(open_cublaslt(), Stream{});
    o.run(gemm, p);
  };
  life();
  const int calls = cublaslt_state().calls;
  ASSERT_GT(calls, 20);
  int silent = 0;
  for (int n = 1; n <= calls; ++n) {
    SCOPED_TRACE(n);
    cublaslt_state() = {};
    cublaslt_state().fail_at = n;
    const std::string text = message(life);
    if (text == "no error")
      ++silent;
    else
      EXPECT_TRUE(has(text, "error[device]: cuBLASLt 13.0.2: ") &&
                  has(text, "failed: FAKE_STATUS_INVALID_VALUE; --kernels own"))
          << text;
    expect_nothing_alive();
  }
  EXPECT_EQ(silent, 6);  // the ends of the handle, the preference, the operation and three layouts
}

// cuBLASLt of this machine, which describes products without a GPU; only the choice of an algorithm asks for a handle.
TEST_F(CublasLtTest, TheRealLibraryTakesEveryDescriptor) {
  setenv("FURROW_CUBLASLT", "", 1);
  std::shared_ptr<const CublasLtLibrary> real;
  try {
    real = open_cublaslt();
  } catch (const Error& error) { GTEST_SKIP() << error.line(); }
  auto without_handle = std::make_shared<CublasLtLibrary>(*real);
  without_handle->api.create = [](void** handle) {
    *handle = nullptr;
    return 0;
  };
  without_handle->api.destroy = [](void*) { return 0; };
  CublasLtGemm gemm(without_handle, Stream{});
  for (const DType type : {DType::f16, DType::bf16, DType::f32}) {
    const std::string text = message([&] { gemm.plan(batched(type)); });
    EXPECT_TRUE(has(text, "choosing an algorithm failed: CUBLAS_STATUS_")) << text;
  }
}

}  // namespace
}  // namespace furrow::gpu
