// The emulator's tests over the portable switch between fibers (FURROW_EMU_UCONTEXT in kernels/emu/fiber.cc), which is
// otherwise compiled only where the project has no assembly for the processor.
#include <gtest/gtest.h>

// What the other switch is made of, where it is linked.
extern "C" void furrow_emu_switch(void** save, void* to) __attribute__((weak));

namespace furrow::emu {
namespace {

TEST(PortableSwitch, IsTheOneThatIsLinked) { EXPECT_EQ(&furrow_emu_switch, nullptr); }

}  // namespace
}  // namespace furrow::emu
