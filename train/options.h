// TrainOptions: everything that `furrow train` can be told, in one plain structure, and how a configuration becomes
// one.
//
// The keys of a configuration file are declared once, in train/options_schema.cc: `furrow train --help-config` prints
// that table. The original program's config.yaml is read as it is, in every form it had (train/options_seed.h).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "io/limits.h"
#include "kernels/losses.h"

namespace furrow::train {

// In TrainOptions::freeze: every module of the network's encoder, whatever the family calls them.
inline constexpr const char* kEncoder = "encoder";

enum class Optimiser : uint8_t { adamw, sgd };
enum class DecayOn : uint8_t {
  all,           // every tensor, as torch.optim.AdamW over all parameters
  no_norm_bias,  // neither biases nor normalisations
};
enum class Scheduler : uint8_t { plateau, cosine, constant };
// What early stopping and the plateau scheduler look at, measured on the validation set. Loss: less is better.
enum class Metric : uint8_t { loss, iou, f1, dice };
enum class LossKind : uint8_t { dice_focal, cross_entropy, squared_error, soft_dice };
enum class SplitRule : uint8_t {
  seed_first,   // the first permutation of the seed's generator (the original program before e29b5ec)
  seed_second,  // the second (since)
  official,     // the published ID lists of FFHQ-Wrinkle
  hash,         // by a hash of the stem: an item never moves when others come or go
  folds,        // one of `split_folds` equal parts is for validation
  file,         // read from split.file
};
enum class MaskMode : uint8_t {
  binary,     // 0 and 255
  threshold,  // above 127 is wrinkle
  unit,       // 0 and 1
  values,     // the listed values are wrinkle; of a palette picture, its indices
  classes,    // several classes by a map
  weak,       // 0..255 continuous
};
enum class Stem : uint8_t { whole, first_dot };  // of "a.b.png": "a.b" or "a"
// How closely files are looked at before training: names; size from the first bytes; every mask decoded; all decoded.
enum class PairCheck : uint8_t { names, headers, masks, all };
enum class Policy : uint8_t { refuse, warn, accept };  // what a finding means
enum class Normalise : uint8_t { none, imagenet, half };
enum class ImageResize : uint8_t { pillow_lanczos, pillow_bilinear, opencv_linear, opencv_lanczos4 };
enum class MaskResize : uint8_t { pillow_nearest, opencv_nearest };
enum class Texture : uint8_t {
  none,
  files,    // read from texture.dir
  authors,  // computed from the photo, the formula of the texture map's authors
  closest,  // computed, the recipe that reproduces their published maps most closely
};
enum class Precision : uint8_t { float32, mixed };
// Who computes the convolutions on device cuda. (KernelChoice::automatic goes by measured times, and nothing measures a
// training step.)
enum class Kernels : uint8_t { own, vendor };

enum class TextureUse : uint8_t { input, target };  // the fourth channel, or what is learnt

struct TrainOptions {
  // Data.
  std::string image_dir = "./data/masked_face_images", mask_dir = "./data/manual_wrinkle_masks";
  double val_percent = 0.2, test_percent = 0;  // fractions of the items, in spite of their names; their sum is below 1
  SplitRule split_rule = SplitRule::seed_second;
  int64_t split_seed = 42;                  // of the permutations
  int64_t split_folds = 5, split_fold = 0;  // SplitRule::folds: how many, and which, from 0; val_percent does not count
  std::string split_file;                   // for SplitRule::file
  Stem stem = Stem::whole;
  PairCheck pair_check = PairCheck::masks;
  Policy photo_without_mask = Policy::refuse, mask_without_photo = Policy::refuse;
  Policy other_size = Policy::refuse, strange_value = Policy::refuse;
  MaskMode mask_mode = MaskMode::binary;
  std::vector<int64_t> mask_values;         // MaskMode::values: what is wrinkle
  std::vector<int64_t> mask_background;     // and what is not; empty: every other value
  std::map<int64_t, int64_t> mask_classes;  // MaskMode::classes: value in the file -> class
  bool mask_luma = false;                   // masks in colour become luma, as the original program reads them
  bool mask_dilate = false;                 // 3x3 dilation of a binary target
  int64_t size = 512;                       // side of the square the network sees, pixels
  int64_t crop = 0;                         // side of the random part of it that training sees, pixels; 0: all of it
  ImageResize image_resize = ImageResize::pillow_lanczos;
  MaskResize mask_resize = MaskResize::pillow_nearest;
  Normalise normalise = Normalise::imagenet;
  bool raw_scale = false;           // pixels enter as 0..255 instead of 0..1
  Texture texture = Texture::none;
  TextureUse texture_use = TextureUse::input;
  bool texture_is_input() const { return texture != Texture::none && texture_use == TextureUse::input; }
  bool texture_is_target() const { return texture != Texture::none && texture_use == TextureUse::target; }
  // Of texture maps; where they are computed, of face parsers' label maps, or "" for maps of the whole photo.
  std::string texture_dir;
  double texture_sigma = 5;                          // of the Gaussian, pixels at 1024 x 1024
  std::string augment_recipe = "none";               // a name of data/augment's table
  bool augment_as_pinned = false;                    // the parameters that the pinned library really applied
  bool augment_validation = false;                   // augment the validation set too, as the original program does
  std::map<std::string, double> augment_parameters;  // changes of the recipe: "gauss_noise.p" and so on
  int64_t threads = 0;                               // 0: one a core
  int64_t cache_mib = 1024;                          // of decoded items, MiB

