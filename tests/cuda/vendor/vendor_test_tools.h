// The fake libraries as the program would open them, their states, and calls whose errors are looked at.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <string>

#include "kernels/error.h"
#include "kernels/half.h"
#include "kernels/tensor.h"
#include "tests/cuda/vendor/fake_cublaslt.h"
#include "tests/cuda/vendor/fake_cudnn.h"

namespace furrow::gpu::fake {

template <class Function>
auto state_of(const char* file, const char* name) {
  static void* handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
  return reinterpret_cast<Function>(dlsym(handle, name))();
}
inline CudnnState& cudnn_state() { return *state_of<FurrowFakeCudnnState>(FURROW_FAKE_CUDNN, "furrow_fake_cudnn"); }
inline CublasLtState& cublaslt_state() {
  return *state_of<FurrowFakeCublasLtState>(FURROW_FAKE_CUBLASLT, "furrow_fake_cublaslt");
}

// Points both libraries' variables at the fakes, fresh; afterwards nothing may live.
class VendorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    setenv("FURROW_CUDNN", FURROW_FAKE_CUDNN, 1);
    setenv("FURROW_CUBLASLT", FURROW_FAKE_CUBLASLT, 1);
    cudnn_state() = {};
    cublaslt_state() = {};
  }
  void TearDown() override { expect_nothing_alive(); }
  static void expect_nothing_alive() {
    EXPECT_EQ(cudnn_state().live.size(), 0u) << "descriptors of cuDNN";
    EXPECT_EQ(cudnn_state().handles.size(), 0u) << "handles of cuDNN";
    EXPECT_EQ(cublaslt_state().alive(), 0u) << "handles and descriptors of cuBLASLt";
  }
};

// The line of the ErrorCode::device that `body` throws; "no error" where it throws none.
inline std::string message(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::device) << error.line();
    return error.line();
  }
  return "no error";
}
inline bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// Host memory of one element type, 16-byte aligned as std::vector's is here, written and read as float.
class Memory {
 public:
  Memory(DType type, size_t elements) : type_(type), bytes_(elements * size_of(type) + 16, std::byte{0xFF}) {}
  void* data() {
    const auto address = reinterpret_cast<uintptr_t>(bytes_.data());
    return bytes_.data() + (16 - address % 16) % 16;
  }
  float read(size_t at) {
    if (type_ == DType::f32) return static_cast<const float*>(data())[at];
    const uint16_t bits = static_cast<const uint16_t*>(data())[at];
    return type_ == DType::f16 ? f16_to_f32(bits) : bf16_to_f32(bits);
  }
  void write(size_t at, float value) {
    if (type_ == DType::f32)
      static_cast<float*>(data())[at] = value;
    else
      static_cast<uint16_t*>(data())[at] = type_ == DType::f16 ? f32_to_f16(value) : f32_to_bf16(value);
  }

 private:
  DType type_;
  std::vector<std::byte> bytes_;
};

}  // namespace furrow::gpu::fake
