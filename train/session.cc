#include "train/session.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "io/sha256.h"
#include "parallel/communicator.h"
#include "parallel/launch.h"
#include "train/gpu_of_process.h"
#include "train/memory_estimate.h"
#include "train/team.h"

namespace furrow::train {
namespace {

using Json = nlohmann::ordered_json;

std::string name_of(DeviceKind kind) {
  switch (kind) {
    case DeviceKind::cpu: return "cpu";
    case DeviceKind::ref: return "ref";
    case DeviceKind::cuda: return "cuda";
    case DeviceKind::cpu_emulated: break;
  }
  return "cpu-emulated";
}

std::unique_ptr<Backend> open_backend(const TrainOptions& o, ThreadPool* pool, std::string& device,
                                      std::vector<std::string>& notes, std::string& own_note, bool shared) {
  // Processes of one machine take a GPU each.
  const auto [chosen, note] = device_of_process(o.device, shared ? parallel::launched() : std::nullopt);
  own_note = note;
  device = name_of(chosen.device.kind);
  if (o.device == "auto") notes.push_back("device " + device + ": " + chosen.reason);
  return make_backend(chosen.device, pool, backend_options(o, chosen.device));
}

// Background pixels per wrinkle pixel of the training targets.
double background_per_wrinkle(const Data& data, ThreadPool* pool) {
  std::atomic<uint64_t> positives{0}, pixels{0};
  parallel_for(pool, static_cast<int64_t>(data.train.size()), [&](int64_t i, int) {
    const data::Sample sample = data.set->load(data.train[static_cast<size_t>(i)]);
    const auto& target = sample.target.pixels;
    positives += static_cast<uint64_t>(std::ranges::count_if(target, [](uint8_t v) { return v != 0; }));
    pixels += target.size();
  });
  if (positives == 0)
    throw Error(ErrorCode::configuration, "the class weight is background / wrinkle pixels, and no mask has a wrinkle");
  return static_cast<double>(pixels - positives) / static_cast<double>(positives);
}

EarlyStopping::Options stopping_options(const TrainOptions& o) {
  return {.mode = o.watch == Metric::loss ? EarlyStopping::Mode::min : EarlyStopping::Mode::max,
          .patience = o.patience,
          .min_delta = o.min_improvement};
}

std::string ids_sha256(const std::vector<std::string>& ids) {
  io::Sha256 sum;
  for (const std::string& id : ids) sum.update(std::as_bytes(std::span(id.c_str(), id.size() + 1)));
  return sum.hex();
}

Json ids_json(const std::vector<std::string>& ids) {
  Json out = Json::array();
  for (const std::string& id : ids) out.push_back(printable(id, 300));
  return out;
}

}  // namespace

Session::Session(const TrainJob& job, const Snapshot* from)
    : options(job.options),
      limits(job.limits),
      peers(job.together),
      pool(static_cast<int>(options.threads)),
      backend(open_backend(options, &pool, device, notes, own_note, job.together != nullptr)),
      data(open_data(options, limits, &pool)),
      loader_threads(std::clamp(pool.threads(), 1, 8)),
      loss(make_loss(options, options.measure_class_weight ? background_per_wrinkle(data, &pool) : 1)),
      stopping(stopping_options(options)) {
  for (const std::string& warning : data.pairing.warnings) notes.push_back(warning);
  for (const std::string& note : data.notes) notes.push_back(note);
  const DiceFocal& form = options.dice_focal;
  const bool mixes = options.loss == LossKind::soft_dice ||
                     (options.loss == LossKind::dice_focal && (form.dice_over_batch || form.batch_broadcast));
  if (peers != nullptr && mixes)
    throw Error(ErrorCode::unsupported, "a loss that mixes the images of a batch cannot be shared between processes")
        .in("loss")
        .hint("one Dice per image (form L6) and form ce can; --parallel none trains in one process");
  augmentation(options, false);  // refuses what it does not know, now and not after the first checkpoint
  const int64_t channels = architecture_of(options).in_channels, given = data.set->has_textures() ? 4 : 3;
  if (channels != given)
    throw Error(ErrorCode::configuration,
                "the network takes " + std::to_string(channels) + " channels, the data have " + std::to_string(given))
        .in("model.channels");
  if (from == nullptr) {
    network = make_network(options, backend->dtype(), limits, notes);
  } else {
    TrainOptions same = options;
    same.init_weights.clear();  // its values come from the checkpoint
    network = make_network(same, backend->dtype(), limits, notes);
    network->load(model_tensors(*from), backend->dtype());
  }
  if (peers != nullptr) here = Team(*job.together).agree(*this, job);  // before all else that they do together
  if (peers != nullptr && job.nccl) {
    nccl = peers_by_nccl(*backend, *peers);
    peers = nccl.get();
  }
  schedule = make_schedule(options, steps_per_epoch());
}

void Session::make_step() {
  furrow::TrainOptions in_step = step_options(options, loss);
  in_step.peers = peers;
  step = std::make_unique<TrainStep>(*network, *backend, std::move(in_step));
  if (options.average_decay > 0) average = std::make_unique<WeightAverage>(*network, options.average_decay);
}

data::LoaderOptions Session::loader_options() const {
  data::LoaderOptions out = train::loader_options(options, false, loader_threads);
  if (peers != nullptr) out.part = peers->rank(), out.parts = peers->size();
  return out;
}

MicroBatch Session::micro_batch(const data::Batch& batch, uint64_t& positives, uint64_t& pixels) const {
  if (!batch.absent) {
    const std::vector<uint8_t> target = target_bytes(batch.target);
    positives += static_cast<uint64_t>(std::ranges::count(target, uint8_t{1}));
    pixels += target.size();
  }
  const DType type = backend->dtype();
  if (type != DType::f64) return {batch.image, batch.target, batch.absent};
  return {batch.image.to(type), batch.target.dtype() == DType::f32 ? batch.target.to(type) : batch.target,
          batch.absent};
}

int64_t Session::batches() const {
  const int64_t whole = options.batch_size * processes();
  return (static_cast<int64_t>(data.train.size()) + whole - 1) / whole;
}

int64_t Session::steps_per_epoch() const { return (batches() + options.accumulate - 1) / options.accumulate; }

std::string run_json(const Session& s, const TrainJob& job, const SessionTimes& times, const TrainResult& result) {
  const TrainOptions& o = s.options;
  Json out;
  out["schema"] = "furrow.train/1";
  out["version"] = job.version;
  out["device"] = {
      {"kind", s.device}, {"threads", s.pool.threads()}, {"element", std::string(name(s.backend->dtype()))}};
  if (s.processes() > 1) out["device"]["processes"] = s.processes();
  out["network"] = {{"architecture", s.network->architecture().text()},
                    {"trained_elements", s.step->parameters().count()}};
  out["seeds"] = {{"run", o.seed}, {"split", o.split_seed}};
  out["data"] = {{"images", printable(o.image_dir, 1000)},
                 {"masks", o.texture_is_target() ? "texture maps, computed" : printable(o.mask_dir, 1000)},
                 {"pairs", s.data.set->size()},
                 {"train", s.data.train.size()},
                 {"validation", s.data.val.size()},
                 {"test", s.data.split.test.size()},
                 {"empty_masks", s.data.pairing.empty_masks}};
  out["split"] = {{"rule", s.data.split.rule},
                  {"train_sha256", ids_sha256(s.data.split.train)},
                  {"validation", ids_json(s.data.split.val)},
                  {"test", ids_json(s.data.split.test)}};
  out["progress"] = {{"epochs", result.epochs}, {"of", o.epochs}, {"steps", result.steps}};
  out["best"] = {{"epoch", result.best_epoch}};
  if (result.best_epoch > 0) out["best"]["score"] = result.best_score;
  out["memory"] = {{"foretold_bytes", s.memory_foretold > 0 ? Json(s.memory_foretold) : Json(nullptr)},
                   {"peak_bytes", std::max(s.memory_before, peak_memory())}};
  const double waited = times.step_seconds > 0 ? times.waited_seconds / times.step_seconds : 0;
  out["timing"] = {{"seconds", times.earlier_seconds + times.seconds},
                   {"seconds_per_step", times.steps > 0 ? times.step_seconds / static_cast<double>(times.steps) : 0},
                   {"waited_for_data_per_step", waited}};
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

namespace {

// Null where the file is none.
Json earlier_run(const std::string& path) {
  std::ifstream in(path);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  return Json::parse(text, nullptr, false);
}

}  // namespace

void Session::remember_memory(const std::string& path) {
  const Json parsed = earlier_run(path);
  if (!parsed.is_object() || !parsed.contains("memory")) return;
  const auto take = [&](const char* key, uint64_t& to) {
    const Json& memory = parsed["memory"];
    if (memory.is_object() && memory.contains(key) && memory[key].is_number_unsigned())
      to = memory[key].get<uint64_t>();
  };
  take("foretold_bytes", memory_foretold);
  take("peak_bytes", memory_before);
}

double earlier_seconds(const std::string& path) {
  const Json parsed = earlier_run(path);
  if (!parsed.is_object() || !parsed.contains("timing")) return 0;
  const Json& timing = parsed["timing"];
  return timing.is_object() && timing.contains("seconds") && timing["seconds"].is_number()
             ? timing["seconds"].get<double>()
             : 0;
}

}  // namespace furrow::train
