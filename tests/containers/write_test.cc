// What Furrow writes: read back equal, byte for byte reproducible, and opened by PyTorch's safe loader.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "io/checkpoint.h"
#include "io/pth_write.h"
#include "io/safetensors.h"
#include "tests/containers/builders.h"

namespace furrow::testing {
namespace {

namespace fs = std::filesystem;

class Written : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("furrow_write_test_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  static std::string text(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  fs::path folder_;
};

NamedTensor make(const std::string& name, DType type, const std::vector<int64_t>& dims) {
  NamedTensor out{.name = name, .dtype = type, .dims = dims, .bytes = {}, .owner = nullptr};
  const auto data = std::make_shared<std::vector<std::byte>>(static_cast<size_t>(out.elements()) * size_of(type));
  // Small enough numbers to be finite in every type, 0 or 1 in each byte for booleans.
  for (size_t i = 0; i < data->size(); ++i)
    (*data)[i] = static_cast<std::byte>(type == DType::boolean ? i % 2 : i % 50);
  out.bytes = *data;
  out.owner = data;
  return out;
}

NamedTensors all_types() {
  NamedTensors out;
  for (const DType type : {DType::u8, DType::f32, DType::boolean, DType::f64, DType::f16, DType::bf16, DType::i64,
                           DType::i32, DType::i16, DType::i8})
    out.push_back(make("t." + std::string(name(type)), type, {3, 5}));
  out.push_back(make("scalar", DType::i64, {}));
  out.push_back(make("empty", DType::f32, {0, 4}));
  out.push_back(make("\xe3\x81\x97 \"quoted\" \\ \n name", DType::f32, {2}));
  return out;
}

void expect_same(const NamedTensors& got, const NamedTensors& wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i].name, wanted[i].name);
    EXPECT_EQ(got[i].dims, wanted[i].dims);
    EXPECT_EQ(name(got[i].dtype), name(wanted[i].dtype));
    EXPECT_TRUE(std::ranges::equal(got[i].bytes, wanted[i].bytes)) << got[i].name;
  }
}

TEST_F(Written, SafetensorsRoundTrip) {
  NamedTensors tensors = all_types();
  tensors.push_back(make("u16", DType::u16, {3}));
  tensors.push_back(make("u32", DType::u32, {3}));
  const std::map<std::string, std::string> metadata = {{"licence", "MIT"}, {"a \"b\"", "\x01\n\\"}};
  io::write_safetensors(path("a.safetensors"), tensors, metadata);
  io::write_safetensors(path("b.safetensors"), tensors, metadata);
  const std::string bytes = text(path("a.safetensors"));
  EXPECT_EQ(bytes, text(path("b.safetensors")));
  const io::Checkpoint got = io::read_checkpoint(path("a.safetensors"));
  expect_same(got.tensors, tensors);
  EXPECT_EQ(got.metadata, metadata);
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  EXPECT_EQ(header % 8, 0u);
  // Every tensor is aligned to its element within the file.
  const std::byte* base = got.tensors[0].bytes.data();
  for (const NamedTensor& tensor : got.tensors) base = std::min(base, tensor.bytes.data());
  for (const NamedTensor& tensor : got.tensors)
    EXPECT_EQ(static_cast<size_t>(tensor.bytes.data() - base) % size_of(tensor.dtype), 0u) << tensor.name;
}

TEST_F(Written, SafetensorsWithoutMetadata) {
  io::write_safetensors(path("a.safetensors"), {make("w", DType::f32, {2})});
  EXPECT_TRUE(io::read_checkpoint(path("a.safetensors")).metadata.empty());
}

TEST_F(Written, PthRoundTrip) {
  const NamedTensors tensors = all_types();
  io::write_pth(path("a.pth"), tensors);
  io::write_pth(path("b.pth"), tensors);
  EXPECT_EQ(text(path("a.pth")), text(path("b.pth")));
  const io::Checkpoint got = io::read_checkpoint(path("a.pth"));
  expect_same(got.tensors, tensors);
  EXPECT_EQ(got.container, "zip .pth");
  EXPECT_TRUE(got.notes.empty());
}

