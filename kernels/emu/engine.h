// The emulator: runs the kernels of kernels/cuda on a CPU, every CUDA thread of a block a fiber of its own.
//
// A block's threads run one at a time, in an order that a schedule chooses; they change places only where CUDA lets
// them wait. What a kernel does wrong (a barrier in one branch, a shuffle from a lane that left, a copy nobody waits
// for, a write past a shared array) ends the launch with a KernelError that names kernel, block, thread, file and line.
// The words that kernels use are in kernels/cuda/simt_host.h; docs/emulator.md is the user's page.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/error.h"

namespace furrow::emu {

// A kernel broke the CUDA model.
class KernelError : public Error {
 public:
  explicit KernelError(std::string what) : Error(ErrorCode::internal, std::move(what)) {}
};

// A line of a kernel. (std::source_location does not compile with clang 14 and libstdc++ 12; the builtins do.)
struct Site {
  const char* file = "";
  unsigned line = 0;
  static constexpr Site here(const char* file = __builtin_FILE(), unsigned line = __builtin_LINE()) {
    return {file, line};
  }
};

// run_ahead: a thread that was released runs as far as it can before any other.
enum class Order : uint8_t { forward, reverse, random, run_ahead };
// When the bytes of an asynchronous copy arrive: as soon as it is issued, or not before it is waited for.
enum class Landing : uint8_t { eager, lazy };

struct Options {
  Order order = Order::forward;
  uint64_t seed = 1;                 // of Order::random
  Landing landing = Landing::lazy;
  bool strict_exit = true;           // a thread that leaves while others wait at a barrier is an error
  unsigned workers = 1;              // operating-system threads over blocks
  // mma adds as a pessimist may read the hardware: all terms of one instruction, the running sum among them, are cut
  // towards zero at 2^-23 of the power of two of the largest, then added exactly. false: float32 sums, product by
  // product.
  bool cut_mma = false;
  size_t static_shared_limit = 48 * 1024, shared_limit = 227 * 1024;   // bytes per block
};
// The process's, read at each launch.
Options& options();

// Of all launches since reset(), whichever thread made them.
struct Counters {
  uint64_t launches = 0, blocks = 0, threads = 0, switches = 0, barriers = 0, warp_operations = 0, mma = 0,
           ldmatrix = 0;
  uint64_t ldmatrix_conflicts = 0;   // extra shared-memory passes, by CUDA's rule of 32 banks of 4 bytes
  uint64_t async_copies = 0, shared_peak = 0;
};
Counters counters();
void reset_counters();

struct Extent { unsigned x = 1, y = 1, z = 1; };

// Runs call(closure) once for every thread of every block. Throws KernelError; later launches are not affected.
void run_grid(const char* kernel, Extent grid, Extent block, size_t dynamic_shared, void (*call)(const void*),
              const void* closure);

// Prints to stderr where every thread of the running block stands; for a debugger: `call furrow::emu::dump()`.
void dump();

// -- called by the words of simt_host.h, inside a kernel -------------------------------------------------------------
enum class Shuffle : uint8_t { index, up, down, exclusive_or };
enum class MmaType : uint8_t { f16, bf16, tf32, s8, u8s8 };
struct MmaOperands { uint32_t a[4], b[2], d[4]; };   // one lane's; d: float bits or int32

void sync_threads(Site site);
int sync_threads_count(int predicate, Site site);
void sync_warp(uint32_t mask, Site site);
uint64_t shuffle(uint32_t mask, uint64_t value, Shuffle how, int argument, int width, Site site);
uint32_t ballot(uint32_t mask, int predicate, Site site);
// matrices: 2 or 4.
void ldmatrix(uint32_t* r, int matrices, bool transposed, const void* row, Site site);
void mma(MmaType type, MmaOperands& lane, Site site);
void cp_async(void* dst, const void* src, int bytes, bool valid, Site site);
void cp_async_commit();
void cp_async_wait(int pending, Site site);
void* dynamic_shared(Site site);
// The block's array of that key, made at first sight: guard bytes around it, full of NaN.
void* static_shared(const void* key, size_t bytes, const char* name, Site site);

}  // namespace furrow::emu
