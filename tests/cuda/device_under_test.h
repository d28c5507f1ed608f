// The device that the kernel tests run on: the emulator, in every schedule, or with FURROW_TEST_DEVICE=cuda a GPU.
//
//   in_every_schedule([] { ... launch through kernels(), compare ... });
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "kernels/cuda/runtime.h"
#include "kernels/emu/engine.h"

namespace furrow::gpu {

inline bool testing_on_gpu() {
  const char* device = std::getenv("FURROW_TEST_DEVICE");
  return device != nullptr && std::string_view(device) == "cuda";
}

inline Runtime& runtime() {
  static const std::unique_ptr<Runtime> it = testing_on_gpu() ? make_cuda_runtime(0) : make_emulated_runtime();
  return *it;
}

// The table of launch functions called `family` on the device under test: furrow::emulated::family or
// furrow::cuda::family.
#if defined(FURROW_HAVE_CUDA)
#define KERNELS_UNDER_TEST(family) (furrow::gpu::testing_on_gpu() ? furrow::cuda::family : furrow::emulated::family)
#else
#define KERNELS_UNDER_TEST(family) (furrow::emulated::family)
#endif

// Runs `body` under four schedules and both landings of asynchronous copies; once on a GPU. FURROW_TEST_SCHEDULES says
// how many of those eight: "one", as the options stand (scripts/gpu_check.sh on the emulator, where the schedules are
// CTest's business), or "two", forward with eager and random with lazy copies (scripts/test.sh --all under sanitizers,
// which see a missing barrier, an early read of a copy and a wrong address in whatever order the threads take).
inline void in_every_schedule(const std::function<void()>& body) {
  const char* const variable = std::getenv("FURROW_TEST_SCHEDULES");
  const std::string_view count = variable == nullptr ? "all" : variable;
  ASSERT_TRUE(count == "all" || count == "two" || count == "one") << "FURROW_TEST_SCHEDULES=" << count;
  if (testing_on_gpu() || count == "one") return body();
  const emu::Options before = emu::options();
  const char* const names[] = {"forward", "reverse", "random", "run ahead"};
  for (const emu::Order order : {emu::Order::forward, emu::Order::reverse, emu::Order::random, emu::Order::run_ahead})
    for (const emu::Landing landing : {emu::Landing::eager, emu::Landing::lazy}) {
      const bool in_two = landing == emu::Landing::eager ? order == emu::Order::forward : order == emu::Order::random;
      if (count == "two" && !in_two) continue;
      SCOPED_TRACE(std::string("schedule ") + names[static_cast<int>(order)] +
                   (landing == emu::Landing::lazy ? ", seed 2, lazy copies" : ", seed 1, eager copies"));
      emu::options().order = order;
      emu::options().landing = landing;
      emu::options().seed = landing == emu::Landing::eager ? 1 : 2;   // two random schedules
      body();
      if (::testing::Test::HasFailure()) break;
    }
  emu::options() = before;
}

// Memory of the device under test, released at the end of its scope. What was never written reads as NaN.
template <class T> class DeviceArray {
 public:
  explicit DeviceArray(size_t count) : count_(count), data_(static_cast<T*>(runtime().allocate(count * sizeof(T)))) {
    if (testing_on_gpu())
      fill(std::vector<std::byte>(count_ * sizeof(T), std::byte{0xFF}).data());  // the emulator does so itself
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) { fill(values.data()); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  ~DeviceArray() { runtime().release(data_); }
  T* data() { return data_; }
  size_t size() const { return count_; }
  std::vector<T> values() const {   // waits for the work before
    std::vector<T> out(count_);
    runtime().download({}, out.data(), data_, count_ * sizeof(T));
    runtime().synchronize({});
    return out;
  }

 private:
  void fill(const void* host) {
    runtime().upload({}, data_, host, count_ * sizeof(T));
    runtime().synchronize({});
  }
  size_t count_;
  T* data_;
};

}  // namespace furrow::gpu
