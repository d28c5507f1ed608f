#include "nn/recognise.h"

#include "tests/nn/support.h"

namespace furrow {
namespace {

NamedTensors with_keys(std::initializer_list<std::pair<const char*, std::vector<int64_t>>> keys) {
  NamedTensors out;
  for (const auto& [key, dims] : keys) out.push_back({key, DType::f32, dims, {}, nullptr});
  return out;
}

std::string refusal(const NamedTensors& tensors) {
  try {
    return "accepted: " + recognise(tensors).text();
  } catch (const Error& error) {
    return error.code() == ErrorCode::unsupported ? error.reason() : "code " + std::string(name(error.code()));
  }
}

class Families : public testing::TestWithParam<const char*> {};

TEST_P(Families, AreReadOffTheirKeysAtAnyWidth) {
  for (const bool bilinear : {false, true})
    for (const int64_t base : {1, 2, 5, 8, 16}) {
      const Architecture a{GetParam(), base, base + 2, 3, bilinear};
      if (a.parser() && bilinear) continue;
      if (a.attention() && base % 2 != 0) {
        EXPECT_THROW(build(a), Error);  // a gate has half of an odd number of channels
        continue;
      }
      auto network = build(a);
      network->initialise(0);
      const NamedTensors state = network->state();
      EXPECT_EQ(recognise(state), a);
      NamedTensors shuffled(state.rbegin(), state.rend());  // order means nothing
      EXPECT_EQ(recognise(shuffled), a);
      build(recognise(shuffled))->load(shuffled);
    }
}

INSTANTIATE_TEST_SUITE_P(Recognise, Families,
                         testing::Values("unet", "attention-unet", "resnet50-unet", "resnet50-attention-unet",
                                         "bisenet", "bisenet-resnet34"),
                         [](const auto& p) {
                           std::string name = p.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(Recognise, NamesWhatItKnowsAndDoesNotBuild) {
  struct Case {
    NamedTensors keys;
    const char* reason;
  };
  const Case cases[] = {
      {with_keys({{"swinViT.patch_embed.proj.weight", {48, 4, 4, 4}}}),
       "SwinUNETR: recognised, not supported by this version"},
      {with_keys({{"cp.resnet.conv1.weight", {64, 3, 7, 7}}, {"sp.conv1.conv.weight", {64, 3, 7, 7}}}),
       "BiSeNet in CoinCheung's layout (with a spatial path): recognised, a layout that Furrow does not have"},
      {with_keys({{"cp.x.weight", {1}}, {"sp.conv1.weight", {1}}}),
       "BiSeNet in CoinCheung's layout (with a spatial path): recognised, a layout that Furrow does not have"},
      {with_keys({{"aspp.conv1.weight", {1}}}), "DeepLabV3 of FFHQ-Aging: recognised, not supported by this version"},
      {with_keys({{"firstconv.weight", {64, 3, 7, 7}}}),
       "ResNet50 U-Net with stem `firstconv` (D0): recognised, but this revision of the network could never run: its "
       "channels do not fit"},
      {with_keys({{"inc.double_conv.0.weight", {64, 3, 3, 3}},
                  {"up1.up.weight", {1024, 512, 2, 2}},
                  {"attention1.W_g.0.weight", {256, 512, 1, 1}}}),
       "attention U-Net with half-width gates (B0): recognised, but this revision of the network could never run: its "
       "channels do not fit"},
      {with_keys({{"inc.double_conv.0.weight", {64, 3, 3, 3}}, {"inc.double_conv.0.bias", {64}}}),
       "U-Net with biased 3x3 convolutions: recognised, a layout that Furrow does not have"},
      {with_keys({{"down_path.0.block.1.weight", {1}}, {"up_path.0.up.weight", {1}}}),
       "U-Net in jvanvugt's layout: recognised, a layout that Furrow does not have"},
      {with_keys({{"conv1.weight", {64, 3, 7, 7}}, {"layer4.2.conv3.weight", {1}}, {"fc.weight", {1000, 2048}}}),
       "ResNet50 classifier: recognised; it initialises an encoder and segments nothing by itself"},
      {with_keys({{"conv1.weight", {64, 3, 7, 7}}, {"layer4.1.conv2.weight", {1}}, {"layer4.2.conv2.weight", {1}}}),
       "ResNet34 classifier: recognised; it initialises an encoder and segments nothing by itself"},
      {with_keys({{"conv1.weight", {64, 3, 7, 7}}, {"layer4.1.conv2.weight", {1}}, {"fc.weight", {1000, 512}}}),
       "ResNet18 classifier: recognised; it initialises an encoder and segments nothing by itself"},
  };
  for (const Case& c : cases) EXPECT_EQ(refusal(c.keys), c.reason);
}

TEST(Recognise, ListsTheFirstKeysOfAnythingElse) {
  try {
    recognise(with_keys({{"conv.weight", {3, 2}}, {"a\x1b[31m", {}}}));
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.reason(),
              "unknown network: none of its 2 keys is one that Furrow knows; the first is conv.weight 3x2");
    EXPECT_EQ(error.detail_lines(), (std::vector<std::string>{"conv.weight 3x2", "a\\x1b[31m scalar"}));
  }
  EXPECT_EQ(refusal({}), "unknown network: none of its 0 keys is one that Furrow knows");
}

TEST(Recognise, RefusesSizesThatNoFileOfThisKindHas) {
  EXPECT_EQ(refusal(with_keys({{"inc.double_conv.0.weight", {int64_t{1} << 40, 3, 3, 3}}})), "code limit");
  EXPECT_EQ(refusal(with_keys({{"inc.double_conv.0.weight", {}}})), "code limit");  // no width at all
  EXPECT_EQ(refusal(with_keys({{"cp.resnet.bn1.weight", {64}}})), "code limit");    // likewise
}

TEST(Recognise, LeavesAHalfFileToTheStrictLoad) {
  const NamedTensors one =
      with_keys({{"inc.double_conv.0.weight", {16, 3, 3, 3}}, {"up1.up.weight", {256, 128, 2, 2}}});
  const Architecture a = recognise(one);
  EXPECT_EQ(a.text(), "unet base 16, 3 -> 1, transposed");
  try {
    build(a)->load(one);
    FAIL() << "loaded";
  } catch (const Error& error) {
    EXPECT_EQ(error.reason(), "the weights do not fit the network: 116 missing, 0 unexpected, 0 misshapen keys");
  }
}

TEST(Recognise, LeavesHalfAFaceParserToTheStrictLoad) {
  NamedTensors half = with_keys({{"cp.resnet.conv1.weight", {64, 3, 7, 7}}});
  const Architecture a = recognise(half);
  EXPECT_EQ(a.text(), "bisenet base 64, 3 -> 19");
  half.push_back({"conv_out.bias", DType::f32, {19}, {}, nullptr});
  half[0].dims[3] = 3;
  try {
    build(a)->load(half);
    FAIL() << "loaded";
  } catch (const Error& error) {
    EXPECT_EQ(error.reason(), "the weights do not fit the network: 190 missing, 1 unexpected, 1 misshapen keys");
  }
}

}  // namespace
}  // namespace furrow
