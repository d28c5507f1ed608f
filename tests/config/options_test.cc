// Settings that must be accepted or refused: numbers, overrides, the resolved configuration read back, contradictions.
#include "train/options.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "kernels/error.h"

namespace furrow::train {
namespace {

LoadedOptions load(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return parse_train_options(text, "config.yaml", overrides);
}

TEST(Options, NumbersOfYaml11) {
  EXPECT_EQ(load("learning_rate: 1e-4").options.learning_rate, 1e-4);
  EXPECT_EQ(load("learning_rate: +.5E-1").options.learning_rate, 0.05);
  EXPECT_EQ(load("weight_decay: 0").options.weight_decay, 0.0);
  EXPECT_EQ(load("seed: 9223372036854775807").options.seed, INT64_MAX);
}

TEST(Options, ListsMapsAndGroups) {
  const TrainOptions o =
      load(
          "masks: {kind: classes, classes: {1: 0, 2: 0, 3: 1}}\nmodel:\n  classes: 2\n  freeze: [inc., \"down1.\"]\n"
          "loss:\n  form: ce\n  class_weights:\n  - 1\n  - 2.5\naugment.parameters:\n  gauss_noise.p: 0.5\n")
          .options;
  EXPECT_EQ(o.mask_classes, (std::map<int64_t, int64_t>{{1, 0}, {2, 0}, {3, 1}}));
  EXPECT_EQ(o.freeze, (std::vector<std::string>{"inc.", "down1."}));
  EXPECT_EQ(o.cross_entropy().class_weights, (std::vector<float>{1, 2.5f}));
  EXPECT_EQ(o.augment_parameters.at("gauss_noise.p"), 0.5);
  EXPECT_EQ(o.loss, LossKind::cross_entropy);
}

TEST(Options, LossesOverClasses) {
  const auto of = [](const std::string& form, int classes) {
    return load("loss: {form: " + form + "}\nmodel: {classes: " + std::to_string(classes) + "}").options;
  };
  EXPECT_EQ(of("L0", 1).loss, LossKind::dice_focal);
  EXPECT_EQ(of("L0", 2).loss, LossKind::soft_dice);
  EXPECT_TRUE(of("L0", 2).soft_dice().classes_together);
  EXPECT_EQ(of("L0_class_mean", 2).loss, LossKind::soft_dice);
  EXPECT_FALSE(of("L0_class_mean", 2).soft_dice().classes_together);
  EXPECT_EQ(of("soft_dice", 2).soft_dice().entropy_weight, 0);
  EXPECT_EQ(of("foreground_dice", 2).soft_dice().first_class, 1);
  const TrainOptions o =
      load("loss: {form: L0, ignore_index: 7, class_weights: [1, 3]}\nmodel: {classes: 2}").options;
  EXPECT_EQ(o.soft_dice().entropy.ignore_index, 7);
  EXPECT_EQ(o.soft_dice().entropy.class_weights, (std::vector<float>{1, 3}));
  EXPECT_EQ(parse_train_options(to_yaml(o), "resolved.yaml").options.loss, LossKind::soft_dice);
}

TEST(Options, JsonSaysTheSame) {
  const std::string json =
      R"({"epochs": 3, "loss": {"form": "L5", "gamma": 3.5}, "model": {"freeze": ["inc."]}, "preflight": false, )"
      R"("learning_rate": 1e-3})";
  const std::string yaml =
      "epochs: 3\nloss: {form: L5, gamma: 3.5}\nmodel: {freeze: [inc.]}\npreflight: no\nlearning_rate: 1e-3\n";
  EXPECT_EQ(to_yaml(parse_train_options(json, "c.json").options), to_yaml(load(yaml).options));
}

TEST(Options, FormSetsWhatFollowsAndAnOverrideOfItResets) {
  TrainOptions o = load("loss:\n  gamma: 4\n  form: L5\n").options;  // whatever the order in the file
  EXPECT_EQ(o.dice_focal.gamma, 4);
  EXPECT_EQ(o.dice_focal.alpha_positive, 0.75);
  o = load(to_yaml(o), {"loss.form=L6"}).options;
  EXPECT_EQ(o.dice_focal.gamma, 1);
  EXPECT_EQ(o.dice_focal.alpha_positive, 0.9);
  EXPECT_EQ(load("epochs: 1", {"loss.form=L5", "loss.gamma=3"}).options.dice_focal.gamma, 3);
}

TEST(Options, OverridesAreReadAsTheFileIs) {
  const TrainOptions o =
      load("epochs: 1\nmodel:\n  base: 32\n", {"model.base=16", "model.init=w.pth", "epochs=7", "epochs=8"}).options;
  EXPECT_EQ(o.base, 16);
  EXPECT_EQ(o.init_weights, "w.pth");
  EXPECT_EQ(o.epochs, 8);
  EXPECT_EQ(load(to_yaml(o), {"model.init="}).options.init_weights, "");
  try {
    load("epochs: 0\n", {"model.bas=1", "batch_size=x", "noequals", "a=*b", "=3", "seed=[1"});
    FAIL();
  } catch (const Error& error) {
    std::string all = error.line();
    for (const std::string& line : error.detail_lines()) all += "\n" + line;
    EXPECT_TRUE(all.starts_with("error[configuration]: config.yaml:1:9: in epochs: ")) << all;
    EXPECT_NE(all.find("--set model.bas=1: model.bas: unknown key; did you mean model.base?"), all.npos) << all;
    EXPECT_NE(all.find("--set batch_size=x: batch_size: 'x' is not a number"), all.npos) << all;
    EXPECT_NE(all.find("--set noequals: not KEY=VALUE"), all.npos) << all;
    EXPECT_NE(all.find("--set =3: not KEY=VALUE"), all.npos) << all;
    EXPECT_NE(all.find("--set a=*b: a: an alias"), all.npos) << all;
    EXPECT_NE(all.find("--set seed=[1: seed: "), all.npos) << all;
  }
}

// Every field away from its default, texts with all that must be quoted.
TEST(Options, ResolvedConfigurationReadsBackToTheSame) {
  TrainOptions o;
  o.image_dir = "a \"b\" \\ c: # d é";
  o.mask_dir = "true";
  o.val_percent = 0.1 + 0.2;  // not a short decimal
  o.learning_rate = 1.2345678901234567e-9;
  o.weight_decay = 0.001;
  o.scheduler = Scheduler::cosine;
  o.min_learning_rate = 0;
  o.optimiser = Optimiser::sgd;
  o.decay_on = DecayOn::no_norm_bias;
  o.mask_mode = MaskMode::values;
  o.mask_values = {3, 1};
  o.mask_background = {2};
  o.freeze = {"inc.", "12"};
  o.augment_parameters = {{"blur.p", 0.25}, {"x", -2}};
  o.texture = Texture::files;
  o.texture_dir = "~";
  o.dice_focal.clamp = false;
  o.measure_class_weight = o.bilinear = o.raw_scale = true;
  o.seed = INT64_MAX;
  o.device = "cpu-emulated";
  const std::string yaml = to_yaml(o);
  const TrainOptions back = load(yaml).options;
  EXPECT_EQ(to_yaml(back), yaml);
  EXPECT_EQ(back.image_dir, o.image_dir);
  EXPECT_EQ(back.mask_dir, o.mask_dir);
  EXPECT_EQ(back.val_percent, o.val_percent);
  EXPECT_EQ(back.learning_rate, o.learning_rate);
  EXPECT_EQ(back.mask_values, o.mask_values);
  EXPECT_EQ(back.freeze, o.freeze);
  EXPECT_EQ(back.augment_parameters, o.augment_parameters);
  EXPECT_EQ(back.texture_dir, o.texture_dir);
  EXPECT_EQ(back.seed, o.seed);
  EXPECT_EQ(back.bilinear, o.bilinear);
  EXPECT_EQ(back.measure_class_weight, o.measure_class_weight);
  EXPECT_NE(yaml, to_yaml(TrainOptions()));
}

// Whatever takes a number refuses, by name and line, everything that is none.
TEST(Options, EveryNumericFieldRefusesWhatIsNoNumber) {
  std::istringstream lines(to_yaml(TrainOptions()));
  std::string group;
  int fields = 0;
  for (std::string line; std::getline(lines, line);) {
    const size_t colon = line.find(':');
    const std::string key = line.substr(0, colon), value = line.size() > colon + 2 ? line.substr(colon + 2) : "";
    if (value.empty()) {
      group = key;
      continue;
    }
    if (value.find_first_of("0123456789") != (value[0] == '-' ? 1u : 0u)) continue;  // no number
    ++fields;
    const std::string path = key[0] == ' ' ? group + "." + key.substr(2) : key;
    for (const char* bad :
         {"nan", ".inf", "-.inf", "1e400", "true", "\"1\"", "[1]", "{a: 1}", "null", "1x", "-1e30", "1e30"}) {
      try {
        load("# one\n" + path + ": " + bad + "\n");
        ADD_FAILURE() << path << " took " << bad;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::configuration);
        EXPECT_TRUE(error.line().starts_with("error[configuration]: config.yaml:2:")) << error.line();
        EXPECT_EQ(error.entry(), path) << error.line();
        EXPECT_TRUE(error.detail_lines().empty()) << error.detail_lines()[0];
      }
    }
  }
  EXPECT_GE(fields, 45);
}

TEST(Options, FieldsThatContradictEachOther) {
  const auto refused = [](const std::string& text, const std::string& words) {
    try {
      load(text);
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_NE(error.line().find(words), std::string::npos) << error.line();
      EXPECT_EQ(error.code(), ErrorCode::configuration);
    }
  };
  refused("split: {rule: file}", "config.yaml:1:15: in split.rule: rule 'file' without split.file");
  refused("split: {rule: folds, folds: 3, fold: 3}", "config.yaml:1:38: in split.fold: there is no fold 3 among 3");
  refused("split: {fold: 1}", "split.fold counts with split.rule folds alone");
  refused("split: {fodls: 5}", "did you mean split.folds?");
  refused("crop: 31", "config.yaml:1:7: in crop: crop is 31, size 512");
  refused("crop: 257\nsize: 256", "crop is 257, size 256");
  refused("size: 32\nmodel: {network: resnet50-unet}", "config.yaml:1:7: in size: size 32 is too small");
  refused("crop: 32\nmodel: {network: resnet50-attention-unet}", "config.yaml:1:7: in crop: crop 32 is too small");
  refused("size: 32\nmodel: {network: resnet50-unet}", "at least 33");
  try {
    load("crop: 31\nmodel: {network: resnet50-unet}");
    FAIL();
  } catch (const Error& error) { EXPECT_TRUE(error.detail_lines().empty()) << error.detail_lines()[0]; }  // once
  EXPECT_EQ(load("size: 33\nmodel: {network: resnet50-unet}").options.size, 33);
  EXPECT_EQ(load("size: 32\nmodel: {network: attention-unet}").options.size, 32);
  EXPECT_EQ(load("crop: 256\nsize: 256").options.crop, 256);
  EXPECT_EQ(load("split: {rule: folds, fold: 4}").options.split_fold, 4);
  refused("masks: {kind: values}", "without masks.values");
  refused("masks: {kind: values, values: [1], background: [1]}", "value 1 is in masks.values too");
  refused("masks: {kind: classes, classes: {1: 0, 2: 2}}\nloss: {form: ce}", "without gaps");
  refused("masks: {kind: classes, classes: {1: 0, 2: 1}}\nmodel: {classes: 2}",
          "several classes need a loss over classes");
  refused("masks: {kind: classes, classes: {1: 0, 2: 1}}\nloss: {form: ce}\nmodel: {classes: 3}",
          "model.classes is 3, but the masks have 2");
  refused("loss: {form: ce}", "model.classes is 1, but the masks have 2");
  refused("masks: {kind: weak}\nloss: {form: ce}", "needs classes");
  refused("masks: {kind: weak}\nloss: {form: soft_dice}", "needs classes");
  refused("loss: {form: soft_dice}", "model.classes is 1, but the masks have 2");
  refused("masks: {kind: weak, dilate: true}", "only binary masks");
  refused("model: {classes: 2}", "this loss takes one output channel");
  refused("loss: {form: ce, class_weights: [1, 2, 3]}\nmodel: {classes: 2}", "3 weights for 2 classes");
  refused("loss: {dice_weight: 0, focal_weight: 0}", "nothing to learn from");
  refused("texture: {source: files}", "without texture.dir");
  refused("texture: {source: files, dir: d, as: target}\nmasks: {kind: weak}", "a folder of masks");
  refused("texture: {source: closest, as: target}", "a continuous target");
  refused("learning_rate: 1e-7", "above learning_rate");
  EXPECT_EQ(load("loss: {form: ce}\nmodel: {classes: 2}").options.classes, 2);
}

TEST(Options, HelpNamesEveryKeyOnce) {
  const std::string help = train_options_help();
  std::istringstream lines(to_yaml(TrainOptions()));
  std::string group;
  for (std::string line; std::getline(lines, line);) {
    const std::string key = line.substr(0, line.find(':'));
    if (line.ends_with(":")) {
      group = key;
      continue;
    }
    const std::string row = "\n" + (key[0] == ' ' ? group + "." + key.substr(2) : key) + "  (";
    const size_t at = ("\n" + help).find(row);
    EXPECT_NE(at, std::string::npos) << row;
    EXPECT_EQ(("\n" + help).find(row, at + 1), std::string::npos) << row;
  }
}

TEST(Options, FilesOfTheSystem) {
  const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / "furrow_options_test";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "c.yaml") << "\xEF\xBB\xBF"
                                      "epochs: 5\r\nseed: 7\r\n";
  EXPECT_EQ(load_train_options(folder / "c.yaml").options.epochs, 5);
  EXPECT_EQ(load_train_options("", {"epochs=4"}).options.epochs, 4);
  for (const std::string& path : {(folder / "none.yaml").string(), folder.string(), std::string("/dev/zero")}) {
    try {
      load_train_options(path);
      FAIL() << path;
    } catch (const Error& error) { EXPECT_EQ(error.code(), ErrorCode::io) << error.line(); }
  }
  std::filesystem::resize_file(folder / "c.yaml", uint64_t{1} << 40);  // sparse: refused unread
  try {
    load_train_options(folder / "c.yaml");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(error.line().find("too large for settings"), std::string::npos) << error.line();
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace furrow::train
