// The original program's config.yaml, in every form it had, and its keys among Furrow's own.
#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <string>

#include "kernels/error.h"
#include "train/options.h"
#include "train/setup.h"

namespace furrow::train {
namespace {

LoadedOptions load(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return parse_train_options(text, "config.yaml", overrides);
}

bool noted(const LoadedOptions& loaded, const std::string& words) {
  return std::any_of(loaded.notes.begin(), loaded.notes.end(),
                     [&](const std::string& note) { return note.find(words) != note.npos; });
}

// config.yaml as it stood at one commit; numbers in the spelling of the file.
struct SeedFile {
  const char* commit;
  const char *epochs, *batch, *rate, *decay, *amp, *patience;
  const char *alpha, *gamma, *focal_alpha;  // nullptr: no loss_function
  const char *val, *test, *augmentation, *more;
};

void PrintTo(const SeedFile& file, std::ostream* to) { *to << file.commit; }

const SeedFile kSeedFiles[] = {
    {"7ca68ad", "6", "2", "1e-4", "4e-4", "true", "5", "0.7", "2", "0.25", "0.1", "0.1", "False", ""},
    {"12fc2b1", "100", "16", "0.0001", "4e-4", "true", "10", "0.7", "2", "0.25", "0.2", "0", "True", "drop_out: 0.2\n"},
    {"0720dbd", "100", "16", "0.0001", "4e-4", "true", "10", "0.7", "2", "0.25", "0.2", "0", "True", ""},
    {"258931e", "100", "16", "0.0003", "0.05", "true", "20", "1.0", "2", "0.4", "0.2", "0", "True", ""},
    {"057e2a0", "100", "2", "0.0001", "0.0001", "true", "20", "0.7", "2", "0.25", "0.2", "0", "True", ""},
    {"778a4dc", "100", "2", "0.0001", "0.0001", "true", "20", "0.7", "2", "0.75", "0.2", "0", "True", ""},
    {"611d74c", "100", "8", "0.00005", "0.00001", "true", "20", "0.4", "4", "0.9", "0.2", "0", "True", ""},
    {"b5824ba", "100", "8", "5e-5", "1e-5", "true", "20", "0.4", "4", "0.9", "0.2", "0", "True",
     "use_class_weights: False\n"},
    {"a3e65ce", "100", "8", "5e-5", "1e-5", "true", "30", "0.4", "4", "0.9", "0.2", "0", "True",
     "use_class_weights: False\n"},
    {"804491d", "100", "8", "5e-5", "1e-5", "true", "20", "0.4", "4", "0.9", "0.2", "0", "True",
     "use_class_weights: True\n"},
    {"08cb059", "100", "8", "5e-5", "1e-5", "true", "20", "0.75", "2", "0.9", "0.2", "0", "True",
     "use_class_weights: True\n"},
    {"761d2d5", "100", "8", "1e-4", "1e-5", "true", "20", nullptr, nullptr, nullptr, "0.2", "0", "True", ""},
    {"f3fe353", "100", "8", "1e-4", "1e-5", "true", "20", nullptr, nullptr, nullptr, "0.2", "0", "True",
     "pretrained: true\n"},
    {"cf6ac3d", "100", "8", "1e-4", "1e-5", "true", "2", nullptr, nullptr, nullptr, "0.2", "0", "True",
     "pretrained: true\n"},
    {"0bf9901", "100", "8", "1e-4", "1e-5", "false", "10", nullptr, nullptr, nullptr, "0.2", "0", "True",
     "pretrained: True\nfreeze_encoder: False\n"},
    {"d3bb6fa", "100", "8", "1e-5", "1e-5", "false", "15", nullptr, nullptr, nullptr, "0.2", "0", "True",
     "pretrained: True\nfreeze_encoder: False\n"},
    {"e29b5ec", "100", "8", "1e-5", "1e-5", "false", "15", nullptr, nullptr, nullptr, "0.2", "0", "True",
     "pretrained: True\nfreeze_encoder: False\ndilate_mask: True\n"},
    {"7c1564d", "100", "8", "1e-5", "1e-5", "false", "15", nullptr, nullptr, nullptr, "0.2", "0", "True",
     "pretrained: True\nfreeze_encoder: False\ndilate_mask: True\nuse_attention: False\n"},
    {"4868424", "100", "8", "0.0001", "0.00001", "false", "15", nullptr, nullptr, nullptr, "0.2", "0", "True",
     "dilate_mask: True\npretrained: True\nuse_attention: True\nfreeze_encoder: False\n"},
};

std::string text_of(const SeedFile& f) {
  std::string text = "# config.yaml\nepochs: " + std::string(f.epochs) + "\nbatch_size: " + f.batch +
                     "\nlearning_rate: " + f.rate + " # a remark\nval_percent: " + f.val + "\ntest_percent: " + f.test +
                     "\namp: " + f.amp + "\nweight_decay: " + f.decay +
                     "\ngradient_clipping: 1.0\npatience: " + f.patience + "\naugmentation: " + f.augmentation + "\n";
  if (f.alpha)
    text += "loss_function:\n  name: \"CombinedLoss\" # a remark\n  alpha: " + std::string(f.alpha) +
            "\n  gamma: " + f.gamma + "\n  focal_alpha: " + f.focal_alpha + "\n";
  return text + f.more +
         "checkpoint_dir: \"./checkpoints/\"\nimage_dir: \"./data/masked_face_images\"\nmask_dir: "
         "\"./data/manual_wrinkle_masks\"\n"
         "wandb_project: \"U-Net-Face\"\nwandb_entity: \"someone\"\n";
}

class OriginalFile : public ::testing::TestWithParam<SeedFile> {};

TEST_P(OriginalFile, LoadsUnchanged) {
  const SeedFile& f = GetParam();
  const LoadedOptions loaded = load(text_of(f));
  const TrainOptions& o = loaded.options;
  EXPECT_EQ(o.epochs, std::stoll(f.epochs));
  EXPECT_EQ(o.batch_size, std::stoll(f.batch));
  EXPECT_EQ(o.learning_rate, std::stod(f.rate));
  EXPECT_EQ(o.weight_decay, std::stod(f.decay));
  EXPECT_EQ(o.precision, f.amp == std::string("true") ? Precision::mixed : Precision::float32);
  EXPECT_EQ(o.patience, std::stoll(f.patience));
  EXPECT_EQ(o.val_percent, std::stod(f.val));
  EXPECT_EQ(o.test_percent, std::stod(f.test));
  EXPECT_EQ(o.gradient_clipping, 1.0);
  EXPECT_EQ(o.augment_recipe, f.augmentation == std::string("True") ? "original" : "none");
  EXPECT_EQ(o.checkpoint_dir, "./checkpoints/");
  EXPECT_EQ(o.image_dir, "./data/masked_face_images");
  EXPECT_EQ(o.mask_dir, "./data/manual_wrinkle_masks");
  EXPECT_TRUE(o.freeze.empty());
  const std::string more = f.more;
  const DiceFocal& d = o.dice_focal;
  if (f.alpha) {
    const bool weights = more.find("use_class_weights") != more.npos;
    EXPECT_EQ(o.loss_form, weights ? "L3" : "L1");
    EXPECT_EQ(d.dice_weight, std::stod(f.alpha));
    EXPECT_EQ(d.focal_weight, 1 - std::stod(f.alpha));
    EXPECT_EQ(d.gamma, std::stod(f.gamma));
    EXPECT_EQ(d.alpha_positive, std::stod(f.focal_alpha));
    EXPECT_EQ(d.alpha_negative, weights ? 1 - std::stod(f.focal_alpha) : std::stod(f.focal_alpha));
    EXPECT_EQ(o.measure_class_weight, more.find("use_class_weights: True") != more.npos);
    EXPECT_FALSE(d.clamp);
  } else {
    EXPECT_EQ(o.loss_form, "L6");
    EXPECT_EQ(d.alpha_positive, 0.9);
    EXPECT_EQ(d.gamma, 1.0);
    EXPECT_TRUE(d.clamp);
    EXPECT_FALSE(o.measure_class_weight);
  }
  EXPECT_EQ(o.mask_dilate, more.find("dilate_mask: True") != more.npos);
  EXPECT_EQ(o.dropout, more.find("drop_out") != more.npos ? 0.2 : 0.0);
  // Each thing is noted once, and only what there is.
  EXPECT_EQ(std::count_if(loaded.notes.begin(), loaded.notes.end(),
                          [](const std::string& note) { return note.find("wandb") != note.npos; }),
            1);
  EXPECT_EQ(noted(loaded, "dilate_mask"), more.find("dilate_mask") != more.npos);
  EXPECT_EQ(noted(loaded, "pretrained"), more.find("pretrained") != more.npos);
  EXPECT_EQ(noted(loaded, "use_attention"), more.find("use_attention: True") != more.npos);
  EXPECT_EQ(noted(loaded, "drop_out"), more.find("drop_out") != more.npos);
  EXPECT_EQ(noted(loaded, "CombinedLoss"), f.alpha != nullptr);
  // And what it came to reads back.
  const std::string yaml = to_yaml(o);
  EXPECT_EQ(to_yaml(load(yaml).options), yaml);
}

INSTANTIATE_TEST_SUITE_P(Commits, OriginalFile, ::testing::ValuesIn(kSeedFiles),
                         [](const auto& at) { return "At_" + std::string(at.param.commit); });

TEST(OriginalKeys, EncoderAndOtherLossAndSpellings) {
  const LoadedOptions loaded =
      load("freeze_encoder: true\nloss_function: {name: BCEWithLogitsLoss}\ndilate_masks: false\n");
  EXPECT_EQ(loaded.options.freeze, std::vector<std::string>{"encoder"});
  EXPECT_EQ(loaded.options.dice_focal.gamma, 0);
  EXPECT_EQ(loaded.options.dice_focal.dice_weight, 0);
  EXPECT_EQ(loaded.options.dice_focal.alpha_negative, 1);
  EXPECT_TRUE(loaded.notes.empty());
  EXPECT_TRUE(noted(load("use_class_weights: true\n"), "use_class_weights does nothing"));
}

// Whatever the encoder's modules are called.
TEST(OriginalKeys, FreezeEncoderFreezesTheEncoderOfEveryNetwork) {
  for (const std::string family : {"unet", "attention-unet", "resnet50-unet", "resnet50-attention-unet"}) {
    const LoadedOptions loaded = load("freeze_encoder: true\nmodel: {network: " + family + ", base: 2}\n");
    std::vector<std::string> notes;
    const auto network = make_network(loaded.options, DType::f32, {}, notes);
    size_t frozen = 0, trained = 0;
    for (const Module::Keyed& k : network->parameters()) {
      if (k.key.find(".running_") != k.key.npos || k.key.ends_with("tracked")) continue;  // never trained
      const bool encoder = family.starts_with("resnet50-")
                               ? k.key.starts_with("input_layer.") || k.key.starts_with("encoder")
                               : k.key.starts_with("inc.") || k.key.starts_with("down");
      EXPECT_EQ(k.parameter->trainable, !encoder) << family << " " << k.key;
      ++(encoder ? frozen : trained);
    }
    EXPECT_GT(frozen, 0u) << family;
    EXPECT_GT(trained, 0u) << family;
  }
  // The dot at the end that other programs' prefixes have is none of a key's names.
  const LoadedOptions dotted = load("model: {base: 2, freeze: [inc., encoder]}\n");
  std::vector<std::string> notes;
  EXPECT_NO_THROW(make_network(dotted.options, DType::f32, {}, notes));
}

TEST(OriginalKeys, OwnKeysOfALaterSourceCount) {
  EXPECT_EQ(load("amp: true\n", {"precision=float32"}).options.precision, Precision::float32);
  EXPECT_EQ(load("precision: float32\n", {"amp=true"}).options.precision, Precision::mixed);
  EXPECT_EQ(
      load("loss_function: {name: CombinedLoss, alpha: 0.1}\n", {"loss.dice_weight=3"}).options.dice_focal.dice_weight,
      3);
  EXPECT_EQ(load("freeze_encoder: true\n", {"model.freeze=[outc.]"}).options.freeze, std::vector<std::string>{"outc."});
}

TEST(OriginalKeys, TheirFaultsAreReportedUnderTheirNames) {
  try {
    load("loss_function:\n  name: FooLoss\n  alpha: 2\n  beta: 1\n  gamma: x\namp: 3\n");
    FAIL();
  } catch (const Error& error) {
    std::string all = error.line();
    for (const std::string& line : error.detail_lines()) all += "\n" + line;
    for (const char* part :
         {"config.yaml:2:9: in loss_function.name: 'FooLoss' is none of CombinedLoss, BCEWithLogitsLoss",
          "config.yaml:3:10: loss_function.alpha: '2' is out of range; allowed: [0, 1]",
          "config.yaml:4:9: loss_function.beta: unknown key",
          "config.yaml:5:10: loss_function.gamma: 'x' is not a number", "config.yaml:6:6: amp: "})
      EXPECT_NE(all.find(part), std::string::npos) << part << "\n" << all;
    EXPECT_EQ(error.detail_lines().size(), 4u) << all;
  }
}

}  // namespace
}  // namespace furrow::train
