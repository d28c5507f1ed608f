// Convolutions as cuDNN is asked for them: descriptors, the choice of a plan, results, and failures of every call.
#include "kernels/cuda/vendor/cudnn_conv.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/cuda/vendor/vendor_test_tools.h"

namespace furrow::gpu {
namespace {

using namespace cudnn;
using fake::cudnn_state;
using fake::CudnnRecord;
using fake::has;
using fake::Memory;
using fake::message;
using Ints = std::vector<int64_t>;

CudnnProblem forward_problem(DType type = DType::f16) {
  return {.type = type,
          .n = 2,
          .h = 5,
          .w = 7,
          .c = 3,
          .x_pitch = 8,
          .oc = 5,
          .y_pitch = 8,
          .geometry = {3, 3, 2, 1},
          .bias = true,
          .relu = true};
}

// A problem's memory, filled with small multiples of 1/8: products and sums are exact in float32 and most in 16 bits.
struct Arena {
  explicit Arena(const CudnnProblem& p)
      : x(p.type, static_cast<size_t>(p.n * p.h * p.w * p.x_pitch)),
        w(p.type, static_cast<size_t>(p.oc * p.geometry.kernel_h * p.geometry.kernel_w * p.c)),
        y(p.y_is_f32 ? DType::f32 : p.type, static_cast<size_t>(p.n * p.out_h() * p.out_w() * p.y_pitch)),
        added(DType::f32, static_cast<size_t>(p.n * p.out_h() * p.out_w() * p.y_pitch)),
        bias(DType::f32, static_cast<size_t>(p.oc)),
        workspace(DType::f32, fake::kFakeWorkspace) {
    const auto fill = [](Memory& m, int64_t count, int64_t step) {
      for (int64_t i = 0; i < count; ++i) m.write(static_cast<size_t>(i), static_cast<float>(i * step % 17 - 8) / 8);
    };
    fill(x, p.n * p.h * p.w * p.x_pitch, 5);
    fill(w, p.oc * p.geometry.kernel_h * p.geometry.kernel_w * p.c, 7);
    fill(added, p.n * p.out_h() * p.out_w() * p.y_pitch, 11);
    fill(bias, p.oc, 3);
  }
  CudnnPointers pointers(const CudnnProblem& p) {
    return {.x = x.data(),
            .w = w.data(),
            .y = y.data(),
            .added = p.added ? added.data() : nullptr,
            .bias = p.bias ? bias.data() : nullptr,
            .workspace = workspace.data()};
  }
  Memory x, w, y, added, bias, workspace;
};

// The formula itself, in NHWC.
double want(const CudnnProblem& p, Arena& m, int64_t n, int64_t oh, int64_t ow, int64_t oc) {
  double sum = 0;
  for (int64_t i = 0; i < p.geometry.kernel_h; ++i)
    for (int64_t j = 0; j < p.geometry.kernel_w; ++j) {
      const int64_t h = oh * p.geometry.stride + i - p.geometry.pad, w = ow * p.geometry.stride + j - p.geometry.pad;
      if (h < 0 || w < 0 || h >= p.h || w >= p.w) continue;
      for (int64_t c = 0; c < p.c; ++c)
        sum += static_cast<double>(m.x.read(static_cast<size_t>(((n * p.h + h) * p.w + w) * p.x_pitch + c))) *
               m.w.read(static_cast<size_t>(((oc * p.geometry.kernel_h + i) * p.geometry.kernel_w + j) * p.c + c));
    }
  if (p.added) sum += m.added.read(static_cast<size_t>(((n * p.out_h() + oh) * p.out_w() + ow) * p.y_pitch + oc));
  if (p.bias) sum += m.bias.read(static_cast<size_t>(oc));
  return p.relu && sum < 0 ? 0 : sum;
}

class CudnnConvTest : public fake::VendorTest {
 protected:
  static CudnnConv open() { return CudnnConv(open_cudnn(), Stream{}); }
};

TEST_F(CudnnConvTest, DescriptorsSayExactlyWhatTheProblemIs) {
  CudnnConv conv = open();
  const CudnnProblem p = forward_problem();
  EXPECT_EQ(conv.plan(p).engine, fake::kUsableEngine);
  EXPECT_EQ(conv.plan(p).workspace, static_cast<size_t>(fake::kFakeWorkspace));

  const auto tensors = cudnn_state().of_type(kTensor);
  ASSERT_EQ(tensors.size(), 6u);  // x, w, bias, y and two values inside
  int inside = 0;
  for (const auto& t : tensors) {
    EXPECT_EQ(t->get<int64_t>(kTensorAlignment), Ints{16});
    const Ints dims = t->get<int64_t>(kTensorDims), strides = t->get<int64_t>(kTensorStrides);
    const int type = t->get<int>(kTensorType).at(0);
    if (t->get<char>(kTensorVirtual).at(0) != 0) {
      ++inside;
      EXPECT_EQ(type, kDataFloat);
      EXPECT_EQ(dims, (Ints{2, 5, 3, 4}));
    } else if (dims == Ints{2, 3, 5, 7}) {
      EXPECT_EQ(strides, (Ints{280, 1, 56, 8}));
      EXPECT_EQ(type, kDataHalf);
    } else if (dims == Ints{5, 3, 3, 3}) {
      EXPECT_EQ(strides, (Ints{27, 1, 9, 3}));
      EXPECT_EQ(type, kDataHalf);
    } else if (dims == Ints{1, 5, 1, 1}) {
      EXPECT_EQ(type, kDataFloat);
    } else {
      EXPECT_EQ(dims, (Ints{2, 5, 3, 4}));
      EXPECT_EQ(strides, (Ints{96, 1, 32, 8}));
      EXPECT_EQ(type, kDataHalf);
    }
  }
  EXPECT_EQ(inside, 2);

  const auto convolutions = cudnn_state().of_type(kConvolution);
  ASSERT_EQ(convolutions.size(), 1u);
  const CudnnRecord& c = *convolutions[0];
  EXPECT_EQ(c.get<int64_t>(kConvSpatialDims), Ints{2});
  EXPECT_EQ(c.get<int>(kConvCompType), std::vector<int>{kDataFloat});
  EXPECT_EQ(c.get<int>(kConvMode), std::vector<int>{kCrossCorrelation});
  EXPECT_EQ(c.get<int64_t>(kConvPrePaddings), (Ints{1, 1}));
  EXPECT_EQ(c.get<int64_t>(kConvPostPaddings), (Ints{1, 1}));
  EXPECT_EQ(c.get<int64_t>(kConvDilations), (Ints{1, 1}));
  EXPECT_EQ(c.get<int64_t>(kConvStrides), (Ints{2, 2}));

  std::vector<int> modes;
  for (const auto& pointwise : cudnn_state().of_type(kPointwise))
    modes.push_back(pointwise->get<int>(kPointwiseMode).at(0));
  EXPECT_EQ(modes, (std::vector<int>{kPointwiseAdd, kPointwiseRelu}));
  const auto heuristics = cudnn_state().of_type(kEngineHeuristic);
  ASSERT_EQ(heuristics.size(), 1u);
  EXPECT_EQ(heuristics[0]->get<int>(kHeurMode), std::vector<int>{kHeurModeA});
}

TEST_F(CudnnConvTest, TypesAreTheProblems) {
  CudnnConv conv = open();
  for (const auto& [type, wanted] :
       {std::pair{DType::f16, kDataHalf}, {DType::bf16, kDataBfloat16}, {DType::f32, kDataFloat}}) {
    cudnn_state().all.clear();
    conv.plan(forward_problem(type));
    EXPECT_EQ(cudnn_state().of_type(kTensor).back()->get<int64_t>(kTensorDims), (Ints{2, 5, 3, 4}));
    EXPECT_EQ(cudnn_state().of_type(kTensor).back()->get<int>(kTensorType), std::vector<int>{wanted});
  }
  CudnnProblem partial = forward_problem();
  partial.y_is_f32 = true, partial.bias = partial.relu = false;
  cudnn_state().all.clear();
  conv.plan(partial);
  EXPECT_EQ(cudnn_state().of_type(kTensor).size(), 3u);
  EXPECT_EQ(cudnn_state().of_type(kTensor).front()->get<int>(kTensorType), std::vector<int>{kDataFloat});
}

TEST_F(CudnnConvTest, ForwardIsTheFormulaWithEveryEpilogue) {
  CudnnConv conv = open();
  for (const DType type : {DType::f32, DType::f16, DType::bf16})
    for (int epilogue = 0; epilogue < 8; ++epilogue) {
      CudnnProblem p = forward_problem(type);
      p.added = (epilogue & 1) != 0, p.bias = (epilogue & 2) != 0, p.relu = (epilogue & 4) != 0;
      Arena m(p);
      conv.run(p, m.pointers(p));
      for (int64_t i = 0; i < p.n * p.out_h() * p.out_w() * p.oc; ++i) {
        const int64_t oc = i % p.oc, pixel = i / p.oc, ow = pixel % p.out_w(), oh = pixel / p.out_w() % p.out_h(),
                      n = pixel / p.out_w() / p.out_h();
        const double w = want(p, m, n, oh, ow, oc);
        // One rounding to the storage type: 2^-9 of bf16, the largest, in relative terms.
        ASSERT_NEAR(m.y.read(static_cast<size_t>(pixel * p.y_pitch + oc)), w, std::abs(w) * 0x1p-8)
            << to_string(p) << " epilogue " << epilogue << " element " << i;
      }
    }
}

// <gradient, seed> = <seed, derivative>: grad_input and grad_weight are the transposes of forward in x and in w.
TEST_F(CudnnConvTest, GradientsAreTransposesOfForward) {
  CudnnConv conv = open();
  CudnnProblem p = forward_problem(DType::f32);
  p.bias = p.relu = false;
  Arena m(p);
  conv.run(p, m.pointers(p));
  const auto dot = [&](auto&& a, auto&& b, int64_t pixels, int64_t channels, int64_t pitch) {
    double sum = 0;
    for (int64_t i = 0; i < pixels; ++i)
      for (int64_t c = 0; c < channels; ++c)
        sum += static_cast<double>(a.read(static_cast<size_t>(i * pitch + c))) *
               b.read(static_cast<size_t>(i * pitch + c));
    return sum;
  };
  Memory& dy = m.added;  // any values of y's shape
  const double through_y = dot(m.y, dy, p.n * p.out_h() * p.out_w(), p.oc, p.y_pitch);
  ASSERT_GT(std::abs(through_y), 0.25);

  CudnnProblem input = p;
  input.pass = ConvPass::grad_input;
  Memory dx(DType::f32, static_cast<size_t>(p.n * p.h * p.w * p.x_pitch));
  conv.run(input, {.x = dx.data(), .w = m.w.data(), .y = dy.data(), .workspace = m.workspace.data()});
  EXPECT_NEAR(dot(dx, m.x, p.n * p.h * p.w, p.c, p.x_pitch), through_y, 1e-4);

  CudnnProblem weight = p;
  weight.pass = ConvPass::grad_weight;
  Memory dw(DType::f32, static_cast<size_t>(p.oc * 9 * p.c));
  conv.run(weight, {.x = m.x.data(), .w = dw.data(), .y = dy.data(), .workspace = m.workspace.data()});
  EXPECT_NEAR(dot(dw, m.w, p.oc * 9, p.c, p.c), through_y, 1e-4);
  EXPECT_EQ(cudnn_state().of_type(kConvBackwardData).size(), 1u);
  EXPECT_EQ(cudnn_state().of_type(kConvBackwardFilter).size(), 1u);
}

TEST_F(CudnnConvTest, AProblemIsPlannedOnce) {
  CudnnConv conv = open();
  const CudnnProblem p = forward_problem();
  Arena m(p);
  for (int i = 0; i < 3; ++i) conv.run(p, m.pointers(p));
  EXPECT_EQ(cudnn_state().plans, 2);  // the greedy one is built too, to hear its workspace
  EXPECT_EQ(cudnn_state().executions, 3);
  CudnnProblem other = p;
  other.h = 6;
  conv.plan(other);
  EXPECT_EQ(cudnn_state().plans, 4);
  conv.plan(p);
  EXPECT_EQ(cudnn_state().plans, 4);
}

TEST_F(CudnnConvTest, NoAlgorithmNamesTheProblem) {
  CudnnConv conv = open();
  cudnn_state().no_engine = true;
  const std::string text = message([&] { conv.plan(forward_problem()); });
  EXPECT_TRUE(has(text,
                  "cuDNN 9.19.0 has no algorithm for forward F16 2x5x7x3 -> 2x3x4x5 k3s2p1: its heuristic knows none; "
                  "--kernels own does without"))
      << text;
}

TEST_F(CudnnConvTest, EveryCallMayFailWithoutALeak) {
  const CudnnProblem p = forward_problem();
  Arena m(p);
  const auto life = [&] {
    CudnnConv conv = open();
    conv.run(p, m.pointers(p));
  };
  life();
  const int calls = cudnn_state().calls;
  ASSERT_GT(calls, 60);
  int silent = 0;
  for (int n = 1; n <= calls; ++n) {
    SCOPED_TRACE(n);
    cudnn_state() = {};
    cudnn_state().fail_at = n;
    const std::string text = message(life);
    if (text == "no error")
      ++silent;
    else
      EXPECT_TRUE(has(text, "error[device]: cuDNN 9.19.0") && has(text, "FAKE_STATUS_")) << text;
    EXPECT_LT(text.size(), 500u);
    expect_nothing_alive();
  }
  // Ends of descriptors and of the handle keep their failure to themselves; a refused candidate is refused either way.
  int ends = 1;
  cudnn_state() = {};
  life();
  ends += static_cast<int>(cudnn_state().all.size());
  EXPECT_LE(silent, ends + 2);
}

// cuDNN of this machine, which describes tensors and operations without a GPU; only the graph of them needs a handle,
// and there this test stops.
TEST_F(CudnnConvTest, TheRealLibraryTakesEveryDescriptor) {
  unsetenv("FURROW_CUDNN");
  std::shared_ptr<const CudnnLibrary> real;
  try {
    real = open_cudnn();
  } catch (const Error& error) { GTEST_SKIP() << error.line(); }
  auto without_handle = std::make_shared<CudnnLibrary>(*real);
  without_handle->api.create = [](void** handle) {
    *handle = nullptr;
    return 0;
  };
  without_handle->api.set_stream = [](void*, void*) { return 0; };
  without_handle->api.destroy = [](void*) { return 0; };
  static int (*real_create)(int, void**);
  real_create = real->api.create_descriptor;
  without_handle->api.create_descriptor = [](int type, void** made) {
    return type == kOperationGraph ? 1001 : real_create(type, made);
  };
  CudnnConv conv(without_handle, Stream{});
  for (const DType type : {DType::f16, DType::bf16, DType::f32})
    for (const ConvPass pass : {ConvPass::forward, ConvPass::grad_input, ConvPass::grad_weight})
      for (int epilogue = 0; epilogue < (pass == ConvPass::forward ? 16 : 1); ++epilogue) {
        CudnnProblem p = forward_problem(type);
        p.pass = pass;
        p.added = (epilogue & 1) != 0, p.bias = (epilogue & 2) != 0, p.relu = (epilogue & 4) != 0,
        p.y_is_f32 = (epilogue & 8) != 0;
        const std::string text = message([&] { conv.plan(p); });
        EXPECT_TRUE(has(text, "describing the convolution failed: CUDNN_STATUS_NOT_INITIALIZED"))
            << to_string(p) << ": " << text;
      }
  CudnnProblem wrong = forward_problem();
  wrong.x_pitch = 2;  // fewer than its channels
  const std::string text = message([&] { conv.plan(wrong); });
  EXPECT_TRUE(has(text, "failed: CUDNN_STATUS_BAD_PARAM")) << text;
}

}  // namespace
}  // namespace furrow::gpu
