#include "parallel/communicator.h"

#include <algorithm>
#include <cstdlib>

#include "kernels/backend.h"
#include "parallel/plugin.h"

namespace furrow::parallel {

Communicator::Communicator(const furrow_parallel& table) : table_(table) {
  if (table.version != FURROW_PARALLEL_VERSION || table.bytes < sizeof(furrow_parallel))
    throw Error(ErrorCode::device, "the plug-in is of version " + std::to_string(table.version) +
                                       ", this program knows " + std::to_string(FURROW_PARALLEL_VERSION));
  check(table.start());
  rank_ = table.rank(), size_ = table.size();
  require(size_ >= 1 && rank_ >= 0 && rank_ < size_, "Communicator: rank and size");
}

void Communicator::check(int status) const {
  if (status != 0) throw Error(ErrorCode::device, "the processes lost each other: " + printable(table_.error(), 200));
}

std::string Communicator::library() const { return printable(table_.library(), 60); }

void Communicator::gather(std::span<const double> own, std::span<double> all) {
  require(all.size() == own.size() * static_cast<size_t>(size_), "Communicator: gather");
  check(table_.all_gather(own.data(), all.data(), own.size_bytes()));
}

template <class T>
void Communicator::sum_values(std::span<T> values) {
  const auto ranks = static_cast<size_t>(size_);
  const size_t part = std::min(kPiece / ranks + 1, (values.size() + ranks - 1) / ranks), piece = part * ranks;
  std::vector<T> own(piece), received(piece), summed(part);
  for (size_t at = 0; at < values.size(); at += piece) {
    const size_t count = std::min(piece, values.size() - at);
    std::ranges::copy(values.subspan(at, count), own.begin());
    std::fill(own.begin() + static_cast<std::ptrdiff_t>(count), own.end(), T{0});
    check(table_.all_to_all(own.data(), received.data(), part * sizeof(T)));
    for (size_t i = 0; i < part; ++i) {
      double sum = 0;
      for (size_t rank = 0; rank < ranks; ++rank) sum += static_cast<double>(received[rank * part + i]);
      summed[i] = static_cast<T>(sum);
    }
    check(table_.all_gather(summed.data(), own.data(), part * sizeof(T)));
    std::copy_n(own.begin(), count, values.begin() + static_cast<std::ptrdiff_t>(at));
  }
}

void Communicator::sum(Backend& backend, Tensor& t) {
  Tensor host = t;
  if (!backend.in_host_memory()) {
    host = Tensor(t.shape(), t.dtype());
    backend.fetch(t, host);
  }
  if (host.dtype() == DType::f64)
    sum_values(host.values<double>());
  else
    sum_values(host.values<float>());
  if (!backend.in_host_memory()) backend.put(host, t);
}

void Communicator::broadcast(std::span<std::byte> bytes) {
  constexpr size_t kMost = size_t{1} << 26;
  for (; !bytes.empty(); bytes = bytes.subspan(std::min(kMost, bytes.size())))
    check(table_.broadcast(bytes.data(), std::min(kMost, bytes.size()), 0));
}

void Communicator::barrier() { check(table_.barrier()); }
void Communicator::finish() { check(table_.finish()); }

void Communicator::abort_all(int status) {
  table_.abort_all(status);
  std::_Exit(status);
}

}  // namespace furrow::parallel
