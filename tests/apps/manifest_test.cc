#include "apps/manifest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "apps/fetch.h"
#include "apps/model_preset.h"
#include "io/sha256.h"
#include "kernels/error.h"
#include "segment/model.h"

namespace furrow::apps {
namespace {

TEST(Manifest, TheBuiltInOneHoldsThePublishedFilesOnce) {
  std::set<std::string> names;
  for (const PublishedFile& file : builtin_manifest()) {
    EXPECT_TRUE(names.insert(file.name).second) << file.name;
    EXPECT_FALSE(file.licence.empty()) << file.name;
    EXPECT_FALSE(file.citation.empty()) << file.name;
  }
  for (const char* name :
       {"seed-2025-02", "seed-2025-04", "seed-2026-08", "labhai-stage2-unet", "bisenet", "resnet50", "resnet18"})
    EXPECT_TRUE(names.contains(name)) << name;
  EXPECT_EQ(find_published(builtin_manifest(), "79999_iter.pth").size, 53289463u);
}

TEST(Manifest, SuggestsTheNameThatWasMeant) {
  const auto manifest = builtin_manifest();
  try {
    find_published(manifest, "bisenett");
    FAIL() << "found";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::usage);
    EXPECT_EQ(error.hint_text(), "did you mean bisenet?");
  }
}

TEST(Manifest, RefusesWhatIsNotOneNamingTheEntry) {
  const std::string entry = R"({"name":"n","file":"f","what":"w","origin":"o","licence":"l","citation":"c")";
  const auto whole = [](const std::string& files) {
    return R"({"schema":"furrow.weights/1","files":[)" + files + "]}";
  };
  EXPECT_EQ(parse_manifest(whole(entry + "}"), "m").size(), 1u);
  for (const std::string& bad :
       {std::string(), std::string("[]"), std::string("{"), std::string(R"({"schema":5,"files":[]})"),
        std::string(R"({"schema":null,"files":[]})"), whole("1"), whole(R"({"name":"n"})"),
        whole(entry + R"(,"sha256":"12"})"), whole(entry + R"(,"size":-1})"), whole(entry + R"(,"size":1.5})"),
        whole(R"({"name":"n","file":"../f","what":"w","origin":"o","licence":"l","citation":"c"})")})
    EXPECT_THROW(parse_manifest(bad, "m"), Error) << bad;
}

// Every preset is metadata that a native file may hold.
TEST(Preset, SaysWhatKeysCannotTell) {
  const Architecture classic{}, resnet{.family = "resnet50-unet"}, gated{.family = "resnet50-attention-unet"},
      labhai{.in_channels = 4, .classes = 2, .bilinear = true};
  const auto of = [](const char* kind, const Architecture& network) {
    Metadata metadata = preset(kind, network);
    metadata["furrow.version"] = "1";
    return from_metadata(metadata);
  };
  const ModelInfo early = of("seed-2025-02", classic);
  EXPECT_EQ(early.output, Output::sigmoid);
  EXPECT_EQ(early.normalisation, Normalisation::imagenet);
  EXPECT_EQ(early.kept_labels, (std::vector<int>{1, 14, 15}));
  EXPECT_TRUE(early.masked_input);
  for (const Architecture& network : {resnet, gated}) {
    const ModelInfo late = of("seed-2025-04", network);
    EXPECT_EQ(late.output, Output::logits);
    EXPECT_EQ(late.size, 512);
    EXPECT_EQ(late.resize, "pillow-lanczos");
  }
  const ModelInfo wide = of("labhai", labhai);
  EXPECT_EQ(wide.normalisation, Normalisation::half);
  EXPECT_EQ(wide.size, 1024);
  EXPECT_EQ(wide.resize, "pillow-bilinear");
  EXPECT_EQ(wide.texture, TextureInput{});
  EXPECT_TRUE(wide.masked_input);
  EXPECT_EQ(wide.kept_labels, (std::vector<int>{1, 10}));
}

TEST(Preset, RefusesOtherKindsAndOtherNetworks) {
  const auto reason = [](const char* kind, const Architecture& network) {
    try {
      preset(kind, network);
      return std::string("accepted");
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::usage);
      return error.reason() + " | " + error.hint_text();
    }
  };
  EXPECT_EQ(reason("labhia", {}), "--as labhia: no kind of checkpoint that Furrow knows | did you mean labhai?");
  EXPECT_NE(reason("bisenet", {}).find("it takes seed-2025-02, seed-2025-04, labhai"), std::string::npos);
  EXPECT_NE(reason("seed-2025-02", {.family = "resnet50-unet"}).find("holds a resnet50-unet base 64"),
            std::string::npos);
  EXPECT_NE(reason("seed-2025-04", {}).find("that is a resnet50-unet"), std::string::npos);
  for (const Architecture& other :
       {Architecture{}, Architecture{.bilinear = true}, Architecture{.in_channels = 4, .bilinear = true},
        Architecture{.in_channels = 4, .classes = 2}})
    EXPECT_NE(reason("labhai", other).find("that is a bilinear unet 4 -> 2"), std::string::npos) << other.text();
  for (const Architecture& other : {Architecture{.family = "attention-unet"}, Architecture{.in_channels = 4},
                                    Architecture{.classes = 2}, Architecture{.bilinear = true}}) {
    const std::string said = reason("seed-2025-02", other);
    EXPECT_NE(said.find("that is a transposed unet 3 -> 1"), std::string::npos) << other.text();
    EXPECT_NE(said.find("--output"), std::string::npos) << other.text();
  }
}

