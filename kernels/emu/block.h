// The state of one block that runs, and what the files of this folder do with it. Inside the emulator only.
//
// Plain structs and fixed arrays: what runs between the steps of CUDA threads takes no memory from the heap and calls
// no library function on it, for TSan would see those as the CUDA thread's own accesses.
#pragma once

#include <exception>

#include "kernels/emu/engine.h"
#include "kernels/emu/fiber.h"
#include "kernels/emu/sanitizers.h"

namespace furrow::emu {

inline constexpr unsigned kMaxThreads = 1024, kWarp = 32, kMaxWarps = kMaxThreads / kWarp;
inline constexpr unsigned kMaxCopies = 64 * 1024;        // asynchronous copies in flight in one block
inline constexpr unsigned kMaxArrays = 64;               // shared arrays of one kernel
inline constexpr size_t kMaxShared = 227 * 1024;         // bytes of shared memory of a block, whatever the options say
inline constexpr size_t kArenaBytes = 320 * 1024;        // with guard bytes
// Under TSan every CUDA thread has two identities and a stack for each; neighbouring blocks use one and the other.
inline constexpr unsigned kSets = kTsan ? 2 : 1;

struct Launch {
  const char* kernel;
  Extent grid, block;
  size_t dynamic_shared;
  void (*call)(const void*);
  const void* closure;
  Options options;
};

enum class State : uint8_t { fresh, running, ready, at_barrier, in_warp, exited };

// Indices into Block::copies; kNoCopy ends a list.
inline constexpr uint32_t kNoCopy = ~0u;
struct Copy {
  void* to;
  const void* from;
  uint32_t group, next;
  uint8_t bytes;
  bool valid, landed;
};

struct Thread {
  Extent index;
  unsigned number;              // in the block
  State state;
  Fiber* fiber;                 // null until it runs
  Site site;                    // where it waits, or waited last
  uint32_t first_copy, last_copy, open_group;
  unsigned lane() const { return number % kWarp; }
  unsigned warp() const { return number / kWarp; }
};

enum class WarpKind : uint8_t { sync, shuffle, ballot, ldmatrix, mma };
// Lanes that meet. Several may be under way in one warp.
struct WarpOperation {
  WarpKind kind;
  uint8_t variant;              // of the kind; all lanes must agree
  uint32_t mask, arrived;       // arrived is 0 where this place is free
  Site site;
  unsigned uses;
  char tags[2];                 // TSan's order of __syncwarp, in turns
};
struct Warp {
  uint32_t members, exited;     // lanes the block has; of them, those that left
  unsigned places;              // of `operations` that were ever used
  WarpOperation operations[kWarp];
  uint64_t value[kWarp], result[kWarp];
  int argument[kWarp], width[kWarp];
  const void* row[kWarp];
  uint32_t* fragment[kWarp];
  MmaOperands* operands[kWarp];
};

struct SharedArray {
  const void* key;
  size_t offset, bytes;
  const char* name;
};

struct Block {
  Launch launch{};
  Extent index;
  unsigned threads_n = 0, warps_n = 0, exited = 0;
  Thread threads[kMaxThreads] = {};
  Warp warps[kMaxWarps] = {};
  Thread* thread = nullptr;     // that runs

  uint16_t queue[2 * kMaxThreads];   // threads that can run; head and tail count up and wrap
  uint32_t queue_head = 0, queue_tail = 0;
  uint64_t random = 1;

  Fiber host, *fiber = nullptr, *left = nullptr;   // that runs; that ran before it
  Fiber fibers[kMaxThreads * kSets];
  unsigned fibers_n = 0, idle_n = 0;
  Fiber* idle[kMaxThreads];

  unsigned at_barrier = 0, barriers = 0;
  Site barrier_site;
  int barrier_count = 0;
  int barrier_result[2] = {};

  unsigned set = 0;
  char* arena[kSets] = {};
  SharedArray arrays[kMaxArrays];
  unsigned arrays_n = 0;
  size_t arena_top = 0, static_bytes = 0;

  Copy* copies = nullptr;       // kMaxCopies of them
  uint32_t copies_n = 0, free_copy = kNoCopy;

  bool failed = false;
  unsigned failures = 0;        // launches
  char failure[480];
  std::exception_ptr exception; // left a kernel's body
  Counters counters;

  Identity host_identity = nullptr;
  Identity identities[kSets][kMaxThreads] = {};
  char start_tag = 0;
  char end_tags[2] = {}, barrier_tags[2] = {};

  Block();                      // throws Error (limit) where there is no memory
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
};

// The block that this operating-system thread runs; null outside a kernel.
extern thread_local constinit Block* running_block;
// The same for the words of a kernel: throws KernelError where no kernel runs.
Block& inside(const char* word);

// -- schedule.cc
void enqueue(Block& b, const uint16_t* threads, unsigned n);   // in the order of the launch
Thread* next_thread(Block& b);       // null: the block is over, done or failed
void wait_turn(Block& b);            // the running thread has set its state; returns when it is its turn again
void run_threads(Block& b);          // from the host: runs the threads of the queue until the block is over
[[noreturn]] void leave_failed(Block& b);
void prepare_fibers(Block& b);
void set_indices(const Block& b);    // blockIdx, blockDim, gridDim

// -- barrier.cc, warp.cc, matrix.cc, async_copy.cc, shared_memory.cc
void leave_barrier(Block& b, const Thread& t);   // after a thread exited
void leave_warp(Block& b, const Thread& t);
WarpOperation& meet(Block& b, uint32_t mask, WarpKind kind, int variant, Site site);
void complete_ldmatrix(Block& b, Warp& w, int matrices, bool transposed);
void complete_mma(Block& b, Warp& w, MmaType type);
void arrive_in_warp(Block& b, WarpOperation& op);
void leave_copies(Block& b, const Thread& t);
void start_shared(Block& b);
void end_shared(Block& b);
void check_guards(Block& b);
void require_shared(Block& b, const void* p, size_t bytes, const char* what, Site site);
void map_arenas(Block& b);
void unmap_arenas(Block& b);

// -- diagnose.cc
bool same(const Site& a, const Site& b);
const char* file_name(const Site& site);         // without folders
const char* name(WarpKind kind);
// Records the first failure of the block; under TSan the host's identity takes over, and keeps.
[[gnu::format(printf, 4, 5)]] void report(Block& b, const Thread* t, Site site, const char* format, ...);
// The same for the running thread, which never returns.
[[noreturn]] [[gnu::format(printf, 3, 4)]] void fail(Block& b, Site site, const char* format, ...);
void report_deadlock(Block& b);

}  // namespace furrow::emu
