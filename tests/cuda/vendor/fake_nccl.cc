// NCCL without GPUs: ranks are threads of one process, and their device memory is the emulator's.
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "kernels/cuda/vendor/nccl_api.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

using furrow::gpu::nccl::UniqueId;

struct Group {
  std::mutex mutex;
  std::condition_variable turned;
  int ranks = 0, arrived = 0, turn = 0;
  std::vector<const void*> own;
  // All ranks come, or the program ends: the real library would wait for ever.
  void meet(std::unique_lock<std::mutex>& lock, const char* where) {
    const int mine = turn;
    if (++arrived == ranks) {
      arrived = 0, ++turn;
      turned.notify_all();
    } else if (!turned.wait_for(lock, std::chrono::seconds(20), [&] { return turn != mine; })) {
      std::fprintf(stderr, "fake NCCL: %s waits for a rank that does not come\n", where);
      std::abort();
    }
  }
};
struct Comm {
  std::shared_ptr<Group> group;
  int rank;
};

std::mutex groups_mutex;
std::map<std::string, std::shared_ptr<Group>> groups;
int ids = 0;

// FURROW_FAKE_NCCL_FAILS names the function that fails.
bool fails(const char* name) {
  const char* wanted = std::getenv("FURROW_FAKE_NCCL_FAILS");
  return wanted != nullptr && std::strcmp(wanted, name) == 0;
}

}  // namespace

EXPORT int ncclGetVersion(int* version) { return *version = 21903, 0; }
EXPORT const char* ncclGetErrorString(int result) { return result == 0 ? "no error" : "unhandled system error (fake)"; }
EXPORT int ncclGetUniqueId(UniqueId* id) {
  const std::lock_guard lock(groups_mutex);
  std::memset(id->internal, 0x80, sizeof id->internal);  // bytes beyond 127 travel too
  id->internal[127] = static_cast<char>(++ids);
  return fails("ncclGetUniqueId") ? 2 : 0;
}
EXPORT int ncclCommInitRank(void** comm, int ranks, UniqueId id, int rank) {
  if (fails("ncclCommInitRank") || id.internal[0] != static_cast<char>(0x80)) return 2;
  const std::lock_guard lock(groups_mutex);
  auto& group = groups[std::string(id.internal, sizeof id.internal)];
  if (!group) group = std::make_shared<Group>(), group->ranks = ranks, group->own.resize(static_cast<size_t>(ranks));
  *comm = new Comm{group, rank};
  return 0;
}
// Collective where ranks share a machine, like the real one.
EXPORT int ncclCommDestroy(void* comm) {
  const std::unique_ptr<Comm> own(static_cast<Comm*>(comm));
  std::unique_lock lock(own->group->mutex);
  own->group->meet(lock, "ncclCommDestroy");
  return 0;
}
EXPORT int ncclCommAbort(void* comm) {
  delete static_cast<Comm*>(comm);
  return 0;
}
EXPORT int ncclCommGetAsyncError(void*, int* result) {
  *result = fails("ncclCommGetAsyncError") ? 6 : 0;
  return 0;
}
EXPORT int ncclAllGather(const void* own, void* all, size_t count, int type, void* comm, void*) {
  if (type != furrow::gpu::nccl::kFloat32 || fails("ncclAllGather")) return 4;
  const auto& [group, rank] = *static_cast<Comm*>(comm);
  std::unique_lock lock(group->mutex);
  group->own[static_cast<size_t>(rank)] = own;
  group->meet(lock, "ncclAllGather");
  for (size_t r = 0; r < group->own.size(); ++r)
    std::memcpy(static_cast<float*>(all) + r * count, group->own[r], count * sizeof(float));
  group->meet(lock, "ncclAllGather");
  return 0;
}
