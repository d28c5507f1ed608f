#include "train/options_schema.h"

#include <algorithm>

namespace furrow::train {
namespace {

using io::ConfigRange;
using io::ConfigSchema;

constexpr ConfigRange kFraction{.low = 0, .high = 1, .open_high = true};  // [0, 1)
constexpr ConfigRange kUnit{.low = 0, .high = 1};
constexpr ConfigRange kPositive{.low = 0, .high = 1e6, .open_low = true};
constexpr ConfigRange kWeight{.low = 0, .high = 1e6};

size_t index_of(const std::vector<std::string>& names, const std::string& name) {
  return static_cast<size_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

void add_data(ConfigSchema& s, TrainOptions& o) {
  s.text("image_dir", &o.image_dir, false, "folder of photos; a mask belongs to the photo of the same stem");
  s.text("mask_dir", &o.mask_dir, false, "folder of masks");
  s.number("val_percent", &o.val_percent, kFraction, "fraction of the items", "how much is kept for validation");
  s.number("test_percent", &o.test_percent, kFraction, "fraction of the items",
           "how much is kept for testing, unseen by training");
  s.count("size", &o.size, 16, 8192, "pixels", "side of the square that photo and mask are resized to");
  s.count("crop", &o.crop, 0, 8192, "pixels",
          "side of the square that training cuts out of it, anew each epoch (32 at least); 0 for the whole");
  s.choice("split.rule", &o.split_rule, {"seed-first", "seed-second", "official", "hash", "folds", "file"},
           "how items are divided: a seeded permutation (the original's first or second draw), the published "
           "FFHQ-Wrinkle lists, "
           "by a hash of the stem, one fold of a cross-validation, or a stored split");
  s.count("split.seed", &o.split_seed, 0, UINT32_MAX, "", "of the seed-first, seed-second and folds permutations");
  s.count("split.folds", &o.split_folds, 2, 1000, "folds", "rule 'folds': parts of equal size, disjoint");
  s.count("split.fold", &o.split_fold, 0, 999, "from 0",
          "rule 'folds': which part is for validation, whatever val_percent says");
  s.text("split.file", &o.split_file, true, "the stored split that rule 'file' reads");
  s.choice("pairs.stem", &o.stem, {"whole", "first-dot"},
           "what pairs 'a.b.png': the stem a.b, or a as in the original");
  s.choice("pairs.check", &o.pair_check, {"names", "headers", "masks", "all"},
           "how closely files are looked at before the first step: names, headers, every mask, every file");
  s.choice("pairs.photo_without_mask", &o.photo_without_mask, {"refuse", "warn", "accept"}, "what such a file means");
  s.choice("pairs.mask_without_photo", &o.mask_without_photo, {"refuse", "warn", "accept"}, "what such a file means");
  s.choice("pairs.other_size", &o.other_size, {"refuse", "warn", "accept"}, "a mask of another size than its photo");
  s.choice("pairs.strange_value", &o.strange_value, {"refuse", "warn", "accept"},
           "a mask value that masks.kind does not name");
  s.choice("masks.kind", &o.mask_mode, {"binary", "threshold", "unit", "values", "classes", "weak"},
           "what mask values mean: 0/255, above 127, 0/1, a list of values, a map of classes, or continuous 0..255");
  s.counts("masks.values", &o.mask_values, 0, 255, 256,
           "kind 'values': what is wrinkle (palette indices of palette pictures)");
  s.counts("masks.background", &o.mask_background, 0, 255, 256,
           "kind 'values': what is not; empty for every other value");
  s.count_map("masks.classes", &o.mask_classes, 255, 254, "kind 'classes': value in the file to class number");
  s.flag("masks.dilate", &o.mask_dilate, "widen the strokes of binary masks by one pixel (3x3)");
  s.flag("masks.luma", &o.mask_luma, "read coloured or JPEG masks through their luma, as the original does");
  s.choice("resize.image", &o.image_resize, {"pillow-lanczos", "pillow-bilinear", "opencv-linear", "opencv-lanczos4"},
           "filter for photos, equal to that library's");
  s.choice("resize.mask", &o.mask_resize, {"pillow-nearest", "opencv-nearest"}, "which pixel nearest takes for masks");
  s.choice("input.normalisation", &o.normalise, {"none", "imagenet", "half"},
           "of the scaled pixel x: x, (x - mean) / std of ImageNet, or 2x - 1");
  s.flag("input.raw_scale", &o.raw_scale, "pixels enter as 0..255 instead of 0..1");
  s.choice("texture.source", &o.texture, {"none", "files", "authors", "closest"},
           "none, files, or computed from the photo by the authors' formula or the closest reproduction of their maps");
  s.choice("texture.as", &o.texture_use, {"input", "target"},
           "input: the fourth channel; target: what is learnt, in place of masks (computed maps, masks.kind weak)");
  s.text("texture.dir", &o.texture_dir, true,
         "source 'files': the maps; else label maps of a face parser, maps are 0 outside skin and nose (1, 10)");
  s.number("texture.sigma", &o.texture_sigma, {.low = 0, .high = 100, .open_low = true}, "pixels at 1024 x 1024",
           "of the Gaussian");
  s.text("augment.recipe", &o.augment_recipe, false, "name of a list of random changes; none for no augmentation");
  s.flag("augment.as_pinned", &o.augment_as_pinned,
         "the parameters that the original's pinned library really applied, instead of the intended");
  s.flag("augment.validation", &o.augment_validation, "augment the validation set too, as the original does");
  s.number_map("augment.parameters", &o.augment_parameters, {.low = -1e6, .high = 1e6},
               "changes of the recipe's numbers, by name");
}

void add_network(ConfigSchema& s, TrainOptions& o) {
  static const std::vector<std::string> kNetworks = {"unet", "attention-unet", "resnet50-unet",
                                                    "resnet50-attention-unet"};
  s.choice(
      "model.network", kNetworks, "the classic U-Net, with attention gates, on a ResNet50 encoder, on that with gates",
      [&o] { return index_of(kNetworks, o.network); }, [&o](size_t i) { o.network = kNetworks[i]; });
  s.choice(
      "model.upsampling", {"transposed", "bilinear"}, "of the U-Net", [&o] { return size_t{o.bilinear}; },
      [&o](size_t i) { o.bilinear = i == 1; });
  s.count("model.base", &o.base, 1, 1024, "channels", "of the first level; each level down doubles them");
  s.count("model.channels", &o.in_channels, 1, 16, "channels", "of the photo; a texture channel comes on top");
  s.count("model.classes", &o.classes, 1, 254, "channels", "of the output; 1 for wrinkle or not");
  s.number("model.dropout", &o.dropout, kFraction, "probability", "after each double convolution");
  s.text("model.init", &o.init_weights, true, "checkpoint to start from, or a ResNet50 of torchvision for the encoder");
  s.flag("model.init_partial", &o.init_partial,
         "its first and last convolution may have other shapes (a further channel or class)");
  s.texts("model.freeze", &o.freeze, 256, "prefixes of parameter names that are not trained; 'encoder': the network's whole encoder");
  s.flag("model.freeze_statistics", &o.freeze_statistics, "frozen batch norms keep their running statistics too");
}

void add_loss(ConfigSchema& s, TrainOptions& o) {
  static const std::vector<std::string> kForms = {"L0",  "L1", "L2",  "L3",            "L4",        "L5",
                                                 "L6",  "bce", "ce", "L0_class_mean", "soft_dice", "foreground_dice",
                                                 "mse"};
  s.choice(
      "loss.form", kForms,
      "sets the parameters below: L0..L6 as in the original's history, bce, mse; over classes ce, soft_dice (stage 2 of "
      "the two-stage training), L0 and its older L0_class_mean (ce + Dice), foreground_dice; an override resets them all",
      [&o] { return index_of(kForms, o.loss_form); },
      [&o](size_t i) {
        o.loss_form = kForms[i];
        const bool soft = o.loss_form == "L0_class_mean" || o.loss_form.ends_with("_dice");
        o.loss = soft                   ? LossKind::soft_dice
                 : o.loss_form == "ce"  ? LossKind::cross_entropy
                 : o.loss_form == "mse" ? LossKind::squared_error
                                        : LossKind::dice_focal;
        if (!soft && o.loss_form.starts_with('L')) o.dice_focal = dice_focal_form(o.loss_form);
        if (o.loss_form == "bce")
          o.dice_focal = {.dice_weight = 0, .alpha_positive = 1, .alpha_negative = 1, .gamma = 0};
      });
  DiceFocal& d = o.dice_focal;
  s.number("loss.dice_weight", &d.dice_weight, kWeight, "", "of the Dice term");
  s.number("loss.focal_weight", &d.focal_weight, kWeight, "", "of the focal term");
  s.number("loss.gamma", &d.gamma, {.low = 0, .high = 20}, "",
           "focusing exponent of the focal term; 0 is cross-entropy");
  s.number("loss.alpha_positive", &d.alpha_positive, kUnit, "", "weight of wrinkle pixels in the focal term");
  s.number("loss.alpha_negative", &d.alpha_negative, kUnit, "", "weight of the other pixels in the focal term");
  s.number("loss.pos_weight", &d.pos_weight, kWeight, "",
           "factor of wrinkle pixels' cross-entropy inside the focal term");
  s.number("loss.dice_map_weight", &d.dice_map_weight, kWeight, "", "wrinkle pixels count 1 + this in the Dice sums");
  s.number("loss.eps", &d.eps, {.low = 0, .high = 1, .open_low = true}, "", "added above and below the Dice fraction");
  s.flag("loss.clamp", &d.clamp, "the focal term sees probabilities in [1e-6, 1 - 1e-6], without gradient outside");
  s.flag("loss.double_sigmoid", &d.double_sigmoid, "the sigmoid is taken twice, as the original did for a time");
  s.flag("loss.batch_broadcast", &d.batch_broadcast,
         "focal over all pairs of the batch, as the original did for a time");
  s.flag("loss.dice_over_batch", &d.dice_over_batch, "one Dice for the batch instead of one a picture");
  s.choice(
      "loss.class_weight", {"none", "measured"},
      "measured: pos_weight and dice_map_weight become background / wrinkle pixels of the training masks",
      [&o] { return size_t{o.measure_class_weight}; }, [&o](size_t i) { o.measure_class_weight = i == 1; });
  s.count("loss.ignore_index", &o.ignore_index, -1000, 1000, "", "forms over classes: label that does not count");
  s.numbers("loss.class_weights", &o.class_weights, kWeight, 0, 254, "forms over classes: one weight a class in the cross-entropy; empty for 1 each");
}

void add_optimiser(ConfigSchema& s, TrainOptions& o) {
  s.number("learning_rate", &o.learning_rate, {.low = 0, .high = 10, .open_low = true}, "per update",
           "the highest of the schedule");
  s.number("weight_decay", &o.weight_decay, {.low = 0, .high = 10}, "per update",
           "decoupled with adamw, added to the gradient with sgd");
  s.number("gradient_clipping", &o.gradient_clipping, kWeight, "global L2 norm",
           "longer gradients are scaled to it; 0 for no clipping");
  s.choice("optimiser.name", &o.optimiser, {"adamw", "sgd"},
           "decoupled weight decay, or plain gradient descent with momentum");
  s.number("optimiser.beta1", &o.beta1, kFraction, "", "adamw: of the mean");
  s.number("optimiser.beta2", &o.beta2, kFraction, "", "adamw: of the mean square");
  s.number("optimiser.eps", &o.eps, {.low = 0, .high = 1, .open_low = true}, "", "adamw: added to the root");
  s.number("optimiser.momentum", &o.momentum, kFraction, "", "sgd");
  s.flag("optimiser.nesterov", &o.nesterov, "sgd: look ahead");
  s.choice("optimiser.decay_on", &o.decay_on, {"all", "no-norm-bias"}, "which tensors weight_decay shrinks");
  s.number("average_decay", &o.average_decay, kFraction, "per update",
           "of the moving average of the weights, which is then what is validated and exported; 0 for none");
  s.choice("scheduler.name", &o.scheduler, {"plateau", "cosine", "constant"}, "of the learning rate");
  s.choice("scheduler.watch", &o.scheduler_watch, {"loss", "iou", "f1", "dice"}, "plateau: what must improve");
  s.number("scheduler.factor", &o.scheduler_factor, {.low = 0, .high = 1, .open_low = true, .open_high = true}, "",
           "plateau: the rate is multiplied by it");
  s.count("scheduler.patience", &o.scheduler_patience, 0, 1'000'000, "validations",
          "plateau: how many may pass without improvement");
  s.number("scheduler.threshold", &o.scheduler_threshold, kFraction, "relative",
           "plateau: the least improvement that counts");
  s.number("scheduler.min_learning_rate", &o.min_learning_rate, {.low = 0, .high = 10}, "per update",
           "plateau and cosine go no lower");
  s.count("scheduler.warmup", &o.warmup_steps, 0, 100'000'000, "updates", "the rate rises linearly from 0 over them");
}

void add_run(ConfigSchema& s, TrainOptions& o) {
  s.count("epochs", &o.epochs, 1, 1'000'000, "passes over the training set", "at most");
  s.count("batch_size", &o.batch_size, 1, 65'536, "items", "per step");
  s.count("accumulate", &o.accumulate, 1, 65'536, "steps", "whose gradients are summed before an update");
  s.count("seed", &o.seed, 0, INT64_MAX, "", "of initial weights, dropout, augmentation and order");
  static const std::vector<std::string> kDevices = {"auto", "cuda", "cpu", "cpu-emulated", "ref"};
  s.choice(
      "device", kDevices, "what computes", [&o] { return index_of(kDevices, o.device); },
      [&o](size_t i) { o.device = kDevices[i]; });
  s.choice("precision", &o.precision, {"float32", "mixed"},
           "mixed: convolutions multiply in fp16, with a loss scale; device cuda");
  s.choice("kernels", &o.kernels, {"own", "vendor"},
           "vendor: cuDNN and cuBLASLt compute convolutions; device cuda, precision mixed");
  s.number("loss_scale", &o.loss_scale, {.low = 1, .high = 4294967296.0}, "", "mixed: the first");
  s.count("loss_scale_interval", &o.loss_scale_interval, 0, 1'000'000'000, "updates",
          "mixed: good ones before the scale doubles; 0 keeps it");
  s.count("threads", &o.threads, 0, 1024, "threads", "0 for one a core");
  s.count("cache_mib", &o.cache_mib, 0, 1'048'576, "MiB", "of decoded items kept in memory");
  s.text("run_dir", &o.run_dir, false, "folder in which the run's own folder is made");
  s.text("checkpoint_dir", &o.checkpoint_dir, true, "where checkpoints go instead of the run folder");
  s.count("checkpoint_every", &o.checkpoint_every, 1, 1'000'000, "epochs", "between checkpoints of the last state");
  s.count("validate_every", &o.validate_every, 1, 1'000'000, "epochs", "between validations");
  s.count("log_every", &o.log_every, 1, 1'000'000'000, "updates", "between lines of the log");
  s.choice("watch", &o.watch, {"loss", "iou", "f1", "dice"}, "what decides the best checkpoint and early stopping");
  s.count("patience", &o.patience, 0, 1'000'000, "validations",
          "without improvement before training stops; 0 for never");
  s.number("min_improvement", &o.min_improvement, kFraction, "of the watched metric",
           "the least that counts as improvement");
  s.number("threshold", &o.threshold, {.low = 0, .high = 1, .open_low = true, .open_high = true}, "probability",
           "above it a pixel is wrinkle");
  s.count("overlays", &o.overlays, 0, 10'000, "pictures", "drawn at each validation");
  s.flag("preflight", &o.preflight, "check pairs, memory, disk and a one-image overfit before the first step");
}

}  // namespace

io::ConfigSchema train_schema(TrainOptions& options) {
  ConfigSchema schema;
  add_run(schema, options);
  add_optimiser(schema, options);
  add_data(schema, options);
  add_network(schema, options);
  add_loss(schema, options);
  return schema;
}

}  // namespace furrow::train