  // Network.
  std::string network = "unet";  // Architecture::family
  bool bilinear = false;
  int64_t base = 64, in_channels = 3, classes = 1;  // in_channels: without the texture channel
  double dropout = 0;                               // probability, after each double convolution
  std::string init_weights;                         // a checkpoint to start from, "" for none
  bool init_partial = false;                        // its first and last convolution may have other shapes
  std::vector<std::string> freeze;                  // prefixes of parameter names that are not trained, or kEncoder
  bool freeze_statistics = false;                   // frozen batch norms keep their running statistics too

  // Loss. `dice_focal` is complete whatever form it came from.
  LossKind loss = LossKind::dice_focal;
  std::string loss_form = "L6";  // the name it was chosen by
  DiceFocal dice_focal = dice_focal_form("L6");
  bool measure_class_weight = false;  // dice_focal: pos_weight and dice_map_weight := background / wrinkle
                                      // pixels of the training masks (the original's class weight)
  int64_t ignore_index = -100;        // cross_entropy, soft_dice: label that does not count
  std::vector<double> class_weights;  // the same: one a class, or none for 1 each
  CrossEntropy cross_entropy() const;
  SoftDice soft_dice() const;                                                // soft_dice: the form of that name
  bool labelled() const { return loss == LossKind::cross_entropy || loss == LossKind::soft_dice; }  // one output a class

  // Optimiser.
  Optimiser optimiser = Optimiser::adamw;
  double learning_rate = 1e-4, weight_decay = 1e-5;
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;  // adamw
  double momentum = 0.9;                          // sgd
  bool nesterov = false;
  DecayOn decay_on = DecayOn::all;
  double gradient_clipping = 1;  // global L2 norm; 0: none
  Scheduler scheduler = Scheduler::plateau;
  Metric scheduler_watch = Metric::loss;
  double scheduler_factor = 0.75, scheduler_threshold = 1e-4;  // plateau; the threshold is relative
  int64_t scheduler_patience = 10;                             // plateau, validations
  double min_learning_rate = 1e-6;                             // plateau and cosine
  int64_t warmup_steps = 0;

  double average_decay = 0;  // of the moving average of the weights, which is what is validated and exported; 0: none

  // The run.
  int64_t epochs = 100, batch_size = 8,
          accumulate = 1;  // an update sums the gradients of accumulate * batch_size items
  int64_t seed = 42;
  std::string device = "auto";
  Precision precision = Precision::float32;
  Kernels kernels = Kernels::own;
  double loss_scale = 65536;           // mixed: the first
  int64_t loss_scale_interval = 2000;  // mixed: good steps before it doubles; 0: it stays
  std::string run_dir = "runs";
  std::string checkpoint_dir;                        // "": `checkpoints` inside the run folder
  int64_t checkpoint_every = 1, validate_every = 1;  // epochs
  int64_t log_every = 10;                            // steps
  Metric watch = Metric::iou;                        // decides "best" and early stopping
  int64_t patience = 15;                             // validations without improvement; 0: no early stopping
  double min_improvement = 0;
  double threshold = 0.5;  // probability above which a pixel is wrinkle
  int64_t overlays = 5;    // pictures after each validation
  bool preflight = true;   // checks before the first step, one-image overfit included
};

// What a configuration came to.
struct LoadedOptions {
  TrainOptions options;
  std::vector<std::string> notes;  // in words, each once: keys that do nothing here, keys that mean more than they say
};

// Reads `path` ("" for none: the defaults), then each override "KEY=VALUE". All faults of the file and the overrides
// are reported together (io/config_problems.h): ErrorCode::configuration; ErrorCode::io where the file cannot be read.
LoadedOptions load_train_options(const std::string& path, const std::vector<std::string>& overrides = {},
                                 const io::Limits& limits = {});

// The same from memory; a `name` that ends in ".json" makes it JSON.
LoadedOptions parse_train_options(std::string_view text, std::string_view name,
                                  const std::vector<std::string>& overrides = {}, const io::Limits& limits = {});

// Every key with its value, as a file that gives the same options again: what a run folder stores.
std::string to_yaml(const TrainOptions& options);

// The table of keys for people: what `--help-config` prints.
std::string train_options_help();

}  // namespace furrow::train
