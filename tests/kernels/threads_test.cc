#include "kernels/threads.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cstdlib>
#include <stdexcept>
#include <thread>
#include <vector>

#include "kernels/arena.h"
#include "kernels/error.h"

namespace furrow {
namespace {

TEST(ThreadPool, RunsEveryTaskOnceOnTheWorkerOfItsFixedRange) {
  for (int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    for (int64_t tasks : {1, 2, 5, 64, 1000}) {
      std::vector<int> worker(static_cast<size_t>(tasks), -1);
      pool.run(tasks, [&](int64_t t, int w) { worker[static_cast<size_t>(t)] = w; });
      for (int64_t t = 0; t < tasks; ++t) {
        const int w = worker[static_cast<size_t>(t)];
        if (tasks == 1) { EXPECT_EQ(w, 0); continue; }
        EXPECT_LE(w * tasks / threads, t);
        EXPECT_GT((w + 1) * tasks / threads, t);
      }
    }
  }
}

TEST(ThreadPool, RethrowsTheFailureOfTheLowestWorkerAndGoesOn) {
  ThreadPool pool(3);
  auto fail = [&] { pool.run(9, [](int64_t t, int) { if (t >= 3) throw std::runtime_error(std::to_string(t)); }); };
  try {
    fail();
    FAIL() << "no exception";
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "3");
  }
  int64_t sum = 0;
  pool.run(1, [&](int64_t, int) { sum = 5; });
  EXPECT_EQ(sum, 5);
}

TEST(ThreadPool, NestedCallsRunInPlace) {
  ThreadPool pool(2);
  std::vector<int> hits(16);
  pool.run(4, [&](int64_t outer, int) {
    pool.run(4, [&](int64_t inner, int) { ++hits[static_cast<size_t>(outer * 4 + inner)]; });
  });
  EXPECT_EQ(hits, std::vector<int>(16, 1));
}

TEST(ThreadPool, ServesSeveralCallersInTurn) {
  ThreadPool pool(2);
  std::vector<std::thread> callers;
  std::vector<int64_t> sums(4);
  for (size_t c = 0; c < sums.size(); ++c)
    callers.emplace_back([&, c] {
      for (int repeat = 0; repeat < 200; ++repeat) {
        std::vector<int64_t> part(8);
        pool.run(8, [&](int64_t t, int) { part[static_cast<size_t>(t)] = t; });
        for (int64_t p : part) sums[c] += p;
      }
    });
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sums, std::vector<int64_t>(4, 200 * 28));
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they need more addresses than the limit leaves
TEST(ThreadPoolDeathTest, RefusedThreadsAreAnErrorNotTheEnd) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto refused = [] {
    const rlimit most{rlim_t{1} << 30, rlim_t{1} << 30};
    if (setrlimit(RLIMIT_AS, &most) != 0) std::exit(1);
    try {
      ThreadPool pool(1000);  // 8 MiB of stack each
    } catch (const Error& error) {
      std::exit(error.code() == ErrorCode::io ? 7 : 2);
    }
    std::exit(3);
  };
  EXPECT_EXIT(refused(), testing::ExitedWithCode(7), "");
}
#endif

TEST(Arena, HandsOutAlignedMemoryAndRefusesMore) {
  Arena arena(1000);
  EXPECT_EQ(arena.capacity(), 1024u);
  Tensor a = arena.take({1, 2, 2, 3}, DType::f32);
  Tensor b = arena.take({1, 2, 2, 3}, DType::f32);
  EXPECT_EQ(
      reinterpret_cast<std::byte*>(b.values<float>().data()) - reinterpret_cast<std::byte*>(a.values<float>().data()),
      256);
  EXPECT_THROW(arena.take(1024), Error);
  arena.reset();
  EXPECT_EQ(arena.used(), 0u);
  EXPECT_EQ(arena.peak(), 512u);
}

}  // namespace
}  // namespace furrow
