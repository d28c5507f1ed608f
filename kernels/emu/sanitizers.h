// What the emulator tells the sanitizers: which stack is running and which shared bytes are off limits (ASan), which
// CUDA thread is running and what is ordered before what (TSan). Without a sanitizer all of it is nothing.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define FURROW_EMU_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FURROW_EMU_ASAN 1
#endif
#endif
#if !defined(FURROW_EMU_ASAN)
#define FURROW_EMU_ASAN 0
#endif
#if !defined(FURROW_EMU_TSAN)
#define FURROW_EMU_TSAN 0   // set by kernels/CMakeLists.txt: these files are themselves compiled without TSan
#endif

#if FURROW_EMU_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if FURROW_EMU_TSAN
extern "C" {
void* __tsan_get_current_fiber(void);
void* __tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void* fiber);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
void __tsan_set_fiber_name(void* fiber, const char* name);
void __tsan_acquire(void* address);
void __tsan_release(void* address);
void __tsan_read_range(void* address, unsigned long bytes);
void __tsan_write_range(void* address, unsigned long bytes);
}
#endif

namespace furrow::emu {

inline constexpr bool kAsan = FURROW_EMU_ASAN != 0, kTsan = FURROW_EMU_TSAN != 0;

// ---- AddressSanitizer
inline void poison([[maybe_unused]] void* p, [[maybe_unused]] size_t bytes) {
#if FURROW_EMU_ASAN
  __asan_poison_memory_region(p, bytes);
#endif
}
inline void unpoison([[maybe_unused]] void* p, [[maybe_unused]] size_t bytes) {
#if FURROW_EMU_ASAN
  __asan_unpoison_memory_region(p, bytes);
#endif
}
inline bool is_poisoned([[maybe_unused]] const void* p, [[maybe_unused]] size_t bytes) {
#if FURROW_EMU_ASAN
  return __asan_region_is_poisoned(const_cast<void*>(p), bytes) != nullptr;
#else
  return false;
#endif
}

// ---- ThreadSanitizer. An identity is what TSan takes for a thread; changing it orders nothing. A tag is an address
// that one identity releases to and another acquires from, which orders the one's past before the other's future. The
// runtimes of clang 14 and GCC 13 and later keep 255 identities apart at a time: they miss some races of larger blocks.
using Identity = void*;
inline Identity running_identity() {
#if FURROW_EMU_TSAN
  return __tsan_get_current_fiber();
#else
  return nullptr;
#endif
}
inline Identity create_identity([[maybe_unused]] const char* name) {
#if FURROW_EMU_TSAN
  const Identity identity = __tsan_create_fiber(0);
  __tsan_set_fiber_name(identity, name);
  return identity;
#else
  return nullptr;
#endif
}
inline void destroy_identity([[maybe_unused]] Identity identity) {
#if FURROW_EMU_TSAN
  __tsan_destroy_fiber(identity);
#endif
}
inline void become([[maybe_unused]] Identity identity) {
#if FURROW_EMU_TSAN
  __tsan_switch_to_fiber(identity, 1);   // 1: without synchronisation
#endif
}
inline void acquire([[maybe_unused]] char& tag) {
#if FURROW_EMU_TSAN
  __tsan_acquire(&tag);
#endif
}
inline void release([[maybe_unused]] char& tag) {
#if FURROW_EMU_TSAN
  __tsan_release(&tag);
#endif
}
inline void record_read([[maybe_unused]] const void* p, [[maybe_unused]] size_t bytes) {
#if FURROW_EMU_TSAN
  __tsan_read_range(const_cast<void*>(p), bytes);
#endif
}
inline void record_write([[maybe_unused]] void* p, [[maybe_unused]] size_t bytes) {
#if FURROW_EMU_TSAN
  __tsan_write_range(p, bytes);
#endif
}

}  // namespace furrow::emu
