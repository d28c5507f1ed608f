// Which examples are for training, validation and test.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace furrow::data {

// Ids of each part. In `train` and `val` the order is that of the rule: the seed's permutation keeps its own, the
// others keep the order of the data set.
struct Split {
  std::string rule;  // in words, as it is stored: "torch.randperm seed 42 draw 2, val 0.2, test 0"
  std::vector<std::string> train, val, test;
  friend bool operator==(const Split&, const Split&) = default;
};

// torch.randperm(n, generator=torch.Generator().manual_seed(seed)) on the CPU; `draw` 2 is the second permutation taken
// from that generator. The Mersenne twister with the lower 32 bits of `seed`; then for i in 0..n-2 entries i and
// i + next() mod (n - i) change places. Source: seed-system.md C.4, equal to PyTorch 1.13 in the tests.
// Preconditions (ErrorCode::internal): 0 <= n <= 2^32/20 (PyTorch draws 64 bits for more), draw >= 1.
std::vector<int64_t> torch_permutation(int64_t n, uint64_t seed, int draw = 1);

// Every maker of a split throws ErrorCode::configuration where a fraction is not in [0, 1), their sum is not below 1,
// or a part that was asked for (and always train) would be empty; with the sizes.

// The seed's: n_val = int(n * val), n_test = int(n * test), train the first of the permutation, then val, then test.
// `ids` in the order of the data set. The seed counts file names sorted bytewise, find_pairs() stems: the two orders
// differ where one stem begins another and goes on with a character below '.' ("a", "a-1").
Split split_by_permutation(const std::vector<std::string>& ids, uint64_t seed, int draw, double val, double test = 0);

// By the stem alone, so an example stays in its part when others come and go: u = first 8 bytes of SHA-256(stem) as a
// big-endian number / 2^64; test where u < test, val where u < test + val, train otherwise.
Split split_by_hash(const std::vector<std::string>& ids, double val, double test = 0);

// One fold of k-fold cross-validation: the ids sorted bytewise, in the order of the seed's first permutation; test the
// last int(n * test) of them, the same for every fold; the m others cut into `folds` runs, run f from floor(m * f / k)
// to floor(m * (f + 1) / k); val is run `fold`, counted from 0, and train the other runs. So folds are disjoint, cover
// everything but the test part, differ in size by one at most, and are a function of the set of ids, not of its order.
// ErrorCode::configuration too for fewer than 2 folds, for more folds than ids, and where `fold` is none of them.
Split split_by_folds(std::vector<std::string> ids, uint64_t seed, int64_t folds, int64_t fold, double test = 0);

// The official lists of FFHQ-Wrinkle: 100 ids for validation, 100 for test, the rest is for training. Ids of the lists
// that are not in `ids` are counted in the rule's text. Source: labhai/ffhq-wrinkle-dataset (seed-system.md, appendix
// 1).
Split split_official(const std::vector<std::string>& ids);
const std::vector<std::string>& official_test_ids();
const std::vector<std::string>& official_val_ids();

// A split as a file: JSON with "rule", "train", "val", "test". Written whole or not at all.
void write_split(const std::string& path, const Split& split);
// Errors name the file: ErrorCode::io; malformed where it is no such JSON, an id stands twice (each is listed), or it
// is larger than 64 MiB.
Split read_split(const std::string& path);

// What a stored split and the data at hand have in common. `absent`: ids of the split that are not in `ids`;
// `unassigned`: the reverse. Absent ids are removed from `split`.
struct SplitDifference {
  std::vector<std::string> absent, unassigned;
};
SplitDifference restrict_split(Split& split, const std::vector<std::string>& ids);

}  // namespace furrow::data
