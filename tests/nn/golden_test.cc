// Whole networks against PyTorch in float64: files made by tests/data/make_unet_golden.py, and the trained mini model.
#include <cstring>
#include <filesystem>

#include "io/checkpoint.h"
#include "nn/plan.h"
#include "nn/recognise.h"
#include "tests/nn/golden_sums.h"
#include "tests/nn/npz.h"
#include "tests/nn/support.h"

namespace furrow {
namespace {

const std::string kFolder = FURROW_TEST_DATA "/unet/";

struct Golden {
  const char* name;
  const char* weights;
  int64_t in_channels, classes;
  bool bilinear;
};
const Golden kGoldens[] = {
    {"bilinear", "SYNTHETIC_unet_milesial_layout_base8_bilinear_in3_out1_zip.pth", 3, 1, true},
    {"transposed", "SYNTHETIC_unet_milesial_layout_base8_transpose_in4_out2_zip.pth", 4, 2, false}};

std::unique_ptr<Network> load(const std::string& path) {
  const io::Checkpoint file = io::read_checkpoint(path);
  auto network = build(recognise(file.tensors));
  network->load(file.tensors, DType::f64);
  return network;
}

// The 101x77 picture scaled to 0..1; a fourth channel is the mean of the three.
Tensor input_of(const Golden& g) {
  const std::string bytes = read_text(kFolder + g.name + ".input.u8");
  Tensor x({1, 77, 101, g.in_channels}, DType::f64);
  EXPECT_EQ(bytes.size(), 77u * 101 * 3);
  auto values = x.values<double>();
  for (size_t p = 0; p < 77 * 101; ++p) {
    double sum = 0;
    double* pixel = &values[p * static_cast<size_t>(g.in_channels)];
    for (size_t c = 0; c < 3; ++c) sum += pixel[c] = static_cast<uint8_t>(bytes[p * 3 + c]) / 255.0;
    if (g.in_channels == 4) pixel[3] = sum / 3;
  }
  return x;
}

Tensor doubles(const std::string& path, const Shape& shape) {
  const std::string bytes = read_text(path);
  Tensor t(shape, DType::f64);
  EXPECT_EQ(bytes.size(), t.bytes());
  if (bytes.size() == t.bytes()) std::memcpy(t.values<double>().data(), bytes.data(), bytes.size());
  return t;
}

class UNetGolden : public testing::TestWithParam<Golden> {};

TEST_P(UNetGolden, LogitsAreThoseOfPyTorch) {
  const Golden g = GetParam();
  const auto network = load(kFolder + g.weights);
  EXPECT_EQ(network->architecture(), (Architecture{"unet", 8, g.in_channels, g.classes, g.bilinear}));
  auto backend = ref_backend();
  const Tensor x = input_of(g), expected = doubles(kFolder + g.name + ".logits.f64", {1, 77, 101, g.classes});
  Tape tape(*backend);
  EXPECT_LT(relative_error(network->forward(tape, tape.input(x)).value(), expected), 1e-12);
  Plan plan(*network, *backend, x.shape());
  EXPECT_LT(relative_error(plan.run(x), expected), 1e-12);
}

Tensor crops(const Tensor& x) {
  const Shape& s = x.shape();
  Tensor out({2, 47, 33, s.c}, DType::f64);
  for (int64_t n = 0; n < 2; ++n)
    for (int64_t y = 0; y < 47; ++y)
      std::ranges::copy(x.values<double>().subspan(static_cast<size_t>(((10 + 10 * n + y) * s.w + 20 + 40 * n) * s.c),
                                                   static_cast<size_t>(33 * s.c)),
                        out.values<double>().begin() + (n * 47 + y) * 33 * s.c);
  return out;
}

TEST_P(UNetGolden, OneTrainingStepHasPyTorchsGradientsAndStatistics) {
  const Golden g = GetParam();
  const auto network = load(kFolder + g.weights);
  auto backend = ref_backend();
  expect_training_step(*network, *backend, crops(input_of(g)), read_text(kFolder + g.name + ".gradients.txt"));
}

INSTANTIATE_TEST_SUITE_P(Variants, UNetGolden, testing::ValuesIn(kGoldens),
                         [](const auto& p) { return std::string(p.param.name); });

TEST(MiniModel, GivesItsGoldenLogits) {
  const std::string folder = FURROW_SHARED "/data/weights/";
  if (!std::filesystem::exists(folder + "furrow_mini_base16.pth"))
    GTEST_SKIP() << "no " << folder << "furrow_mini_base16.pth";
  const auto network = load(folder + "furrow_mini_base16.pth");
  EXPECT_EQ(network->architecture().text(), "unet base 16, 3 -> 1, transposed");
  const auto arrays = test::read_npz(folder + "expected/golden_furrow_mini_base16.npz");
  const std::string &picture = arrays.at("input_u8_hwc.npy"), &logits = arrays.at("logits_f64.npy");
  ASSERT_EQ(picture.size(), 512u * 512 * 3);
  ASSERT_EQ(logits.size(), 512u * 512 * 8);
  // ImageNet's mean and deviation as float32 numbers, all arithmetic in float64: so the golden run had its input.
  constexpr float kMean[] = {0.485f, 0.456f, 0.406f}, kStd[] = {0.229f, 0.224f, 0.225f};
  Tensor x({1, 512, 512, 3}, DType::f64), expected({1, 512, 512, 1}, DType::f64);
  for (size_t i = 0; i < picture.size(); ++i)
    x.values<double>()[i] = (static_cast<uint8_t>(picture[i]) / 255.0 - kMean[i % 3]) / kStd[i % 3];
  std::memcpy(expected.values<double>().data(), logits.data(), logits.size());
  ThreadPool pool;
  auto backend = ref_backend(&pool);
  Plan plan(*network, *backend, x.shape());
  EXPECT_LT(relative_error(plan.run(x), expected), 1e-12);
}

}  // namespace
}  // namespace furrow
