// A device whose memory is not the host's, without a GPU: the emulator's kernels behind a Runtime that says emulated()
// is false, and breaks a test where a GPU would compute garbage, crash or refuse.
//
// Device memory is a region of its own that host code cannot touch: it is accessible only while the device works. Work
// is queued and happens at synchronize(), as late as a GPU may do it. Launches are looked at: every pointer in a
// kernel's arguments must lie in device memory that is allocated, and the stream must belong to the device that the
// calling thread uses. What is forbidden while a CUDA stream records is forbidden here; a recording keeps the launches,
// arguments and all. Allocations, waits and copies that a driver may wait for are counted.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "kernels/cuda/api.h"
#include "kernels/cuda/runtime.h"

namespace furrow::gpu {

class SeparateRuntime : public Runtime {
 public:
  using Work = std::function<void()>;

  SeparateRuntime() {
    void* region = mmap(nullptr, kRegion, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (region == MAP_FAILED) throw Error(ErrorCode::device, "no address space for the test's device");
    base_ = static_cast<std::byte*>(region);
    ++alive();
  }
  SeparateRuntime(const SeparateRuntime&) = delete;
  SeparateRuntime& operator=(const SeparateRuntime&) = delete;
  ~SeparateRuntime() override {
    EXPECT_TRUE(blocks_.empty()) << blocks_.size() << " device blocks leak";
    EXPECT_TRUE(pinned_.empty()) << pinned_.size() << " pinned blocks leak";
    EXPECT_TRUE(streams_.empty()) << "a stream leaks";
    if (current() == this) current() = nullptr;
    munmap(base_, kRegion);
    --alive();
  }
  // How many there are; one that is never destroyed leaks everything it owns.
  static std::atomic<int>& alive() {
    static std::atomic<int> count = 0;
    return count;
  }
  // What the calling thread uses.
  static SeparateRuntime*& current() {
    static thread_local SeparateRuntime* runtime = nullptr;
    return runtime;
  }

  std::string name() const override { return "a device apart"; }
  std::string versions() const override { return "none"; }
  bool emulated() const override { return false; }
  void use() const override { current() = const_cast<SeparateRuntime*>(this); }

  void* allocate(size_t bytes) override {
    forbidden_while_recording("allocate");
    ++allocations;
    const size_t size = (bytes + kAlignment) / kAlignment * kAlignment;   // never flush with the next block
    std::byte* at = base_ + top_;
    if (const auto fits = free_.find(size); fits != free_.end()) {
      at = fits->second;
      free_.erase(fits);
    } else {
      if (top_ + size > kRegion) throw Error(ErrorCode::device, "the test's device is full");
      top_ += size;
    }
    blocks_[at] = bytes;
    const Unlocked unlocked(*this);
    std::memset(at, 0xFF, size);
    return at;
  }
  void release(void* memory) noexcept override {
    forbidden_while_recording("release");
    ++releases;
    drain();   // as cudaFree does
    const auto block = blocks_.find(static_cast<std::byte*>(memory));
    if (block == blocks_.end()) {
      ADD_FAILURE() << "release of what was not allocated";
      return;
    }
    const size_t size = (block->second + kAlignment) / kAlignment * kAlignment;
    {
      const Unlocked unlocked(*this);
      std::memset(block->first, 0xFF, size);
    }
    free_.emplace(size, block->first);
    blocks_.erase(block);
  }
  void* allocate_pinned(size_t bytes) override {
    forbidden_while_recording("allocate_pinned");
    ++allocations;
    auto memory = std::make_unique<std::byte[]>(bytes + 1);
    std::memset(memory.get(), 0xFF, bytes);
    void* at = memory.get();
    pinned_[at] = std::move(memory);
    sizes_[at] = bytes;
    return at;
  }
  void release_pinned(void* memory) noexcept override {
    forbidden_while_recording("release_pinned");
    ++releases;
    drain();
    EXPECT_EQ(pinned_.erase(memory), 1u) << "release of pinned memory that was not allocated";
  }
  Memory memory() const override { return {kRegion - top_, kRegion}; }

  Stream create_stream() override {
    use();
    return {*streams_.insert(new int(0)).first};
  }
  void destroy_stream(Stream stream) noexcept override {
    drain();
    EXPECT_EQ(streams_.erase(static_cast<int*>(stream.handle)), 1u) << "destruction of another device's stream";
    delete static_cast<int*>(stream.handle);
  }
  void synchronize(Stream stream) override {
    forbidden_while_recording("synchronize");
    check(stream);
    ++waits;
    launches_waited_for = launches.load();
    drain();
  }

  void upload(Stream stream, void* device, const void* host, size_t bytes) override {
    check(stream);
    EXPECT_TRUE(holds(device, bytes)) << "upload: not to device memory";
    EXPECT_FALSE(in_region(host)) << "upload: from device memory";
    crosses(host, bytes, [=] { std::memcpy(device, host, bytes); });
  }
  void download(Stream stream, void* host, const void* device, size_t bytes) override {
    check(stream);
    EXPECT_TRUE(holds(device, bytes)) << "download: not from device memory";
    EXPECT_FALSE(in_region(host)) << "download: to device memory";
    crosses(host, bytes, [=] { std::memcpy(host, device, bytes); });
  }
  void copy(Stream stream, void* to, const void* from, size_t bytes) override {
    check(stream);
    EXPECT_TRUE(holds(to, bytes) && holds(from, bytes)) << "copy: not inside device memory";
    give([=] { std::memcpy(to, from, bytes); });
  }
  void zero(Stream stream, void* device, size_t bytes) override {
    check(stream);
    EXPECT_TRUE(holds(device, bytes)) << "zero: not device memory";
    give([=] { std::memset(device, 0, bytes); });
  }

  std::unique_ptr<Recording> record(Stream stream, const std::function<void()>& body) override {
    check(stream);
    std::vector<Work> works;
    recording_ = &works;
    try {
      body();
    } catch (...) {
      recording_ = nullptr;
      throw;
    }
    recording_ = nullptr;
    ++recordings;
    return std::make_unique<Recorded>(*this, std::move(works));
  }

  // A launch on `stream` with `arguments` of `bytes`.
  static void launch(Stream stream, const void* arguments, size_t bytes, Work work) {
    SeparateRuntime* runtime = current();
    if (runtime == nullptr || runtime->streams_.count(static_cast<int*>(stream.handle)) == 0) {
      ADD_FAILURE() << "a launch from a thread that uses another device";
      return;
    }
    for (size_t at = 0; at + sizeof(uintptr_t) <= bytes; at += sizeof(uintptr_t)) {
      uintptr_t word = 0;
      std::memcpy(&word, static_cast<const std::byte*>(arguments) + at, sizeof word);
      if (!is_address(word) || runtime->holds(reinterpret_cast<const void*>(word), 1)) continue;
      ADD_FAILURE() << "a kernel is given "
                    << (runtime->in_region(reinterpret_cast<const void*>(word)) ? "released" : "host")
                    << " memory at byte " << at << " of its arguments";
      return;
    }
    ++runtime->launches;
    runtime->give(std::move(work));
  }

  // crossings: copies between host and device that no recording holds.
  std::atomic<int> launches = 0, recordings = 0, replays = 0, crossings = 0;
  std::atomic<int> waits = 0;                      // calls of synchronize()
  std::atomic<int> launches_waited_for = 0;        // how many there were at the last one
  std::atomic<int> allocations = 0, releases = 0;  // of device and of pinned memory; a release waits, too
  std::atomic<int> pageable_copies = 0;            // with host memory that is not pinned: a driver may wait for them

 private:
  static constexpr size_t kRegion = size_t{1} << 31, kAlignment = 256, kPage = 4096;

  class Recorded : public Recording {
   public:
    Recorded(SeparateRuntime& runtime, std::vector<Work> works) : runtime_(runtime), works_(std::move(works)) {}
    void replay(Stream stream) override {
      runtime_.forbidden_while_recording("replay");
      runtime_.check(stream);
      ++runtime_.replays;
      runtime_.queue_.insert(runtime_.queue_.end(), works_.begin(), works_.end());
    }

   private:
    SeparateRuntime& runtime_;
    std::vector<Work> works_;
  };

  // Device memory is accessible in its scope.
  class Unlocked {
   public:
    explicit Unlocked(SeparateRuntime& runtime) : runtime_(runtime) { runtime_.protect(PROT_READ | PROT_WRITE); }
    Unlocked(const Unlocked&) = delete;
    Unlocked& operator=(const Unlocked&) = delete;
    ~Unlocked() { runtime_.protect(PROT_NONE); }

   private:
    SeparateRuntime& runtime_;
  };
  void protect(int access) { EXPECT_EQ(mprotect(base_, (top_ + kPage - 1) / kPage * kPage, access), 0); }

  // Mapped memory of this process? Below lie pairs of small integers (and AddressSanitizer's shadow), above nothing
  // does.
  static bool is_address(uintptr_t word) {
    if (word < uintptr_t{0x5000} << 32 || word >= uintptr_t{1} << 47) return false;
    return msync(reinterpret_cast<void*>(word / kPage * kPage), 1, MS_ASYNC) == 0 || errno != ENOMEM;
  }
  bool pinned(const void* p, size_t bytes) const {
    auto block = pinned_.upper_bound(const_cast<void*>(p));
    if (block == pinned_.begin()) return false;
    --block;
    return static_cast<const std::byte*>(p) + bytes <= block->second.get() + sizes_.at(block->first);
  }
  bool in_region(const void* p) const { return p >= base_ && p < base_ + kRegion; }
  bool holds(const void* p, size_t bytes) const {
    auto block = blocks_.upper_bound(const_cast<std::byte*>(static_cast<const std::byte*>(p)));
    if (block == blocks_.begin()) return false;
    --block;
    return static_cast<const std::byte*>(p) + bytes <= block->first + block->second;
  }
  void check(Stream stream) const {
    use();
    EXPECT_EQ(streams_.count(static_cast<int*>(stream.handle)), 1u) << "another device's stream";
  }
  void forbidden_while_recording(const char* call) const {
    use();
    EXPECT_EQ(recording_, nullptr) << call << " while the stream records";
  }
  // A copy to or from the host. A recording reads and writes that memory at every replay: pinned, it stays where it is.
  void crosses(const void* host, size_t bytes, Work work) {
    if (recording_ == nullptr) {
      ++crossings;
    } else {
      EXPECT_TRUE(pinned(host, bytes)) << "a copy of memory that is not pinned, while the stream records";
    }
    if (!pinned(host, bytes)) ++pageable_copies;
    give(std::move(work));
  }
  void give(Work work) { (recording_ != nullptr ? *recording_ : queue_).push_back(std::move(work)); }
  void drain() {
    if (queue_.empty()) return;
    const Unlocked unlocked(*this);
    const std::vector<Work> works = std::exchange(queue_, {});
    for (const Work& work : works) work();
  }

  std::byte* base_ = nullptr;
  size_t top_ = 0;
  std::map<std::byte*, size_t> blocks_;          // allocated
  std::multimap<size_t, std::byte*> free_;       // released, by size
  std::map<void*, std::unique_ptr<std::byte[]>> pinned_;
  std::map<void*, size_t> sizes_;                // of the pinned
  std::set<int*> streams_;
  std::vector<Work> queue_;
  std::vector<Work>* recording_ = nullptr;
};

// The emulator's launch functions, each behind SeparateRuntime::launch.
template <class Family> const Family& emulated_family();
template <> inline const ConvKernels& emulated_family() { return *emulated::api.conv; }
template <> inline const MmaConvKernels& emulated_family() { return *emulated::api.mma_conv; }
template <> inline const MmaConvGradKernels& emulated_family() { return *emulated::api.mma_conv_grad; }
template <> inline const BatchNormKernels& emulated_family() { return *emulated::api.batch_norm; }
template <> inline const ElementwiseKernels& emulated_family() { return *emulated::api.elementwise; }
template <> inline const ResampleKernels& emulated_family() { return *emulated::api.resample; }
template <> inline const LossKernels& emulated_family() { return *emulated::api.loss; }
template <> inline const OptimKernels& emulated_family() { return *emulated::api.optim; }
template <> inline const PictureKernels& emulated_family() { return *emulated::api.picture; }

template <auto Entry> struct Separate;
template <class Family, class Args, void (*Family::*Entry)(Stream, const Args&)> struct Separate<Entry> {
  static void launch(Stream stream, const Args& args) {
    size_t bytes = 0;
    Args looked_at = args;
    // Padding beside a bool may hold what is left of a pointer. Clang cannot clear it and looks at nothing.
#if __has_builtin(__builtin_clear_padding)
    __builtin_clear_padding(&looked_at);
    bytes = sizeof looked_at;
#endif
    SeparateRuntime::launch(stream, &looked_at, bytes, [args] { (emulated_family<Family>().*Entry)({}, args); });
  }
};

inline const KernelApi& separate_kernels() {
  using C = ConvKernels;
  using M = MmaConvKernels;
  using G = MmaConvGradKernels;
  using B = BatchNormKernels;
  using E = ElementwiseKernels;
  using R = ResampleKernels;
  using L = LossKernels;
  using O = OptimKernels;
  using P = PictureKernels;
  static const C conv{Separate<&C::pack>::launch,
                      Separate<&C::forward>::launch,
                      Separate<&C::grad_input>::launch,
                      Separate<&C::grad_weight>::launch,
                      Separate<&C::pack_upconv>::launch,
                      Separate<&C::upconv>::launch,
                      Separate<&C::upconv_grad_input>::launch,
                      Separate<&C::upconv_grad_weight>::launch};
  static const M mma_conv{Separate<&M::conv>::launch, Separate<&M::pack>::launch, Separate<&M::upconv>::launch,
                          Separate<&M::pack_upconv>::launch};
  static const G mma_conv_grad{Separate<&G::weight>::launch, Separate<&G::bias>::launch};
  static const B batch_norm{Separate<&B::stats>::launch, Separate<&B::apply>::launch, Separate<&B::grad_reduce>::launch,
                            Separate<&B::grad_apply>::launch};
  static const E elementwise{
      Separate<&E::relu>::launch,         Separate<&E::relu_grad>::launch, Separate<&E::sigmoid>::launch,
      Separate<&E::sigmoid_grad>::launch, Separate<&E::add>::launch,       Separate<&E::add_relu>::launch,
      Separate<&E::fill>::launch,         Separate<&E::convert>::launch,   Separate<&E::split>::launch,
      Separate<&E::gate>::launch,         Separate<&E::gate_grad>::launch, Separate<&E::combine>::launch,
      Separate<&E::dropout>::launch,      Separate<&E::channel_gate>::launch, Separate<&E::channel_gate_grad>::launch};
  static const R resample{
      Separate<&R::pool2x2>::launch,      Separate<&R::pool2x2_grad>::launch, Separate<&R::pool3x3>::launch,
      Separate<&R::pool3x3_grad>::launch, Separate<&R::resize>::launch,       Separate<&R::resize_grad>::launch,
      Separate<&R::pad>::launch,          Separate<&R::global_mean>::launch,  Separate<&R::global_mean_grad>::launch};
  static const L loss{.dice_focal = Separate<&L::dice_focal>::launch,
                      .cross_entropy = Separate<&L::cross_entropy>::launch,
                      .soft_dice = Separate<&L::soft_dice>::launch};
  static const O optim{Separate<&O::prepare>::launch, Separate<&O::adamw>::launch, Separate<&O::sgd>::launch};
  static const P picture{.normalise = Separate<&P::normalise>::launch};   // what a back-end calls
  static const KernelApi api{.name = "separate",
                             .conv = &conv,
                             .mma_conv = &mma_conv,
                             .mma_conv_grad = &mma_conv_grad,
                             .batch_norm = &batch_norm,
                             .elementwise = &elementwise,
                             .resample = &resample,
                             .loss = &loss,
                             .metrics = nullptr,
                             .optim = &optim,
                             .picture = &picture,
                             .ladder = nullptr};
  return api;
}

}  // namespace furrow::gpu
