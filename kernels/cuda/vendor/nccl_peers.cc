#include "kernels/cuda/vendor/nccl_peers.h"

#include <algorithm>
#include <cstring>

namespace furrow::gpu {
namespace {

constexpr size_t kIdBytes = sizeof(nccl::UniqueId);

// `count` floats of t from `first` on.
Tensor window(const Tensor& t, int64_t first, int64_t count) {
  auto owner = std::make_shared<Tensor>(t);
  auto* data = reinterpret_cast<std::byte*>(owner->values<float>().data() + first);
  return Tensor({1, 1, 1, count}, DType::f32, data, std::move(owner));
}

}  // namespace

NcclPeers::NcclPeers(CudaBackend& backend, Peers& host, std::shared_ptr<const NcclLibrary> library)
    : backend_(backend), host_(host), library_(std::move(library)) {
  backend_.finish();  // makes its GPU the current one
  nccl::UniqueId id{};
  if (host_.rank() == 0) check(library_->api.unique_id(&id), "ncclGetUniqueId");
  std::vector<double> own(kIdBytes), all(kIdBytes * static_cast<size_t>(host_.size()));
  std::ranges::copy(id.internal, own.begin());
  host_.gather(own, all);
  std::transform(all.begin(), all.begin() + kIdBytes, id.internal, [](double byte) { return static_cast<char>(byte); });
  check(library_->api.init_rank(&comm_, host_.size(), id, host_.rank()), "ncclCommInitRank");
}

NcclPeers::~NcclPeers() {
  // To destroy is collective, and while an error is on its way the others are elsewhere.
  if (std::uncaught_exceptions() > exceptions_)
    abort();
  else if (comm_ != nullptr)
    library_->api.destroy(comm_);
}

void NcclPeers::abort() {
  if (comm_ != nullptr) library_->api.abort(comm_);
  comm_ = nullptr;
}

void NcclPeers::check(int result, const char* what) const {
  if (result != 0)
    throw Error(ErrorCode::device, std::string(what) + ": " + printable(library_->api.error_string(result), 200))
        .hint("--parallel mpi sums through the hosts' memory");
}

void NcclPeers::sum(Backend& backend, Tensor& t) {
  require(&backend == &backend_ && t.dtype() == DType::f32, "NcclPeers: a float32 tensor of its own back-end");
  if (comm_ == nullptr)
    throw Error(ErrorCode::device, "--parallel nccl: NCCL was given up after an error")
        .hint("--parallel mpi sums through the hosts' memory");
  try {
    gather_and_add(t);
  } catch (...) {
    abort();  // now: a gather that waits for the others keeps the GPU, and whoever frees its memory, waiting too
    throw;
  }
}

void NcclPeers::gather_and_add(Tensor& t) {
  const int64_t elements = t.shape().elements(), ranks = host_.size(), piece = std::min(kPiece, elements);
  if (ranks == 1 || elements == 0) return;
  const auto bytes = static_cast<size_t>((ranks + 1) * piece) * sizeof(float) + 2 * Arena::kAlignment;
  if (memory_.capacity() < bytes) memory_ = backend_.reserve(bytes);
  memory_.reset();
  const Tensor every = memory_.take({1, 1, 1, ranks * piece}, DType::f32);
  Tensor spare = memory_.take({1, 1, 1, piece}, DType::f32);
  for (int64_t at = 0; at < elements; at += piece) {
    const int64_t count = std::min(piece, elements - at);
    Tensor own = window(t, at, count), other = window(spare, 0, count), gathered = window(every, 0, ranks * count);
    check(library_->api.all_gather(own.values<float>().data(), gathered.values<float>().data(),
                                   static_cast<size_t>(count), nccl::kFloat32, comm_, backend_.stream().handle),
          "ncclAllGather");
    // Sums take turns between two places, so that no addition writes what it reads, and the last one lands in t.
    Tensor so_far = window(gathered, 0, count);
    for (int64_t rank = 1; rank < ranks; ++rank) {
      Tensor& to = (ranks - 1 - rank) % 2 == 0 ? own : other;
      backend_.add(so_far, window(gathered, rank * count, count), to);
      so_far = to;
    }
  }
  backend_.finish();
  int late = 0;
  check(library_->api.async_error(comm_, &late), "ncclCommGetAsyncError");
  check(late, "ncclAllGather");
}

}  // namespace furrow::gpu

namespace furrow {

std::unique_ptr<Peers> peers_by_nccl(Backend& backend, Peers& host) {
  auto* cuda = dynamic_cast<gpu::CudaBackend*>(&backend);
  if (cuda == nullptr || cuda->in_host_memory())  // the emulator's memory is nothing that NCCL can read
    throw Error(ErrorCode::usage, "--parallel nccl joins GPUs, and this is device " + backend.name())
        .hint("--parallel mpi goes with every device");
  return std::make_unique<gpu::NcclPeers>(*cuda, host, gpu::open_nccl());
}

}  // namespace furrow
