// What no single field can see.
#include <algorithm>
#include <initializer_list>

#include "train/options_schema.h"

namespace furrow::train {

void check_together(const TrainOptions& o, const std::vector<io::ConfigEntry>& entries, io::ConfigProblems& problems) {
  // The problem stands at the first of `keys` that was given.
  const auto refuse = [&](std::initializer_list<std::string_view> keys, std::string reason, std::string hint) {
    for (const std::string_view key : keys)
      for (const io::ConfigEntry& entry : entries)
        if (entry.path == key) return problems.add(entry.place, entry.key, std::move(reason), std::move(hint));
    problems.add({"the configuration", 0, 0}, *keys.begin(), std::move(reason), std::move(hint));
  };
  if (o.split_rule != SplitRule::folds && o.val_percent + o.test_percent >= 1)
    refuse({"val_percent", "test_percent"}, "val_percent and test_percent leave nothing to train on",
           "their sum must be below 1");
  // The encoder of a ResNet halves the side five times, and batch norm needs more than one value of a channel of its
  // last level.
  if (o.crop != 0 && (o.crop < 32 || o.crop > o.size))
    refuse({"crop", "size"}, "crop is " + std::to_string(o.crop) + ", size " + std::to_string(o.size),
           "0, or from 32 to size");
  else if (const int64_t side = o.crop != 0 ? o.crop : o.size; o.network.starts_with("resnet50-") && side <= 32)
    refuse({o.crop != 0 ? "crop" : "size", "model.network"},
           std::string(o.crop != 0 ? "crop" : "size") + " " + std::to_string(side) + " is too small for a " +
               o.network + ": one picture would leave batch norm a single value",
           "at least 33; 64 or more is sensible");
  if (o.split_rule == SplitRule::folds && o.split_fold >= o.split_folds)
    refuse({"split.fold", "split.folds"},
           "there is no fold " + std::to_string(o.split_fold) + " among " + std::to_string(o.split_folds),
           "folds are counted from 0");
  if (o.split_rule != SplitRule::folds && o.split_fold != 0)
    refuse({"split.fold", "split.rule"}, "split.fold counts with split.rule folds alone", "set split.rule: folds");
  if (o.split_rule == SplitRule::file && o.split_file.empty())
    refuse({"split.rule"}, "rule 'file' without split.file", "name the stored split");
  if (o.mask_mode == MaskMode::values && o.mask_values.empty())
    refuse({"masks.kind"}, "kind 'values' without masks.values", "list what is wrinkle");
  for (const int64_t value : o.mask_values)
    if (std::find(o.mask_background.begin(), o.mask_background.end(), value) != o.mask_background.end()) {
      refuse({"masks.background", "masks.values"}, "value " + std::to_string(value) + " is in masks.values too",
             "keep it in one");
      break;
    }
  const bool classes = o.mask_mode == MaskMode::classes;
  int64_t target_classes = o.mask_mode == MaskMode::weak ? 0 : 2;
  if (classes) {
    // Class numbers are 0 .. N-1, each used: a gap would be an output that is never right.
    std::vector<int64_t> numbers;
    for (const auto& [value, number] : o.mask_classes) numbers.push_back(number);
    std::sort(numbers.begin(), numbers.end());
    numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
    const auto count = static_cast<int64_t>(numbers.size());
    if (count < 2 || numbers.back() != count - 1)
      refuse({"masks.classes", "masks.kind"}, "masks.classes must use the numbers 0, 1, ... without gaps, two at least",
             "");
    target_classes = count;
    if (!o.labelled())
      refuse({"masks.kind"}, "several classes need a loss over classes and model.classes",
             "loss.form ce, soft_dice, foreground_dice, L0_class_mean, or L0 with model.classes above 1");
  }
  if (o.labelled() && target_classes == 0)
    refuse({"loss.form", "masks.kind"}, "form '" + o.loss_form + "' needs classes, and masks.kind is weak",
           "use loss.form mse");
  else if (o.labelled() && o.classes != target_classes)
    refuse({"model.classes", "loss.form"},
           "model.classes is " + std::to_string(o.classes) + ", but the masks have " + std::to_string(target_classes) +
               " classes",
           "make them equal");
  if (!o.labelled() && o.classes != 1)
    refuse({"model.classes"}, "this loss takes one output channel, not " + std::to_string(o.classes),
           "use loss.form ce, soft_dice, foreground_dice, L0_class_mean or L0");
  if (o.labelled() && !o.class_weights.empty() && static_cast<int64_t>(o.class_weights.size()) != o.classes)
    refuse({"loss.class_weights"},
           std::to_string(o.class_weights.size()) + " weights for " + std::to_string(o.classes) + " classes", "");
  if (o.loss == LossKind::dice_focal && o.dice_focal.dice_weight == 0 && o.dice_focal.focal_weight == 0)
    refuse({"loss.dice_weight", "loss.focal_weight"},
           "dice_weight and focal_weight are both 0: there is nothing to learn from", "");
  if (o.mask_dilate && (classes || o.mask_mode == MaskMode::weak))
    refuse({"masks.dilate"}, "only binary masks can be dilated", "");
  if (o.texture_is_target() && o.texture == Texture::files)
    refuse({"texture.as", "texture.source"}, "maps in files are a folder of masks",
           "mask_dir: FOLDER, without texture");
  else if (o.texture_is_target() && o.mask_mode != MaskMode::weak)
    refuse({"texture.as", "masks.kind"}, "a texture map is a continuous target", "set masks.kind: weak");
  if (o.texture == Texture::files && o.texture_dir.empty())
    refuse({"texture.source"}, "source 'files' without texture.dir", "name the folder");
  if (o.scheduler != Scheduler::constant && o.min_learning_rate > o.learning_rate)
    refuse({"scheduler.min_learning_rate", "learning_rate"}, "scheduler.min_learning_rate is above learning_rate", "");
}

}  // namespace furrow::train
