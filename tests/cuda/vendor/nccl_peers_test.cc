// NCCL's sums over processes, which are threads here, against a fake library on the emulator.
#include "kernels/cuda/vendor/nccl_peers.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <future>
#include <stdexcept>
#include <thread>

#include "kernels/device.h"
#include "tests/thread_peers.h"

namespace furrow::gpu {
namespace {

class NcclPeersTest : public testing::Test {
 protected:
  void SetUp() override { setenv("FURROW_NCCL", FURROW_FAKE_NCCL, 1); }
  void TearDown() override { unsetenv("FURROW_NCCL"), unsetenv("FURROW_FAKE_NCCL_FAILS"); }

  // What each of `ranks` processes does with its back-end and its peers.
  template <class Body>
  static void run(int ranks, const Body& body) {
    Meeting meeting(ranks);
    std::vector<std::thread> processes;
    for (int rank = 0; rank < ranks; ++rank)
      processes.emplace_back([&, rank] {
        ThreadPeers host(meeting, rank);
        const auto backend = make_backend({DeviceKind::cpu_emulated, 0}, nullptr, {.precision = Precision::fp32});
        body(dynamic_cast<CudaBackend&>(*backend), host);
      });
    for (std::thread& process : processes) process.join();
  }
};

float value(int rank, int64_t i) { return static_cast<float>((rank + 1) * 0.1 + static_cast<double>(i % 97) * 1e-3); }

TEST_F(NcclPeersTest, AddInTheOrderOfTheRanks) {
  for (const int ranks : {1, 2, 3, 4})
    run(ranks, [ranks](CudaBackend& backend, Peers& host) {
      NcclPeers peers(backend, host, open_nccl());
      EXPECT_EQ(peers.size(), ranks);
      for (const int64_t count : {int64_t{1000}, int64_t{16}}) {  // a smaller one after a larger one
        Arena arena = backend.reserve(8192);
        Tensor t = arena.take({1, 1, 1, count}, DType::f32);
        for (int64_t i = 0; i < count; ++i) t.values<float>()[static_cast<size_t>(i)] = value(host.rank(), i);
        peers.sum(backend, t);
        for (int64_t i = 0; i < count; ++i) {
          float expected = value(0, i);
          for (int rank = 1; rank < ranks; ++rank) expected += value(rank, i);
          ASSERT_EQ(t.values<float>()[static_cast<size_t>(i)], expected) << ranks << " ranks, element " << i;
        }
      }
    });
}

TEST_F(NcclPeersTest, MoreThanAPiece) {
  run(2, [](CudaBackend& backend, Peers& host) {
    NcclPeers peers(backend, host, open_nccl());
    const int64_t count = NcclPeers::kPiece + 5;
    Arena arena = backend.reserve(static_cast<size_t>(count) * sizeof(float));
    Tensor t = arena.take({1, 1, 1, count}, DType::f32);
    for (int64_t i = 0; i < count; ++i) t.values<float>()[static_cast<size_t>(i)] = value(host.rank(), i);
    peers.sum(backend, t);
    for (const int64_t i : {int64_t{0}, NcclPeers::kPiece - 1, NcclPeers::kPiece, count - 1})
      EXPECT_EQ(t.values<float>()[static_cast<size_t>(i)], value(0, i) + value(1, i)) << i;
  });
}

TEST_F(NcclPeersTest, FailuresNameTheFunction) {
  for (const std::string name : {"ncclCommInitRank", "ncclAllGather", "ncclCommGetAsyncError"}) {
    setenv("FURROW_FAKE_NCCL_FAILS", name.c_str(), 1);
    run(2, [&name](CudaBackend& backend, Peers& host) {
      try {
        NcclPeers peers(backend, host, open_nccl());
        Tensor t = backend.reserve(4096).take({1, 1, 1, 16}, DType::f32);
        peers.sum(backend, t);
        ADD_FAILURE() << name << " failed and nobody noticed";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::device);
        EXPECT_NE(error.line().find(name == "ncclCommGetAsyncError" ? "ncclAllGather" : name), std::string::npos)
            << error.line();
      }
    });
  }
}

// The fake ends the program where a rank waits in ncclCommDestroy for another that does not come.
TEST_F(NcclPeersTest, AnErrorOfOneRankWaitsForNoOther) {
  for (const bool caught_inside : {false, true}) {
    std::promise<void> gone;
    run(2, [&gone, caught_inside](CudaBackend& backend, Peers& host) {
      try {
        NcclPeers peers(backend, host, open_nccl());
        host.gather({}, {});  // both have theirs
        if (host.rank() == 0) {
          gone.get_future().wait();
          throw std::runtime_error("as the launcher ends what is left");
        }
        if (!caught_inside) throw std::runtime_error("of this rank alone");
        setenv("FURROW_FAKE_NCCL_FAILS", "ncclAllGather", 1);
        Arena arena = backend.reserve(4096);
        Tensor t = arena.take({1, 1, 1, 16}, DType::f32);
        EXPECT_THROW(peers.sum(backend, t), Error);
        unsetenv("FURROW_FAKE_NCCL_FAILS");
        EXPECT_THROW(peers.sum(backend, t), Error) << "it is over";
      } catch (const std::runtime_error&) {}
      if (host.rank() == 1) gone.set_value();
    });
  }
}

// Which this class can serve with the fake alone: the real NCCL cannot read the emulator's memory.
TEST_F(NcclPeersTest, TheProgramDoesNotOfferItToADeviceThatIsNoGpu) {
  Meeting meeting(1);
  ThreadPeers host(meeting, 0);
  for (const DeviceKind kind : {DeviceKind::cpu_emulated, DeviceKind::cpu, DeviceKind::ref}) {
    const auto backend = make_backend({kind, 0}, nullptr, {});
    try {
      peers_by_nccl(*backend, host);
      ADD_FAILURE() << backend->name();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::usage);
      EXPECT_NE(error.line().find("--parallel nccl joins GPUs"), std::string::npos) << error.line();
      EXPECT_NE(error.line().find("--parallel mpi"), std::string::npos) << error.line();
    }
  }
}

TEST_F(NcclPeersTest, AMissingLibraryIsOneLine) {
  setenv("FURROW_NCCL", "/nowhere/libnccl.so.2", 1);
  try {
    open_nccl();
    ADD_FAILURE() << "opened a file that is not there";
  } catch (const Error& error) {
    EXPECT_NE(error.line().find("NCCL 2 cannot be opened: /nowhere/libnccl.so.2"), std::string::npos) << error.line();
    EXPECT_NE(error.line().find("--parallel mpi"), std::string::npos) << error.line();
  }
}

}  // namespace
}  // namespace furrow::gpu
