// Peers: the processes that train one network together, as far as arithmetic has to know of them.
//
// Each holds a part of the batch. What a batch's parts have to exchange are sums over it, and every sum is taken in the
// order of the ranks, so that its bits depend neither on who is early nor on who asks. The way from one process to the
// next is no business of this layer: parallel/ implements the class.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "kernels/tensor.h"

namespace furrow {

class Backend;

// Every process makes the same calls in the same order; each returns once all have come. Errors: ErrorCode::device
// where another process is gone or the way to it is broken.
class Peers {
 public:
  virtual ~Peers() = default;
  virtual int rank() const = 0;  // from 0
  virtual int size() const = 0;
  // `own` is as long in every process; `all` becomes everyone's, rank 0's first: size() times as long.
  virtual void gather(std::span<const double> own, std::span<double> all) = 0;
  // t[i] becomes the sum over all processes, added in the order of the ranks, the same bits everywhere: over the hosts'
  // memory in double, rounded once; from GPU to GPU in float32. t is of the back-end's type and in its memory.
  virtual void sum(Backend& backend, Tensor& t) = 0;
};

// The same processes, whose GPUs add up tensors among themselves by NCCL (kernels/cuda/vendor/nccl_peers.h). Both
// outlive the result. Every process calls it. ErrorCode::usage where the back-end is of no GPU, as the emulator's is;
// ErrorCode::device where there is no NCCL or it refuses.
std::unique_ptr<Peers> peers_by_nccl(Backend& backend, Peers& host);

// The part of an operation's batch that this process holds. No peers: all of it.
struct Shared {
  Peers* peers = nullptr;
  bool absent = false;  // this process has nothing of the batch; what it is given to compute on counts for nothing
};

// Count, mean and sum of squared deviations, per channel, of this process's values become those of all processes'.
// Source: Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance", equation 2.1, rank after rank.
void share_moments(const Shared& shared, double& count, std::span<double> mean, std::span<double> squares);

// The two sums that the gradient of a batch normalisation needs become those over all processes. Returns how many
// values a channel has, of which this process has `count`.
double share_sums(const Shared& shared, double count, std::span<double> dy, std::span<double> dy_xh);

}  // namespace furrow
