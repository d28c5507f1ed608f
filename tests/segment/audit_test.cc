// The layer audit: rows, ranges and checksums are exact, a change shows first where it is, plan and tape agree.
#include "segment/audit.h"

#include <cmath>
#include <limits>
#include <numeric>

#include "io/npy.h"
#include "kernels/threads.h"
#include "nn/plan.h"
#include "segment/crop.h"
#include "tests/nn/support.h"
#include "tests/segment/pass_through.h"

namespace furrow {
namespace {

// CRC-32C bit by bit (Castagnoli, reflected), of little-endian float32.
uint32_t crc32c_of(std::span<const float> values) {
  uint32_t crc = ~0u;
  for (const std::byte byte : std::as_bytes(values)) {
    crc ^= static_cast<uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82F63B78u : 0);
  }
  return ~crc;
}

struct Recorded {
  LayerAudit audit;
  std::vector<AuditedValue> values;
  std::vector<std::vector<float>> elements;  // of each value, [N,C,H,W]
  const AuditedValue& at(const std::string& name) const {
    const auto found = std::ranges::find(values, name, &AuditedValue::name);
    require(found != values.end(), "the value is there");
    return *found;
  }
};

Recorded record(const Network& network, Backend& backend, const Tensor& input, bool unfused, int rounds = 1) {
  Recorded out;
  out.audit = audit_layers(network, backend, input, {.unfused = unfused, .rounds = rounds},
                           [&](const AuditedValue& value, std::span<const float> elements) {
                             out.values.push_back(value);
                             out.elements.emplace_back(elements.begin(), elements.end());
                           });
  return out;
}

// random_network() with `change` done to the parameter `key`.
template <class Change>
std::unique_ptr<Network> changed_network(const Architecture& a, const std::string& key, Change&& change) {
  auto network = random_network(a, 5);
  size_t found = 0;
  for (const Module::Keyed& k : network->parameters()) {
    if (k.key != key) continue;
    ++found;
    change(k.parameter->value.template values<double>());
  }
  EXPECT_EQ(found, 1u) << key;
  return network;
}

TEST(LayerAudit, RowsOfAPlanAreThePlansOwn) {
  const auto backend = ref_backend();
  const auto network = random_network({.base = 4}, 5);
  const Tensor x = random_tensor({1, 32, 48, 3}, 6);
  const Recorded got = record(*network, *backend, x, false, 3);
  Plan plan(*network, *backend, x.shape());
  ASSERT_EQ(got.audit.steps.size(), plan.steps().size());
  size_t value = 0;
  for (size_t i = 0; i < plan.steps().size(); ++i) {
    const AuditedStep& row = got.audit.steps[i];
    const Plan::StepInfo& step = plan.steps()[i];
    EXPECT_EQ(std::tie(row.where, row.op, row.problem, row.algorithm),
              std::tie(step.where, step.op, step.problem, step.algorithm));
    EXPECT_EQ(row.parameters, step.parameters);
    EXPECT_EQ(row.macs * 2, step.flops);
    EXPECT_EQ(row.bytes, step.bytes);
    EXPECT_GE(row.milliseconds, 0);
    ASSERT_EQ(row.values.size(), step.writes.size());
    for (size_t k = 0; k < row.values.size(); ++k, ++value) {
      EXPECT_EQ(row.values[k].name, step.writes[k]);
      EXPECT_EQ(got.values.at(value).name, step.writes[k]);  // the sink sees the same, in the same order
      EXPECT_EQ(got.values[value].checksum, row.values[k].checksum);
    }
  }
  EXPECT_EQ(value, got.values.size());
  EXPECT_EQ(value, 27u);
  const Tensor logits = plan.run(x);
  EXPECT_TRUE(std::ranges::equal(got.audit.logits.values<double>(), logits.values<double>()));
}

TEST(LayerAudit, RangeAndChecksumAreThoseOfTheElements) {
  EXPECT_EQ(crc32c_of(std::vector<float>(8, 0.0f)), 0x8A9136AAu);  // RFC 3720, B.4: 32 bytes of zeros
  const auto backend = ref_backend();
  const auto network = random_network({.base = 4, .classes = 2}, 5);
  const Tensor x = random_tensor({1, 32, 48, 3}, 6);
  for (const bool unfused : {false, true}) {
    const Recorded got = record(*network, *backend, x, unfused);
    for (size_t i = 0; i < got.values.size(); ++i) {
      const AuditedValue& value = got.values[i];
      const std::vector<float>& elements = got.elements[i];
      ASSERT_EQ(elements.size(), static_cast<size_t>(value.shape.elements())) << value.name;
      EXPECT_EQ(value.least, static_cast<double>(*std::ranges::min_element(elements))) << value.name;
      EXPECT_EQ(value.greatest, static_cast<double>(*std::ranges::max_element(elements))) << value.name;
      EXPECT_EQ(value.not_finite, 0u);
      EXPECT_EQ(value.checksum, crc32c_of(elements)) << value.name;
    }
    // [N,C,H,W]: the input's own.
    const auto pixels = x.values<double>();
    const std::vector<float>& input = got.elements.at(0);
    ASSERT_EQ(got.values[0].name, "input");
    for (size_t c = 0; c < 3; ++c)
      for (size_t i = 0; i < 32 * 48; ++i) ASSERT_EQ(input[c * 32 * 48 + i], static_cast<float>(pixels[3 * i + c]));
  }
}

// Logits of a known value: weights of 0, the bias alone.
TEST(LayerAudit, AConstantHasItsRangeAndChecksum) {
  const auto backend = ref_backend();
  const auto network = changed_network({.base = 4}, "outc.conv.weight", [](auto w) { std::ranges::fill(w, 0.0); });
  for (const Module::Keyed& k : network->parameters())
    if (k.key == "outc.conv.bias") k.parameter->value.values<double>()[0] = -2.75;
  const std::vector<float> constant(32 * 32, -2.75f);
  for (const bool unfused : {false, true}) {
    const AuditedValue logits = record(*network, *backend, random_tensor({1, 32, 32, 3}, 6), unfused).at("outc.conv");
    EXPECT_EQ(logits.least, -2.75);
    EXPECT_EQ(logits.greatest, -2.75);
    EXPECT_EQ(logits.checksum, crc32c_of(constant));
    EXPECT_EQ(logits.shape, (Shape{1, 32, 32, 1}));
  }
}

TEST(LayerAudit, CountsWhatIsNotFiniteAndLeavesItOutOfTheRange) {
  const auto backend = ref_backend();
  const Tensor x = random_tensor({1, 32, 32, 3}, 6);
  for (const double bad : {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()})
    for (const bool unfused : {false, true}) {
      // Of two classes the second.
      const auto half = changed_network({.base = 4, .classes = 2}, "outc.conv.bias", [&](auto b) { b[1] = bad; });
      const Recorded got = record(*half, *backend, x, unfused);
      const AuditedValue& logits = got.at("outc.conv");
      EXPECT_EQ(logits.not_finite, 32u * 32u);
      const std::span<const float> first(got.elements.back().data(), 32 * 32);
      EXPECT_EQ(logits.least, static_cast<double>(*std::ranges::min_element(first)));
      EXPECT_EQ(logits.greatest, static_cast<double>(*std::ranges::max_element(first)));
      EXPECT_LT(logits.least, logits.greatest);
      EXPECT_EQ(logits.checksum, crc32c_of(got.elements.back()));
      for (const AuditedValue& value : got.values)
        if (value.name != "outc.conv") { EXPECT_EQ(value.not_finite, 0u) << value.name; }
      const auto all = changed_network({.base = 4}, "outc.conv.bias", [&](auto b) { b[0] = bad; });
      const AuditedValue none = record(*all, *backend, x, unfused).at("outc.conv");
      EXPECT_EQ(none.not_finite, 32u * 32u);
      EXPECT_EQ(none.least, 0);
      EXPECT_EQ(none.greatest, 0);
    }
}

// As `furrow model audit --dump` and `--compare`: through files.
TEST(LayerAudit, AChangeShowsFirstWhereItIs) {
  const auto backend = ref_backend();
  const Tensor x = random_tensor({1, 32, 32, 3}, 6);
  const struct {
    const char *key, *of_plan, *of_tape;
  } rows[] = {{"inc.double_conv.0.weight", "inc.double_conv.2", "inc.double_conv.0"},
              {"down2.maxpool_conv.1.double_conv.4.weight", "down2.maxpool_conv.1.double_conv.5",
               "down2.maxpool_conv.1.double_conv.4"},
              {"up3.up.weight", "up3.up", "up3.up"},
              {"outc.conv.bias", "outc.conv", "outc.conv"}};
  for (const bool unfused : {false, true}) {
    const Recorded whole = record(*random_network({.base = 4}, 5), *backend, x, unfused);
    const test::TemporaryFile file("audit_test.npy");
    for (const auto& row : rows) {
      const auto network =
          changed_network({.base = 4}, row.key, [](auto values) { for (double& v : values) v += 0.25; });
      const Recorded got = record(*network, *backend, x, unfused);
      ASSERT_EQ(got.values.size(), whole.values.size());
      std::string first;
      for (size_t i = 0; i < got.values.size() && first.empty(); ++i) {
        const Shape& s = got.values[i].shape;
        io::write_npy(file.path(), std::vector<int64_t>{s.n, s.c, s.h, s.w}, whole.elements[i]);
        const io::NpyArray stored = io::read_npy(file.path());
        EXPECT_EQ(stored.values, whole.elements[i]);
        const bool same = stored.values == got.elements[i];
        EXPECT_EQ(same, got.values[i].checksum == whole.values[i].checksum);
        if (!same) first = got.values[i].name;
      }
      EXPECT_EQ(first, unfused ? row.of_tape : row.of_plan) << row.key;
    }
  }
}

// Every value of the plan is one of the tape's, and comes in its order. float32 of two float64 computations that round
// elsewhere: one unit in the last place, of the largest value.
TEST(LayerAudit, ThePlansValuesAreTheTapes) {
  const auto backend = ref_backend();
  for (const Architecture& a : {Architecture{.base = 4}, Architecture{.base = 4, .bilinear = true},
                                Architecture{.family = "attention-unet", .base = 4}}) {
    const auto network = random_network(a, 5);
    const Tensor x = random_tensor({1, 32, 45, 3}, 6);
    const Recorded plan = record(*network, *backend, x, false), tape = record(*network, *backend, x, true);
    EXPECT_GT(tape.values.size(), plan.values.size());
    for (size_t i = 0; i < plan.values.size(); ++i) {
      const auto at = std::ranges::find(tape.values, plan.values[i].name, &AuditedValue::name) - tape.values.begin();
      if (at == std::ssize(tape.values)) {
        EXPECT_TRUE(plan.values[i].name.ends_with(".small")) << plan.values[i].name;  // before its resize, not after
        continue;
      }
      const std::vector<float>&one = plan.elements[i], &other = tape.elements[static_cast<size_t>(at)];
      ASSERT_EQ(one.size(), other.size()) << plan.values[i].name;
      float size = 0;
      for (const float v : other) size = std::max(size, std::abs(v));
      for (size_t k = 0; k < one.size(); ++k) ASSERT_LE(std::abs(one[k] - other[k]), 1.2e-7f * size) << k;
    }
    const auto parameters = [](const LayerAudit& audit) {
      uint64_t sum = 0;
      for (const AuditedStep& step : audit.steps) sum += step.parameters;
      return sum;
    };
    EXPECT_EQ(parameters(plan.audit), parameters(tape.audit)) << a.text();
    for (const AuditedStep& step : tape.audit.steps) {
      EXPECT_EQ(step.algorithm, step.op == "input" ? "none" : "eager");
      EXPECT_EQ(step.values.size(), 1u);
    }
  }
}

TEST(LayerAudit, RoundsChangeNoValue) {
  const auto backend = ref_backend();
  const auto network = random_network({.base = 1}, 5, DType::f32);  // the tape converts it
  const Tensor x = random_tensor({1, 32, 32, 3}, 6);
  for (const bool unfused : {false, true}) {
    const Recorded once = record(*network, *backend, x, unfused, 1), often = record(*network, *backend, x, unfused, 4);
    EXPECT_EQ(once.elements, often.elements);
    EXPECT_TRUE(std::ranges::equal(once.audit.logits.values<double>(), often.audit.logits.values<double>()));
  }
  EXPECT_THROW(audit_layers(*network, *backend, x, {.rounds = 0}), Error);
}

// The whole way of a photo: what enters the network, and the mask that comes out, are the Segmenter's.
TEST(LayerAudit, InputAndMaskAreTheSegmenters) {
  const auto model = test::pass_through();
  const io::Image photo = test::pattern(64, 64);
  ThreadPool pool(1);
  const Tensor input = network_input(*model, photo, whole_photo(64, 64), 64, DType::f64, &pool);
  ASSERT_EQ(input.shape(), (Shape{1, 64, 64, 3}));
  for (size_t i = 0; i < 64 * 64 * 3; ++i)
    ASSERT_NEAR(input.values<double>()[i], photo.pixels[i] / 255.0, 1e-7) << i;
  const auto backend = ref_backend();
  const LayerAudit audit = audit_layers(model->network(), *backend, input, {});
  SegmentOptions options;
  options.crop = CropMode::none;
  Segmenter segmenter(model, {"ref", 1}, options);
  const io::Image mask = segmenter.run(photo).mask;
  const std::vector<uint8_t> marked = model_mask(*model, audit.logits, model->info().threshold);
  ASSERT_EQ(marked.size(), mask.pixels.size());
  for (size_t i = 0; i < marked.size(); ++i) ASSERT_EQ(marked[i] != 0, mask.pixels[i] != 0) << i;
  EXPECT_GT(std::accumulate(marked.begin(), marked.end(), 0), 100);
}

TEST(LayerAudit, TheSyntheticPictureIsTheSameEverywhere) {
  const io::Image picture = synthetic_picture(64);
  ASSERT_EQ(picture.pixels.size(), 64u * 64 * 3);
  std::vector<float> values(picture.pixels.begin(), picture.pixels.end());
  EXPECT_EQ(crc32c_of(values), 3433363190u);
  EXPECT_EQ(synthetic_picture(64).pixels, picture.pixels);
  for (const int64_t side : {32, 33, 512}) EXPECT_EQ(synthetic_picture(side).width, side);
}

TEST(Labels, AreTheFirstOfTheLargestLogits) {
  Tensor logits({1, 1, 3, 3}, DType::f64);
  const std::vector<double> values = {0, 2, 1, 5, 5, 5, -1, -3, -1};
  std::ranges::copy(values, logits.values<double>().begin());
  EXPECT_EQ(model_labels(logits), (std::vector<uint8_t>{1, 0, 0}));
  EXPECT_EQ(model_labels(logits.to(DType::f32)), (std::vector<uint8_t>{1, 0, 0}));
}

}  // namespace
}  // namespace furrow
