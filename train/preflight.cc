#include "train/preflight.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "data/pairs_header.h"
#include "nn/step_peak.h"
#include "train/run_folder.h"

namespace furrow::train {
namespace {

std::string mib(uint64_t bytes) { return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB"; }

std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

std::optional<double> prevalence(const data::Pairing& pairing, MaskMode mode) {
  double positive = 0, all = 0;
  for (size_t value = 0; value < pairing.target_pixels.size(); ++value) {
    const auto pixels = static_cast<double>(pairing.target_pixels[value]);
    all += pixels;
    if (mode == MaskMode::weak)
      positive += pixels * static_cast<double>(value) / 255;
    else if (value != 0)
      positive += pixels;
  }
  if (all == 0) return std::nullopt;
  return positive / all;
}

bool has_positive(const io::Image& target) {
  return std::ranges::any_of(target.pixels, [](uint8_t value) { return value != 0; });
}

uint64_t sample_bytes(const TrainOptions& o) {
  const int64_t channels = 4 + (o.texture_is_input() ? 1 : 0);  // photo, target, texture map
  return static_cast<uint64_t>(o.size * o.size * channels);
}

constexpr int kMostLeftOut = 40;  // of steps: 2^32, the largest loss scale, is 1 after 32
constexpr size_t kSearched = 50;  // examples that are looked at: more cost time

// A thread that loads an example holds a photo's file, of a JPEG what that unpacks to, and the pixels made of it, both
// of three bytes a pixel; a PNG's rows become pixels one by one. The largest of the first examples counts; what has more
// pixels than may be decoded is refused there. `few`: all threads are through but for the last, which holds the file
// and the pixels.
uint64_t decoding_bytes(const Data& data, int threads, bool few) {
  uint64_t most = 0;
  for (size_t i = 0; i < std::min(kSearched, data.train.size()); ++i) {
    const std::string& file = data.pairing.pairs[static_cast<size_t>(data.train[i])].image;
    const data::PictureHeader header = data::read_picture_header(file);
    std::error_code error;
    const uintmax_t bytes = std::filesystem::file_size(file, error);
    const uint64_t pixels = std::min(static_cast<uint64_t>(header.width) * static_cast<uint64_t>(header.height),
                                     io::Limits().picture_pixels);
    most = std::max<uint64_t>(most, (error ? 0 : bytes) + (few || header.png ? 3 : 6) * pixels);
  }
  return static_cast<uint64_t>(few ? 1 : std::max(threads, 1)) * most;
}

MemoryQuestion memory_question(const TrainOptions& o, const Data& data, const Network& network, int64_t processes,
                               int loader_threads) {
  const int64_t channels = network.architecture().in_channels, side = training_side(o);
  MemoryQuestion out{.input = {o.batch_size, side, side, channels}};
  out.processes = processes;
  out.averaged = o.average_decay > 0;
  out.labelled = o.labelled();
  out.moments = o.optimiser == Optimiser::adamw ? 2 : (o.momentum != 0 ? 1 : 0);
  out.accumulate = o.accumulate;
  out.prefetch = loader_options(o, false, loader_threads).prefetch;
  const auto examples = static_cast<int64_t>(data.val.size());
  if (examples > 0) out.validated = Shape{std::min(o.batch_size, examples), o.size, o.size, channels};
  out.drawn = o.overlays > 0;
  out.cache_bytes = std::min(static_cast<uint64_t>(o.cache_mib) << 20,
                             static_cast<uint64_t>(data.train.size() + data.val.size()) * sample_bytes(o));
  // Where a loader takes all examples in hand at once, and they then stay decoded, its threads are through with them
  // before a step or a validation is at its most, but for the last.
  const auto train = static_cast<int64_t>(data.train.size());
  const bool kept = out.cache_bytes == static_cast<uint64_t>(train + examples) * sample_bytes(o);
  const bool few = kept && std::max(train, examples) <= out.prefetch * o.batch_size;
  out.decoding_bytes = decoding_bytes(data, loader_threads, few);
  return out;
}

}  // namespace

Preflight preflight_counts(const TrainOptions& o, const Data& data, const Network& network, Backend& backend,
                           const Processes& processes, int loader_threads, const std::string& run) {
  Preflight out;
  out.pairs = data.set->size();
  out.train = static_cast<int64_t>(data.train.size());
  out.val = static_cast<int64_t>(data.val.size());
  out.test = static_cast<int64_t>(data.split.test.size());
  out.empty_masks = data.pairing.empty_masks;
  out.prevalence = prevalence(data.pairing, o.mask_mode);

  const MemoryQuestion question = memory_question(o, data, network, processes.all, loader_threads);
  out.memory = estimate_memory(network, backend, question);
  out.neighbours = processes.here - 1;
  out.memory_free = available_memory();

  uint64_t model = 0;
  for (const Module::Keyed& keyed : network.parameters())
    model += static_cast<uint64_t>(keyed.parameter->shape().elements());
  // Last, previous, best and the one being written; two exports in float32.
  out.disk_needed =
      4 * model * static_cast<uint64_t>(1 + question.moments) * size_of(backend.dtype()) + 2 * model * sizeof(float);
  out.disk_free = free_bytes(run);

  if (out.prevalence && *out.prevalence == 0) out.warnings.push_back("every mask is empty: there is nothing to learn");
  if (out.prevalence && *out.prevalence > 0.5)
    out.warnings.push_back(short_number(100 * *out.prevalence) +
                           " % of the target is wrinkle: are the masks inverted?");
  if (2 * out.empty_masks > out.pairs && *out.prevalence > 0)
    out.warnings.push_back(std::to_string(out.empty_masks) + " of " + std::to_string(out.pairs) + " masks are empty");
  if (data.val.empty()) out.warnings.push_back("no example is kept for validation: the last weights are the result");
  return out;
}

void preflight_overfit(const TrainOptions& o, const Data& data, const Network& network, Backend& backend,
                       const LossFunction& loss, Preflight& into) {
  // As large as training's pictures, and otherwise unchanged.
  TrainOptions plain = o;
  plain.augment_recipe = "none";
  plain.augment_parameters.clear();
  const data::Augment cut = augmentation(plain, false);
  data::LoaderOptions loading = loader_options(o, true, 0);
  loading.batch = 1;
  int64_t item = data.train.front();
  for (size_t i = 0; i < std::min(kSearched, data.train.size()); ++i) {
    data::Sample sample = data.set->load(data.train[i]);
    if (cut) cut(sample, {.seed = loading.seed, .epoch = 0, .item = static_cast<uint32_t>(data.train[i])});
    if (has_positive(sample.target)) {
      item = data.train[i];
      break;
    }
  }
  data::Loader loader(*data.set, {item}, loading, cut);
  const data::Batch batch = *loader.next();
  const DType type = backend.dtype();
  const bool convert = type == DType::f64;
  const MicroBatch one{convert ? batch.image.to(type) : batch.image,
                       convert && batch.target.dtype() == DType::f32 ? batch.target.to(type) : batch.target};

  into.overfit_id = data.set->id(item);
  {
    const std::unique_ptr<Network> copy = build(network.architecture());
    copy->load(network.state(), type);
    freeze_parts(*copy, o);
    TrainStep step(*copy, backend, step_options(o, loss));
    // A step that overflows with its loss scale is left out and halves it: it does not count, but there is an end.
    for (int i = 0, left_out = 0; i <= kOverfitSteps; ++i) {
      const StepResult result = step.run({&one, 1}, o.learning_rate);
      const double value = result.loss.total;
      if (i == 0) into.loss_before = into.loss_after = value;
      into.loss_after = std::min(into.loss_after, value);
      if (result.skipped && o.precision == Precision::mixed && ++left_out <= kMostLeftOut) i = std::max(i - 1, 0);
    }
  }
  // What is left: the program, the network's values, the kernels' scratch, and what has been decoded.
  const uint64_t scratch = step_scratch(network, one.x.shape(), backend), values = trained_bytes(network, type);
  const uint64_t counted = values + (scratch > 0 ? Arena::resident_bytes(scratch) : 0) + data.set->cached_bytes();
  into.memory_held = resident_memory();
  into.memory_free = available_memory();  // at the same moment
  into.memory.process = into.memory_held - std::min(into.memory_held, counted);
}

uint64_t Preflight::memory_needed() const {
  const uint64_t more = memory.total() - std::min(memory.total(), memory_held),
                 others = memory.follower() - std::min(memory.follower(), memory_held);
  return more + static_cast<uint64_t>(neighbours) * others;
}

std::string Preflight::text() const {
  std::string out = std::to_string(pairs) + " pairs: " + std::to_string(train) + " to train on, " +
                    std::to_string(val) + " for validation, " + std::to_string(test) + " for testing\n";
  if (prevalence)
    out +=
        "targets: " + short_number(100 * *prevalence) + " % wrinkle, " + std::to_string(empty_masks) + " empty masks\n";
  out += "memory: about " + mib(memory.total()) + " at most: " + mib(memory.process) + " program, " +
         mib(memory.parameters) + " parameters and optimiser, " + mib(memory.scratch) + " kernels, " +
         mib(memory.data) + " data, and in turn " + mib(memory.activations) + " a step, " + mib(memory.validation) +
         " a validation, " + mib(memory.checkpoint) + " a checkpoint";
  if (neighbours > 0)
    out += "; with " + std::to_string(neighbours) + " more processes on this machine " + mib(memory_needed()) +
           " yet to come";
  out += memory_free == UINT64_MAX ? "\n" : "; " + mib(memory_free) + " free\n";
  out += "disk: about " + mib(disk_needed) + ", " + mib(disk_free) + " free\n";
  if (!overfit_id.empty())
    out += "one picture (" + printable(overfit_id, 60) + "), " + std::to_string(kOverfitSteps) + " steps: loss " +
           short_number(loss_before) + " -> " + short_number(loss_after) + "\n";
  return out;
}

void Preflight::require_ready() const {
  if (memory_needed() > memory_free) {
    const std::string together =
        neighbours > 0 ? " in its " + std::to_string(neighbours + 1) + " processes on this machine" : "";
    throw Error(ErrorCode::limit, "the run needs about " + mib(memory_needed()) + " more memory" + together + ", and " +
                                      mib(memory_free) + " are free")
        .hint("a smaller batch_size with accumulate, or a smaller size or cache; preflight: false runs anyway");
  }
  if (disk_needed > disk_free)
    throw Error(ErrorCode::io,
                "the run needs about " + mib(disk_needed) + " of disk space, and " + mib(disk_free) + " are free");
  // Written so that a NaN fails too.
  if (!overfit_id.empty() && !(loss_after < loss_before))
    throw Error(ErrorCode::configuration, "the loss of one picture (" + printable(overfit_id, 60) +
                                              ") does not fall in " + std::to_string(kOverfitSteps) + " steps: " +
                                              short_number(loss_before) + " -> " + short_number(loss_after))
        .hint("learning_rate too large or 0, or everything that matters is frozen, or no loss_scale is small enough; "
              "preflight: false runs anyway");
}

}  // namespace furrow::train
