// Every word of kernels/cuda/simt.h on the device under test against an independent model, in every schedule; stored
// answers of real GPUs against the emulator; and that neither comparison lets a wrong answer pass.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/cuda/conformance/record.h"
#include "tests/cuda/device_under_test.h"

namespace furrow::gpu {
namespace {

std::vector<uint32_t> modelled(const ConformanceCase& c, const std::vector<uint32_t>& in) {
  std::vector<uint32_t> all;
  for (int s = 0; s < c.samples; ++s) {
    const std::vector<uint32_t> one = model(c, &in[static_cast<size_t>(s) * c.in_words]).words;
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

class Conformance : public ::testing::TestWithParam<ConformanceCase> {};

TEST_P(Conformance, AgreesWithTheModelInEverySchedule) {
  const ConformanceCase& c = GetParam();
  const std::vector<uint32_t> in = inputs(c), want = modelled(c, in);
  in_every_schedule([&] {
    const std::vector<uint32_t> got = run_case(runtime(), KERNELS_UNDER_TEST(conformance_kernels), c, in);
    const Difference d = compare(c, in, got, want, testing_on_gpu() ? c.device : c.model);
    EXPECT_EQ(d.different, 0) << c.name << ": " << d.first << "; worst " << d.worst;
    EXPECT_EQ(d.words, static_cast<int64_t>(c.samples) * c.out_words);
  });
}

// Replays would pass a GPU that gave every lane its neighbour's answer, were the comparison blind to it.
TEST_P(Conformance, TheComparisonSeesAWrongLaneAndAWrongBit) {
  const ConformanceCase& c = GetParam();
  const std::vector<uint32_t> in = inputs(c), want = modelled(c, in);
  EXPECT_EQ(compare(c, in, want, want, c.device).different, 0);
  std::vector<uint32_t> shifted = want;
  std::rotate(shifted.begin(), shifted.begin() + 1, shifted.end());
  EXPECT_GT(compare(c, in, shifted, want, c.device).different, 0);
  std::vector<uint32_t> nan = want;
  const size_t finite = static_cast<size_t>(
      std::find_if(nan.begin(), nan.end(),
                   [](uint32_t w) { return (w & 0x7FFFu) < 0x7C00u && (w & 0x7FFFFFFFu) < 0x7F800000u; }) -
      nan.begin());
  ASSERT_LT(finite, nan.size());
  nan[finite] = c.word == Word::to_f16 || c.word == Word::to_bf16 ? 0x7FFFu : 0x7FC00000u;
  EXPECT_EQ(compare(c, in, nan, want, c.device).different, 1);
}

INSTANTIATE_TEST_SUITE_P(Words, Conformance, ::testing::ValuesIn(conformance_cases()),
                         [](const auto& tested) { return std::string(tested.param.name); });

TEST(ConformanceFile, RoundTripsReplaysAndIsNotBelievedWhenDamaged) {
  const std::unique_ptr<Runtime> emulator = make_emulated_runtime();
  const Answers answers = run_cases(*emulator, emulated::conformance_kernels);
  ASSERT_EQ(static_cast<int>(answers.cases.size()), kWords);
  std::string bytes = serialise(answers);
  EXPECT_LT(bytes.size(), 400u << 10);   // small enough to commit
  Answers back = parse(bytes);
  EXPECT_EQ(back.device, "emulated on this CPU");
  EXPECT_TRUE(replay(back, *emulator));
  for (const ConformanceCase& c : conformance_cases())
    if (c.agreement == Agreement::bits) {
      Answers wrong = back;
      for (Answer& a : wrong.cases)
        if (a.name == c.name) a.out.back() ^= 1;
      EXPECT_FALSE(replay(wrong, *emulator)) << c.name;
      break;
    }
  back.cases[0].name = "unknown";
  EXPECT_THROW(replay(back, *emulator), Error);
  for (const size_t cut : {size_t{0}, size_t{4}, size_t{19}, bytes.size() / 2, bytes.size() - 1})
    EXPECT_THROW(parse(bytes.substr(0, cut)), Error) << cut;
  bytes[bytes.size() / 3] ^= 1;
  EXPECT_THROW(parse(bytes), Error);
}

TEST(ConformanceFile, TheEmulatorAnswersAsStoredGpusDid) {
  const std::filesystem::path folder = std::filesystem::path(FURROW_TEST_DATA) / "conformance";
  int files = 0;
  if (std::filesystem::exists(folder))
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.path().extension() != ".bin") continue;
      ++files;
      std::ifstream file(entry.path(), std::ios::binary);
      EXPECT_TRUE(replay(parse({std::istreambuf_iterator<char>(file), {}}), *make_emulated_runtime())) << entry.path();
    }
  if (files == 0)
    GTEST_SKIP() << "no answers of a GPU are stored yet (tests/data/conformance/*.bin): that the emulator agrees with "
                    "the hardware is unproven";
}

}  // namespace
}  // namespace furrow::gpu
