// `furrow model convert` from file to file where the input is one that the manifest knows. The published files cannot
// be part of a test, and no file can be made for a hash; so a small one is made, and a manifest that knows it.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iterator>

#include "apps/model_convert.h"
#include "io/pth_write.h"
#include "io/safetensors.h"
#include "io/sha256.h"
#include "nn/network.h"
#include "segment/model.h"
#include "tests/segment/pass_through.h"

namespace furrow::apps {
namespace {

using test::TemporaryFile;

std::string bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string hash_of(const std::string& path) {
  const std::string bytes = bytes_of(path);
  return io::sha256_hex(std::as_bytes(std::span(bytes)));
}

// A checkpoint of a base-2 U-Net as others would have saved it.
void write_checkpoint(const std::string& path, const Architecture& architecture) {
  const std::unique_ptr<Network> network = build(architecture);
  network->initialise(3);
  io::write_pth(path, network->state(), {.nest_under = "model_state_dict"});
}

// A manifest with one file; `known`: what it states of size and hash.
std::vector<PublishedFile> manifest_with(const std::string& known) {
  return parse_manifest(
      R"({"schema": "furrow.weights/1", "files": [{"name": "theirs-1", "file": "theirs.pth", "what": "w",
      "origin": "o", "licence": "their licence", "citation": "Theirs, 2026", )" +
          known + R"(, "preprocessing":
      {"resize": "pillow-bilinear 256", "normalisation": "half", "labels": [1, 14], "input": "masked",
       "texture": "closest 5", "output": "sigmoid", "threshold": 0.25}}]})",
      "m");
}

// What the copy says of itself; `said`: what the program said meanwhile.
ModelInfo converted(const std::string& in, const std::vector<PublishedFile>& manifest, std::string& said,
                    ConvertOptions options = {}) {
  const TemporaryFile out("convert_copy.safetensors");
  options.in = in, options.out = out.path(), options.force = true;
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  EXPECT_EQ(convert_model(options, {}, {}, manifest), 0);
  testing::internal::GetCapturedStdout();
  said = testing::internal::GetCapturedStderr();
  return Model::load(out.path()).info();
}

void expect_theirs(const ModelInfo& info) {
  EXPECT_EQ(info.name, "theirs-1");
  EXPECT_EQ(info.licence, "their licence");
  EXPECT_EQ(info.citation, "Theirs, 2026");
  EXPECT_EQ(info.resize, "pillow-bilinear");
  EXPECT_EQ(info.size, 256);
  EXPECT_EQ(info.normalisation, Normalisation::half);
  EXPECT_EQ(info.kept_labels, (std::vector<int>{1, 14}));
  EXPECT_TRUE(info.masked_input);
  EXPECT_EQ(info.output, Output::sigmoid);
  EXPECT_EQ(info.threshold, 0.25);
}

