#include "kernels/emu/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

// FURROW_EMU_UCONTEXT asks for the portable switch, which costs a system call for the signal mask (about 20 times
// more).
#if !defined(FURROW_EMU_UCONTEXT) && !defined(__x86_64__) && !defined(__aarch64__)
#define FURROW_EMU_UCONTEXT 1
#endif

#if defined(FURROW_EMU_UCONTEXT)
#include <ucontext.h>

#include <new>
#else
// Pushes the registers that a call must preserve, saves the stack pointer at *save, loads `to`, pops. The
// floating-point control registers are left alone: kernels do not change them.
extern "C" void furrow_emu_switch(void** save, void* to);
#endif

#if !defined(FURROW_EMU_UCONTEXT) && defined(__x86_64__)
asm(R"(
  .text
  .p2align 4
  .hidden furrow_emu_switch
  .globl furrow_emu_switch
  .type furrow_emu_switch, @function
furrow_emu_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
  .size furrow_emu_switch, . - furrow_emu_switch
)");
#elif !defined(FURROW_EMU_UCONTEXT)
asm(R"(
  .text
  .p2align 4
  .hidden furrow_emu_switch
  .globl furrow_emu_switch
  .type furrow_emu_switch, %function
furrow_emu_switch:
  stp x29, x30, [sp, #-160]!
  stp x19, x20, [sp, #16]
  stp x21, x22, [sp, #32]
  stp x23, x24, [sp, #48]
  stp x25, x26, [sp, #64]
  stp x27, x28, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #16]
  ldp x21, x22, [sp, #32]
  ldp x23, x24, [sp, #48]
  ldp x25, x26, [sp, #64]
  ldp x27, x28, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  ldp x29, x30, [sp], #160
  ret
  .size furrow_emu_switch, . - furrow_emu_switch
)");
#endif

namespace furrow::emu {
namespace {

size_t page() {
  static const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

// ASan keeps locals in a fake stack (with detect_stack_use_after_return) that it frees when a fiber says on leaving
// that it will not come back. A fiber that was left waiting says so here, without being run.
__attribute__((no_sanitize("address"))) void drop_fake_stack([[maybe_unused]] Fiber& fiber) {
#if FURROW_EMU_ASAN
  if (fiber.fake_stack == nullptr) return;
  void* mine = nullptr;
  const void* stack = nullptr;
  size_t bytes = 0;
  __sanitizer_start_switch_fiber(&mine, fiber.stack, fiber.bytes);
  __sanitizer_finish_switch_fiber(fiber.fake_stack, &stack, &bytes);
  __sanitizer_start_switch_fiber(nullptr, stack, bytes);
  __sanitizer_finish_switch_fiber(mine, nullptr, nullptr);
  fiber.fake_stack = nullptr;
#endif
}

}  // namespace

bool map_fiber(Fiber& fiber) {
  void* memory =
      mmap(nullptr, kStackBytes + page(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return false;
  if (mprotect(memory, page(), PROT_NONE) != 0) {
    munmap(memory, kStackBytes + page());
    return false;
  }
  fiber = {nullptr, static_cast<char*>(memory) + page(), kStackBytes, nullptr};
  return true;
}

void unmap_fiber(Fiber& fiber) {
  if (fiber.stack == nullptr) return;
  drop_fake_stack(fiber);
  unpoison(fiber.stack, fiber.bytes);
  munmap(fiber.stack - page(), fiber.bytes + page());
  fiber = {};
}

void start_fiber(Fiber& fiber, void (*entry)()) {
  drop_fake_stack(fiber);
  unpoison(fiber.stack, fiber.bytes);
  char* const top = fiber.stack + fiber.bytes;
#if defined(FURROW_EMU_UCONTEXT)
  const size_t room = (sizeof(ucontext_t) + 63) / 64 * 64;
  auto* context = new (top - room) ucontext_t;
  getcontext(context);
  context->uc_stack.ss_sp = fiber.stack;
  context->uc_stack.ss_size = fiber.bytes - room;
  context->uc_link = nullptr;
  makecontext(context, entry, 0);
  fiber.resume = context;
#elif defined(__x86_64__)
  // From the top: a return address of 0, which ends backtraces; entry(), which `ret` takes with the stack pointer 8
  // below a multiple of 16, as after a call; six registers.
  auto** word = reinterpret_cast<void**>(top);
  *--word = nullptr;
  *--word = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; ++i) *--word = nullptr;
  fiber.resume = word;
#else
  auto** word = reinterpret_cast<void**>(top) - 20;   // the frame of 160 bytes that furrow_emu_switch pops
  for (int i = 0; i < 20; ++i) word[i] = nullptr;
  word[1] = reinterpret_cast<void*>(entry);           // x30
  fiber.resume = word;
#endif
}

void arrive([[maybe_unused]] Fiber& here, [[maybe_unused]] Fiber& from) {
#if FURROW_EMU_ASAN
  const void* stack = nullptr;
  size_t bytes = 0;
  __sanitizer_finish_switch_fiber(here.fake_stack, &stack, &bytes);
  here.fake_stack = nullptr;
  if (from.stack == nullptr) {   // the host's stack: only ASan knows where it is
    from.stack = static_cast<char*>(const_cast<void*>(stack));
    from.bytes = bytes;
  }
#endif
}

void switch_fiber(Fiber& from, Fiber& to, [[maybe_unused]] bool abandoned) {
#if FURROW_EMU_ASAN
  __sanitizer_start_switch_fiber(abandoned ? nullptr : &from.fake_stack, to.stack, to.bytes);
#endif
#if defined(FURROW_EMU_UCONTEXT)
  ucontext_t here;   // lives on the stack that waits
  from.resume = &here;
  swapcontext(&here, static_cast<ucontext_t*>(to.resume));
#else
  furrow_emu_switch(&from.resume, to.resume);
#endif
}

}  // namespace furrow::emu
