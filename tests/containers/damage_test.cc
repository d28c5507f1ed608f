// Damage: every truncation is refused, every flipped bit is noticed or changes no value.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

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

int count_undetected_flips(const std::string& good, bool silent_values_allowed) {
  const std::string content = content_of(read(good));
  int undetected = 0;
  for (size_t byte = 0; byte < good.size(); ++byte)
    for (int bit = 0; bit < 8; ++bit) {
      std::string bad = good;
      bad[byte] = static_cast<char>(bad[byte] ^ (1 << bit));
      try {
        const std::string got = content_of(read(bad));
        ++undetected;
        EXPECT_TRUE(silent_values_allowed || got == content) << "byte " << byte << " bit " << bit;
      } catch (const Error&) {}
    }
  return undetected;
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

TEST(Damage, FlippedBitsOfAZip) {
  const std::string good = two_tensors();
  // What may flip unseen: times, dates, versions, attributes of the entries.
  const int undetected = count_undetected_flips(good, false);
  EXPECT_LE(undetected, 4 * 8 * (6 + 14));
}

TEST(Damage, FlippedBitsOfAFileOfPyTorch) {
  count_undetected_flips(file_text(FURROW_TEST_DATA "/checkpoints/plain.pth"), false);
  count_undetected_flips(file_text(FURROW_TEST_DATA "/checkpoints/python_deflated.pth"), false);
}

// The format has no checksum, so values and names may change; nothing worse may happen.
TEST(Damage, FlippedBitsOfSafetensors) {
  const int undetected = count_undetected_flips(
      build_safetensors(R"({"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}})", six_floats()), true);
  EXPECT_GE(undetected, 24 * 8);
}

}  // namespace
}  // namespace furrow::testing
