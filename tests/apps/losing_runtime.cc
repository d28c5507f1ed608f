// The emulated device as one whose memory is not the host's and that is lost on the way: linked into a second `furrow`
// in the place of kernels/emu/runtime.cc.
//
//   LOSE_AT=0:2 furrow_losing segment ... --device cpu-emulated
//
// LOSE_AT      R:N, the wait for the N-th download of the R-th runtime that was made (from 0) fails, and whatever asks
//              the device for something afterwards, as after a sticky error of CUDA; absent: nothing does. N 0: the
//              first wait at all
// LOSE_AFTER   not before this runtime has downloaded something: what two of them had done by then is known
// LOSE_ONCE    that wait alone fails, so that whoever tries again shows
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

#include "kernels/cuda/runtime.h"
#define make_emulated_runtime make_whole_runtime
#include "kernels/emu/runtime.cc"
#undef make_emulated_runtime

namespace furrow::gpu {
namespace {

constexpr int kMost = 16, kNever = 1 << 30;  // runtimes of one process; of downloads

std::string setting(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

class LosingRuntime : public EmulatedRuntime {
 public:
  LosingRuntime() : number_(made_++) {
    require(number_ < kMost, "losing_runtime.cc: more runtimes than kMost");
    const std::string at = setting("LOSE_AT");
    const size_t colon = at.find(':');
    if (colon != std::string::npos && std::stoi(at.substr(0, colon)) == number_)
      fatal_ = std::stoi(at.substr(colon + 1));
  }
  bool emulated() const override { return false; }

  void* allocate(size_t bytes) override { return alive(), EmulatedRuntime::allocate(bytes); }
  void upload(Stream stream, void* device, const void* host, size_t bytes) override {
    alive(), EmulatedRuntime::upload(stream, device, host, bytes);
  }
  void download(Stream stream, void* host, const void* device, size_t bytes) override {
    alive(), EmulatedRuntime::download(stream, host, device, bytes);
    ++asked_;
  }
  void synchronize(Stream) override {
    alive();
    if (asked_ >= fatal_) {
      fatal_ = kNever;
      wait_for_other();
      lost_ = setting("LOSE_ONCE").empty();
      fail();
    }
    done_[number_] = asked_;
  }

 private:
  [[noreturn]] static void fail() {
    throw DeviceLost(
        Error(ErrorCode::device, "the GPU's work failed: unspecified launch failure").hint(kDeviceLostHint));
  }
  static void alive() {
    if (lost_) fail();
  }
  static void wait_for_other() {
    const std::string other = setting("LOSE_AFTER");
    if (other.empty()) return;
    while (done_[std::stoi(other)] == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  static inline std::atomic<int> made_ = 0, done_[kMost];
  static inline std::atomic<bool> lost_ = false;
  int number_, fatal_ = kNever, asked_ = 0;  // downloads
};

}  // namespace

std::unique_ptr<Runtime> make_emulated_runtime() { return std::make_unique<LosingRuntime>(); }

}  // namespace furrow::gpu
