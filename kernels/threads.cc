#include "kernels/threads.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <fstream>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "kernels/error.h"

namespace furrow {
namespace {

thread_local bool inside_task = false;

// CPU quota of the control group in whole processors, or 0 where there is none (cgroup v2 `cpu.max`: "QUOTA PERIOD").
int quota() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  double limit = 0, period = 0;
  if (!(file >> limit >> period) || period <= 0) return 0;
  return std::max(1, static_cast<int>(limit / period + 0.5));
}

// Marks this thread as running a task, for as long as it lives.
struct InsideTask {
  InsideTask() { inside_task = true; }
  ~InsideTask() { inside_task = false; }
};

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

int usable_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                          : static_cast<int>(std::thread::hardware_concurrency());
  if (const int allowed = quota(); allowed > 0) count = std::min(count, allowed);
  return std::max(count, 1);
}

struct ThreadPool::State {
  int count = 1;
  std::vector<std::thread> workers;
  std::mutex turn;                       // one run() at a time
  std::atomic<uint64_t> generation{0};   // raised to start a run
  std::atomic<int> running{0};           // workers that have not finished the current run
  std::atomic<bool> stop{false};
  int64_t tasks = 0;
  const Body* body = nullptr;
  std::vector<std::exception_ptr> failures;

  void work(int worker) {
    const InsideTask inside;
    try {
      for (int64_t t = worker * tasks / count; t < (worker + 1) * tasks / count; ++t) (*body)(t, worker);
    } catch (...) {
      failures[static_cast<size_t>(worker)] = std::current_exception();
    }
  }

  void end() {
    stop.store(true, std::memory_order_relaxed);
    generation.fetch_add(1, std::memory_order_acq_rel);
    generation.notify_all();
    for (std::thread& worker : workers) worker.join();
  }

  // A plan's steps follow each other within microseconds, so a worker spins a little before it sleeps in the kernel.
  static constexpr int kSpins = 2000;

  void loop(int worker) {
    uint64_t seen = 0;
    while (true) {
      for (int i = 0; i < kSpins && generation.load(std::memory_order_acquire) == seen; ++i) pause();
      generation.wait(seen, std::memory_order_acquire);
      seen = generation.load(std::memory_order_acquire);
      if (stop.load(std::memory_order_relaxed)) return;
      work(worker);
      if (running.fetch_sub(1, std::memory_order_acq_rel) == 1) running.notify_one();
    }
  }
};

ThreadPool::ThreadPool(int threads) : state_(std::make_unique<State>()) {
  state_->count = threads > 0 ? threads : usable_processors();
  state_->failures.resize(static_cast<size_t>(state_->count));
  try {
    for (int w = 1; w < state_->count; ++w) state_->workers.emplace_back([state = state_.get(), w] { state->loop(w); });
  } catch (const std::system_error& error) {
    state_->end();
    throw Error(ErrorCode::io, "cannot start " + std::to_string(state_->count) + " threads: " + error.code().message());
  }
}

ThreadPool::~ThreadPool() { state_->end(); }

int ThreadPool::threads() const { return state_->count; }

void ThreadPool::run(int64_t tasks, const Body& body) {
  if (tasks <= 0) return;
  const auto in_place = [&] {
    for (int64_t t = 0; t < tasks; ++t) body(t, 0);
  };
  if (inside_task) return in_place();
  std::lock_guard lock(state_->turn);
  State& s = *state_;
  if (s.count == 1 || tasks == 1) {
    const InsideTask inside;   // a call from inside finds the turn taken
    return in_place();
  }
  s.tasks = tasks;
  s.body = &body;
  std::ranges::fill(s.failures, nullptr);
  s.running.store(s.count - 1, std::memory_order_relaxed);
  s.generation.fetch_add(1, std::memory_order_acq_rel);
  s.generation.notify_all();
  s.work(0);
  for (int i = 0; i < State::kSpins && s.running.load(std::memory_order_acquire) != 0; ++i) pause();
  for (int left; (left = s.running.load(std::memory_order_acquire)) != 0;)
    s.running.wait(left, std::memory_order_acquire);
  for (const std::exception_ptr& failure : s.failures)
    if (failure) std::rethrow_exception(failure);
}

void parallel_for(ThreadPool* pool, int64_t tasks, const ThreadPool::Body& body) {
  if (pool != nullptr) return pool->run(tasks, body);
  for (int64_t t = 0; t < tasks; ++t) body(t, 0);
}

}  // namespace furrow
