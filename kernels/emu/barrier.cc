// __syncthreads and __syncthreads_count. All threads of the block must come to the same line of the kernel.
//
// Threads that have left count as arrived, as on hardware since Volta; with Options::strict_exit they are an error.
// For TSan an arrival releases to a tag and a departure acquires from it; the tags take turns, for one tag alone would
// also order arrivals at the next barrier before departures from this one, and hide races.
#include "kernels/emu/block.h"

namespace furrow::emu {
namespace {

void release_barrier(Block& b) {
  check_guards(b);
  uint16_t released[kMaxThreads];
  unsigned n = 0;
  for (unsigned i = 0; i < b.threads_n; ++i)
    if (b.threads[i].state == State::at_barrier) {
      b.threads[i].state = State::ready;
      released[n++] = static_cast<uint16_t>(i);
    }
  b.barrier_result[b.barriers % 2] = b.barrier_count;
  b.barrier_count = 0;
  b.at_barrier = 0;
  ++b.barriers;
  ++b.counters.barriers;
  enqueue(b, released, n);
}

void wait_at_barrier(Block& b, Site site) {
  if (b.at_barrier > 0 && !same(b.barrier_site, site))
    fail(b, site, "divergent barrier: %u threads wait at the barrier %s:%u, this one came to another", b.at_barrier,
         file_name(b.barrier_site), b.barrier_site.line);
  if (b.launch.options.strict_exit && b.exited > 0)
    fail(b, site, "%u threads have left the kernel before this barrier", b.exited);
  Thread& t = *b.thread;
  char& tag = b.barrier_tags[b.barriers % 2];
  release(tag);
  t.state = State::at_barrier;
  t.site = b.barrier_site = site;
  ++b.at_barrier;
  if (b.at_barrier + b.exited == b.threads_n) release_barrier(b);
  wait_turn(b);
  acquire(tag);
}

}  // namespace

void sync_threads(Site site) { wait_at_barrier(inside("__syncthreads"), site); }

int sync_threads_count(int predicate, Site site) {
  Block& b = inside("__syncthreads_count");
  const unsigned turn = b.barriers % 2;
  b.barrier_count += predicate != 0;
  wait_at_barrier(b, site);
  return b.barrier_result[turn];
}

void leave_barrier(Block& b, const Thread& t) {
  if (b.at_barrier == 0 || b.failed) return;
  if (b.launch.options.strict_exit)
    report(b, &t, b.barrier_site, "the thread leaves the kernel while %u others wait at the barrier", b.at_barrier);
  else if (b.at_barrier + b.exited == b.threads_n) release_barrier(b);
}

}  // namespace furrow::emu
