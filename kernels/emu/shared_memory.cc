// A block's shared memory: one arena, in it dynamic shared memory and the arrays that the kernel declares, each between
// guard bytes. Everything is NaN when a block begins, so that reading what nobody wrote shows.
#include <sys/mman.h>

#include "kernels/emu/block.h"

namespace furrow::emu {
namespace {

constexpr size_t kGuard = 64;
constexpr size_t kUsualShared = 48 * 1024;   // what a block has without cudaFuncAttributeMaxDynamicSharedMemorySize
// NaN as float, f16 and bf16, and unlikely to be written by accident.
constexpr uint64_t kGuardWord = 0xFFA5FFA5FFA5FFA5u, kFillWord = ~uint64_t{0};

size_t rounded(size_t bytes) { return (bytes + 15) / 16 * 16; }

void fill(char* from, size_t bytes, uint64_t word) {
  auto* p = reinterpret_cast<volatile uint64_t*>(from);   // volatile: never a call of memset
  for (size_t i = 0; i < bytes / 8; ++i) p[i] = word;
}

// The guard behind an array begins at its last byte, which may be inside a word.
bool intact(const char* from, const char* end) {
  for (; from < end; ++from)
    if (static_cast<uint8_t>(*from) != (reinterpret_cast<uintptr_t>(from) % 2 == 0 ? 0xA5 : 0xFF)) return false;
  return true;
}

char* arena(Block& b) { return b.arena[b.set]; }

// Places an array of that many bytes, with guards of its own, behind the last one.
size_t place(Block& b, size_t bytes) {
  char* const base = arena(b);
  const size_t offset = b.arena_top + kGuard, end = offset + rounded(bytes);
  unpoison(base + b.arena_top, end + kGuard - b.arena_top);
  fill(base + b.arena_top, kGuard, kGuardWord);
  fill(base + offset, rounded(bytes), kFillWord);
  fill(base + end, kGuard, kGuardWord);
  for (size_t i = bytes; i < rounded(bytes); ++i) base[offset + i] = static_cast<char>(i % 2 == 0 ? 0xA5 : 0xFF);
  poison(base + b.arena_top, end + kGuard - b.arena_top);
  unpoison(base + offset, bytes);
  b.arena_top = end + kGuard;
  return offset;
}

}  // namespace

void map_arenas(Block& b) {
  for (char*& memory : b.arena) {
    void* p = mmap(nullptr, kArenaBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) throw Error(ErrorCode::limit, "the emulator finds no memory for a block");
    memory = static_cast<char*>(p);
  }
}

void unmap_arenas(Block& b) {
  for (char*& memory : b.arena) {
    if (memory == nullptr) continue;
    unpoison(memory, kArenaBytes);
    munmap(memory, kArenaBytes);
    memory = nullptr;
  }
}

// Dynamic shared memory is arrays[0].
void start_shared(Block& b) {
  b.arena_top = 128 - kGuard;   // dynamic shared memory is aligned to 128 bytes, as on the device
  b.static_bytes = 0;
  poison(arena(b), kArenaBytes);
  const size_t bytes = b.launch.dynamic_shared;
  b.arrays[0] = {nullptr, place(b, bytes), bytes, "dynamic shared memory"};
  b.arrays_n = 1;
  if (bytes > b.counters.shared_peak) b.counters.shared_peak = bytes;
}

void end_shared(Block& b) {
  if (!b.failed) check_guards(b);
  unpoison(arena(b), kArenaBytes);
}

void* dynamic_shared(Site) {
  Block& b = inside("DYNAMIC_SHARED");
  return arena(b) + b.arrays[0].offset;
}

void* static_shared(const void* key, size_t bytes, const char* name, Site site) {
  Block& b = inside("SHARED_ARRAY");
  for (unsigned i = 1; i < b.arrays_n; ++i)
    if (b.arrays[i].key == key) return arena(b) + b.arrays[i].offset;
  const Options& options = b.launch.options;
  if (b.arrays_n == kMaxArrays) fail(b, site, "more than %u shared arrays", kMaxArrays - 1);
  const size_t statics = b.static_bytes + rounded(bytes), all = statics + b.launch.dynamic_shared;
  if (statics > options.static_shared_limit)
    fail(b, site, "shared array '%s': %zu bytes of shared arrays are more than the limit of %zu", name, statics,
         options.static_shared_limit);
  if (all > options.shared_limit)
    fail(b, site, "shared array '%s': %zu bytes of shared memory are more than the limit of %zu", name, all,
         options.shared_limit);
  // LAUNCH asks for more than the usual 48 KB by its dynamic bytes alone: a device would refuse this launch.
  if (b.launch.dynamic_shared <= kUsualShared && all > kUsualShared)
    fail(b, site,
         "shared array '%s': %zu bytes of shared memory are more than the %zu that a launch with %zu dynamic bytes is "
         "granted",
         name, all, kUsualShared, b.launch.dynamic_shared);
  b.static_bytes = statics;
  SharedArray& array = b.arrays[b.arrays_n];
  array.key = key;
  array.bytes = bytes;
  array.name = name;
  array.offset = place(b, bytes);
  ++b.arrays_n;
  if (all > b.counters.shared_peak) b.counters.shared_peak = all;
  return arena(b) + array.offset;
}

void check_guards(Block& b) {
  if (kAsan) return;   // the guards are poisoned: ASan reports the write itself
  for (unsigned i = 0; i < b.arrays_n; ++i) {
    const SharedArray& array = b.arrays[i];
    const char* const p = arena(b) + array.offset;
    const char* const end = p + rounded(array.bytes);
    const bool before = intact(p - kGuard, p), behind = intact(p + array.bytes, end + kGuard);
    if (before && behind) continue;
    if (i == 0)
      report(b, nullptr, {}, "dynamic shared memory was overrun (guard bytes %s it changed)",
             before ? "behind" : "before");
    else
      report(b, nullptr, {}, "shared array '%s' was overrun (guard bytes %s it changed)", array.name,
             before ? "behind" : "before");
    return;
  }
}

void require_shared(Block& b, const void* p, size_t bytes, const char* what, Site site) {
  const auto address = reinterpret_cast<uintptr_t>(p);
  for (unsigned i = 0; i < b.arrays_n; ++i) {
    const SharedArray& array = b.arrays[i];
    const uintptr_t begin = reinterpret_cast<uintptr_t>(arena(b)) + array.offset;
    if (address < begin || address + bytes > begin + array.bytes) continue;
    if (address % bytes != 0) fail(b, site, "%s: the shared address %p is not a multiple of %zu", what, p, bytes);
    return;
  }
  fail(b, site, "%s: %zu bytes at %p are not in the block's shared memory", what, bytes, p);
}

}  // namespace furrow::emu
