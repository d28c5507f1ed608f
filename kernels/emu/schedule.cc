// Which CUDA thread runs when, and on which stack.
//
// A stack runs one thread after another, as long as none has to wait; only a thread that waits keeps its stack, and the
// next one takes another. So a kernel without barriers is a plain loop over its threads. Under TSan every thread has a
// stack of its own, as otherwise a thread's locals would race with those of the thread that had the stack before.
#include "kernels/cuda/simt_host.h"
#include "kernels/emu/block.h"

namespace furrow::emulated {

thread_local constinit uint3 threadIdx{0, 0, 0}, blockIdx{0, 0, 0};
thread_local constinit dim3 blockDim{1, 1, 1}, gridDim{1, 1, 1};

}  // namespace furrow::emulated

namespace furrow::emu {

thread_local constinit Block* running_block = nullptr;

Block& inside(const char* word) {
  if (running_block == nullptr) throw KernelError(std::string(word) + " is called outside a kernel");
  return *running_block;
}

void set_indices(const Block& b) {
  const Extent &i = b.index, &d = b.launch.block, &g = b.launch.grid;
  emulated::blockIdx = {i.x, i.y, i.z};
  emulated::blockDim = {d.x, d.y, d.z};
  emulated::gridDim = {g.x, g.y, g.z};
}

namespace {

uint64_t next_random(Block& b) {   // xorshift64 (Marsaglia)
  b.random ^= b.random << 13;
  b.random ^= b.random >> 7;
  b.random ^= b.random << 17;
  return b.random;
}

uint16_t& slot(Block& b, uint32_t place) { return b.queue[place % (2 * kMaxThreads)]; }

void become_running(Block& b, Thread& t) {
  b.thread = &t;
  t.state = State::running;
  emulated::threadIdx = {t.index.x, t.index.y, t.index.z};
  if constexpr (kTsan) become(b.identities[b.set][t.number]);
}

void go(Block& b, Fiber& to, bool abandoned) {
  Fiber& from = *b.fiber;
  ++b.counters.switches;
  b.left = &from;
  b.fiber = &to;
  switch_fiber(from, to, abandoned);
  arrive(from, *b.left);
}

void go_to_host(Block& b, bool abandoned) {
  if (kTsan && !b.failed) become(b.host_identity);
  go(b, b.host, abandoned);
}

void thread_exits(Block& b) {
  Thread& t = *b.thread;
  t.state = State::exited;
  t.fiber = nullptr;
  ++b.exited;
  b.warps[t.warp()].exited |= 1u << t.lane();
  release(b.end_tags[b.set]);
  leave_copies(b, t);
  leave_warp(b, t);
  leave_barrier(b, t);
}

void give_stack(Block& b, Thread& t);

// Where every stack starts: runs threads until the block is over, then rests in the host's hands.
void run_on_this_stack() {
  Block& b = *running_block;
  arrive(*b.fiber, *b.left);
  while (true) {
    try {
      b.launch.call(b.launch.closure);
    } catch (...) {
      b.exception = std::current_exception();
    }
    if (b.exception) {
      release(b.end_tags[b.set]);
      go_to_host(b, true);
    }
    thread_exits(b);
    Thread* next = next_thread(b);
    if (!kTsan) {
      if (next != nullptr && next->fiber == nullptr) {
        next->fiber = b.fiber;
        become_running(b, *next);
        continue;
      }
      b.idle[b.idle_n++] = b.fiber;
    }
    // Some later thread finds this stack idle, is made the running one, and comes back here.
    if (next == nullptr) go_to_host(b, false);
    else {
      if (next->fiber == nullptr) give_stack(b, *next);
      become_running(b, *next);
      go(b, *next->fiber, false);
    }
  }
}

void give_stack(Block& b, Thread& t) {
  if (kTsan) {
    t.fiber = &b.fibers[b.set * kMaxThreads + t.number];
    start_fiber(*t.fiber, run_on_this_stack);
    return;
  }
  if (b.idle_n > 0) t.fiber = b.idle[--b.idle_n];
  else if (map_fiber(b.fibers[b.fibers_n])) t.fiber = &b.fibers[b.fibers_n++];
  else fail(b, {}, "no memory for stack %u of the block", b.fibers_n + 1);
  if (t.fiber->resume == nullptr) start_fiber(*t.fiber, run_on_this_stack);
}

}  // namespace

void enqueue(Block& b, const uint16_t* threads, unsigned n) {
  const Order order = b.launch.options.order;
  uint16_t sorted[kMaxThreads];
  for (unsigned i = 0; i < n; ++i) {
    sorted[i] = threads[order == Order::reverse ? n - 1 - i : i];
    asm volatile("" ::: "memory");   // one by one: a call of memmove would be seen by TSan
  }
  if (order == Order::random)
    for (unsigned i = n; i > 1; --i) {
      uint16_t &a = sorted[i - 1], &c = sorted[next_random(b) % i];
      const uint16_t kept = a;
      a = c;
      c = kept;
    }
  const bool first = order == Order::run_ahead || (order == Order::random && next_random(b) % 2 == 0);
  if (first)
    for (unsigned i = n; i-- > 0;) slot(b, --b.queue_head) = sorted[i];
  else
    for (unsigned i = 0; i < n; ++i) slot(b, b.queue_tail++) = sorted[i];
}

Thread* next_thread(Block& b) {
  if (b.failed) return nullptr;
  if (b.queue_head != b.queue_tail) return &b.threads[slot(b, b.queue_head++)];
  if (b.exited < b.threads_n) report_deadlock(b);
  return nullptr;
}

void wait_turn(Block& b) {
  Thread& me = *b.thread;
  Thread* next = next_thread(b);
  if (next == nullptr) leave_failed(b);
  if (next == &me) {
    me.state = State::running;
    return;
  }
  if (next->fiber == nullptr) give_stack(b, *next);
  become_running(b, *next);
  go(b, *next->fiber, false);
}

void leave_failed(Block& b) {
  go_to_host(b, true);
  __builtin_unreachable();
}

void run_threads(Block& b) {
  Thread& first = *next_thread(b);
  b.fiber = &b.host;
  give_stack(b, first);
  become_running(b, first);
  go(b, *first.fiber, false);
  b.thread = nullptr;
}

void prepare_fibers(Block& b) {
  b.host = {};
  b.idle_n = 0;
  if (kTsan) return;
  for (unsigned i = b.fibers_n; i-- > 0;) {
    b.fibers[i].resume = nullptr;
    b.idle[b.idle_n++] = &b.fibers[i];
  }
}

}  // namespace furrow::emu
