// Runtime over CUDA's calls, without a GPU: a fake runtime counts handles and fails at any call; and what a machine or
// a build without CUDA is told.
#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <stdexcept>

#include "kernels/cuda/cuda_backend.h"
#include "kernels/emu/engine.h"
#include "kernels/error.h"
#include "tests/cuda/fake_cuda.h"
#include "tests/kernels/cases.h"
#include "tests/kernels/compare.h"

namespace furrow::gpu {
namespace {

using fake::kCalls;
using fake::state;

std::string message(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::device);
    return error.line();
  }
  return "no error";
}
bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

// Everything a Runtime does, once, owning what it makes.
void whole_life() {
  const std::unique_ptr<Runtime> runtime = make_cuda_runtime(kCalls, 0);
  const auto release = [&](void* p) { runtime->release(p); };
  const auto release_pinned = [&](void* p) { runtime->release_pinned(p); };
  const std::unique_ptr<void, decltype(release)> a(runtime->allocate(64), release), b(runtime->allocate(64), release);
  const std::unique_ptr<void, decltype(release_pinned)> host(runtime->allocate_pinned(64), release_pinned);
  struct Owned {
    Runtime& runtime;
    Stream stream;
    ~Owned() { runtime.destroy_stream(stream); }
  } owned{*runtime, runtime->create_stream()};
  const Stream stream = owned.stream;
  EXPECT_EQ(runtime->memory().total, size_t{1000} << 20);
  static_cast<int*>(host.get())[0] = 42;
  runtime->zero(stream, b.get(), 64);
  runtime->upload(stream, a.get(), host.get(), 64);
  runtime->copy(stream, b.get(), a.get(), 64);
  runtime->download(stream, host.get(), b.get(), 64);
  runtime->synchronize(stream);
  EXPECT_EQ(static_cast<int*>(host.get())[0], 42);
  const std::unique_ptr<Recording> recording =
      runtime->record(stream, [&] { runtime->copy(stream, b.get(), a.get(), 64); });
  ASSERT_NE(recording, nullptr);
  recording->replay(stream);
  runtime->synchronize(stream);
}

class CudaRuntimeTest : public ::testing::Test {
 protected:
  void SetUp() override { state() = {}; }
  void TearDown() override {
    EXPECT_TRUE(state().live.empty()) << state().live.size() << " handles leaked, one a "
                                      << state().live.begin()->second;
  }
};

TEST_F(CudaRuntimeTest, DoesItsWorkInOrderAndReleasesAll) {
  whole_life();
  EXPECT_EQ(state().log, (std::vector<std::string>{"copy 1", "copy 3", "copy 2", "copy 3", "replay"}));
  EXPECT_EQ(make_cuda_runtime(kCalls, 0)->name(), "Fake GPU, sm_90");
  EXPECT_EQ(make_cuda_runtime(kCalls, 0)->versions(), "driver 13.0, runtime 13.0");
  EXPECT_FALSE(make_cuda_runtime(kCalls, 0)->emulated());
  EXPECT_EQ(make_cuda_runtime(kCalls, 0)->shared_limit(), size_t{99 * 1024});
}

TEST_F(CudaRuntimeTest, EachCallMayFailWithoutALeakOrALastingError) {
  whole_life();
  const int calls = state().calls;
  ASSERT_GT(calls, 20);
  int reported = 0;
  for (int n = 1; n <= calls; ++n) {
    SCOPED_TRACE(n);
    state() = {};
    state().fail_at = n;
    const std::string text = message(whole_life);
    if (text != "no error") {
      EXPECT_TRUE(has(text, "unspecified failure")) << text;
      EXPECT_FALSE(has(text, "must end")) << text;
      ++reported;
    }
    EXPECT_EQ(state().last_error, kSuccess);
    EXPECT_TRUE(state().live.empty());
    EXPECT_FALSE(state().capturing);
  }
  // Only what releases may keep a failure to itself: two of memory, one pinned, a stream, a graph, an executable, and
  // the choice of the GPU before each of the first five that does so.
  EXPECT_GE(reported, calls - 11);
}

