// A CUDA runtime that is only bookkeeping: which handles live, what the last error is, and which call is to fail.
#pragma once

#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "kernels/cuda/cuda_calls.h"

namespace furrow::gpu::fake {

struct State {
  int calls = 0;                 // so far
  int fail_at = 0;               // this call returns `failure`; 0: none
  int failure = 719;
  bool sticky = false;           // every call after the failing one fails too, and the last error is not forgotten
  int last_error = kSuccess;
  bool capturing = false;
  int driver = 13000, devices = 1, major = 9, count_status = kSuccess;
  size_t free_bytes = size_t{100} << 20, total_bytes = size_t{1000} << 20;
  std::map<void*, std::string> live;
  std::vector<std::string> log;  // copies and launches, in order
};
inline State& state() {
  static State it;
  return it;
}

// Counts the call; its status.
inline int step() {
  State& s = state();
  ++s.calls;
  const bool failed_before = s.fail_at > 0 && s.calls > s.fail_at;
  if (s.calls == s.fail_at || (s.sticky && failed_before)) return s.last_error = s.failure;
  return kSuccess;
}
inline int make(void** handle, const char* kind, size_t bytes = 16) {
  if (const int status = step(); status != kSuccess) return status;
  *handle = std::malloc(bytes);
  state().live[*handle] = kind;
  return kSuccess;
}
// A failing release still releases: what cudaFree reports is then an earlier error.
inline int drop(void* handle, const char* kind) {
  if (handle != nullptr && state().live[handle] == kind) {
    state().live.erase(handle);
    std::free(handle);
  }
  return step();
}

inline const CudaCalls kCalls{
    .error_string =
        [](int status) { return status == 700 ? "an illegal memory access was encountered" : "unspecified failure"; },
    .get_last_error =
        [] {
          const int last = state().last_error;
          if (!state().sticky) state().last_error = kSuccess;
          return last;
        },
    .driver_version =
        [](int* version) {
          *version = state().driver;
          return static_cast<int>(kSuccess);
        },
    .runtime_version =
        [](int* version) {
          *version = 13000;
          return static_cast<int>(kSuccess);
        },
    .get_device_count =
        [](int* count) {
          *count = state().devices;
          return state().last_error = state().count_status;
        },
    .get_device =
        [](CudaDevice* device, int) {
          *device = {"Fake GPU", state().major, 0, 99 * 1024};
          return step();
        },
    .set_device = [](int) { return step(); },
    .mem_get_info =
        [](size_t* free, size_t* total) {
          *free = state().free_bytes, *total = state().total_bytes;
          return state().sticky && state().calls >= state().fail_at ? state().last_error : static_cast<int>(kSuccess);
        },
    .malloc =
        [](void** memory, size_t bytes) {
          if (bytes > state().free_bytes) return state().last_error = kOutOfMemory;
          return make(memory, "memory", bytes);
        },
    .free = [](void* memory) { return drop(memory, "memory"); },
    .malloc_host =
        [](void** memory, size_t bytes) {
          if (bytes > state().free_bytes) return state().last_error = kOutOfMemory;
          return make(memory, "pinned", bytes);
        },
    .free_host = [](void* memory) { return drop(memory, "pinned"); },
    .stream_create = [](void** stream) { return make(stream, "stream"); },
    .stream_destroy = [](void* stream) { return drop(stream, "stream"); },
    .stream_synchronize = [](void*) { return step(); },
    .memcpy_async =
        [](void* to, const void* from, size_t bytes, int kind, void*) {
          if (const int status = step(); status != kSuccess) return status;
          state().log.push_back("copy " + std::to_string(kind));
          if (!state().capturing) std::memcpy(to, from, bytes);
          return static_cast<int>(kSuccess);
        },
    .memset_async =
        [](void* memory, int value, size_t bytes, void*) {
          if (const int status = step(); status != kSuccess) return status;
          std::memset(memory, value, bytes);
          return static_cast<int>(kSuccess);
        },
    .stream_begin_capture =
        [](void*) {
          const int status = step();
          state().capturing = status == kSuccess;
          return status;
        },
    .stream_end_capture =
        [](void*, void** graph) {
          state().capturing = false;
          return make(graph, "graph");
        },
    .graph_instantiate = [](void** executable, void*) { return make(executable, "executable"); },
    .graph_launch =
        [](void*, void*) {
          state().log.push_back("replay");
          return step();
        },
    .graph_exec_destroy = [](void* executable) { return drop(executable, "executable"); },
    .graph_destroy = [](void* graph) { return drop(graph, "graph"); },
};

}  // namespace furrow::gpu::fake
