// Model metadata: what is written reads back, and what a hostile file claims is refused in words.
#include <gtest/gtest.h>

#include "segment/model.h"

namespace furrow {
namespace {

ModelInfo unusual() {
  ModelInfo info;
  info.name = "näme with spaces";
  info.architecture = "unet base 16, 3 -> 1, transposed";
  info.raw_scale = true;
  info.normalisation = Normalisation::half;
  info.resize = "pillow-bilinear";
  info.size = 1024;
  info.kept_labels = {1, 14, 15, 255};
  info.masked_input = true;
  info.threshold = 0.1 + 0.2;  // not a short decimal
  info.output = Output::sigmoid;
  info.licence = "CC BY-NC-SA 4.0";
  info.citation = "Someone et al. (2024), \"Wrinkles\"; doi:10/x";
  info.source_sha256 = std::string(64, 'a');
  return info;
}

TEST(ModelInfo, MetadataRoundTripKeepsEveryField) {
  for (const ModelInfo& info : {unusual(), ModelInfo{}}) {
    const auto metadata = to_metadata(info);
    const ModelInfo back = from_metadata(metadata);
    EXPECT_EQ(to_metadata(back), metadata);
    EXPECT_EQ(back.name, info.name);
    EXPECT_EQ(back.architecture, info.architecture);
    EXPECT_EQ(back.raw_scale, info.raw_scale);
    EXPECT_EQ(back.normalisation, info.normalisation);
    EXPECT_EQ(back.resize, info.resize);
    EXPECT_EQ(back.size, info.size);
    EXPECT_EQ(back.kept_labels, info.kept_labels);
    EXPECT_EQ(back.masked_input, info.masked_input);
    EXPECT_EQ(back.threshold, info.threshold);
    EXPECT_EQ(back.output, info.output);
    EXPECT_EQ(back.licence, info.licence);
    EXPECT_EQ(back.citation, info.citation);
    EXPECT_EQ(back.source_sha256, info.source_sha256);
  }
}

TEST(ModelInfo, ScalesReadBackAsTheyWere) {
  ModelInfo info = unusual();
  EXPECT_FALSE(to_metadata(info).contains("furrow.int8"));
  info.quantisation.values = {{"inc.double_conv.2", {0.1f / 3, 0}}, {"up1.up", {1e-20f, 255}}, {"x", {3e29f, 97}}};
  EXPECT_FALSE(to_metadata(info).contains("furrow.int8_float"));
  info.quantisation.floats = {"outc.conv", "up1.conv.double_conv.0"};
  const auto metadata = to_metadata(info);
  EXPECT_EQ(metadata.at("furrow.int8"), "inc.double_conv.2 0.033333335 0;up1.up 1e-20 255;x 3e+29 97");
  EXPECT_EQ(metadata.at("furrow.int8_float"), "outc.conv up1.conv.double_conv.0");
  EXPECT_EQ(from_metadata(metadata).quantisation, info.quantisation);
}

// Files of networks that take no texture map look as they always did, so earlier programs read them.
TEST(ModelInfo, ATextureIsWrittenWhereThereIsOneAndReadsBack) {
  EXPECT_FALSE(to_metadata(unusual()).contains("furrow.texture"));
  const std::pair<TextureInput, const char*> texts[] = {
      {{}, "closest 5 masked"},
      {{io::TextureRecipe::authors, 2.5, false}, "authors 2.5"},
      {{io::TextureRecipe::authors_inverse, 100, true}, "authors-inverse 100 masked"}};
  for (const auto& [texture, text] : texts) {
    ModelInfo info = unusual();
    info.texture = texture;
    EXPECT_EQ(to_metadata(info).at("furrow.texture"), text);
    EXPECT_EQ(from_metadata(to_metadata(info)).texture, texture);
  }
}

TEST(ModelInfo, FilesWithoutMetadataGetTheDocumentedDefaults) {
  for (const auto& metadata : {std::map<std::string, std::string>{}, {{"epoch", "31"}, {"best_val_iou", "0.3254"}}}) {
    const ModelInfo info = from_metadata(metadata);
    EXPECT_EQ(info.normalisation, Normalisation::imagenet);
    EXPECT_EQ(info.resize, "pillow-lanczos");
    EXPECT_EQ(info.size, 512);
    EXPECT_EQ(info.threshold, 0.5);
    EXPECT_EQ(info.kept_labels, (std::vector<int>{1, 10}));
    EXPECT_EQ(info.output, Output::logits);
    EXPECT_EQ(info.licence, "unknown");
    EXPECT_FALSE(info.raw_scale);
    EXPECT_FALSE(info.masked_input);
    EXPECT_FALSE(info.texture.has_value());
  }
}

struct Hostile {
  const char* key;
  std::string value;
  ErrorCode code;
  const char* words;  // part of the refusal
};

TEST(ModelInfo, HostileMetadataIsRefusedNamingTheKey) {
  const std::string nul("a\0b", 3);
  const std::vector<Hostile> cases = {
      {"furrow.version", "2", ErrorCode::unsupported, "version '2'"},
      {"furrow.version", "", ErrorCode::unsupported, "version ''"},
      {"furrow.version", "1 ", ErrorCode::unsupported, "version '1 '"},
      {"furrow.unheard_of", "1", ErrorCode::malformed, "unknown key"},
      {"furrow.", "1", ErrorCode::malformed, "unknown key"},
      {"furrow.normalisation", "Imagenet", ErrorCode::unsupported, "unknown value 'Imagenet'"},
      {"furrow.normalisation", "", ErrorCode::unsupported, "unknown value ''"},
      {"furrow.scale", "1/256", ErrorCode::unsupported, "unknown value"},
      {"furrow.input", "texture", ErrorCode::unsupported, "unknown value 'texture'"},
      {"furrow.output", "softmax", ErrorCode::unsupported, "unknown value 'softmax'"},
      {"furrow.resize", "pillow-lanczos", ErrorCode::malformed, "is not a number"},
      {"furrow.resize", "pillow-lanczos 512x", ErrorCode::malformed, "is not a number"},
      {"furrow.resize", "pillow-lanczos  512", ErrorCode::malformed, "is not a number"},
      {"furrow.resize", "pillow-lanczos 31", ErrorCode::malformed, "outside 32..4096"},
      {"furrow.resize", "pillow-lanczos 4097", ErrorCode::malformed, "outside 32..4096"},
      {"furrow.resize", "pillow-lanczos -512", ErrorCode::malformed, "outside 32..4096"},
      {"furrow.resize", "pillow-lanczos 99999999999999999999", ErrorCode::malformed, "is not a number"},
      {"furrow.resize", "cv2-area 512", ErrorCode::unsupported, "unknown value"},
      {"furrow.kept_labels", "1,,10", ErrorCode::malformed, "is not a number"},
      {"furrow.kept_labels", "256", ErrorCode::malformed, "outside 0..255"},
      {"furrow.kept_labels", "-1", ErrorCode::malformed, "outside 0..255"},
      {"furrow.kept_labels", "skin", ErrorCode::malformed, "is not a number"},
      {"furrow.threshold", "nan", ErrorCode::malformed, "outside (0, 1)"},
      {"furrow.threshold", "inf", ErrorCode::malformed, "outside (0, 1)"},
      {"furrow.threshold", "0", ErrorCode::malformed, "outside (0, 1)"},
      {"furrow.threshold", "1", ErrorCode::malformed, "outside (0, 1)"},
      {"furrow.threshold", "-0.5", ErrorCode::malformed, "outside (0, 1)"},
      {"furrow.threshold", "0,5", ErrorCode::malformed, "is not a number"},
      {"furrow.threshold", "", ErrorCode::malformed, "is not a number"},
      {"furrow.threshold", "0x1p-1", ErrorCode::malformed, "is not a number"},
      {"furrow.name", nul, ErrorCode::malformed, "cannot be printed"},
      {"furrow.licence", "\x1b[2J", ErrorCode::malformed, "cannot be printed"},
      {"furrow.citation", "line\nbreak", ErrorCode::malformed, "cannot be printed"},
      {"furrow.name", "\xff\xfe", ErrorCode::malformed, "cannot be printed"},
      {"furrow.licence", std::string(4097, 'x'), ErrorCode::malformed, "limit 4096, found 4097"},
      {"furrow.int8", "a 0.1", ErrorCode::malformed, "'' is not a number"},
      {"furrow.int8", "a 0.1 256", ErrorCode::malformed, "outside 0..255"},
      {"furrow.int8", "a 0.1 -1", ErrorCode::malformed, "outside 0..255"},
      {"furrow.int8", "a 0 1", ErrorCode::malformed, "outside 1e-30..1e30"},
      {"furrow.int8", "a nan 1", ErrorCode::malformed, "outside 1e-30..1e30"},
      {"furrow.int8", "a 1e-45 1", ErrorCode::malformed, "outside 1e-30..1e30"},
      {"furrow.int8", "a 0.1 1;a 0.2 1", ErrorCode::malformed, "'a' twice"},
      {"furrow.int8", " 0.1 1", ErrorCode::malformed, "'' is not a name"},
      {"furrow.int8", "a 0.1 1;;b 0.1 1", ErrorCode::malformed, "'' is not a name"},
      {"furrow.int8", "a\n 0.1 1", ErrorCode::malformed, "is not a name"},
      {"furrow.int8_float", "a  b", ErrorCode::malformed, "'' is not a name"},
      {"furrow.texture", "", ErrorCode::unsupported, "unknown value ''"},
      {"furrow.texture", "nearest 5", ErrorCode::unsupported, "unknown value 'nearest 5'"},
      {"furrow.texture", "closest", ErrorCode::malformed, "is not a number"},
      {"furrow.texture", "closest masked", ErrorCode::malformed, "is not a number"},
      {"furrow.texture", "closest 5 skin", ErrorCode::malformed, "is not a number"},
      {"furrow.texture", "closest 0", ErrorCode::malformed, "outside (0, 100]"},
      {"furrow.texture", "closest nan", ErrorCode::malformed, "outside (0, 100]"},
      {"furrow.texture", "authors 100.5", ErrorCode::malformed, "outside (0, 100]"},
      {"furrow.source_sha256", "abc", ErrorCode::malformed, "hexadecimal"},
      {"furrow.source_sha256", std::string(64, 'A'), ErrorCode::malformed, "hexadecimal"},
  };
  for (const Hostile& hostile : cases) {
    auto metadata = to_metadata(unusual());
    metadata[hostile.key] = hostile.value;
    try {
      from_metadata(metadata);
      ADD_FAILURE() << hostile.key << " = " << printable(hostile.value) << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), hostile.code) << error.line();
      EXPECT_EQ(error.entry(), hostile.key);
      EXPECT_NE(error.line().find(hostile.words), std::string::npos) << error.line();
    }
  }
}

TEST(ModelInfo, OurKeysWithoutAVersionAreRefused) {
  try {
    from_metadata({{"furrow.name", "x"}});
    FAIL() << "accepted";
  } catch (const Error& error) { EXPECT_EQ(error.code(), ErrorCode::malformed); }
}

TEST(ModelInfo, AnEmptyListOfKeptLabelsKeepsNothingAndRoundTrips) {
  ModelInfo info;
  info.kept_labels.clear();
  EXPECT_TRUE(from_metadata(to_metadata(info)).kept_labels.empty());
}

}  // namespace
}  // namespace furrow
