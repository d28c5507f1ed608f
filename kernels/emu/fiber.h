// Stacks that one operating-system thread changes between by hand.
#pragma once

#include <cstddef>

#include "kernels/emu/sanitizers.h"

namespace furrow::emu {

// The sanitizers' frames and their reports need more; untouched pages cost nothing.
inline constexpr size_t kStackBytes = (kAsan || kTsan ? 256 : 64) * 1024;

// A stack, and while it does not run, where it goes on. The host's own stack is a Fiber too, never mapped.
struct Fiber {
  void* resume = nullptr;       // saved stack pointer (or ucontext); null: nothing to go on with
  char* stack = nullptr;        // lowest usable byte, above a page that faults
  size_t bytes = 0;
  void* fake_stack = nullptr;   // ASan's
};

// Maps a stack with a guard page below it; false where the system has no memory for it.
bool map_fiber(Fiber& fiber);
void unmap_fiber(Fiber& fiber);

// Makes the next switch to `fiber` call entry(), which never returns. Whatever the stack held is forgotten.
void start_fiber(Fiber& fiber, void (*entry)());

// Leaves `from`, goes on with `to`; returns when something switches back. `abandoned`: nothing will.
void switch_fiber(Fiber& from, Fiber& to, bool abandoned);
// What entry() does first. `from` is the fiber that was left.
void arrive(Fiber& here, Fiber& from);

}  // namespace furrow::emu
