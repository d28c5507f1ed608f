#include "nn/module.h"

#include <cstring>
#include <sstream>

#include "kernels/half.h"
#include "tests/nn/support.h"

namespace furrow {
namespace {

std::string key_list(const Module& m) {
  std::string out;
  for (const Module::Keyed& k : m.parameters()) out += k.key + " " + dims_to_string(k.parameter->dims) + "\n";
  return out;
}

TEST(UNetKeys, AreThoseOfThePublicCheckpointsInTheirOrder) {
  const std::string folder = FURROW_SOURCE_DIR "/weights/";
  EXPECT_EQ(key_list(*build({.base = 64})), read_text(folder + "unet_keys.txt"));
  EXPECT_EQ(key_list(*build({.base = 64, .bilinear = true})), read_text(folder + "unet_keys_bilinear.txt"));
}

TEST(UNetKeys, CountParametersAsPublished) {
  const auto count = [](const Architecture& a) {
    int64_t total = 0;
    const auto network = build(a);
    for (const Module::Keyed& k : network->parameters())
      if (k.parameter->trainable) total += k.parameter->shape().elements();
    return total;
  };
  EXPECT_EQ(count({}), 31037633);
  EXPECT_EQ(count({.classes = 2}), 31037698);
  EXPECT_EQ(count({.bilinear = true}), 17262977);
  EXPECT_EQ(count({.in_channels = 4, .classes = 2, .bilinear = true}), 17263618);
  EXPECT_EQ(count({.base = 16}), 1942577);
}

TEST(Philox, GivesThePublishedBlocks) {
  using Block = Philox::Block;
  EXPECT_EQ(Philox(0)({0, 0, 0, 0}), (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox(~uint64_t{0})({~0u, ~0u, ~0u, ~0u}), (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(Philox(0x299f31d0a4093822)({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Initialise, DrawsPyTorchsDefaults) {
  auto network = build({.base = 8});
  network->initialise(1);
  double largest_up = 0;
  for (const Module::Keyed& k : network->parameters()) {
    const Parameter& p = *k.parameter;
    if (p.kind == ParameterKind::counter) {
      EXPECT_EQ(p.value.values<int64_t>()[0], 0);
      continue;
    }
    double sum = 0, squares = 0, largest = 0;
    for (float v : p.value.values<float>())
      sum += v, squares += double{v} * v, largest = std::max(largest, std::abs(double{v}));
    const auto n = static_cast<double>(p.value.shape().elements());
    if (k.key == "inc.double_conv.1.weight" || k.key == "inc.double_conv.1.running_var") { EXPECT_EQ(sum, n); }
    if (k.key == "inc.double_conv.1.bias" || k.key == "inc.double_conv.1.running_mean") { EXPECT_EQ(squares, 0); }
    if (p.kind == ParameterKind::conv && n > 4000) {  // uniform: mean 0, variance bound^2 / 3
      const double bound = 1 / std::sqrt(static_cast<double>(p.dims[1] * p.dims[2] * p.dims[3]));
      EXPECT_LE(largest, bound) << k.key;
      EXPECT_GT(largest, 0.99 * bound) << k.key;
      EXPECT_LT(std::abs(sum / n), 5 * bound / std::sqrt(3 * n)) << k.key;  // five standard errors
      EXPECT_NEAR(squares / n, bound * bound / 3, 5 * bound * bound * std::sqrt(4.0 / 45 / n)) << k.key;
    }
    if (k.key == "up1.up.weight") largest_up = largest;
  }
  EXPECT_NEAR(largest_up, 1 / std::sqrt(64 * 4),
              1e-4);  // fan_in of a transposed convolution: its output channels, times 4
}

TEST(Initialise, IsAFunctionOfTheSeed) {
  const auto values = [](uint64_t seed) {
    auto network = build({.base = 1});
    network->initialise(seed, DType::f64);
    return network->state()[0].to<double>();
  };
  EXPECT_EQ(values(5), values(5));
  EXPECT_NE(values(5), values(6));
}

TEST(State, RoundTripsInBothElementTypes) {
  for (const DType type : {DType::f32, DType::f64}) {
    const Architecture a{.base = 2, .in_channels = 4, .classes = 3};
    auto from = random_network(a, 3, type), to = build(a);
    const NamedTensors state = from->state();
    to->load(state, type);
    EXPECT_EQ(to->dtype(), type);
    const NamedTensors again = to->state();
    ASSERT_EQ(again.size(), state.size());
    for (size_t i = 0; i < state.size(); ++i) {
      EXPECT_EQ(again[i].name, state[i].name);
      EXPECT_EQ(again[i].dims, state[i].dims);
      EXPECT_EQ(again[i].dtype, state[i].dtype);
      EXPECT_TRUE(std::ranges::equal(again[i].bytes, state[i].bytes)) << state[i].name;
    }
  }
}

TEST(State, KeepsPyTorchsOrderOfElements) {
  auto network = random_network({.base = 2}, 9);
  const NamedTensors state = network->state();
  const auto parameters = network->parameters();
  for (size_t i = 0; i < state.size(); ++i) {
    const std::vector<int64_t>& d = state[i].dims;
    if (d.size() != 4) continue;
    const bool transposed = parameters[i].parameter->kind == ParameterKind::transposed_conv;
    const std::vector<double> torch = state[i].to<double>();
    const Tensor& value = parameters[i].parameter->value;
    const Shape& s = value.shape();
    for (int64_t a = 0; a < d[0]; ++a)
      for (int64_t b = 0; b < d[1]; ++b)
        for (int64_t y = 0; y < d[2]; ++y)
          for (int64_t x = 0; x < d[3]; ++x) {
            const int64_t oc = transposed ? b : a, ic = transposed ? a : b;
            ASSERT_EQ(torch[static_cast<size_t>(((a * d[1] + b) * d[2] + y) * d[3] + x)],
                      value.values<double>()[static_cast<size_t>(((oc * s.h + y) * s.w + x) * s.c + ic)])
                << state[i].name;
          }
  }
}

TEST(Load, ConvertsHalvesAndCounters) {
  auto network = random_network({.base = 1}, 4);
  NamedTensors state = network->state();
  std::vector<std::shared_ptr<std::vector<uint16_t>>> halves;
  for (NamedTensor& t : state) {
    auto half = std::make_shared<std::vector<uint16_t>>();
    for (float v : t.to<float>()) half->push_back(f32_to_f16(v));
    t = {t.name, DType::f16, t.dims, std::as_bytes(std::span(*half)), half};
  }
  auto other = build({.base = 1});
  other->load(state, DType::f64);
  for (size_t i = 0; i < state.size(); ++i) EXPECT_EQ(other->state()[i].to<double>(), state[i].to<double>());
}

std::string line_starting(const std::vector<std::string>& lines, const std::string& start) {
  for (const std::string& line : lines)
    if (line.starts_with(start)) return line;
  return "";
}

TEST(Load, ListsEveryDifferenceAndChangesNothing) {
  auto network = random_network({.base = 2}, 7);
  const NamedTensors before = network->state();
  NamedTensors other = random_network({.base = 2}, 8)->state();
  for (size_t i = 20; i < 27; ++i) other[i].dims.push_back(1);  // 7 misshapen
  other.erase(other.begin() + 40, other.begin() + 52);          // 12 missing
  for (int i = 0; i < 6; ++i) other.push_back({"extra." + std::to_string(i), DType::f32, {0}, {}, nullptr});
  other.push_back({"bad\nname", DType::f32, {0}, {}, nullptr});
  other.push_back(other.front());  // 8 unexpected
  try {
    network->load(other, DType::f64);
    FAIL() << "loaded";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::unsupported);
    EXPECT_EQ(error.reason(), "the weights do not fit the network: 12 missing, 8 unexpected, 7 misshapen keys");
    const auto& lines = error.detail_lines();
    ASSERT_EQ(lines.size(), 12u + 8 + 7 + 3);
    EXPECT_EQ(lines[0], "missing: " + before[40].name + " " + dims_to_string(before[40].dims));
    EXPECT_EQ(lines[5], "... and 7 more missing");
    EXPECT_EQ(lines[6], "unexpected: inc.double_conv.0.weight (a second time)");
    EXPECT_EQ(lines[7], "unexpected: extra.0 0");
    EXPECT_EQ(lines[11], "... and 3 more unexpected");
    EXPECT_EQ(lines[17], "... and 2 more misshapen");
    EXPECT_EQ(line_starting(lines, "unexpected: bad"), "unexpected: bad\\x0aname 0");
    for (size_t i = 20; i < 27; ++i)
      EXPECT_NE(line_starting(lines, "misshapen: " + before[i].name + " is "), "") << before[i].name;
    for (size_t i = 40; i < 52; ++i)
      EXPECT_NE(line_starting(lines, "missing: " + before[i].name + " "), "") << before[i].name;
  }
  const NamedTensors after = network->state();
  for (size_t i = 0; i < after.size(); ++i) EXPECT_TRUE(std::ranges::equal(after[i].bytes, before[i].bytes));
}

TEST(Load, RefusesIntegersAsWeightsAndFractionsAsCounts) {
  auto network = random_network({.base = 1}, 7);
  for (const size_t at : {size_t{0}, size_t{5}}) {  // a weight, a counter
    NamedTensors state = network->state();
    const auto bytes = std::make_shared<std::vector<std::byte>>(static_cast<size_t>(state[at].elements()) * 4);
    const float half = 0.5f;
    std::memcpy(bytes->data(), &half, 4);
    state[at].dtype = at == 0 ? DType::i32 : DType::f32;
    state[at].bytes = *bytes;
    EXPECT_THROW(network->load(state), Error);
  }
}

TEST(Architecture, ReadsItsOwnText) {
  for (const Architecture& a :
       {Architecture{}, Architecture{"unet", 16, 3, 1, true}, Architecture{"unet", 1, 4, 19, false},
        Architecture{"bisenet", 64, 3, 19}, Architecture{"bisenet-resnet34", 8, 3, 19}})
    EXPECT_EQ(Architecture::parse(a.text()), a);
  EXPECT_EQ(Architecture({.base = 16}).text(), "unet base 16, 3 -> 1, transposed");
  EXPECT_EQ(Architecture({"bisenet", 64, 3, 19}).text(), "bisenet base 64, 3 -> 19");
  for (const char* text :
       {"", "unet", "unet base 16, 3 -> 1", "unet base x, 3 -> 1, bilinear", "unet base 16, 3 -> 1, transposed ",
        "unet base 99999999999999999999, 3 -> 1, bilinear", "resnet base 16, 3 -> 1, bilinear",
        "bisenet base 64, 3 -> 19, bilinear", "bisenet base 64, 3 -> 19, transposed", "bisenet base 64, 3 -> 19 ",
        "bisenet-resnet50 base 64, 3 -> 19",
        "unet base 0, 3 -> 1, bilinear", "unet base -4, 3 -> 1, bilinear", "unet base 1025, 3 -> 1, bilinear"})
    EXPECT_THROW(Architecture::parse(text), Error) << text;
}

}  // namespace
}  // namespace furrow