TEST_F(CudaRuntimeTest, ALostGpuIsSaidToBeLost) {
  const std::unique_ptr<Runtime> runtime = make_cuda_runtime(kCalls, 0);
  state().sticky = true;
  state().failure = 700;
  state().fail_at = state().calls + 2;   // set_device, then the call itself
  const std::string text = message([&] { runtime->synchronize({}); });
  EXPECT_TRUE(has(text, "the GPU's work failed: an illegal memory access")) << text;
  EXPECT_TRUE(has(text, "must end")) << text;
}

TEST_F(CudaRuntimeTest, OutOfMemorySaysHowMuchAndIsSurvived) {
  const std::unique_ptr<Runtime> runtime = make_cuda_runtime(kCalls, 0);
  std::string text = message([&] { runtime->allocate((size_t{512} << 20) + 1); });
  EXPECT_TRUE(has(text, "out of GPU memory: 513 MiB wanted, 100 MiB of 1000 MiB free, 413 MiB missing")) << text;
  EXPECT_EQ(state().last_error, kSuccess);
  state().failure = kOutOfMemory;
  state().fail_at = state().calls + 2;   // set_device, then malloc, though as much is free: in pieces
  text = message([&] { runtime->allocate(size_t{50} << 20); });
  EXPECT_TRUE(has(text, "50 MiB wanted, 100 MiB of 1000 MiB free, but not in one piece")) << text;
  EXPECT_EQ(state().last_error, kSuccess);
  text = message([&] { runtime->allocate_pinned(size_t{512} << 20); });
  EXPECT_TRUE(has(text, "out of pinned host memory: 512 MiB wanted")) << text;
  EXPECT_EQ(state().last_error, kSuccess);
  runtime->release(runtime->allocate(1));
  void* nothing = runtime->allocate(0);   // a valid address all the same
  EXPECT_NE(nothing, nullptr);
  runtime->release(nothing);
}

TEST_F(CudaRuntimeTest, ARecordingWhoseBodyFailsLeavesTheStreamUsable) {
  const std::unique_ptr<Runtime> runtime = make_cuda_runtime(kCalls, 0);
  const Stream stream = runtime->create_stream();
  EXPECT_THROW(runtime->record(stream, [] { throw std::runtime_error("body"); }), std::runtime_error);
  EXPECT_FALSE(state().capturing);
  EXPECT_EQ(state().live.size(), 1u);   // the stream: no graph is left
  EXPECT_EQ(runtime->record({}, [] { FAIL() << "the default stream cannot record"; }), nullptr);
  runtime->destroy_stream(stream);
}

TEST_F(CudaRuntimeTest, WhyNoCuda) {
  EXPECT_EQ(why_no_cuda(kCalls, 0), "");
  EXPECT_EQ(why_no_cuda(kCalls, 1), "there is no GPU 1; the only one is 0");
  EXPECT_EQ(why_no_cuda(kCalls, -1), "there is no GPU -1; the only one is 0");
  state().devices = 4;
  EXPECT_EQ(why_no_cuda(kCalls, 4), "there is no GPU 4; there are 0 to 3");
  state().devices = 0;
  EXPECT_EQ(why_no_cuda(kCalls, 0), "the CUDA driver finds no GPU");
  state().count_status = kNoDevice;
  EXPECT_EQ(why_no_cuda(kCalls, 0), "the CUDA driver finds no GPU");
  EXPECT_EQ(state().last_error, kSuccess);
  state().count_status = kInsufficientDriver;
  state().driver = 12040;
  EXPECT_EQ(why_no_cuda(kCalls, 0), "the CUDA driver goes up to CUDA 12.4, and this build needs 13.0");
  state().count_status = 999;
  EXPECT_EQ(why_no_cuda(kCalls, 0), "the CUDA driver fails: unspecified failure");
  state().driver = 0;
  EXPECT_EQ(why_no_cuda(kCalls, 0), "no CUDA driver is installed");
  state() = {};
  state().major = 7;
  EXPECT_EQ(why_no_cuda(kCalls, 0), "GPU 0 (Fake GPU, sm_70) is older than sm_80");
  state() = {};
  state().fail_at = 1;
  EXPECT_EQ(why_no_cuda(kCalls, 0), "GPU 0 does not answer: unspecified failure");
  EXPECT_EQ(state().last_error, kSuccess);
  state() = {};
  state().devices = 0;
  EXPECT_EQ(message([] { make_cuda_runtime(kCalls, 0); }), "error[device]: the CUDA driver finds no GPU");
}

