// Peers that are threads of one process, for tests.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <barrier>
#include <vector>

#include "kernels/backend.h"

namespace furrow {

// What threads that stand for processes exchange.
struct Meeting {
  explicit Meeting(int size) : ranks(static_cast<size_t>(size)), barrier(size) {}
  std::vector<std::vector<double>> ranks;
  std::barrier<> barrier;
};

class ThreadPeers : public Peers {
 public:
  ThreadPeers(Meeting& meeting, int rank) : meeting_(meeting), rank_(rank) {}
  int rank() const override { return rank_; }
  int size() const override { return static_cast<int>(meeting_.ranks.size()); }
  void gather(std::span<const double> own, std::span<double> all) override {
    ASSERT_EQ(all.size(), own.size() * meeting_.ranks.size());
    meeting_.ranks[static_cast<size_t>(rank_)].assign(own.begin(), own.end());
    meeting_.barrier.arrive_and_wait();
    auto to = all.begin();
    for (const std::vector<double>& part : meeting_.ranks) to = std::ranges::copy(part, to).out;
    meeting_.barrier.arrive_and_wait();
  }
  void sum(Backend& backend, Tensor& t) override {
    Tensor host(t.shape(), t.dtype());
    if (backend.in_host_memory()) {
      host = t;
    } else {
      backend.fetch(t, host);
    }
    const Tensor wide = host.to(DType::f64);
    const auto own = wide.values<double>();
    std::vector<double> all(own.size() * meeting_.ranks.size());
    gather(own, all);
    Tensor sums(t.shape(), DType::f64);
    for (size_t i = 0; i < all.size(); ++i) sums.values<double>()[i % own.size()] += all[i];
    const Tensor narrow = sums.to(t.dtype());
    if (!backend.in_host_memory()) return backend.put(narrow, t);
    if (t.dtype() == DType::f64)
      std::ranges::copy(narrow.values<double>(), t.values<double>().begin());
    else
      std::ranges::copy(narrow.values<float>(), t.values<float>().begin());
  }

 private:
  Meeting& meeting_;
  int rank_;
};

}  // namespace furrow
