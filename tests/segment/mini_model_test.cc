// The default model on its golden picture: examples/astronaut.png, 512x512.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "io/mapped_file.h"
#include "io/zip.h"
#include "kernels/device.h"
#include "nn/plan.h"
#include "segment/preprocess.h"
#include "tests/segment/mini_info.h"
#include "tests/segment/pass_through.h"

namespace furrow {
namespace {

constexpr int64_t kSide = 512, kStep = 3;
const double kMarkLogit = std::log(0.6 / 0.4);

std::vector<char> bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The network's output for the golden picture.
std::vector<double> logits_of(const Model& model, const std::string& device) {
  const io::Picture photo = io::read_picture(FURROW_SOURCE_DIR "/examples/astronaut.png");
  ThreadPool pool;
  const std::unique_ptr<Backend> backend = make_backend(choose_device(device).device, &pool);
  const Shape shape{1, kSide, kSide, 3};
  Tensor input(shape, backend->dtype());
  normalise(photo.image, model.info(), false, input);
  Plan plan(model.network(), *backend, shape);
  const Tensor logits = plan.run(input).to(DType::f64);
  return {logits.values<double>().begin(), logits.values<double>().end()};
}

// Every third logit of every third row, as PyTorch computed them in float64 (tests/data/make_segment_golden.py).
std::vector<float> golden_subset() {
  const std::vector<char> bytes = bytes_of(FURROW_TEST_DATA "/segment/mini_logits_step3.f32");
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

struct Distance {
  double rms = 0, largest = 0, golden_rms = 0;
};

// Of `logits` from the golden subset; golden_rms is that of all golden logits, as the script prints it.
Distance distance(const std::vector<double>& logits) {
  const std::vector<float> golden = golden_subset();
  constexpr int64_t kPerRow = (kSide + kStep - 1) / kStep;
  EXPECT_EQ(golden.size(), static_cast<size_t>(kPerRow * kPerRow));
  Distance d{.golden_rms = 9.152079124556229};
  for (size_t i = 0; i < golden.size(); ++i) {
    const int64_t y = static_cast<int64_t>(i) / kPerRow * kStep, x = static_cast<int64_t>(i) % kPerRow * kStep;
    const double error = std::abs(logits[static_cast<size_t>(y * kSide + x)] - static_cast<double>(golden[i]));
    d.largest = std::max(d.largest, error);
    d.rms += error * error / static_cast<double>(golden.size());
  }
  d.rms = std::sqrt(d.rms);
  return d;
}

int64_t flipped(const std::vector<double>& logits) {
  const std::vector<char> marks = bytes_of(FURROW_TEST_DATA "/segment/mini_marks.bits");
  EXPECT_EQ(marks.size(), logits.size() / 8);
  int64_t count = 0;
  for (size_t i = 0; i < logits.size(); ++i)
    count += (logits[i] > kMarkLogit) != ((marks[i / 8] >> (7 - i % 8) & 1) != 0);
  return count;
}

class MiniModel : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Devices, MiniModel, testing::Values("cpu", "ref"));

TEST_P(MiniModel, Float16WeightsStayNearTheGolden) {
  const std::vector<double> logits = logits_of(Model::load(test::kMiniNative), GetParam());
  const Distance d = distance(logits);
  RecordProperty("rms", std::to_string(d.rms));
  RecordProperty("flipped", std::to_string(flipped(logits)));
  EXPECT_LE(d.rms, 5e-3);
  EXPECT_LE(static_cast<double>(flipped(logits)), 1e-4 * kSide * kSide);
  EXPECT_GT(d.rms, 0);
}

TEST_P(MiniModel, Float32WeightsEqualTheGolden) {
  if (!std::filesystem::exists(test::kMiniSource)) GTEST_SKIP() << "the source file of the default model is not here";
  const std::vector<double> logits = logits_of(Model::load(test::kMiniSource), GetParam());
  const Distance d = distance(logits);
  RecordProperty("largest", std::to_string(d.largest));
  EXPECT_LE(d.largest, 2.5e-5 * d.golden_rms);
  EXPECT_EQ(flipped(logits), 0);
}

TEST_P(MiniModel, Float32WeightsEqualEveryLogitOfTheWholeGolden) {
  const std::string path = FURROW_SHARED "/data/weights/expected/golden_furrow_mini_base16.npz";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "the whole golden is not here";
  const auto file = io::MappedFile::open(path);
  const io::Limits limits;
  const io::ZipArchive archive(file->bytes(), limits);
  const io::ZipEntry* entry = archive.find("logits_f64.npy");
  ASSERT_NE(entry, nullptr);
  const io::ZipData data = archive.read(*entry);
  const size_t values = kSide * kSide * sizeof(double);
  ASSERT_GT(data.bytes.size(), values);
  std::vector<double> golden(kSide * kSide);
  std::memcpy(golden.data(), data.bytes.data() + (data.bytes.size() - values), values);  // behind the .npy header
  const std::vector<double> logits = logits_of(Model::load(test::kMiniSource), GetParam());
  double largest = 0, squares = 0;
  for (size_t i = 0; i < golden.size(); ++i) {
    largest = std::max(largest, std::abs(golden[i] - logits[i]));
    squares += golden[i] * golden[i] / static_cast<double>(golden.size());
  }
  RecordProperty("largest_over_rms", std::to_string(largest / std::sqrt(squares) * 1e6) + "e-6");
  EXPECT_LE(largest, 2.5e-5 * std::sqrt(squares));
}

TEST(MiniModelFile, SaysWhatItIs) {
  const Model model = Model::load(test::kMiniNative);
  const ModelInfo& info = model.info();
  EXPECT_EQ(info.name, "furrow-mini");
  EXPECT_EQ(info.architecture, "unet base 16, 3 -> 1, transposed");
  EXPECT_EQ(info.threshold, 0.6);
  EXPECT_EQ(info.normalisation, Normalisation::imagenet);
  EXPECT_EQ(info.resize, "pillow-lanczos");
  EXPECT_EQ(info.size, 512);
  EXPECT_NE(info.licence.find("CC BY-NC-SA 4.0"), std::string::npos);
  EXPECT_EQ(info.source_sha256.size(), 64u);
  EXPECT_LT(info.file_bytes, 4'000'000u);
}

TEST(MiniModelFile, IsMadeFromItsSourceByteForByte) {
  if (!std::filesystem::exists(test::kMiniSource)) GTEST_SKIP() << "the source file of the default model is not here";
  const test::TemporaryFile out("mini.safetensors");
  Model model = Model::load(test::kMiniSource);
  model.set_info(test::mini_info());
  save_native(out.path(), model, DType::f16);
  EXPECT_EQ(bytes_of(out.path()), bytes_of(test::kMiniNative));
}

}  // namespace
}  // namespace furrow
