// The functions and numbers of NCCL 2 that Furrow uses, as a table: from the library or a test's fake. Declared here
// for the reasons cudnn_api.h gives. Source: nccl.h of NCCL 2.9 and later.
#pragma once

#include <cstddef>

namespace furrow::gpu::nccl {

struct UniqueId {
  char internal[128];
};  // ncclUniqueId

// Each is the function named beside it, with its arguments. A result of 0 is success.
struct Api {
  int (*version)(int* version);                                     // ncclGetVersion: 21903 is 2.19.3
  const char* (*error_string)(int result);                          // ncclGetErrorString
  int (*unique_id)(UniqueId* id);                                   // ncclGetUniqueId
  int (*init_rank)(void** comm, int ranks, UniqueId id, int rank);  // ncclCommInitRank, on the current GPU
  int (*destroy)(void* comm);                                       // ncclCommDestroy: waits for the other ranks
  int (*abort)(void* comm);                                         // ncclCommAbort: waits for nobody
  int (*async_error)(void* comm, int* result);                      // ncclCommGetAsyncError
  int (*all_gather)(const void* own, void* all, size_t count, int type, void* comm, void* stream);  // ncclAllGather
};

constexpr int kFloat32 = 7;  // ncclDataType_t

}  // namespace furrow::gpu::nccl
