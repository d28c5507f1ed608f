// NcclPeers: processes with a GPU each, whose gradients go from GPU to GPU by NCCL.
//
// Not verified: no machine with two GPUs has run it. The tests hold it against a fake library on the emulator, with
// which peers_by_nccl() refuses to join a real one.
#pragma once

#include <exception>
#include <memory>

#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/vendor/library.h"

namespace furrow::gpu {

class NcclPeers : public Peers {
 public:
  // `host` joins the same processes and outlives this, as the back-end does: over it goes NCCL's unique id, and so do
  // all small sums, which are wanted on the host. Every process makes one at the same time. ErrorCode::device where
  // NCCL refuses.
  NcclPeers(CudaBackend& backend, Peers& host, std::shared_ptr<const NcclLibrary> library);
  // Waits for the other processes to do the same, but for nobody where an error is on its way or a sum has failed.
  ~NcclPeers() override;
  NcclPeers(const NcclPeers&) = delete;
  NcclPeers& operator=(const NcclPeers&) = delete;

  int rank() const override { return host_.rank(); }
  int size() const override { return host_.size(); }
  void gather(std::span<const double> own, std::span<double> all) override { host_.gather(own, all); }
  // In the order of the ranks like any Peers, but in float32: every process gathers a piece of all ranks' and adds them
  // up on its GPU. No ncclAllReduce, whose order is NCCL's to choose. (size() + 1) * kPiece floats of device memory. t:
  // float32, in memory of the back-end that this was made with.
  void sum(Backend& backend, Tensor& t) override;
  static constexpr int64_t kPiece = int64_t{1} << 22;

 private:
  void gather_and_add(Tensor& t);
  void abort();  // waits for nobody
  void check(int result, const char* what) const;

  CudaBackend& backend_;
  Peers& host_;
  std::shared_ptr<const NcclLibrary> library_;
  void* comm_ = nullptr;                         // null after abort()
  int exceptions_ = std::uncaught_exceptions();  // when this was made
  Arena memory_;
};

}  // namespace furrow::gpu