// A 7x7 convolution of stride 2 wants 188,160 bytes with rows of 64 bytes, 94,080 with rows of 32.
TEST(SharedMemory, ChoosesShorterRowsWhereADeviceGrantsLessAndSaysWhatItCannotRun) {
  const ConvStep step = cases::without_activation(cases::conv({1, 9, 12, 64}, 64, 7, 2));
  const StepWeights weights = cases::random_weights(step, 3);
  Tensor x({1, 9, 12, 64}, DType::f32), y[2] = {Tensor(step.y(), DType::f32), Tensor(step.y(), DType::f32)};
  const Tensor values = cases::random_values(x.shape(), 1).to(DType::f32);
  std::copy(values.values<float>().begin(), values.values<float>().end(), x.values<float>().begin());
  const emu::Options before = emu::options();
  for (const int kilobytes : {227, 99}) {
    emu::options().shared_limit = static_cast<size_t>(kilobytes) * 1024;
    emu::reset_counters();
    CudaBackend backend(make_emulated_runtime(), emulated::api, Precision::fp16);
    std::vector<std::byte> in(backend.placed_bytes(x.shape()) + 16), out(backend.placed_bytes(step.y()) + 16);
    const auto aligned = [](std::vector<std::byte>& v) {
      return v.data() + (16 - reinterpret_cast<uintptr_t>(v.data()) % 16) % 16;
    };
    const Placed from{aligned(in), x.shape()}, to{aligned(out), step.y()};
    backend.place(x, from);
    const auto packed = backend.prepare(step, weights);
    StepBuffers buffers;
    buffers.x[0] = from, buffers.y = to;
    backend.run(step, packed.get(), buffers);
    backend.unplace(to, y[kilobytes == 99]);
    EXPECT_EQ(emu::counters().shared_peak, kilobytes == 99 ? 94080u : 188160u);
  }
  // Another order of the same float32 sums, then one rounding to f16 each.
  EXPECT_TRUE(close(y[1], y[0], {.absolute = 2e-3 * largest(y[0])}));
  emu::options().shared_limit = size_t{64} * 1024;
  CudaBackend backend(make_emulated_runtime(), emulated::api, Precision::fp16);
  try {
    backend.prepare(step, weights);
    ADD_FAILURE() << "not refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported);
    EXPECT_TRUE(has(error.line(), "a 7x7 convolution of stride 2, 64 to 64 channels, wants 94080 bytes"))
        << error.line();
    EXPECT_TRUE(has(error.line(), "the device grants 65536")) << error.line();
  }
  emu::options() = before;
}

TEST(RealCuda, ThisMachineIsToldWhyInOneClause) {
  if (std::filesystem::exists("/proc/driver/nvidia")) GTEST_SKIP() << "this machine has an NVIDIA driver";
#if defined(FURROW_HAVE_CUDA)
  const std::string why = "no CUDA driver is installed";
#else
  const std::string why = "this build has no CUDA";
#endif
  EXPECT_EQ(why_no_cuda(0), why);
  EXPECT_EQ(message([] { make_cuda_runtime(0); }), "error[device]: " + why);
}

}  // namespace
}  // namespace furrow::gpu
