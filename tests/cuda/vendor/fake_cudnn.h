// What libfake_cudnn.so shows a test: every descriptor it was asked for, and what still lives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace furrow::gpu::fake {

// One backend descriptor, kept for inspection after its end.
struct CudnnRecord {
  int type = 0;
  bool finalized = false;
  struct Attribute {
    int type = 0;
    int64_t count = 0;
    std::vector<std::byte> bytes;
  };
  std::map<int, Attribute> attributes;
  int64_t engine = 0, workspace = 0;  // of configurations that the heuristic gave
  bool refused = false;
  std::vector<std::shared_ptr<CudnnRecord>> refers_to;  // keeps what it was built from readable

  template <class T>
  std::vector<T> get(int name) const {
    std::vector<T> values;
    const auto found = attributes.find(name);
    if (found == attributes.end()) return values;
    values.resize(static_cast<size_t>(found->second.count));
    if (values.size() * sizeof(T) == found->second.bytes.size())
      std::memcpy(values.data(), found->second.bytes.data(), found->second.bytes.size());
    else
      values.clear();
    return values;
  }
};

struct CudnnState {
  size_t version = 91900;
  int calls = 0, fail_at = 0;     // the fail_at-th call that can fail does; 0: none
  int executions = 0, plans = 0;  // plans: finalised
  std::map<int, int> operations;  // executed, by the type of their descriptors
  bool no_engine = false;         // the heuristic's list is empty
  std::set<void*> handles;        // alive
  std::map<void*, std::shared_ptr<CudnnRecord>> live;
  std::vector<std::shared_ptr<CudnnRecord>> all;  // in the order of their creation
  std::vector<std::shared_ptr<CudnnRecord>> of_type(int type) const {
    std::vector<std::shared_ptr<CudnnRecord>> found;
    for (const auto& record : all)
      if (record->type == type) found.push_back(record);
    return found;
  }
};

// The heuristic's list: refused at finalising, too much workspace, of other results each time, usable.
constexpr int64_t kRefusedEngine = 7, kGreedyEngine = 8, kLooseEngine = 9, kUsableEngine = 38, kFakeWorkspace = 1000;

}  // namespace furrow::gpu::fake

// Exported by the fake: its state, one per process.
using FurrowFakeCudnnState = furrow::gpu::fake::CudnnState* (*)();
