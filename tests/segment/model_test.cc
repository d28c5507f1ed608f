// Model: loading, saving native files, and what is refused.
#include "segment/model.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <limits>

#include "io/checkpoint.h"
#include "segment/segmenter.h"
#include "tests/segment/pass_through.h"

namespace furrow {
namespace {

using test::TemporaryFile;

std::vector<char> bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A base-2 U-Net with ordinary random values, written with `change` applied to tensors and metadata.
template <class Change>
void write(const std::string& path, Change change, Architecture architecture = {.base = 2}) {
  const std::unique_ptr<Network> network = build(architecture);
  network->initialise(3);
  NamedTensors tensors = network->state();
  std::map<std::string, std::string> metadata;
  change(tensors, metadata);
  io::write_safetensors(path, tensors, metadata);
}

const auto kUnchanged = [](NamedTensors&, std::map<std::string, std::string>&) {};

NamedTensor& named(NamedTensors& tensors, const std::string& name) {
  for (NamedTensor& t : tensors) {
    if (t.name == name) return t;
  }
  ADD_FAILURE() << name;
  return tensors.front();
}

TEST(Model, AFileWithoutMetadataGetsDefaultsAndItsNameFromTheFile) {
  const TemporaryFile file("plain weights.safetensors");
  write(file.path(), kUnchanged);
  const Model model = Model::load(file.path());
  EXPECT_NE(model.info().name.find("plain weights"), std::string::npos);
  EXPECT_EQ(model.info().architecture, "unet base 2, 3 -> 1, transposed");
  EXPECT_EQ(model.info().licence, "unknown");
  EXPECT_EQ(model.info().container, "safetensors");
  EXPECT_EQ(model.info().sha256.size(), 64u);
  EXPECT_EQ(model.info().file_bytes, bytes_of(file.path()).size());
  EXPECT_EQ(model.classes(), 1);
  EXPECT_EQ(model.in_channels(), 3);
  EXPECT_EQ(model.tensors().size(), 118u);
}

TEST(Model, FromMemoryEqualsFromTheFile) {
  const TemporaryFile file("memory.safetensors");
  write(file.path(), kUnchanged, {.base = 2, .bilinear = true});
  const auto held = std::make_shared<const std::vector<char>>(bytes_of(file.path()));
  const Model a = Model::load(file.path());
  const Model b = Model::load(std::as_bytes(std::span<const char>(*held)), held, "embedded");
  EXPECT_EQ(b.info().name, "embedded");
  EXPECT_EQ(a.info().sha256, b.info().sha256);
  EXPECT_EQ(b.info().architecture, "unet base 2, 3 -> 1, bilinear");
  ASSERT_EQ(a.tensors().size(), b.tensors().size());
  for (size_t i = 0; i < a.tensors().size(); ++i) EXPECT_EQ(a.tensors()[i].to<double>(), b.tensors()[i].to<double>());
}

TEST(Model, NativeFilesKeepValuesNamesOrderAndInformation) {
  const TemporaryFile source("source.safetensors"), f32("f32.safetensors"), f16("f16.safetensors"),
      again("again.safetensors");
  write(source.path(), kUnchanged);
  Model model = Model::load(source.path());
  ModelInfo info = model.info();
  info.name = "named";
  info.threshold = 0.6;
  info.licence = "CC0";
  model.set_info(info);
  save_native(f32.path(), model, DType::f32);
  save_native(f16.path(), model, DType::f16);
  const Model wide = Model::load(f32.path()), narrow = Model::load(f16.path());
  for (const Model* loaded : {&wide, &narrow}) {
    EXPECT_EQ(loaded->info().name, "named");
    EXPECT_EQ(loaded->info().threshold, 0.6);
    EXPECT_EQ(loaded->info().licence, "CC0");
    EXPECT_EQ(loaded->info().source_sha256, model.info().sha256);
    EXPECT_EQ(loaded->info().architecture, model.info().architecture);
    ASSERT_EQ(loaded->tensors().size(), model.tensors().size());
  }
  for (size_t i = 0; i < model.tensors().size(); ++i) {
    const NamedTensor& want = model.tensors()[i];
    EXPECT_EQ(narrow.tensors()[i].name, want.name);
    EXPECT_EQ(narrow.tensors()[i].dims, want.dims);
    EXPECT_EQ(narrow.tensors()[i].dtype, want.dtype == DType::f32 ? DType::f16 : want.dtype);
    EXPECT_EQ(wide.tensors()[i].dtype, want.dtype);
    EXPECT_EQ(wide.tensors()[i].to<double>(), want.to<double>());
    const std::vector<double> got = narrow.tensors()[i].to<double>(), exact = want.to<double>();
    // Half an ulp: 2^-11 of the value, 2^-25 below float16's normal range.
    for (size_t k = 0; k < got.size(); ++k)
      ASSERT_NEAR(got[k], exact[k], std::max(std::abs(exact[k]) * 0x1p-11, 0x1p-25));
  }
  // Saved again, a native file keeps its first source, and equal models give equal bytes.
  save_native(again.path(), narrow, DType::f16);
  EXPECT_EQ(bytes_of(again.path()), bytes_of(f16.path()));
}

TEST(Model, TensorsThatFloat16WouldHarmStayFloat32) {
  const TemporaryFile source("harm.safetensors"), out("harm16.safetensors");
  const auto set_first = [](NamedTensor& tensor, float value) {
    std::vector<float> values = tensor.to<float>();
    values[0] = value;
    tensor = test::f32_tensor(tensor, values);
  };
  write(source.path(), [&](NamedTensors& tensors, auto&) {
    set_first(named(tensors, "inc.double_conv.0.weight"), 65505.0f);
    set_first(named(tensors, "inc.double_conv.1.running_var"), 1e-5f);
    set_first(named(tensors, "inc.double_conv.1.running_mean"), 1e-5f);                 // harmless: an offset of 3e-8
    set_first(named(tensors, "down1.maxpool_conv.1.double_conv.1.running_var"), 0.0f);  // exact
  });
  save_native(out.path(), Model::load(source.path()), DType::f16);
  const Model model = Model::load(out.path());
  for (const NamedTensor& t : model.tensors()) {
    const bool wide = t.name == "inc.double_conv.0.weight" || t.name == "inc.double_conv.1.running_var";
    const bool counter = t.name.ends_with("num_batches_tracked");
    EXPECT_EQ(t.dtype, counter ? DType::i64 : wide ? DType::f32 : DType::f16) << t.name;
  }
}

template <class Body>
Error refusal(Body body) {
  try {
    body();
  } catch (const Error& error) { return error; }
  ADD_FAILURE() << "accepted";
  return Error(ErrorCode::internal, "accepted");
}

TEST(Model, RefusalsNameTheFileAndTheReason) {
  const TemporaryFile file("refused.safetensors");
  write(file.path(), kUnchanged, {.base = 2, .in_channels = 5, .classes = 2});
  Error error = refusal([&] { Model::load(file.path()); });
  EXPECT_EQ(error.code(), ErrorCode::unsupported);
  EXPECT_EQ(error.file_name(), printable(file.path(), 160));
  EXPECT_NE(error.line().find("5 input channels"), std::string::npos) << error.line();

  write(file.path(), [](auto&, auto& metadata) {
    ModelInfo info;
    info.architecture = "unet base 16, 3 -> 1, transposed";
    metadata = to_metadata(info);
  });
  error = refusal([&] { Model::load(file.path()); });
  EXPECT_EQ(error.code(), ErrorCode::malformed);
  EXPECT_NE(error.line().find("unet base 16, 3 -> 1, transposed"), std::string::npos) << error.line();
  EXPECT_NE(error.line().find("unet base 2, 3 -> 1, transposed"), std::string::npos) << error.line();

  write(file.path(), [](auto&, auto& metadata) {
    ModelInfo info;
    info.texture = TextureInput{};
    metadata = to_metadata(info);
  });
  error = refusal([&] { Model::load(file.path()); });
  EXPECT_EQ(error.code(), ErrorCode::malformed);
  EXPECT_EQ(error.entry(), "furrow.texture");

  write(file.path(), [](auto&, auto& metadata) { metadata = {{"furrow.version", "9"}}; });
  error = refusal([&] { Model::load(file.path()); });
  EXPECT_EQ(error.code(), ErrorCode::unsupported);
  EXPECT_EQ(error.file_name(), printable(file.path(), 160));

  write(file.path(), [](NamedTensors& tensors, auto&) { tensors.pop_back(); });
  error = refusal([&] { Model::load(file.path()); });
  EXPECT_NE(error.code(), ErrorCode::internal);

  error = refusal([&] { Model::load(file.path() + ".absent"); });
  EXPECT_EQ(error.code(), ErrorCode::io);
}

TEST(Model, InformationThatCouldNotBeStoredIsNotSet) {
  const TemporaryFile file("set_info.safetensors");
  write(file.path(), kUnchanged);
  Model model = Model::load(file.path());
  ModelInfo info = model.info();
  info.threshold = 1.5;
  EXPECT_THROW(model.set_info(info), Error);
  info = model.info();
  info.texture = TextureInput{};  // of a network that takes none
  EXPECT_THROW(model.set_info(info), Error);
  info = model.info();
  info.licence = "two\nlines";
  EXPECT_THROW(model.set_info(info), Error);
  info = model.info();
  info.architecture = "something else";
  info.sha256 = "something else";
  info.name = "new name";
  const std::string sha256 = model.info().sha256;
  model.set_info(info);
  EXPECT_EQ(model.info().architecture, "unet base 2, 3 -> 1, transposed");
  EXPECT_EQ(model.info().sha256, sha256);
  EXPECT_EQ(model.info().name, "new name");
}

// What a face parser's file does not say is as its own program does it; of wrinkles it says nothing.
TEST(Model, OfAFaceParserHasItsOwnDefaultsAndFindsNoWrinkles) {
  const TemporaryFile file("parser.safetensors"), native("native parser.safetensors");
  const Architecture architecture{"bisenet", 1, 3, 19};
  write(file.path(), kUnchanged, architecture);
  const Model model = Model::load(file.path());
  save_native(native.path(), model, DType::f16);
  const auto metadata = io::read_checkpoint(native.path()).metadata;
  EXPECT_EQ(metadata.at("furrow.resize"), "pillow-bilinear 512");
  for (const char* key : {"furrow.kept_labels", "furrow.input", "furrow.threshold"})
    EXPECT_FALSE(metadata.contains(key));
  for (const Model& each : {model, Model::load(native.path())}) {
    EXPECT_TRUE(each.parses_faces());
    EXPECT_EQ(each.info().architecture, "bisenet base 1, 3 -> 19");
    EXPECT_EQ(each.info().resize, "pillow-bilinear");
    EXPECT_EQ(each.info().size, 512);
    EXPECT_EQ(each.info().normalisation, Normalisation::imagenet);
    EXPECT_EQ(each.classes(), 19);
    const Error error = refusal([&] { each.require_wrinkles(); });
    EXPECT_EQ(error.code(), ErrorCode::unsupported);
    EXPECT_EQ(error.reason(),
              "a face parser (bisenet base 1, 3 -> 19): it labels parts of a face and finds no wrinkles");
    EXPECT_THROW(Segmenter(std::make_shared<Model>(each)), Error);
  }
  write(
      file.path(),
      [](auto&, auto& said) {
        said = {{"furrow.version", "1"}, {"furrow.resize", "pillow-lanczos 256"}};
      },
      architecture);
  EXPECT_EQ(Model::load(file.path()).info().resize, "pillow-lanczos");
  write(file.path(), kUnchanged, {"bisenet", 1, 4, 19});  // no texture map goes into it
  EXPECT_NE(refusal([&] { Model::load(file.path()); }).line().find("4 input channels"), std::string::npos);
  write(file.path(), kUnchanged);
  const Model wrinkles = Model::load(file.path());
  EXPECT_FALSE(wrinkles.parses_faces());
  wrinkles.require_wrinkles();
}

}  // namespace
}  // namespace furrow