TEST_F(Written, PthNestedAsTrainingFilesAre) {
  const NamedTensors tensors = all_types();
  const io::PthOptions options{.nest_under = "model_state_dict",
                               .extra = {{"epoch", int64_t{12}},
                                         {"seed", int64_t{-70'000}},
                                         {"samples", int64_t{1} << 40},
                                         {"best_val_iou", 0.4375},
                                         {"note", std::string("hello")}}};
  io::write_pth(path("a.pth"), tensors, options);
  const io::Checkpoint got = io::read_checkpoint(path("a.pth"));
  expect_same(got.tensors, tensors);
  EXPECT_EQ(got.nested_under, "model_state_dict");
  const std::map<std::string, std::string> wanted = {
      {"epoch", "12"}, {"seed", "-70000"}, {"samples", "1099511627776"}, {"best_val_iou", "0.4375"}, {"note", "hello"}};
  EXPECT_EQ(got.metadata, wanted);
}

TEST_F(Written, RecordsAreAlignedTo64) {
  io::write_pth(path("a.pth"), all_types());
  const std::string bytes = text(path("a.pth"));
  size_t records = 0;
  for (size_t at = bytes.find("PK\x03\x04"); at != std::string::npos;
       at = bytes.find("PK\x03\x04", at + 1), ++records) {
    const auto u16 = [&](size_t i) {
      return static_cast<unsigned char>(bytes[at + i]) + 256u * static_cast<unsigned char>(bytes[at + i + 1]);
    };
    EXPECT_EQ((at + 30 + u16(26) + u16(28)) % 64, 0u);
  }
  EXPECT_EQ(records, all_types().size() + 3);
}

TEST_F(Written, PthRefusesTypesThatPyTorchLacks) {
  EXPECT_THROW(io::write_pth(path("a.pth"), {make("w", DType::u16, {2})}), Error);
  EXPECT_FALSE(fs::exists(path("a.pth")));
}

TEST_F(Written, CallersMistakesAreInternalErrors) {
  const NamedTensor w = make("w", DType::f32, {2});
  NamedTensor wrong = w;
  wrong.dims = {3};
  const std::vector<NamedTensors> mistakes = {{w, w}, {wrong}, {make("\xff", DType::f32, {2})}};
  for (const NamedTensors& mistake : mistakes)
    for (const bool pth : {false, true}) try {
        pth ? io::write_pth(path("a"), mistake) : io::write_safetensors(path("a"), mistake);
        ADD_FAILURE() << "written";
      } catch (const Error& error) { EXPECT_EQ(error.code(), ErrorCode::internal); }
  EXPECT_TRUE(fs::is_empty(folder_));
}

// scripts/check_pth_with_torch.py loads both files with weights_only=True and compares every value.
TEST_F(Written, PyTorchsSafeLoaderOpensIt) {
  std::string python;
  for (const char* candidate : {"python3", "/usr/bin/python3"})
    if (python.empty() && std::system((std::string(candidate) + " -c 'import torch' > /dev/null 2>&1").c_str()) == 0)
      python = candidate;
  if (python.empty()) GTEST_SKIP() << "no PyTorch for python3 or /usr/bin/python3";
  NamedTensors tensors = all_types();
  io::write_pth(path("bare.pth"), tensors);
  io::write_pth(path("nested.pth"), tensors, {.nest_under = "model_state_dict", .extra = {{"epoch", int64_t{3}}}});
  std::ofstream list(path("wanted.txt"));
  for (const NamedTensor& tensor : tensors) {
    std::string hex, key;
    const auto put = [](std::string& out, unsigned char byte) {
      (out += "0123456789abcdef"[byte >> 4]) += "0123456789abcdef"[byte & 15];
    };
    for (const std::byte byte : tensor.bytes) put(hex, static_cast<unsigned char>(byte));
    for (const char c : tensor.name) put(key, static_cast<unsigned char>(c));
    list << key << ' ' << name(tensor.dtype) << ' ' << dims_to_string(tensor.dims) << ' ' << (hex.empty() ? "-" : hex)
         << '\n';
  }
  list.close();
  const std::string command = python + " " FURROW_SOURCE_DIR "/scripts/check_pth_with_torch.py ";
  EXPECT_EQ(std::system((command + path("bare.pth") + " " + path("wanted.txt")).c_str()), 0);
  EXPECT_EQ(std::system((command + path("nested.pth") + " " + path("wanted.txt") + " model_state_dict").c_str()), 0);
}

}  // namespace
}  // namespace furrow::testing
