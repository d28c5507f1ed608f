#include "data/split.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <random>
#include <set>
#include <sstream>
#include <utility>

#include "io/sha256.h"
#include "kernels/error.h"

namespace furrow::data {
namespace {

void check_fractions(double val, double test) {
  const auto good = [](double f) { return std::isfinite(f) && f >= 0 && f < 1; };
  if (good(val) && good(test) && val + test < 1) return;
  std::ostringstream text;
  text << "split: val " << val << " and test " << test << " must be in [0, 1) and leave something for training";
  throw Error(ErrorCode::configuration, text.str());
}

// A part that was asked for holds something.
void check_parts(const Split& split, double val, double test) {
  const bool empty = split.train.empty() || (val > 0 && split.val.empty()) || (test > 0 && split.test.empty());
  if (!empty) return;
  const auto count = [](const std::vector<std::string>& part) { return std::to_string(part.size()); };
  throw Error(ErrorCode::configuration, "split: a part is empty: train " + count(split.train) + ", val " +
                                            count(split.val) + ", test " + count(split.test))
      .hint("more examples or other fractions are needed");
}

std::string fractions(double val, double test) {
  std::ostringstream text;
  text << "val " << val << ", test " << test;
  return text.str();
}

}  // namespace

std::vector<int64_t> torch_permutation(int64_t n, uint64_t seed, int draw) {
  constexpr int64_t kLargest = (int64_t{1} << 32) / 20;
  require(n >= 0 && n <= kLargest && draw >= 1, "torch_permutation: n, draw");
  std::mt19937 next(static_cast<uint32_t>(seed));
  std::vector<int64_t> order(static_cast<size_t>(n));
  for (; draw > 0; --draw) {
    std::iota(order.begin(), order.end(), int64_t{0});
    for (int64_t i = 0; i + 1 < n; ++i) {
      const auto step = static_cast<int64_t>(static_cast<uint32_t>(next())) % (n - i);
      std::swap(order[static_cast<size_t>(i)], order[static_cast<size_t>(i + step)]);
    }
  }
  return order;
}

Split split_by_permutation(const std::vector<std::string>& ids, uint64_t seed, int draw, double val, double test) {
  check_fractions(val, test);
  const auto n = static_cast<int64_t>(ids.size());
  const auto n_val = static_cast<int64_t>(static_cast<double>(n) * val);
  const auto n_test = static_cast<int64_t>(static_cast<double>(n) * test);
  Split split;
  split.rule =
      "torch.randperm seed " + std::to_string(seed) + " draw " + std::to_string(draw) + ", " + fractions(val, test);
  const std::vector<int64_t> order = torch_permutation(n, seed, draw);
  for (int64_t i = 0; i < n; ++i) {
    auto& part = i < n - n_val - n_test ? split.train : i < n - n_test ? split.val : split.test;
    part.push_back(ids[static_cast<size_t>(order[static_cast<size_t>(i)])]);
  }
  check_parts(split, val, test);
  return split;
}

Split split_by_hash(const std::vector<std::string>& ids, double val, double test) {
  check_fractions(val, test);
  Split split;
  split.rule = "sha256 of the stem, " + fractions(val, test);
  for (const std::string& id : ids) {
    const std::string digest = io::sha256_hex(std::as_bytes(std::span(id.data(), id.size())));
    const double u = static_cast<double>(std::stoull(digest.substr(0, 16), nullptr, 16)) * 0x1p-64;
    (u < test ? split.test : u < test + val ? split.val : split.train).push_back(id);
  }
  check_parts(split, val, test);
  return split;
}

Split split_by_folds(std::vector<std::string> ids, uint64_t seed, int64_t folds, int64_t fold, double test) {
  check_fractions(0, test);
  if (folds < 2 || fold < 0 || fold >= folds)
    throw Error(ErrorCode::configuration, "split: there is no fold " + std::to_string(fold) + " of " +
                                              std::to_string(folds) + "; two folds at least, counted from 0");
  std::ranges::sort(ids);
  const auto n = static_cast<int64_t>(ids.size());
  const int64_t rest = n - static_cast<int64_t>(static_cast<double>(n) * test);
  if (folds > rest)
    throw Error(ErrorCode::configuration,
                "split: " + std::to_string(rest) + " examples are too few for " + std::to_string(folds) + " folds");
  const int64_t first = rest * fold / folds, last = rest * (fold + 1) / folds;
  Split split;
  std::ostringstream rule;
  rule << "fold " << fold << " of " << folds << " (from 0), torch.randperm seed " << seed
       << " draw 1 of the sorted ids, test " << test;
  split.rule = rule.str();
  const std::vector<int64_t> order = torch_permutation(n, seed, 1);
  for (int64_t i = 0; i < n; ++i) {
    auto& part = i >= rest ? split.test : i >= first && i < last ? split.val : split.train;
    part.push_back(std::move(ids[static_cast<size_t>(order[static_cast<size_t>(i)])]));
  }
  check_parts(split, 1, test);
  return split;
}

Split split_official(const std::vector<std::string>& ids) {
  const std::set<std::string> test(official_test_ids().begin(), official_test_ids().end());
  const std::set<std::string> val(official_val_ids().begin(), official_val_ids().end());
  Split split;
  for (const std::string& id : ids)
    (test.contains(id) ? split.test : val.contains(id) ? split.val : split.train).push_back(id);
  split.rule = "FFHQ-Wrinkle's official lists: " + std::to_string(split.val.size()) + " of " +
               std::to_string(val.size()) + " val ids, " + std::to_string(split.test.size()) + " of " +
               std::to_string(test.size()) + " test ids";
  check_parts(split, 1, 1);
  return split;
}

SplitDifference restrict_split(Split& split, const std::vector<std::string>& ids) {
  const std::set<std::string> present(ids.begin(), ids.end());
  std::set<std::string> assigned;
  SplitDifference difference;
  for (auto* part : {&split.train, &split.val, &split.test}) {
    std::vector<std::string> kept;
    for (std::string& id : *part) {
      assigned.insert(id);
      (present.contains(id) ? kept : difference.absent).push_back(id);
    }
    *part = std::move(kept);
  }
  for (const std::string& id : ids)
    if (!assigned.contains(id)) difference.unassigned.push_back(id);
  return difference;
}

}  // namespace furrow::data
