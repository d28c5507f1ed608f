// Communicator: the processes that were launched together, and what they can do with each other.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "kernels/peers.h"

struct furrow_parallel;

namespace furrow::parallel {

// Every process makes the same calls in the same order. ErrorCode::device where one fails; then, as after any other
// error of one process, abort_all() ends them all, since the others wait for it for ever.
class Communicator : public Peers {
 public:
  // `table` outlives this. Throws ErrorCode::device where it cannot start, or where its version is another.
  explicit Communicator(const furrow_parallel& table);

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  std::string library() const;  // "Open MPI v4.1.4, ..."

  void gather(std::span<const double> own, std::span<double> all) override;
  // Each process adds up one part of t and hands the result to the others: whatever the number of processes, about
  // twice t's bytes go out of each and twice into it. Extra memory: kPiece elements a process, twice.
  void sum(Backend& backend, Tensor& t) override;
  static constexpr size_t kPiece = size_t{1} << 18;

  // rank 0's bytes replace everyone's.
  void broadcast(std::span<std::byte> bytes);
  template <class T>
  void broadcast(T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    broadcast(std::as_writable_bytes(std::span(&value, 1)));
  }
  void barrier();
  // The end of it: every process calls it when it has nothing more to say.
  void finish();
  // Ends all processes at once with this exit status.
  [[noreturn]] void abort_all(int status);

 private:
  template <class T>
  void sum_values(std::span<T> values);
  void check(int status) const;

  const furrow_parallel& table_;
  int rank_ = 0, size_ = 1;
};

// Opens furrow-mpi.so and starts it: the file that $FURROW_MPI names, else the one beside the program, else the one
// where the program is installed. ErrorCode::device: what was tried and what the dynamic linker said; or, where
// `expected` is not 0, an MPI that knows of another number of processes than the launcher started.
std::unique_ptr<Communicator> open_mpi(int expected);

}  // namespace furrow::parallel
