// Damage: every truncation is refused; every flipped bit of a zip is noticed, but of the bits that say nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <set>

#include "io/checkpoint.h"
#include "tests/containers/builders.h"

namespace furrow::testing {
namespace {

std::string file_text(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

io::Checkpoint read(const std::string& bytes) { return io::read_checkpoint(std::as_bytes(std::span(bytes)), nullptr); }

// Names, types, shapes and bytes of all tensors, as one string.
std::string content_of(const io::Checkpoint& checkpoint) {
  std::string out;
  for (const NamedTensor& tensor : checkpoint.tensors) {
    out += tensor.name + '\0' + std::string(name(tensor.dtype)) + dims_to_string(tensor.dims) + '\0';
    out.append(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
  }
  return out;
}

void expect_truncations_refused(const std::string& good) {
  for (size_t size = 0; size < good.size(); ++size) {
    // Of its own size, so that a sanitizer sees a read past the end.
    const std::string cut(good.data(), size);
    EXPECT_THROW(read(cut), Error) << size;
  }
}

// Bit 8 i + k: bit k of byte i.
using Bits = std::set<size_t>;

// The bits whose flip goes unnoticed. None may change a name, type, shape or value, but where there is no checksum.
Bits undetected_flips(const std::string& good, bool silent_values_allowed) {
  const std::string content = content_of(read(good));
  Bits undetected;
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    try {
      const std::string got = content_of(read(bad));
      undetected.insert(bit);
      EXPECT_TRUE(silent_values_allowed || got == content) << "byte " << bit / 8 << " bit " << bit % 8;
    } catch (const Error&) {}
  }
  return undetected;
}

uint64_t number_at(const std::string& bytes, size_t at, size_t width) {
  uint64_t value = 0;
  std::memcpy(&value, bytes.data() + at, width);
  return value;
}

// The bits of a zip that say nothing about its entries, by the format alone (APPNOTE.TXT 4.3): who wrote it and what it
// takes to unpack, which the method and the flags say; when; attributes in a file system; padding.
Bits idle_bits_of_zip(const std::string& zip) {
  Bits idle;
  const auto add = [&](size_t at, size_t bytes) {
    for (size_t bit = 8 * at; bit < 8 * (at + bytes); ++bit) idle.insert(bit);
  };
  // Extra fields that no reader needs: their id and content. Their length is checked, and so is zip64's field, id 1.
  const auto add_extra = [&](size_t at, size_t size) {
    for (size_t field = at; field < at + size; field += 4 + number_at(zip, field + 2, 2)) {
      if (number_at(zip, field, 2) == 1) continue;
      add(field, 2);
      add(field + 4, number_at(zip, field + 2, 2));
    }
  };
  const size_t end = zip.rfind("PK\5\6"), end64 = zip.rfind("PK\6\6"), locator = zip.rfind("PK\6\7");
  size_t central = number_at(zip, end + 16, 4);
  if (end64 != zip.npos) {
    add(end64 + 12, 4);              // versions
    idle.insert(8 * (locator + 16));  // the number of files that the zip is in: 0 means 1
    central = number_at(zip, end64 + 48, 8);
  }
  while (zip.compare(central, 4, "PK\1\2") == 0) {
    const size_t name = number_at(zip, central + 28, 2), extra = number_at(zip, central + 30, 2);
    add(central + 4, 4);   // versions
    add(central + 12, 4);  // time, date
    add(central + 36, 6);  // attributes,
    const bool folder = name > 0 && zip[central + 46 + name - 1] == '/';
    if (!folder) idle.erase(8 * (central + 38) + 4);  // but that of a folder
    add_extra(central + 46 + name, extra);
    const size_t local = number_at(zip, central + 42, 4);
    add(local + 4, 2);   // version
    add(local + 10, 4);  // time, date
    add_extra(local + 30 + number_at(zip, local + 26, 2), number_at(zip, local + 28, 2));
    // With a data descriptor the local header holds zeros or the truth, and one bit may be all that is between them.
    for (size_t field = 0; field < 12 && (number_at(zip, local + 6, 2) & 8) != 0; field += 4) {
      const auto here = static_cast<uint32_t>(number_at(zip, local + 14 + field, 4));
      const auto truth = static_cast<uint32_t>(number_at(zip, central + 16 + field, 4));
      if (here == 0 && std::has_single_bit(truth))
        idle.insert(8 * (local + 14 + field) + static_cast<size_t>(std::countr_zero(truth)));
    }
    central += 46 + name + extra + number_at(zip, central + 32, 2);
  }
  return idle;
}

std::string list_of(const Bits& bits) {
  std::string out;
  for (const size_t bit : bits) out += std::to_string(bit / 8) + "." + std::to_string(bit % 8) + " ";
  return out;
}

// Every flip is noticed but those of exactly the bits that say nothing.
void expect_all_but_idle_bits_noticed(const std::string& good) {
  const Bits undetected = undetected_flips(good, false), idle = idle_bits_of_zip(good);
  Bits missed, needless;
  std::ranges::set_difference(undetected, idle, std::inserter(missed, missed.end()));
  std::ranges::set_difference(idle, undetected, std::inserter(needless, needless.end()));
  EXPECT_TRUE(missed.empty()) << "unnoticed: " << list_of(missed);
  EXPECT_TRUE(needless.empty()) << "said to be idle, but noticed: " << list_of(needless);
  EXPECT_LE(idle.size(), good.size() * 8 / 4);
}

std::string two_tensors() {
  using namespace pickle;
  return build_pth(
      begin() +
          ordered({{"conv.weight", tensor()},
                   {"conv.bias", tensor(storage("FloatStorage", "1", 2), integer(0), integers({2}), integers({1}))}}) +
          ".",
      {six_floats(), floats({0.5f, -0.25f})});
}

TEST(Damage, TruncatedZip) { expect_truncations_refused(two_tensors()); }

TEST(Damage, TruncatedFileOfPyTorch) {
  expect_truncations_refused(file_text(FURROW_TEST_DATA "/checkpoints/plain.pth"));
}

TEST(Damage, TruncatedSafetensors) {
  expect_truncations_refused(
      build_safetensors(R"({"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}})", six_floats()));
}

TEST(Damage, FlippedBitsOfAZip) { expect_all_but_idle_bits_noticed(two_tensors()); }

TEST(Damage, FlippedBitsOfAZipWithFolders) {
  using namespace pickle;
  std::vector<ZipFile> files = pth_files(begin() + ordered({{"w", tensor()}}) + ".");
  for (const char* name : {"archive/data/", "archive/"})
    files.insert(files.begin(), ZipFile{.name = name, .content = "", .attributes = 0x41ed0010});
  expect_all_but_idle_bits_noticed(build_zip(files));
}

TEST(Damage, FlippedBitsOfAZipOfPyTorch) {
  expect_all_but_idle_bits_noticed(file_text(FURROW_TEST_DATA "/checkpoints/plain.pth"));
}

// Deflate leaves up to 7 bits of a byte over behind its last code, and 5 before the sizes of a block that is stored.
TEST(Damage, FlippedBitsOfADeflatedZip) {
  const std::string good = file_text(FURROW_TEST_DATA "/checkpoints/python_deflated.pth");
  const Bits undetected = undetected_flips(good, false), idle = idle_bits_of_zip(good);
  std::map<size_t, int> left_over;  // by byte
  for (const size_t bit : undetected)
    if (!idle.contains(bit)) ++left_over[bit / 8];
  for (const auto& [byte, bits] : left_over) {
    const std::string next = good.substr(byte + 1, 4);
    const bool last = next == "PK\3\4" || next == "PK\1\2";
    const bool stored = (number_at(next, 0, 2) ^ number_at(next, 2, 2)) == 0xFFFF;
    EXPECT_TRUE(last || stored) << byte;
    EXPECT_LE(bits, last ? 7 : 5) << byte;
  }
  EXPECT_LE(left_over.size(), 10u);  // of five entries
}

// The format has no checksum, so values and names may change; nothing worse may happen.
TEST(Damage, FlippedBitsOfSafetensors) {
  const Bits undetected = undetected_flips(
      build_safetensors(R"({"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}})", six_floats()), true);
  EXPECT_GE(undetected.size(), 24u * 8);
}

}  // namespace
}  // namespace furrow::testing
