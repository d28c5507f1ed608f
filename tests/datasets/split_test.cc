// Splits: the seed's permutations, the official lists, by hash, and stored.
#include "data/split.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <set>
#include <sstream>
#include <thread>

#include "kernels/error.h"
#include "made_files.h"

namespace furrow::data {
namespace {

using namespace test;  // NOLINT

std::vector<std::string> numbers(int n) {
  std::vector<std::string> ids;
  for (int i = 0; i < n; ++i) ids.push_back(std::to_string(i));
  return ids;
}

std::string head(const std::vector<std::string>& ids, size_t n) {
  std::string text;
  for (size_t i = 0; i < n; ++i) text += (i ? " " : "") + ids.at(i);
  return text;
}

// The tabulated heads of the seed's own splits (seed-system.md C.4).
TEST(Split, SeedsPermutationsHaveTheirTabulatedHeads) {
  const struct {
    int n, draw;
    const char *train, *val;
  } cases[] = {{1000, 1, "542 618 816 68 94 215 60 585 942 165", "673 842 746 582 717 364 879 700 649 745"},
               {1000, 2, "618 333 116 703 716 436 98 36 916 474", "455 478 398 460 238 118 232 371 44 89"},
               {1820, 1, "1422 1800 702 668 1774", "1617 134 384 182 92"},
               {1820, 2, "566 761 1516 678 247", "1517 1429 23 431 1771"}};
  for (const auto& c : cases) {
    const Split split = split_by_permutation(numbers(c.n), 42, c.draw, 0.2);
    EXPECT_EQ(split.val.size(), static_cast<size_t>(c.n / 5));
    EXPECT_EQ(split.train.size() + split.val.size(), static_cast<size_t>(c.n));
    EXPECT_TRUE(split.test.empty());
    EXPECT_EQ(head(split.train, std::string(c.train).size() > 30 ? 10 : 5), c.train);
    EXPECT_EQ(head(split.val, std::string(c.val).size() > 30 ? 10 : 5), c.val);
  }
}

TEST(Split, PermutationsArePytorchs) {
  for (const std::string& line : golden("randperm")) {
    std::istringstream in(line);
    int64_t n = 0;
    uint64_t seed = 0;
    int draw = 0;
    std::string expected;
    in >> n >> seed >> draw >> expected;
    const auto order = torch_permutation(n, seed, draw);
    EXPECT_EQ(digest(std::vector<int32_t>(order.begin(), order.end())), expected) << line;
  }
}

TEST(Split, ThreePartsAreDisjointAndComplete) {
  const Split split = split_by_permutation(numbers(101), 7, 1, 0.1, 0.1);
  EXPECT_EQ(split.train.size(), 81u);
  EXPECT_EQ(split.val.size(), 10u);
  EXPECT_EQ(split.test.size(), 10u);
  std::set<std::string> all;
  for (const auto* part : {&split.train, &split.val, &split.test}) all.insert(part->begin(), part->end());
  EXPECT_EQ(all.size(), 101u);
}

TEST(Split, HashDoesNotMoveWhatStays) {
  const Split small = split_by_hash(numbers(500), 0.2, 0.1), large = split_by_hash(numbers(1000), 0.2, 0.1);
  const std::set<std::string> train(large.train.begin(), large.train.end()), val(large.val.begin(), large.val.end());
  for (const std::string& id : small.train) EXPECT_TRUE(train.contains(id));
  for (const std::string& id : small.val) EXPECT_TRUE(val.contains(id));
  // Binomial: 200 of 1000 with standard deviation 12.6, 100 with 9.5; four of them.
  EXPECT_NEAR(static_cast<double>(large.val.size()), 200, 51);
  EXPECT_NEAR(static_cast<double>(large.test.size()), 100, 38);
  // sha256("0") = 5feceb66...: u = 0.375; sha256("5") = ef2d127d...: u = 0.934. By hand.
  EXPECT_EQ(split_by_hash({"0", "5"}, 0.38).val, std::vector<std::string>{"0"});
  EXPECT_EQ(split_by_hash({"0", "5"}, 0.38).train, std::vector<std::string>{"5"});
}

TEST(Split, FoldsAreDisjointAndCoverEverything) {
  for (const int n : {10, 101, 1000})
    for (const int folds : {2, 5, 7})
      for (const double test : {0.0, 0.1}) {
        std::multiset<std::string> measured;
        std::vector<std::string> kept_back;
        size_t least = SIZE_MAX, most = 0;
        for (int fold = 0; fold < folds; ++fold) {
          const Split split = split_by_folds(numbers(n), 42, folds, fold, test);
          measured.insert(split.val.begin(), split.val.end());
          least = std::min(least, split.val.size());
          most = std::max(most, split.val.size());
          if (fold == 0) kept_back = split.test;
          EXPECT_EQ(split.test, kept_back);
          std::set<std::string> all;
          for (const auto* part : {&split.train, &split.val, &split.test}) all.insert(part->begin(), part->end());
          EXPECT_EQ(all.size(), static_cast<size_t>(n));
          EXPECT_EQ(split.train.size() + split.val.size() + split.test.size(), static_cast<size_t>(n));
        }
        EXPECT_LE(most - least, 1u);
        EXPECT_EQ(kept_back.size(), static_cast<size_t>(n * test));
        // Every id that is not kept back is measured in one fold, and in one alone.
        EXPECT_EQ(std::set<std::string>(measured.begin(), measured.end()).size(), measured.size());
        EXPECT_EQ(measured.size() + kept_back.size(), static_cast<size_t>(n));
      }
}

TEST(Split, FoldsDoNotDependOnTheOrderOfFiles) {
  std::vector<std::string> ids = numbers(97);
  const Split wanted = split_by_folds(ids, 3, 5, 2);
  std::ranges::reverse(ids);
  EXPECT_EQ(split_by_folds(ids, 3, 5, 2), wanted);
  std::ranges::rotate(ids, ids.begin() + 31);
  EXPECT_EQ(split_by_folds(ids, 3, 5, 2), wanted);
  EXPECT_NE(split_by_folds(ids, 4, 5, 2).val, wanted.val);
  EXPECT_EQ(wanted.rule, "fold 2 of 5 (from 0), torch.randperm seed 3 draw 1 of the sorted ids, test 0");
  // Ten ids in PyTorch's order of seed 42, by hand: torch.randperm(10) = 2 6 1 8 4 5 0 9 3 7.
  EXPECT_EQ(split_by_folds(numbers(10), 42, 5, 1).val, (std::vector<std::string>{"1", "8"}));
  EXPECT_EQ(head(split_by_folds(numbers(10), 42, 5, 1).train, 8), "2 6 4 5 0 9 3 7");
}

TEST(Split, FoldsThatAreNotThere) {
  const auto code = [](int64_t folds, int64_t fold, double test = 0, int n = 100) {
    try {
      split_by_folds(numbers(n), 1, folds, fold, test);
    } catch (const Error& error) { return error.code(); }
    return ErrorCode::internal;
  };
  EXPECT_EQ(code(1, 0), ErrorCode::configuration);
  EXPECT_EQ(code(5, 5), ErrorCode::configuration);
  EXPECT_EQ(code(5, -1), ErrorCode::configuration);
  EXPECT_EQ(code(5, 0, 1), ErrorCode::configuration);
  EXPECT_EQ(code(5, 0, 0, 4), ErrorCode::configuration);
  EXPECT_EQ(code(5, 4, 0.2, 5), ErrorCode::configuration);  // four are left
  EXPECT_EQ(code(INT64_MAX, 0), ErrorCode::configuration);
}

TEST(Split, OfficialLists) {
  std::string joined;
  for (const std::string& id : official_test_ids()) joined += (joined.empty() ? "" : "\n") + id;
  // The list file's own checksum, as it is published.
  EXPECT_EQ(io::sha256_hex(std::as_bytes(std::span(joined))).substr(0, 12), "c225ecaa730e");
  ASSERT_EQ(official_test_ids().size(), 100u);
  ASSERT_EQ(official_val_ids().size(), 100u);
  std::set<std::string> all(official_test_ids().begin(), official_test_ids().end());
  all.insert(official_val_ids().begin(), official_val_ids().end());
  EXPECT_EQ(all.size(), 200u);
  const Split split = split_official({"00001", "01044", "06118", "10252"});
  EXPECT_EQ(split.train, std::vector<std::string>{"00001"});
  EXPECT_EQ(split.val, std::vector<std::string>{"06118"});
  EXPECT_EQ(split.test, (std::vector<std::string>{"01044", "10252"}));
  EXPECT_NE(split.rule.find("2 of 100 test ids"), std::string::npos);
  EXPECT_THROW(split_official({"1", "2"}), Error);
}

TEST(Split, FractionsThatLeaveNothingAreConfigurationErrors) {
  const auto code = [](double val, double test, int n = 100) {
    try {
      split_by_permutation(numbers(n), 1, 1, val, test);
    } catch (const Error& error) { return error.code(); }
    return ErrorCode::internal;
  };
  for (const double wrong : {-0.1, 1.0, 2.0, std::nan(""), HUGE_VAL})
    EXPECT_EQ(code(wrong, 0), ErrorCode::configuration);
  EXPECT_EQ(code(0.5, 0.5), ErrorCode::configuration);
  EXPECT_EQ(code(0.2, 0, 4), ErrorCode::configuration);  // int(4 * 0.2) = 0
  EXPECT_EQ(code(0, 0, 0), ErrorCode::configuration);
}

TEST(Split, StoredAndReadBack) {
  const TempFolder folder;
  const Split split = split_by_permutation(numbers(50), 42, 2, 0.2, 0.1);
  write_split(folder.path("split.json"), split);
  EXPECT_EQ(read_split(folder.path("split.json")), split);
}

TEST(Split, BrokenFilesAreRefusedByName) {
  const TempFolder folder;
  const auto refusal = [&](const std::string& text) {
    folder.write("s.json", text);
    try {
      read_split(folder.path("s.json"));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::malformed);
      EXPECT_NE(error.line().find("s.json"), std::string::npos);
      std::string all = error.line();
      for (const std::string& line : error.detail_lines()) all += "\n" + line;
      return all;
    }
    ADD_FAILURE() << "accepted: " << text;
    return std::string();
  };
  EXPECT_NE(refusal("").find("not JSON"), std::string::npos);
  EXPECT_NE(refusal("{\"rule\": \"x\", \"train\": [").find("not JSON"), std::string::npos);
  EXPECT_NE(refusal("[]").find("no JSON object"), std::string::npos);
  EXPECT_NE(refusal("{\"train\": []}").find("rule"), std::string::npos);
  EXPECT_NE(refusal("{\"rule\": \"x\", \"train\": [], \"val\": []}").find("in test"), std::string::npos);
  EXPECT_NE(refusal("{\"rule\": \"x\", \"train\": [1], \"val\": [], \"test\": []}").find("an id that is no text: 1"),
            std::string::npos);
  EXPECT_NE(refusal(R"({"rule": "x", "train": ["a"], "train": ["b"]})").find("in train: a key that stands twice"),
            std::string::npos);
  const std::string leak = refusal(R"({"rule": "x", "train": ["a", "b"], "val": ["b"], "test": ["a", "a"]})");
  EXPECT_NE(leak.find("a: listed 3 times"), std::string::npos);
  EXPECT_NE(leak.find("b: listed 2 times"), std::string::npos);
  EXPECT_THROW(read_split(folder.path("absent.json")), Error);
}

// Another program empties and fills the file all the while: an error now and then, or the split, and never SIGBUS,
// which a parser in a mapping of the file would meet.
TEST(Split, AFileThatShrinksMeanwhileCostsAnErrorAtMost) {
  const TempFolder folder;
  const Split split = split_by_permutation(numbers(20'000), 42, 2, 0.2, 0.1);
  write_split(folder.path("split.json"), split);
  std::string text;
  {
    std::ifstream file(folder.path("split.json"), std::ios::binary);
    text.assign(std::istreambuf_iterator<char>(file), {});
  }
  std::atomic<bool> done = false;
  std::thread other([&] {
    const int fd = open(folder.path("split.json").c_str(), O_WRONLY);
    while (!done) {
      if (ftruncate(fd, 0) != 0 || pwrite(fd, text.data(), text.size(), 0) < 0) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    close(fd);
  });
  for (int i = 0; i < 60; ++i) {
    try {
      EXPECT_EQ(read_split(folder.path("split.json")), split);
    } catch (const Error& error) { EXPECT_EQ(error.file_name(), folder.path("split.json")); }
  }
  done = true;
  other.join();
}

TEST(Split, StoredSplitMeetsOtherData) {
  Split split{"x", {"a", "b"}, {"c"}, {"d"}};
  const SplitDifference difference = restrict_split(split, {"a", "c", "e"});
  EXPECT_EQ(difference.absent, (std::vector<std::string>{"b", "d"}));
  EXPECT_EQ(difference.unassigned, std::vector<std::string>{"e"});
  EXPECT_EQ(split, (Split{"x", {"a"}, {"c"}, {}}));
}

}  // namespace
}  // namespace furrow::data
