// What libfake_cublaslt.so shows a test: every product it was given, and what still lives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace furrow::gpu::fake {

struct LtLayout {
  int type = 0;
  uint64_t rows = 0, cols = 0;
  int64_t ld = 0, stride = 0;
  int32_t batch = 1;
  friend bool operator==(const LtLayout&, const LtLayout&) = default;
};
struct LtOperation {
  int compute = 0, scale = 0;
  int32_t transpose_a = 0;
  uint32_t epilogue = 1;
  const void* bias = nullptr;
};
struct LtProduct {
  LtOperation operation;
  LtLayout a, b, c, d;
};

struct CublasLtState {
  size_t version = 130002;
  int calls = 0, fail_at = 0;  // the fail_at-th call that can fail does; 0: none
  int heuristics = 0;
  bool no_algorithm = false;
  uint64_t workspace_limit = 0;          // as the preference said it
  std::set<void*> handles, preferences;  // alive
  std::map<void*, LtOperation> operations;
  std::map<void*, LtLayout> layouts;
  std::vector<LtProduct> products;  // in their order
  size_t alive() const { return handles.size() + preferences.size() + operations.size() + layouts.size(); }
};

constexpr int kFakeAlgorithm = 21;
constexpr size_t kFakeLtWorkspace = 512;

}  // namespace furrow::gpu::fake

using FurrowFakeCublasLtState = furrow::gpu::fake::CublasLtState* (*)();
