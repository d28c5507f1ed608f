// Files whose keys all fall into one bucket of a table by the standard library's hash, which everyone can compute:
// reading one takes as long as any other.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <set>
#include <unordered_map>

#include "kernels/secret_hash.h"
#include "nn/recognise.h"
#include "tests/containers/builders_legacy.h"
#include "tests/containers/contract.h"

namespace furrow::testing {
namespace {

using namespace pickle;

// Texts of 16 printable characters with one hash in libstdc++, which is MurmurHash64A of a known seed. Any first half
// has a second half that leads to that hash; it is kept where JSON can hold it as it is.
std::vector<std::string> colliding_names(size_t count) {
  constexpr uint64_t kFactor = 0xc6a4a7935bd1e995, kSeed = 0xc70f6907, kHash = 0x1234567890abcdef;
  uint64_t inverse = 1;
  for (int i = 0; i < 6; ++i) inverse *= 2 - kFactor * inverse;
  const auto shifted = [](uint64_t x) { return x ^ (x >> 47); };  // its own inverse
  const auto plain = [](uint64_t word) {
    for (; word != 0; word >>= 8)
      if (const uint64_t c = word & 0xff; c < 0x20 || c > 0x7e || c == '"' || c == '\\') return false;
    return true;
  };
  std::vector<std::string> out;
  for (uint64_t round = 0; out.size() < count; ++round) {
    uint64_t first = 0;
    for (int i = 0; i < 8; ++i) first |= ('a' + (round >> (4 * i) & 15)) << (8 * i);
    const uint64_t half = ((kSeed ^ (16 * kFactor)) ^ shifted(first * kFactor) * kFactor) * kFactor;
    const uint64_t second = shifted((half ^ kHash * inverse) * inverse) * inverse;
    if (second >> 56 == 0 || !plain(second)) continue;
    out.emplace_back(16, '\0');
    std::memcpy(out.back().data(), &first, 8);
    std::memcpy(out.back().data() + 8, &second, 8);
  }
  return out;
}

// Multiples of the number of buckets that a table of `count` keys has; the hash of a number is the number.
std::vector<int64_t> colliding_numbers(size_t count) {
  std::unordered_map<int64_t, int> table;
  std::vector<int64_t> out;
  for (size_t i = 0; i < count; ++i) table.emplace(out.emplace_back(static_cast<int64_t>(i)), 0);
  for (int64_t& number : out) number = (number + 1) * static_cast<int64_t>(table.bucket_count());
  return out;
}

TEST(Flood, Names) {
  const std::vector<std::string> names = colliding_names(40'000);
#ifdef __GLIBCXX__
  for (const std::string& name : names) ASSERT_EQ(std::hash<std::string>()(name), std::hash<std::string>()(names[0]));
#endif
  std::string header, state = begin() + tensor() + "q\x01" + "0}(";
  for (const std::string& name : names) {
    header += (header.empty() ? "{\"" : ",\"") + name + R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]})";
    state += text(name) + "h\x01";
  }
  EXPECT_TRUE(expect_within_budget(build_safetensors(header + "}", "")));
  EXPECT_TRUE(expect_within_budget(build_pth(state + "u.")));

  NamedTensors tensors;
  for (const std::string& name : names) tensors.push_back({.name = name});
  const std::clock_t start = std::clock();
  EXPECT_THROW(recognise(tensors), Error);
  if (kMeasured) { EXPECT_LE(static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC, 1.0); }
}

TEST(Flood, NumbersOfATar) {
  const std::vector<int64_t> numbers = colliding_numbers(60'000);
  std::string tensors = pickled(static_cast<int64_t>(numbers.size())), state = begin() + "}(";
  for (const int64_t number : numbers) {
    tensors += tar_tensor(number, 2, {6}, {1});
    state += text("t" + std::to_string(number)) + text(std::to_string(number)) + "Q";
  }
  EXPECT_TRUE(expect_within_budget(build_tar(tar_files({.object = state + "u.", .tensors = tensors}))));
}

TEST(Flood, NumbersOfTheMemo) {
  const std::vector<int64_t> numbers = colliding_numbers(42'000);  // an index has 32 bits
  std::string puts = begin() + "Nq" + little(0, 1) + "0", dense, scattered;
  for (const int64_t number : numbers) puts += "Nr" + little(static_cast<uint64_t>(number), 4) + "0";
  for (int i = 0; i < 7'800'000; ++i) dense.append("h\0000", 3);
  const std::string last = "j" + little(static_cast<uint64_t>(numbers.back()), 4) + "0";
  for (int i = 0; i < 3'000'000; ++i) scattered += last;
  const std::string state = "}(" + text("w") + tensor() + "u.";
  for (const std::string& gets : {dense, scattered}) EXPECT_TRUE(expect_within_budget(build_pth(puts + gets + state)));
}

// Of the text's length, too: what does not fill a word is not taken for zeros.
TEST(SecretHash, TextsAndNumbersThatDifferHashApart) {
  std::set<size_t> texts, numbers;
  std::string text;
  for (int i = 0; i < 100; ++i, text += '\0') texts.insert(SecretHash()(text));
  for (uint64_t i = 0; i < 32; ++i) numbers.insert(SecretHash()(uint64_t{1} << (2 * i)));
  EXPECT_EQ(texts.size(), 100u);
  EXPECT_EQ(numbers.size(), 32u);
  EXPECT_EQ(SecretHash()("outc.conv.weight"), SecretHash()(std::string("outc.conv.weight")));
}

}  // namespace
}  // namespace furrow::testing