TEST(Preset, KnowsAPublishedFileByItsHash) {
  const Architecture labhai{.in_channels = 4, .classes = 2, .bilinear = true};
  const auto manifest = builtin_manifest();
  const PublishedFile& published = find_published(manifest, "labhai-stage2-unet");
  const auto known = known_file(published.sha256, 1, labhai, manifest);
  ASSERT_TRUE(known.has_value());
  EXPECT_EQ(known->by, "its SHA-256");
  const auto& metadata = known->metadata;
  EXPECT_EQ(metadata.at("furrow.name"), "labhai-stage2-unet");
  EXPECT_EQ(metadata.at("furrow.licence"), "CC BY-NC-SA 4.0");
  EXPECT_EQ(metadata.at("furrow.normalisation"), "half");
  EXPECT_EQ(metadata.at("furrow.kept_labels"), "1,10");
  EXPECT_EQ(metadata.at("furrow.texture"), "closest 5 masked");
  EXPECT_EQ(metadata.at("furrow.input"), "masked");
  EXPECT_FALSE(known_file(std::string(64, '0'), 1, labhai, manifest).has_value());
  EXPECT_FALSE(known_file("", 1, labhai, manifest).has_value());  // files of the manifest without a hash
}

TEST(Preset, KnowsAPublishedFileByItsSizeAndTheFirstDigitsOfItsHash) {
  const Architecture unet{.bilinear = true};
  auto manifest = builtin_manifest();
  const std::string hash = "d85ce197e0b2" + std::string(52, '0');
  const auto known = known_file(hash, 207'287'608, unet, manifest);
  ASSERT_TRUE(known.has_value());
  EXPECT_EQ(known->metadata.at("furrow.name"), "labhai-stage1-unet");
  EXPECT_EQ(known->by, "its size and the first 12 digits of its SHA-256");
  EXPECT_FALSE(known_file(hash, 207'287'609, unet, manifest).has_value());
  EXPECT_FALSE(known_file("d85ce197e0b3" + std::string(52, '0'), 207'287'608, unet, manifest).has_value());
  auto& published = *std::ranges::find(manifest, "labhai-stage1-unet", &PublishedFile::name);
  published.sha256_prefix = "d85ce19";  // too few digits
  EXPECT_FALSE(known_file(hash, 207'287'608, unet, manifest).has_value());
  published.sha256_prefix = "d85ce197";
  EXPECT_TRUE(known_file(hash, 207'287'608, unet, manifest).has_value());
  published.size.reset();
  EXPECT_FALSE(known_file(hash, 207'287'608, unet, manifest).has_value());
  // A whole hash that is known is what counts.
  published.size = 207'287'608, published.sha256 = std::string(64, '1');
  EXPECT_FALSE(known_file(hash, 207'287'608, unet, manifest).has_value());
}

TEST(Preset, KnowsThePublishedFaceParser) {
  const auto manifest = builtin_manifest();
  const PublishedFile& published = find_published(manifest, "79999_iter.pth");
  EXPECT_EQ(published.name, "bisenet");
  const auto known = known_file(published.sha256, 53289463, {"bisenet", 64, 3, 19}, manifest);
  ASSERT_TRUE(known.has_value());
  EXPECT_EQ(known->metadata.at("furrow.name"), "bisenet");
  EXPECT_EQ(known->metadata.at("furrow.resize"), "pillow-bilinear 512");
  EXPECT_EQ(known->metadata.at("furrow.normalisation"), "imagenet");
  EXPECT_NE(known->metadata.at("furrow.licence").find("research use only"), std::string::npos);
  EXPECT_EQ(known->metadata.at("furrow.output"), "logits");
}

TEST(Preset, AnEncoderIsNoNetwork) {
  auto manifest = builtin_manifest();
  auto& encoder = *std::ranges::find(manifest, "resnet50", &PublishedFile::name);
  EXPECT_FALSE(encoder.preprocessing.empty());
  encoder.size = 100;
  EXPECT_FALSE(known_file("11ad3fa6" + std::string(56, '0'), 100, {}, manifest).has_value());
  encoder.sha256 = std::string(64, '1');
  EXPECT_FALSE(known_file(encoder.sha256, 100, {}, manifest).has_value());
}

TEST(Fetch, TakesALocalFileOnlyWhereItIsThePublishedOne) {
  namespace fs = std::filesystem;
  const fs::path folder = fs::temp_directory_path() / ("furrow-fetch-" + std::to_string(::getpid()));
  fs::create_directories(folder);
  std::ofstream(folder / "mine") << "weights";
  const std::string text = "weights";
  PublishedFile known{
      .name = "n", .file = "kept.bin", .size = 7, .sha256 = io::sha256_hex(std::as_bytes(std::span(text)))};
  EXPECT_EQ(take_local(folder / "mine", known, folder / "new"), (folder / "new" / "kept.bin").string());
  EXPECT_EQ(verify_file(folder / "new" / "kept.bin", known), known.sha256);
  known.sha256[0] = known.sha256[0] == '0' ? '1' : '0';
  known.file = "other.bin";
  try {
    take_local(folder / "mine", known, folder / "new");
    ADD_FAILURE() << "taken";
  } catch (const Error& error) { EXPECT_EQ(error.code(), ErrorCode::checksum); }
  EXPECT_FALSE(fs::exists(folder / "new" / "other.bin"));
  fs::remove_all(folder);
}

}  // namespace
}  // namespace furrow::apps
