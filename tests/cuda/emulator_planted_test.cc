// Every planted bug (emulator_planted.cc) is caught by the builds that are said to catch it: plain, with
// AddressSanitizer and UBSan, with ThreadSanitizer (docs/emulator.md). A bug that a build cannot see is skipped there.
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "tests/cuda/emulator_support.h"

namespace furrow {
namespace {

// What must appear in the output. Empty: this build does not see the bug.
constexpr const char *kOk = "ok", *kWrong = "WRONG at ", *kAsan = "ERROR: AddressSanitizer: ",
                     *kUbsan = "runtime error: ", *kRace = "WARNING: ThreadSanitizer: data race", *kUnseen = "";
struct Case { const char *bug, *plain, *address, *thread; };
void PrintTo(const Case& c, std::ostream* out) { *out << c.bug; }

class Planted : public ::testing::TestWithParam<Case> {};

std::string output_of(const std::string& bug) {
  const std::string command = std::string(FURROW_EMULATOR_PLANTED) + " " + bug + " 2>&1";
  std::FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return "cannot run " + command;
  std::string text;
  char buffer[4096];
  for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) text.append(buffer, n);
  pclose(pipe);
  return text;
}

TEST_P(Planted, IsCaught) {
  const Case& c = GetParam();
  const std::string_view sanitizers = FURROW_SANITIZED;
  const bool address = sanitizers.find("address") != sanitizers.npos,
             thread = sanitizers.find("thread") != sanitizers.npos;
  const std::string want = address ? c.address : thread ? c.thread : c.plain;
  if (want == kUnseen)
    GTEST_SKIP() << "only a build with " << (*c.address ? "AddressSanitizer and UBSan" : "ThreadSanitizer")
                 << " sees this bug";
  if (address && want == kUbsan && sanitizers.find("undefined") == sanitizers.npos)
    GTEST_SKIP() << "this build is without UBSan";
  const std::string text = output_of(c.bug);
  if (want == kOk) EXPECT_EQ(text, "ok\nok\nok\nok\nok\nok\nok\nok\n");
  else EXPECT_TRUE(emu::says(text, want));
}

INSTANTIATE_TEST_SUITE_P(
    Emulator, Planted,
    ::testing::Values(
        Case{"reversed", kOk, kOk, kOk}, Case{"reversed_in_warp", kOk, kOk, kOk},
        Case{"no_barrier", kWrong, kWrong, kRace}, Case{"no_second_barrier", kWrong, kWrong, kRace},
        Case{"no_syncwarp", kWrong, kWrong, kRace}, Case{"blocks_write_one_address", kUnseen, kUnseen, kRace},
        Case{"sum_without_atomic", kUnseen, kUnseen, kRace}, Case{"global_without_barrier", kUnseen, kUnseen, kRace},
        Case{"divergent_barrier", "divergent barrier: ", "divergent barrier: ", "divergent barrier: "},
        Case{"barrier_in_a_branch", "deadlock: ", "deadlock: ", "deadlock: "},
        Case{"early_exit", "barrier", "barrier", "barrier"},
        Case{"shuffle_with_left_lanes", "left the kernel", "left the kernel", "left the kernel"},
        Case{"divergent_shuffle", "divergent warp operation", "divergent warp operation", "divergent warp operation"},
        Case{"shuffle_outside_mask", "not in the mask", "not in the mask", "not in the mask"},
        Case{"shared_overrun_write", "shared array 's' was overrun", kAsan, "shared array 's' was overrun"},
        Case{"shared_overrun_read", kWrong, kAsan, kWrong}, Case{"row_overrun", kUnseen, kUbsan, kUnseen},
        Case{"dynamic_overrun", "dynamic shared memory was overrun", kAsan, "dynamic shared memory was overrun"},
        Case{"global_overrun", kUnseen, kAsan, kUnseen}, Case{"misaligned_float4", kUnseen, kUbsan, kUnseen},
        Case{"register_array_overrun", kUnseen, kUbsan, kUnseen}, Case{"index_overflow", kUnseen, kUbsan, kUnseen},
        Case{"uninitialised_shared", kWrong, kWrong, kWrong},
        Case{"too_much_shared", "more than the limit of 49152", "more than the limit of 49152",
             "more than the limit of 49152"},
        Case{"copy_without_wait", kWrong, kWrong, kRace}, Case{"copy_waits_for_wrong_group", kWrong, kWrong, kRace},
        Case{"copy_without_barrier", kWrong, kWrong, kRace},
        Case{"copy_misaligned", "is not a multiple of 16", "is not a multiple of 16", "is not a multiple of 16"},
        Case{"copy_past_the_end", kUnseen, "cp.async: the source 0x", kUnseen},
        Case{"copy_of_nothing_from_null", "the source is null", "the source is null", "the source is null"},
        Case{"copy_of_nothing_misaligned", "is not a multiple of 16", "is not a multiple of 16",
             "is not a multiple of 16"},
        Case{"static_beside_dynamic", "with 30000 dynamic bytes is granted", "with 30000 dynamic bytes is granted",
             "with 30000 dynamic bytes is granted"}),
    [](const auto& test) { return std::string(test.param.bug); });

}  // namespace
}  // namespace furrow
