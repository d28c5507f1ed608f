#include "train/setup.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>

#include "io/checkpoint.h"
#include "nn/encoder.h"
#include "nn/freeze.h"
#include "nn/recognise.h"

namespace furrow::train {
namespace {

std::vector<uint8_t> bytes_of(const std::vector<int64_t>& values) { return {values.begin(), values.end()}; }

data::Policy policy(Policy p) { return static_cast<data::Policy>(p); }
static_assert(static_cast<int>(Policy::accept) == static_cast<int>(data::Policy::accept));
static_assert(static_cast<int>(PairCheck::all) == static_cast<int>(data::PairCheck::all));
static_assert(static_cast<int>(Normalise::half) == static_cast<int>(data::Scaling::half));
static_assert(static_cast<int>(Normalise::half) == static_cast<int>(Normalisation::half));

data::PairOptions pair_options(const TrainOptions& o, const io::Limits& limits) {
  data::PairOptions out;
  out.images = o.image_dir;
  out.masks = o.texture_is_target() ? "" : o.mask_dir;
  out.textures = o.texture == Texture::none ? "" : o.texture_dir;
  out.rule = mask_rule(o);
  out.stem = o.stem == Stem::whole ? data::Stem::whole : data::Stem::first_dot;
  out.check = static_cast<data::PairCheck>(o.pair_check);
  out.photo_without_mask = policy(o.photo_without_mask);
  out.mask_without_photo = policy(o.mask_without_photo);
  out.other_size = policy(o.other_size);
  out.strange_value = policy(o.strange_value);
  out.limits = limits;
  return out;
}

io::TextureRecipe recipe_of(Texture source) {
  return source == Texture::authors ? io::TextureRecipe::authors : io::TextureRecipe::closest;
}

data::DatasetOptions dataset_options(const TrainOptions& o, const io::Limits& limits) {
  data::DatasetOptions out;
  out.width = out.height = o.size;
  const bool pillow = o.image_resize == ImageResize::pillow_lanczos || o.image_resize == ImageResize::pillow_bilinear;
  if (pillow && o.mask_resize == MaskResize::pillow_nearest)
    out.path = data::ResizePath::plain;
  else if (o.image_resize == ImageResize::opencv_lanczos4 && o.mask_resize == MaskResize::opencv_nearest)
    out.path = data::ResizePath::seed;
  else
    throw Error(ErrorCode::unsupported, "no way of resizing has this filter for photos and that one for masks")
        .in("resize")
        .hint("pillow-lanczos or pillow-bilinear with pillow-nearest; opencv-lanczos4 with opencv-nearest");
  out.filter = o.image_resize == ImageResize::pillow_bilinear ? io::Filter::bilinear : io::Filter::lanczos;
  out.rule = mask_rule(o);
  if (o.texture == Texture::authors || o.texture == Texture::closest) {
    out.texture = io::TextureOptions{.recipe = recipe_of(o.texture), .sigma = o.texture_sigma};
    out.texture_is_target = o.texture_is_target();
  }
  out.cache_bytes = static_cast<size_t>(o.cache_mib) << 20;
  out.limits = limits;
  return out;
}

data::Split make_split(const TrainOptions& o, const std::vector<std::string>& ids, std::vector<std::string>& notes) {
  const auto seed = static_cast<uint64_t>(o.split_seed);
  switch (o.split_rule) {
    case SplitRule::seed_first: return data::split_by_permutation(ids, seed, 1, o.val_percent, o.test_percent);
    case SplitRule::seed_second: return data::split_by_permutation(ids, seed, 2, o.val_percent, o.test_percent);
    case SplitRule::official: return data::split_official(ids);
    case SplitRule::hash: return data::split_by_hash(ids, o.val_percent, o.test_percent);
    case SplitRule::folds: return data::split_by_folds(ids, seed, o.split_folds, o.split_fold, o.test_percent);
    case SplitRule::file: break;
  }
  data::Split split = data::read_split(o.split_file);
  const data::SplitDifference difference = data::restrict_split(split, ids);
  if (!difference.absent.empty())
    notes.push_back(std::to_string(difference.absent.size()) + " examples of the stored split are not there, such as " +
                    difference.absent[0]);
  if (!difference.unassigned.empty())
    notes.push_back(std::to_string(difference.unassigned.size()) +
                    " examples are in no part of the stored split, such as " + difference.unassigned[0]);
  if (split.train.empty()) throw Error(ErrorCode::configuration, "nothing is left to train on").file(o.split_file);
  return split;
}

// The tensors of `from` that fit `network`; the others keep their initial values and are counted.
void load_partly(Network& network, const NamedTensors& from, DType type, std::vector<std::string>& notes) {
  std::map<std::string, const NamedTensor*> by_name;
  for (const NamedTensor& tensor : from) by_name.emplace(tensor.name, &tensor);
  NamedTensors merged = network.state();
  std::string left;
  for (NamedTensor& tensor : merged) {
    const auto found = by_name.find(tensor.name);
    if (found != by_name.end() && found->second->dims == tensor.dims)
      tensor = *found->second;
    else
      left += (left.empty() ? "" : ", ") + printable(tensor.name);
  }
  network.load(merged, type);
  if (!left.empty()) notes.push_back("not taken from the checkpoint, drawn anew: " + left);
}

void start_encoder(Network& network, const NamedTensors& from, DType type, std::vector<std::string>& notes) {
  const std::vector<std::string> left = load_encoder(network, from, type);
  std::string note = "the file is a " + std::string(name(classifier_of(from))) +
                     " classifier: the encoder starts from it, the rest is drawn anew";
  for (const std::string& key : left) note += ", " + key + " too (other input channels)";
  notes.push_back(std::move(note));
}

}  // namespace

BackendOptions backend_options(const TrainOptions& o, const Device& device) {
  BackendOptions out;
  out.memory = MemoryClass::low;  // of validation's plan, whose weights would lie beside a whole step's memory
  out.kernels = o.kernels == Kernels::vendor ? KernelChoice::vendor : KernelChoice::own;
  check_kernels(device, out.kernels);
  const bool mixed = o.precision == Precision::mixed;
  // Only the CUDA kernels know another precision; what they compute in 16 bits is theirs to say (cuda_eager_mma.h).
  // Mixed is fp16 and not bf16, for that is what the loss scale of the configuration is for.
  if (device.kind == DeviceKind::cuda || device.kind == DeviceKind::cpu_emulated)
    out.precision = mixed ? furrow::Precision::fp16 : furrow::Precision::fp32;
  else if (mixed)
    throw Error(ErrorCode::unsupported, std::string("mixed precision needs device cuda, and this is ") +
                                            (device.kind == DeviceKind::cpu ? "cpu" : "ref"))
        .in("precision")
        .hint("precision: float32; device cpu-emulated computes it too, slowly");
  if (out.kernels == KernelChoice::vendor && !mixed)
    throw Error(ErrorCode::usage, "--kernels vendor multiplies in fp16, and precision is float32")
        .hint("--precision mixed, or --kernels own");
  return out;
}

data::MaskRule mask_rule(const TrainOptions& o) {
  data::MaskRule rule;
  rule.kind = static_cast<data::MaskKind>(o.mask_mode);
  static_assert(static_cast<int>(MaskMode::weak) == static_cast<int>(data::MaskKind::weak));
  rule.wrinkle = bytes_of(o.mask_values);
  rule.background = bytes_of(o.mask_background);
  for (const auto& [value, number] : o.mask_classes)
    rule.classes.emplace_back(static_cast<uint8_t>(value), static_cast<uint8_t>(number));
  rule.luma = o.mask_luma;
  rule.dilate = o.mask_dilate;
  return rule;
}

Data open_data(const TrainOptions& o, const io::Limits& limits, ThreadPool* pool) {
  const data::DatasetOptions set_options = dataset_options(o, limits);
  Data out;
  out.pairing = data::find_pairs(pair_options(o, limits), pool);
  out.set = std::make_unique<data::Dataset>(out.pairing.pairs, set_options);
  out.split = make_split(o, out.set->ids(), out.notes);
  out.train = out.set->positions(out.split.train);
  out.val = out.set->positions(out.split.val);
  return out;
}

data::LoaderOptions loader_options(const TrainOptions& o, bool validation, int threads) {
  return {.batch = o.batch_size,
          .shuffle = !validation,
          .seed = static_cast<uint64_t>(o.seed),
          .scaling = static_cast<data::Scaling>(o.normalise),
          .raw_scale = o.raw_scale,
          .threads = threads};
}

Architecture architecture_of(const TrainOptions& o) {
  Architecture out;
  out.family = o.network;
  out.base = o.base;
  out.in_channels = o.in_channels + (o.texture_is_input() ? 1 : 0);
  out.classes = o.classes;
  out.bilinear = o.bilinear;
  out.dropout = o.dropout;
  return out;
}

void freeze_parts(Network& network, const TrainOptions& o) {
  std::vector<std::string> prefixes;
  for (const std::string& entry : o.freeze)
    if (entry == kEncoder)
      std::ranges::copy(network.encoder(), std::back_inserter(prefixes));
    else
      prefixes.push_back(entry);
  if (!prefixes.empty())
    freeze(network, prefixes, o.freeze_statistics ? FrozenStatistics::fixed : FrozenStatistics::moving);
}

std::unique_ptr<Network> make_network(const TrainOptions& o, DType type, const io::Limits& limits,
                                      std::vector<std::string>& notes) {
  std::unique_ptr<Network> network = build(architecture_of(o));
  network->initialise(static_cast<uint64_t>(o.seed), type);
  if (!o.init_weights.empty()) {
    const io::Checkpoint file = io::read_checkpoint(o.init_weights, limits);
    with_file(o.init_weights, [&] {
      if (classifier_of(file.tensors) != Classifier::none)
        start_encoder(*network, file.tensors, type, notes);
      else if (o.init_partial)
        load_partly(*network, file.tensors, type, notes);
      else
        network->load(file.tensors, type);
    });
  }
  freeze_parts(*network, o);
  return network;
}

namespace {

// Masks of two values are 0 and 1 in the network's type; as labels they are the two classes.
LossFunction with_labels(LossFunction loss) {
  return [loss = std::move(loss)](Backend& backend, const Tensor& z, const Tensor& target, Tensor* dz) {
    if (target.dtype() == DType::i32) return loss(backend, z, target, dz);
    const Tensor wide = target.to(DType::f64);
    Tensor labels(target.shape(), DType::i32);
    std::ranges::transform(wide.values<double>(), labels.values<int32_t>().begin(),
                           [](double value) { return value > 0.5 ? 1 : 0; });
    return loss(backend, z, labels, dz);
  };
}

}  // namespace

LossFunction make_loss(const TrainOptions& o, double background_per_wrinkle) {
  if (o.loss == LossKind::cross_entropy) return with_labels(loss_of(o.cross_entropy()));
  if (o.loss == LossKind::soft_dice) return with_labels(loss_of(o.soft_dice()));
  if (o.loss == LossKind::squared_error) return squared_error_loss();
  DiceFocal form = o.dice_focal;
  if (o.measure_class_weight) form.pos_weight = form.dice_map_weight = background_per_wrinkle;
  return loss_of(form);
}

furrow::TrainOptions step_options(const TrainOptions& o, LossFunction loss) {
  furrow::TrainOptions out;
  out.loss = std::move(loss);
  if (o.optimiser == Optimiser::adamw)
    out.optimiser = AdamW{.beta1 = o.beta1, .beta2 = o.beta2, .eps = o.eps};
  else
    out.optimiser = Sgd{.momentum = o.momentum, .nesterov = o.nesterov};
  out.weight_decay = o.weight_decay;
  out.decayed = o.decay_on == DecayOn::all ? Decayed::all : Decayed::weights;
  out.max_norm = o.gradient_clipping;
  if (o.precision == Precision::mixed) {
    out.scaling.interval = static_cast<int32_t>(o.loss_scale_interval);
    out.loss_scale = static_cast<float>(o.loss_scale);
  }
  out.seed = static_cast<uint64_t>(o.seed);
  return out;
}

std::unique_ptr<Schedule> make_schedule(const TrainOptions& o, int64_t steps_per_epoch) {
  switch (o.scheduler) {
    case Scheduler::constant: return constant_schedule(o.learning_rate);
    case Scheduler::cosine: {
      const int64_t steps = std::max<int64_t>(1, o.epochs * steps_per_epoch);
      return cosine_schedule(o.learning_rate, {.steps = steps,
                                               .warm_up = std::min(o.warmup_steps, steps),
                                               .min_lr = std::min(o.min_learning_rate, o.learning_rate)});
    }
    case Scheduler::plateau: break;
  }
  return plateau_schedule(o.learning_rate, {.maximise = o.scheduler_watch != Metric::loss,
                                            .factor = o.scheduler_factor,
                                            .patience = static_cast<int>(o.scheduler_patience),
                                            .threshold = o.scheduler_threshold,
                                            .min_lr = o.min_learning_rate});
}

int64_t training_side(const TrainOptions& o) { return o.crop == 0 ? o.size : o.crop; }

ModelInfo model_info(const TrainOptions& o, const std::string& name) {
  ModelInfo out;
  out.name = printable(name);
  out.architecture = architecture_of(o).text();
  out.raw_scale = o.raw_scale;
  out.normalisation = static_cast<Normalisation>(o.normalise);
  out.resize = o.image_resize == ImageResize::pillow_bilinear ? "pillow-bilinear" : "pillow-lanczos";
  out.size = o.size;
  out.threshold = o.threshold;
  if (o.loss == LossKind::dice_focal && o.dice_focal.double_sigmoid) out.output = Output::sigmoid;
  // Maps from files were made elsewhere, by a recipe that nobody named.
  if (o.texture_is_input() && o.texture != Texture::files)
    out.texture =
        TextureInput{.recipe = recipe_of(o.texture), .sigma = o.texture_sigma, .masked = !o.texture_dir.empty()};
  return out;
}

}  // namespace furrow::train
