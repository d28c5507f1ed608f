// Launches: checks, blocks one after another or over several operating-system threads, errors, counters.
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "kernels/emu/block.h"

namespace furrow::emu {

Block::Block() {
  map_arenas(*this);
  void* p = mmap(nullptr, kMaxCopies * sizeof(Copy), PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) {
    unmap_arenas(*this);
    throw Error(ErrorCode::limit, "the emulator finds no memory for a block");
  }
  copies = static_cast<Copy*>(p);
}

namespace {

void drop_identities(Block& b) {
  for (auto& set : b.identities)
    for (Identity& identity : set)
      if (identity != nullptr) {
        destroy_identity(identity);
        identity = nullptr;
      }
}

void make_identities(Block& b) {
  for (unsigned set = 0; set < kSets; ++set)
    for (unsigned i = 0; i < b.threads_n; ++i) {
      if (b.identities[set][i] == nullptr) {
        char name[40];
        std::snprintf(name, sizeof name, "CUDA thread %u (%c)", i, set == 0 ? 'A' : 'B');
        b.identities[set][i] = create_identity(name);
      }
      Fiber& fiber = b.fibers[set * kMaxThreads + i];
      if (fiber.stack == nullptr && !map_fiber(fiber))
        throw Error(ErrorCode::limit, "the emulator finds no memory for stacks");
    }
}

}  // namespace

Block::~Block() {
  drop_identities(*this);
  for (Fiber& f : fibers) unmap_fiber(f);
  unmap_arenas(*this);
  munmap(copies, kMaxCopies * sizeof(Copy));
}

namespace {

// Blocks with their stacks, kept from one launch to the next.
class Store {
 public:
  std::unique_ptr<Block> take() {
    {
      std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        std::unique_ptr<Block> block = std::move(idle_.back());
        idle_.pop_back();
        return block;
      }
    }
    return std::make_unique<Block>();
  }
  void give_back(std::unique_ptr<Block> block) {
    std::lock_guard lock(mutex_);
    if (idle_.size() < kKept) idle_.push_back(std::move(block));
  }

 private:
  static constexpr size_t kKept = kTsan ? 2 : 16;   // under TSan a thread's identity takes about 1.3 MB
  std::mutex mutex_;
  std::vector<std::unique_ptr<Block>> idle_;
};

Store& store() {
  static Store instance;
  return instance;
}

std::mutex counters_mutex;
Counters total;   // under counters_mutex

void add(const Counters& c) {
  std::lock_guard lock(counters_mutex);
  total.blocks += c.blocks;
  total.threads += c.threads;
  total.switches += c.switches;
  total.barriers += c.barriers;
  total.warp_operations += c.warp_operations;
  total.mma += c.mma;
  total.ldmatrix += c.ldmatrix;
  total.ldmatrix_conflicts += c.ldmatrix_conflicts;
  total.async_copies += c.async_copies;
  total.shared_peak = std::max(total.shared_peak, c.shared_peak);
}

[[noreturn]] void refuse(const Launch& launch, const std::string& why) {
  throw KernelError(std::string("kernel ") + launch.kernel + ": " + why);
}

std::string text(Extent e) {
  return "(" + std::to_string(e.x) + "," + std::to_string(e.y) + "," + std::to_string(e.z) + ")";
}

// CUDA C++ Programming Guide, technical specifications per compute capability.
void check(const Launch& launch) {
  const Extent g = launch.grid, b = launch.block;
  if (g.x == 0 || g.y == 0 || g.z == 0) refuse(launch, "the grid " + text(g) + " is empty");
  if (b.x == 0 || b.y == 0 || b.z == 0) refuse(launch, "the block " + text(b) + " is empty");
  if (g.x > 0x7FFFFFFFu || g.y > 65535 || g.z > 65535)
    refuse(launch, "the grid " + text(g) + " is over the limit of (2147483647,65535,65535)");
  if (b.x > 1024 || b.y > 1024 || b.z > 64)
    refuse(launch, "the block " + text(b) + " is over the limit of (1024,1024,64)");
  if (uint64_t{b.x} * b.y * b.z > kMaxThreads)
    refuse(launch, "the block " + text(b) + " has more than " + std::to_string(kMaxThreads) + " threads");
  const size_t limit = launch.options.shared_limit;
  if (launch.dynamic_shared > limit)
    refuse(launch, std::to_string(launch.dynamic_shared) +
                       " bytes of dynamic shared memory are more than the limit of " + std::to_string(limit));
}

// Before the first block of a launch on this operating-system thread.
void begin(Block& b, const Launch& launch) {
  b.launch = launch;
  b.threads_n = launch.block.x * launch.block.y * launch.block.z;
  b.warps_n = (b.threads_n + kWarp - 1) / kWarp;
  b.failed = false;
  b.exception = nullptr;
  b.counters = {};
  b.host_identity = running_identity();
  for (unsigned i = 0; i < b.threads_n; ++i) {
    b.threads[i].number = i;
    b.threads[i].index = {i % launch.block.x, i / launch.block.x % launch.block.y,
                          i / (launch.block.x * launch.block.y)};
  }
  prepare_fibers(b);
  if (kTsan) make_identities(b);
}

void reset(Block& b) {
  b.exited = b.at_barrier = b.barriers = 0;
  b.barrier_count = 0;
  b.queue_head = b.queue_tail = 0;
  b.copies_n = 0;
  b.free_copy = kNoCopy;
  b.thread = nullptr;
  uint16_t numbers[kMaxThreads];
  for (unsigned i = 0; i < b.threads_n; ++i) {
    Thread& t = b.threads[i];
    t.state = State::fresh;
    t.fiber = nullptr;
    t.site = {};
    t.first_copy = t.last_copy = kNoCopy;
    t.open_group = 0;
    numbers[i] = static_cast<uint16_t>(i);
  }
  for (unsigned i = 0; i < b.warps_n; ++i) {
    Warp& w = b.warps[i];
    const unsigned lanes = std::min(kWarp, b.threads_n - i * kWarp);
    w.members = lanes == kWarp ? ~0u : (1u << lanes) - 1;
    w.exited = 0;
    for (unsigned k = 0; k < w.places; ++k) w.operations[k].arrived = 0;
    w.places = 0;
  }
  enqueue(b, numbers, b.threads_n);
}

// For TSan: the block's threads begin after everything that the host knows of, which includes the block before the last
// one, whose identities and arena they take over, but not the last one: a race with it shows.
void start_identities(Block& b) {
  acquire(b.end_tags[b.set]);
  release(b.start_tag);
  for (unsigned i = 0; i < b.threads_n; ++i) {
    become(b.identities[b.set][i]);
    acquire(b.start_tag);
  }
  become(b.host_identity);
}

void run_block(Block& b, uint64_t number) {
  const Extent g = b.launch.grid;
  b.index = {static_cast<unsigned>(number % g.x), static_cast<unsigned>(number / g.x % g.y),
             static_cast<unsigned>(number / (uint64_t{g.x} * g.y))};
  b.random = (b.launch.options.seed + number + 1) * 0x9E3779B97F4A7C15u | 1;   // the same whichever worker runs it
  if (kTsan) b.set ^= 1;
  set_indices(b);
  reset(b);
  start_shared(b);
  if (kTsan) start_identities(b);
  run_threads(b);
  end_shared(b);
  ++b.counters.blocks;
  b.counters.threads += b.threads_n;
}

// TSan keeps the calls that a failure abandoned on record; after this many failures new identities are made, which
// takes a tenth of a second.
constexpr unsigned kFailuresKept = 100;

// After the last block: what the threads did comes before what the host does next. Threads that a failure left where
// they stood have not said so yet.
void end(Block& b) {
  if (kTsan) {
    if (b.failed || b.exception) {
      for (unsigned set = 0; set < kSets; ++set)
        for (unsigned i = 0; i < b.threads_n; ++i) {
          become(b.identities[set][i]);
          release(b.end_tags[set]);
        }
      become(b.host_identity);
    }
    acquire(b.end_tags[0]);
    acquire(b.end_tags[1]);
    if ((b.failed || b.exception) && ++b.failures % kFailuresKept == 0) drop_identities(b);
  }
  add(b.counters);
}

// The failure of the block that comes first, whichever worker met it.
struct Failure {
  std::mutex mutex;
  uint64_t order = ~uint64_t{0};
  std::exception_ptr exception;

