// What reading one file may take: memory and steps, shared by all its pickles and tensors.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "io/limits.h"
#include "kernels/checked.h"
#include "kernels/error.h"

namespace furrow::io {

// Bytes of memory in use, at most limits.expand_factor times the file and limits.expand_slack; and what the pickles of
// the file have done so far, bounded by the limits of these names.
class ReadBudget {
 public:
  ReadBudget(uint64_t file_bytes, const Limits& limits)
      : limits_(limits), most_(Checked(file_bytes) * limits.expand_factor + limits.expand_slack) {}

  const Limits& limits() const { return limits_; }
  uint64_t opcodes = 0, objects = 0, values = 0;  // of all pickles

  // Throws ErrorCode::limit, without a place, where `bytes` more are too many. `what` fills them, for the message.
  void charge(const Checked& bytes, const char* what) {
    const Checked now = used_ + bytes;
    if (now > most_)
      throw Error(ErrorCode::limit, std::string(what) + " would fill " + std::to_string(now.value()) +
                                        " bytes, over the limit of " + std::to_string(most_.value()));
    used_ = now;
  }
  void release(uint64_t bytes) { used_ -= bytes; }

 private:
  const Limits limits_;
  const Checked most_;
  Checked used_ = 0;
};

// A part of a budget that ends with its owner.
class BudgetShare {
 public:
  explicit BudgetShare(std::shared_ptr<ReadBudget> budget) : budget_(std::move(budget)) {}
  BudgetShare(BudgetShare&& other) noexcept
      : budget_(std::move(other.budget_)), bytes_(std::exchange(other.bytes_, 0)) {}
  BudgetShare& operator=(BudgetShare&&) = delete;
  ~BudgetShare() {
    if (bytes_ > 0) budget_->release(bytes_);
  }

  void charge(const Checked& bytes, const char* what) {
    budget_->charge(bytes, what);
    bytes_ += bytes.value();
  }
  ReadBudget& budget() { return *budget_; }

 private:
  std::shared_ptr<ReadBudget> budget_;
  uint64_t bytes_ = 0;
};

}  // namespace furrow::io
