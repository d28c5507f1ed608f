// Whole files: those PyTorch wrote for this repository, the real ones of the shared material where it is present, and
// the ones that must be refused.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "io/checkpoint.h"
#include "io/sha256.h"

namespace furrow::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

json load_json(const fs::path& path) {
  std::ifstream in(path);
  return json::parse(in);
}

std::string text_or_empty(const json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? "" : it->get<std::string>();
}

DType type_named(const std::string& torch_name) {
  static const std::map<std::string, DType> kTypes = {
      {"float32", DType::f32}, {"float64", DType::f64},  {"float16", DType::f16}, {"bfloat16", DType::bf16},
      {"int64", DType::i64},   {"int32", DType::i32},    {"int16", DType::i16},   {"int8", DType::i8},
      {"uint8", DType::u8},    {"bool", DType::boolean}, {"uint16", DType::u16},  {"uint32", DType::u32}};
  return kTypes.at(torch_name);
}

// `path` against a description as tests/data/make_checkpoints.py writes them.
void expect_equal(const fs::path& path, const json& expected) {
  const io::Checkpoint got = io::read_checkpoint(path.string());
  EXPECT_EQ(got.sha256, expected.at("file_sha256").get<std::string>());
  EXPECT_EQ(got.file_bytes, fs::file_size(path));
  EXPECT_EQ(got.nested_under, text_or_empty(expected, "nested_under"));
  const json& tensors = expected.at("tensors");
  ASSERT_EQ(got.tensors.size(), tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const NamedTensor& tensor = got.tensors[i];
    // Some descriptions keep the prefix that the reader strips.
    const std::string key = tensors[i].at("key");
    EXPECT_TRUE(key == tensor.name || key == got.stripped_prefix + tensor.name) << key << " " << tensor.name;
    EXPECT_EQ(tensor.dims, tensors[i].at("shape").get<std::vector<int64_t>>()) << key;
    EXPECT_EQ(name(tensor.dtype), name(type_named(tensors[i].at("dtype")))) << key;
    EXPECT_EQ(io::sha256_hex(tensor.bytes), tensors[i].at("sha256_contiguous_le").get<std::string>()) << key;
  }
}

// `list`: expected.json of make_checkpoints.py, legacy.json of make_legacy_checkpoints.py.
void expect_all(const char* list, size_t files) {
  const fs::path folder = fs::path(FURROW_TEST_DATA) / "checkpoints";
  const json all = load_json(folder / list);
  EXPECT_EQ(all.size(), files);
  for (const auto& [file, expected] : all.items()) {
    SCOPED_TRACE(file);
    expect_equal(folder / file, expected);
    EXPECT_EQ(io::read_checkpoint((folder / file).string()).stripped_prefix,
              text_or_empty(expected, "stripped_prefix"));
  }
}

TEST(CheckpointFiles, WrittenByPyTorch) { expect_all("expected.json", 17); }

TEST(CheckpointFiles, OlderContainersAndNewestRecords) { expect_all("legacy.json", 10); }

TEST(CheckpointFiles, LegacyTrainingDictionaryKeepsItsScalars) {
  const auto got = io::read_checkpoint(std::string(FURROW_TEST_DATA) + "/checkpoints/legacy_training.pth");
  EXPECT_EQ(got.metadata, (std::map<std::string, std::string>{{"best_val_iou", "0.4375"}, {"epoch", "12"}}));
}

TEST(CheckpointFiles, TrainingDictionaryKeepsItsScalars) {
  const auto got = io::read_checkpoint(std::string(FURROW_TEST_DATA) + "/checkpoints/training.pth");
  EXPECT_EQ(got.metadata.at("epoch"), "12");
  EXPECT_EQ(got.metadata.at("best_val_iou"), "0.4375");  // numpy.float64
  EXPECT_EQ(got.metadata.at("all_metrics.iou"), "0.5");  // numpy.float32
  EXPECT_EQ(got.metadata.at("all_metrics.f1"), "0.625");
  EXPECT_EQ(got.metadata.at("all_metrics.count"), "3");  // numpy.int64
  EXPECT_EQ(got.metadata.count("device"), 0u);
}