  void keep(uint64_t at, std::exception_ptr what) {
    std::lock_guard lock(mutex);
    if (at >= order) return;
    order = at;
    exception = std::move(what);
  }
};

void run_blocks(const Launch& launch, uint64_t blocks, std::atomic<uint64_t>& next, Failure& failure) {
  uint64_t at = next;
  try {
    std::exception_ptr failed;
    std::unique_ptr<Block> block = store().take();
    begin(*block, launch);
    running_block = block.get();
    while ((at = next++) < blocks) {
      run_block(*block, launch.options.order == Order::reverse ? blocks - 1 - at : at);
      if (!block->failed && !block->exception) continue;
      next = blocks;
      failed = block->exception ? block->exception : std::make_exception_ptr(KernelError(block->failure));
      break;
    }
    running_block = nullptr;
    end(*block);
    block->exception = nullptr;
    if (failed) failure.keep(at, std::move(failed));   // after end(): another worker may throw it away
    store().give_back(std::move(block));
  } catch (...) {
    failure.keep(at, std::current_exception());
  }
}

}  // namespace

Options& options() {
  static Options instance;
  return instance;
}

Counters counters() {
  std::lock_guard lock(counters_mutex);
  return total;
}

void reset_counters() {
  std::lock_guard lock(counters_mutex);
  total = {};
}

void run_grid(const char* kernel, Extent grid, Extent block, size_t dynamic_shared, void (*call)(const void*),
              const void* closure) {
  if (running_block != nullptr) fail(*running_block, {}, "launches kernel %s from inside a kernel", kernel);
  Launch launch{kernel, grid, block, dynamic_shared, call, closure, options()};
  launch.options.shared_limit = std::min(launch.options.shared_limit, kMaxShared);
  check(launch);
  {
    std::lock_guard lock(counters_mutex);
    ++total.launches;
  }
  const uint64_t blocks = uint64_t{grid.x} * grid.y * grid.z;
  std::atomic<uint64_t> next{0};
  Failure failure;
  uint64_t workers = std::clamp<uint64_t>(launch.options.workers, 1, blocks);
  // A TSan identity takes about 1.3 MB, and there are at most 8128 threads.
  if (kTsan) workers = std::clamp<uint64_t>(2 * kMaxThreads / (2 * block.x * block.y * block.z), 1, workers);
  std::vector<std::thread> others;
  try {
    for (uint64_t i = 1; i < workers; ++i) others.emplace_back([&] { run_blocks(launch, blocks, next, failure); });
  } catch (const std::system_error&) {
    // No more threads to be had: those there are do the work.
  }
  run_blocks(launch, blocks, next, failure);
  for (std::thread& other : others) other.join();
  if (failure.exception) std::rethrow_exception(failure.exception);
}

}  // namespace furrow::emu
