// ThreadPool: the one fork-join pool that kernels, loaders and servers share, with a fixed partition of the work.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

namespace furrow {

// Processors this process may use: the smaller of the affinity mask and the control group's CPU quota, at least 1.
int usable_processors();

// Runs tasks 0..tasks-1 on `threads()` workers, the caller being worker 0. Worker w always gets the contiguous tasks
// [w*tasks/threads, (w+1)*tasks/threads): which thread runs a task depends on nothing else. Results must not depend
// on it either: a task writes only what no other task reads or writes.
class ThreadPool {
 public:
  // threads <= 0 means usable_processors(). One thread starts no other. ErrorCode::io where the
  // system refuses that many.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const;

  // Returns when every task has run. An exception of a task is rethrown here, the one of the lowest worker first; that
  // worker's later tasks are skipped. Calls from several threads take turns; a call from inside a task runs its tasks
  // in place.
  using Body = std::function<void(int64_t task, int worker)>;
  void run(int64_t tasks, const Body& body);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Convenience for optional pools: runs in place where `pool` is null.
void parallel_for(ThreadPool* pool, int64_t tasks, const ThreadPool::Body& body);

// The same for any callable, handed on by reference: a lambda with many captures costs no allocation.
template <class F> void parallel_for(ThreadPool* pool, int64_t tasks, F&& body) {
  const ThreadPool::Body call = std::ref(body);
  parallel_for(pool, tasks, call);
}

}  // namespace furrow