const fs::path kWeights = fs::path(FURROW_SHARED) / "data/weights";

fs::path find_file(const std::string& name) {
  for (const char* folder : {"derived", "legacy", "../detectors"})
    if (fs::exists(kWeights / folder / name)) return kWeights / folder / name;
  return {};
}

TEST(CheckpointFiles, RealFilesEqualTheirDescriptions) {
  if (!fs::exists(kWeights / "expected")) GTEST_SKIP() << "the shared weights are not present";
  int read = 0;
  for (const auto& entry : fs::directory_iterator(kWeights / "expected")) {
    if (entry.path().extension() != ".json") continue;
    const fs::path path = find_file(entry.path().stem().string());
    ASSERT_FALSE(path.empty()) << entry.path();
    SCOPED_TRACE(path.string());
    expect_equal(path, load_json(entry.path()));
    ++read;
  }
  EXPECT_EQ(read, 19);
}

TEST(CheckpointFiles, RealSafetensors) {
  const fs::path path = kWeights / "safetensors/overall.safetensors";
  if (!fs::exists(path)) GTEST_SKIP() << "the shared weights are not present";
  const io::Checkpoint got = io::read_checkpoint(path.string());
  EXPECT_EQ(got.container, "safetensors");
  EXPECT_EQ(got.metadata, (std::map<std::string, std::string>{{"test", "a"}}));
  ASSERT_EQ(got.tensors.size(), 9u);
  const std::vector<std::string> types = {"U8", "U16", "U32", "I8", "F64", "F16", "F32", "I16", "I32"};
  for (const std::string& type : types) {
    const auto has = [&](const NamedTensor& tensor) { return name(tensor.dtype) == type && tensor.elements() == 6; };
    EXPECT_EQ(std::count_if(got.tensors.begin(), got.tensors.end(), has), 1) << type;
  }
}

TEST(CheckpointFiles, DefaultModelReads) {
  const fs::path path = kWeights / "furrow_mini_base16.pth";
  if (!fs::exists(path)) GTEST_SKIP() << "the shared weights are not present";
  const io::Checkpoint got = io::read_checkpoint(path.string());
  EXPECT_EQ(got.tensors.size(), 118u);
  EXPECT_TRUE(got.notes.empty());
}

TEST(CheckpointFiles, NegativeFilesAreRefusedInWords) {
  if (!fs::exists(kWeights / "negative")) GTEST_SKIP() << "the shared weights are not present";
  struct Expected {
    ErrorCode code;
    std::string says;
  };
  const std::map<std::string, Expected> answers = {
      {"79999_iter_placeholder.pth", {ErrorCode::malformed, "not a checkpoint"}},
      {"resnet18-5c106cde_tar_truncated_1MiB.pth",
       {ErrorCode::malformed, "the tar archive is cut: 1048576 of at least 46822"}},
      {"unet_model_is_lfs_pointer.pth", {ErrorCode::malformed, "a Git LFS pointer to a file of 124143413 bytes"}},
      {"whole_module_pickle_unet.pth", {ErrorCode::unsupported, "save the state_dict instead"}}};
  size_t seen = 0;
  for (const auto& entry : fs::directory_iterator(kWeights / "negative")) {
    const Expected& answer = answers.at(entry.path().filename().string());
    ++seen;
    try {
      io::read_checkpoint(entry.path().string());
      ADD_FAILURE() << "accepted: " << entry.path();
    } catch (const Error& error) {
      EXPECT_EQ(name(error.code()), name(answer.code)) << error.line();
      EXPECT_NE(error.line().find(answer.says), std::string::npos) << error.line();
      EXPECT_NE(error.line().find(entry.path().filename().string()), std::string::npos) << error.line();
    }
  }
  EXPECT_EQ(seen, answers.size());
}

}  // namespace
}  // namespace furrow::testing