TEST(Convert, AKnownFileTakesItsPreprocessingAlong) {
  const TemporaryFile file("convert_known.pth");
  write_checkpoint(file.path(), {.base = 2});
  const std::string hash = hash_of(file.path()), size = std::to_string(bytes_of(file.path()).size());
  std::string said;
  const ModelInfo whole = converted(file.path(), manifest_with(R"("sha256": ")" + hash + '"'), said);
  expect_theirs(whole);
  EXPECT_EQ(whole.source_sha256, hash);
  EXPECT_FALSE(whole.texture.has_value());  // the network takes none
  EXPECT_EQ(said, "furrow: by its SHA-256 this is the published file theirs-1: its preprocessing is written down\n");
  expect_theirs(converted(
      file.path(), manifest_with(R"("size": )" + size + R"(, "sha256_prefix": ")" + hash.substr(0, 8) + '"'), said));
  EXPECT_EQ(said,
            "furrow: by its size and the first 8 digits of its SHA-256 this is the published file theirs-1: its "
            "preprocessing is written down\n");
}

TEST(Convert, ATextureMapIsPartOfWhatIsKnown) {
  const TemporaryFile file("convert_known_texture.pth");
  write_checkpoint(file.path(), {.base = 2, .in_channels = 4, .classes = 2, .bilinear = true});
  std::string said;
  const ModelInfo info = converted(file.path(), manifest_with(R"("sha256": ")" + hash_of(file.path()) + '"'), said);
  expect_theirs(info);
  ASSERT_TRUE(info.texture.has_value());
  EXPECT_EQ(*info.texture, (TextureInput{.recipe = io::TextureRecipe::closest, .sigma = 5, .masked = false}));
}

TEST(Convert, WhatTheUserSaysOverrulesWhatIsKnown) {
  const TemporaryFile file("convert_known_overruled.pth");
  write_checkpoint(file.path(), {.base = 2});
  const auto manifest = manifest_with(R"("sha256": ")" + hash_of(file.path()) + '"');
  std::string said;
  const ModelInfo threshold = converted(file.path(), manifest, said, {.threshold = 0.75});
  EXPECT_EQ(threshold.threshold, 0.75);
  EXPECT_EQ(threshold.normalisation, Normalisation::half);
  const ModelInfo as = converted(file.path(), manifest, said, {.as = "seed-2025-02"});
  EXPECT_EQ(as.threshold, 0.5);
  EXPECT_EQ(as.normalisation, Normalisation::imagenet);
  EXPECT_EQ(as.kept_labels, (std::vector<int>{1, 14, 15}));
}

// One bit of one weight more, the same tensors in a file of another size, and the first digits alone.
TEST(Convert, AnyOtherFileIsNotTakenForTheKnownOne) {
  const TemporaryFile file("convert_known_changed.pth"), other("convert_other.safetensors");
  write_checkpoint(file.path(), {.base = 2});
  const std::string hash = hash_of(file.path()), size = std::to_string(bytes_of(file.path()).size() + 1);
  const std::unique_ptr<Network> network = build({.base = 2});
  network->initialise(3);
  NamedTensors tensors = network->state();
  const std::vector<PublishedFile> manifest = manifest_with(R"("sha256": ")" + hash + '"');
  const auto expect_unknown = [](const ModelInfo& info, const std::string& said) {
    EXPECT_EQ(said, "");
    EXPECT_EQ(info.licence, "unknown");
    EXPECT_EQ(info.normalisation, Normalisation::imagenet);
    EXPECT_EQ(info.output, Output::logits);
  };
  std::string said;
  ModelInfo info = converted(
      file.path(), manifest_with(R"("size": )" + size + R"(, "sha256_prefix": ")" + hash.substr(0, 8) + '"'), said);
  expect_unknown(info, said);
  io::write_safetensors(other.path(), tensors, {});
  info = converted(other.path(), manifest, said);
  expect_unknown(info, said);
  std::vector<float> values = tensors.front().to<float>();
  values[0] = std::nextafter(values[0], 1.0f);
  tensors.front() = test::f32_tensor(tensors.front(), values);
  io::write_pth(file.path(), tensors, {.nest_under = "model_state_dict"});
  EXPECT_EQ(std::to_string(bytes_of(file.path()).size() + 1), size);
  info = converted(file.path(), manifest, said);
  expect_unknown(info, said);
}

TEST(Convert, AFaceParserTakesNothingOfWrinklesAlong) {
  const TemporaryFile file("convert_parser.pth"), out("convert_parser_copy.safetensors");
  write_checkpoint(file.path(), {"bisenet", 1, 3, 19});
  const auto manifest = parse_manifest(
      R"({"schema": "furrow.weights/1", "files": [{"name": "p", "file": "p.pth", "what": "w", "origin": "o",
      "licence": "l", "citation": "c", "sha256": ")" +
          hash_of(file.path()) + R"(", "preprocessing": {"normalisation": "imagenet", "output": "logits"}}]})",
      "m");
  std::string said;
  for (const ModelInfo& info : {converted(file.path(), {}, said), converted(file.path(), manifest, said)}) {
    EXPECT_EQ(info.resize, "pillow-bilinear");
    EXPECT_EQ(info.size, 512);
    EXPECT_EQ(info.normalisation, Normalisation::imagenet);
    EXPECT_FALSE(to_metadata(info).contains("furrow.threshold"));
  }
  EXPECT_EQ(said, "furrow: by its SHA-256 this is the published file p: its preprocessing is written down\n");
  EXPECT_EQ(converted(file.path(), {}, said, {.resize = "lanczos", .size = 448}).resize, "pillow-lanczos");
  for (const ConvertOptions& wrong : {ConvertOptions{.threshold = 0.25}, ConvertOptions{.labels = "1,10"},
                                      ConvertOptions{.output = "sigmoid"}, ConvertOptions{.as = "seed-2025-04"}}) {
    ConvertOptions options = wrong;
    options.in = file.path(), options.out = out.path(), options.force = true;
    EXPECT_THROW(convert_model(options, {}, {}, {}), Error);
  }
}

}  // namespace
}  // namespace furrow::apps
