// Whole networks against PyTorch in float64: files made by tests/data/make_unet_golden.py, and the trained mini model.
#include <cstring>
#include <filesystem>
#include <sstream>

#include "io/checkpoint.h"
#include "nn/plan.h"
#include "nn/recognise.h"
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

// Sum, sum of squares and dot with cos(1..n) of a tensor whose element i stands at `order(i)`.
struct Sums {
  double sum = 0, squares = 0, dot = 0;
  explicit Sums(std::span<const double> values) {
    double i = 0;
    for (double v : values) sum += v, squares += v * v, dot += v * std::cos(++i);
  }
};

// Numbers of one size, and compared with 1e-9 of the size of the tensor: long float64 sums in another order.
void expect_close(const Sums& got, double sum, double squares, double dot, size_t count, const std::string& key) {
  const double norm = std::sqrt(squares), tolerance = 1e-9 * norm * std::sqrt(static_cast<double>(count)) + 1e-12;
  EXPECT_NEAR(got.sum, sum, tolerance) << key;
  EXPECT_NEAR(got.squares, squares, 1e-9 * squares + 1e-20) << key;
  EXPECT_NEAR(got.dot, dot, tolerance) << key;
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
  Tape tape(*backend, Mode::training);
  const Var x = tape.input(crops(input_of(g)), true), y = network->forward(tape, x);
  Tensor dy(y.shape(), DType::f64);
  for (size_t i = 0; i < dy.values<double>().size(); ++i) dy.values<double>()[i] = std::cos(static_cast<double>(i + 1));
  tape.backward(y, dy);

  // Gradients under the parameters' keys, in PyTorch's order of elements: put where state() will find them.
  std::map<std::string, std::vector<double>> results;
  results["logits"] = {y.value().values<double>().begin(), y.value().values<double>().end()};
  results["input"] = {tape.grad(x).values<double>().begin(), tape.grad(x).values<double>().end()};
  const NamedTensors state = network->state();
  for (const Module::Keyed& k : network->parameters())
    if (k.parameter->trainable) k.parameter->value = tape.grad(*k.parameter);
  const NamedTensors gradients = network->state();
  const auto parameters = network->parameters();
  for (size_t i = 0; i < state.size(); ++i)
    results[state[i].name] = (parameters[i].parameter->trainable ? gradients : state)[i].to<double>();

  std::istringstream lines(read_text(kFolder + g.name + ".gradients.txt"));
  std::string key;
  double sum, squares, dot_product;
  size_t compared = 0;
  while (lines >> key >> sum >> squares >> dot_product) {
    ASSERT_TRUE(results.contains(key)) << key;
    const std::vector<double>& values = results.at(key);
    expect_close(Sums(values), sum, squares, dot_product, values.size(), key);
    ++compared;
  }
  EXPECT_EQ(compared, results.size());
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
