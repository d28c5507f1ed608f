// Opening cuDNN and cuBLASLt: by variable and by name, and what is said where that does not work.
#include "kernels/cuda/vendor/library.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/cuda/vendor/vendor_test_tools.h"

namespace furrow::gpu {
namespace {

using fake::has;
using fake::message;

class LibraryTest : public fake::VendorTest {};

TEST_F(LibraryTest, OpensWhatTheVariableNames) {
  const auto cudnn = open_cudnn();
  EXPECT_EQ(cudnn->version, "9.19.0");
  EXPECT_EQ(cudnn->file, FURROW_FAKE_CUDNN);
  void* handle = nullptr;
  EXPECT_EQ(cudnn->api.create(&handle), 0);
  EXPECT_EQ(fake::cudnn_state().handles.count(handle), 1u);
  EXPECT_EQ(cudnn->api.destroy(handle), 0);
  const auto lt = open_cublaslt();
  EXPECT_EQ(lt->version, "13.0.2");
  EXPECT_EQ(lt->file, FURROW_FAKE_CUBLASLT);
}

TEST_F(LibraryTest, AMissingFileIsOneLineThatNamesItAndTheWayOut) {
  setenv("FURROW_CUDNN", "/nowhere/libcudnn.so.9", 1);
  std::string text = message([] { open_cudnn(); });
  EXPECT_TRUE(
      has(text, "error[device]: cuDNN 9 cannot be opened: /nowhere/libcudnn.so.9: cannot open shared object file"))
      << text;
  EXPECT_TRUE(has(text, "FURROW_CUDNN names that file; --kernels own needs no such library")) << text;
  setenv("FURROW_CUBLASLT", "/nowhere/lib\nLt.so", 1);
  text = message([] { open_cublaslt(); });
  EXPECT_TRUE(has(text, "cuBLASLt cannot be opened: /nowhere/lib\\x0aLt.so: ")) << text;
  EXPECT_EQ(text.find('\n'), std::string::npos);
}

TEST_F(LibraryTest, NotALibraryIsSaid) {
  setenv("FURROW_CUDNN", "/proc/self/environ", 1);
  EXPECT_TRUE(has(message([] { open_cudnn(); }), "/proc/self/environ: ")) << message([] { open_cudnn(); });
}

TEST_F(LibraryTest, AMissingFunctionIsNamed) {
  setenv("FURROW_CUDNN", FURROW_HOLLOW_LIBRARY, 1);
  setenv("FURROW_CUBLASLT", FURROW_HOLLOW_LIBRARY, 1);
  std::string text = message([] { open_cudnn(); });
  EXPECT_TRUE(has(text, "has no function cudnnGetErrorString; --kernels own")) << text;
  EXPECT_TRUE(has(text, FURROW_HOLLOW_LIBRARY)) << text;
  text = message([] { open_cublaslt(); });
  EXPECT_TRUE(has(text, "has no function cublasLtGetStatusName")) << text;
  setenv("FURROW_CUDNN", FURROW_FAKE_CUBLASLT, 1);  // the wrong library altogether
  EXPECT_TRUE(has(message([] { open_cudnn(); }), "has no function cudnnGetVersion"));
}

TEST_F(LibraryTest, VersionsOutsideTheKnownOnesAreRefused) {
  for (const size_t version : {size_t{8907}, size_t{89999}, size_t{100000}}) {
    fake::cudnn_state().version = version;
    const std::string text = message([] { open_cudnn(); });
    EXPECT_TRUE(has(text, "Furrow knows 9.0.0 up to, not with, 10.0.0")) << text;
  }
  fake::cudnn_state().version = 90000;
  EXPECT_EQ(open_cudnn()->version, "9.0.0");
  for (const size_t version : {size_t{110903}, size_t{140000}}) {
    fake::cublaslt_state().version = version;
    const std::string text = message([] { open_cublaslt(); });
    EXPECT_TRUE(has(text, "Furrow knows 12.0.0 up to, not with, 14.0.0")) << text;
  }
  fake::cublaslt_state().version = 120405;
  EXPECT_EQ(open_cublaslt()->version, "12.4.5");
}

// Without the variables: the libraries of this machine, which can be opened and asked for their version without a GPU.
TEST_F(LibraryTest, RealLibrariesOfThisMachineByName) {
  unsetenv("FURROW_CUDNN");
  setenv("FURROW_CUBLASLT", "", 1);  // empty counts as not set
  const auto opened_or_explained = [](const char* name, const char* variable, const auto& open) {
    try {
      const auto library = open();
      EXPECT_TRUE(library->file.starts_with(name)) << library->file;
      EXPECT_NE(library->version.find('.'), std::string::npos);
      std::printf("%s is version %s\n", library->file.c_str(), library->version.c_str());
      return 1;
    } catch (const Error& error) {
      EXPECT_TRUE(has(error.line(), std::string(variable) + " may name the file")) << error.line();
      EXPECT_TRUE(has(error.line(), name)) << error.line();
      return 0;
    }
  };
  const int found = opened_or_explained("libcudnn.so.9", "FURROW_CUDNN", [] { return open_cudnn(); }) +
                    opened_or_explained("libcublasLt.so.1", "FURROW_CUBLASLT", [] { return open_cublaslt(); });
  if (found == 0) GTEST_SKIP() << "neither library is installed here";
}

}  // namespace
}  // namespace furrow::gpu
