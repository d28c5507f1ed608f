#include "apps/model_quantize.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "apps/cli/inputs.h"
#include "apps/cli/words.h"
#include "apps/embedded_model.h"
#include "io/picture.h"
#include "kernels/cpu/cpu_backend.h"
#include "nn/network.h"
#include "segment/audit.h"
#include "segment/calibrate.h"
#include "segment/faces.h"
#include "segment/mixed_precision.h"
#include "segment/network_picture.h"

namespace furrow::apps {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

void check(const QuantizeOptions& options) {
  const auto outside = [](const std::string& name, const std::string& range) {
    return Error(ErrorCode::usage, name + " is outside " + range);
  };
  if (options.photos < 1 || options.photos > 1000) throw outside("--photos", "1..1000");
  if (!(options.iou > 0 && options.iou <= 1)) throw outside("--iou", "(0, 1]");
  if (options.threads < 0 || options.threads > kMostThreads) throw outside("--threads", "0..1024");
  if (options.size && (*options.size < kSmallestSize || *options.size > kLargestSize))
    throw outside("--size", "32..4096");
  if (!options.out.ends_with(".safetensors"))
    throw Error(ErrorCode::usage, "a quantised model is a native file")
        .file(options.out)
        .hint("end it in .safetensors");
  std::error_code error;
  if (!options.force && fs::exists(fs::symlink_status(options.out, error)))
    throw Error(ErrorCode::usage, "exists already").file(options.out).hint("--force overwrites it");
}

// Two masks of all photos together.
struct Agreement {
  uint64_t both = 0, either = 0;  // marked pixels
  double moved = 0, size = 0;     // squares of what logits moved by, and of the logits
  double iou() const { return either == 0 ? 1 : static_cast<double>(both) / static_cast<double>(either); }
  double relative() const { return size > 0 ? std::sqrt(moved / size) : 0; }
};

// The network on the photos, in float32 and in mixes of precisions.
class Mixer {
 public:
  Mixer(const Model& model, int64_t side, ThreadPool& pool)
      : model_(model),
        backend_(&pool),
        shape_{1, side, side, model.in_channels()},
        plan_(model.network(), backend_, shape_) {}

  // The plan in float32 sees a photo.
  void add(Tensor input) {
    const auto watch = [&](size_t step, double, const std::vector<Plan::Written>& written) {
      for (size_t i = 0; i < written.size(); ++i)
        calibration_.add(plan_.steps()[step].quantised_as(i), written[i].value.values<float>());
    };
    logits_.push_back(plan_.run_watched(input, watch).to(DType::f32));
    if (!std::ranges::all_of(logits_.back().values<float>(), [](float v) { return std::isfinite(v); }))
      throw Error(ErrorCode::malformed, "the network's output is not finite: its weights may be broken");
    inputs_.push_back(std::move(input));
  }
  Quantisation best() const { return calibration_.best(); }
  size_t photos() const { return inputs_.size(); }

  Plan plan_of(const Quantisation& quantisation) {
    PlanOptions options;
    options.quantisation = quantisation;
    return Plan(model_.network(), backend_, shape_, options);
  }
  // Of the first `most` photos.
  Agreement agreement(const Quantisation& quantisation, size_t most) {
    Plan plan = plan_of(quantisation);
    Agreement out;
    for (size_t i = 0; i < std::min(most, inputs_.size()); ++i) {
      const Tensor z = plan.run(inputs_[i]);
      const std::vector<uint8_t> a = model_mask(model_, logits_[i], model_.info().threshold),
                                 b = model_mask(model_, z, model_.info().threshold);
      for (size_t p = 0; p < a.size(); ++p) out.both += a[p] & b[p], out.either += a[p] | b[p];
      const std::span<const float> was = logits_[i].values<float>(), is = z.values<float>();
      for (size_t p = 0; p < was.size(); ++p) {
        const double d = static_cast<double>(is[p]) - static_cast<double>(was[p]);
        out.moved += d * d, out.size += static_cast<double>(was[p]) * static_cast<double>(was[p]);
      }
    }
    return out;
  }

 private:
  const Model& model_;
  cpu::CpuBackend backend_;
  Shape shape_;
  Plan plan_;
  Calibration calibration_;
  std::vector<Tensor> inputs_, logits_;
};

struct Layer {
  std::string module, where, op;
  uint64_t macs = 0;
  Agreement alone;  // where no other layer is in 8 bits
  bool in_bytes = true;
};

std::string module_of(const Plan::StepInfo& step) { return step.where.substr(0, step.where.find_first_of("+ ")); }

// Those that can be computed from bytes.
std::vector<Layer> layers_of(Mixer& mixer, const Quantisation& all) {
  constexpr size_t kFewPhotos = 4;
  std::vector<Layer> layers;
  const Plan plan = mixer.plan_of(all);
  for (const Plan::StepInfo& step : plan.steps())
    if (step.in_bytes) layers.push_back({module_of(step), step.where, step.op, step.flops / 2, {}});
  for (Layer& layer : layers) {
    Quantisation alone = all;
    for (const Layer& other : layers)
      if (other.module != layer.module) alone.floats.insert(other.module);
    layer.alone = mixer.agreement(alone, kFewPhotos);
  }
  return layers;
}

// Decides what of the layers is in 8 bits, so that masks agree by `least`; `quantisation` says it then.
Agreement settle_layers(Mixer& mixer, std::vector<Layer>& layers, Quantisation& quantisation, double least) {
  std::vector<MixedLayer> mixed;
  std::set<std::string> modules;
  for (const Layer& layer : layers) {
    require(modules.insert(layer.module).second, "two layers of one module");
    mixed.push_back({layer.alone.relative(), layer.macs});
  }
  const auto take = [&](const std::vector<MixedLayer>& now) {
    quantisation.floats.clear();
    for (size_t i = 0; i < layers.size(); ++i) {
      layers[i].in_bytes = now[i].in_bytes;
      if (!now[i].in_bytes) quantisation.floats.insert(layers[i].module);
    }
  };
  std::map<double, Agreement> seen;
  const double reached = settle(mixed, least, [&](const std::vector<MixedLayer>& now) {
    take(now);
    const Agreement agreement = mixer.agreement(quantisation, mixer.photos());
    return seen.insert_or_assign(agreement.iou(), agreement), agreement.iou();
  });
  take(mixed);
  return seen.at(reached);
}

std::vector<std::string> photos_of(const QuantizeOptions& options, bool& data_set) {
  std::error_code error;
  const std::string images = options.data + "/images";
  data_set = fs::is_directory(images, error);
  std::vector<std::string> photos;
  for (const cli::Input& input : cli::expand_inputs({data_set ? images : options.data}, "")) {
    if (photos.size() == static_cast<size_t>(options.photos)) break;
    photos.push_back(input.path);
  }
  return photos;
}

// What the network sees of a photo; nothing where it shows no face.
std::optional<Tensor> input_of(const Model& model, const std::string& path, bool face, int64_t side,
                               const io::Limits& limits, ThreadPool& pool) {
  return with_file(path, [&]() -> std::optional<Tensor> {
    const io::Image photo = io::read_picture(path, io::Background::drop, limits).image;
    Crop crop = whole_photo(photo.width, photo.height);
    if (face) {
      const std::vector<Face> faces = find_faces(photo, {}, &pool);
      if (faces.empty()) return std::nullopt;
      crop = face_crop(faces.front(), photo.width, photo.height);
    }
    return network_input(model, photo, crop, side, DType::f32, &pool);
  });
}

std::string table(const std::vector<Layer>& layers, const Agreement& reached, size_t photos) {
  size_t widest = 5;
  for (const Layer& layer : layers) widest = std::max(widest, layer.where.size());
  std::string text = "layer" + std::string(widest - 5, ' ') + "  precision  logits moved by it alone  IoU alone\n";
  uint64_t macs = 0, bytes = 0;
  for (const Layer& layer : layers) {
    char numbers[64];
    std::snprintf(numbers, sizeof numbers, "  %-9s  %23.2f%%  %9.4f\n", layer.in_bytes ? "int8" : "fp32",
                  100 * layer.alone.relative(), layer.alone.iou());
    text += layer.where + std::string(widest - layer.where.size(), ' ') + numbers;
    macs += layer.macs, bytes += layer.in_bytes ? layer.macs : 0;
  }
  char total[160];
  std::snprintf(total, sizeof total,
                "all together: IoU %.4f of %llu marked pixels in %zu photos, logits moved by %.2f%%; %.0f%% of these "
                "multiplications in 8 bits\n",
                reached.iou(), static_cast<unsigned long long>(reached.either), photos, 100 * reached.relative(),
                macs == 0 ? 0 : 100.0 * static_cast<double>(bytes) / static_cast<double>(macs));
  return text + total;
}

Json as_json(const std::vector<Layer>& layers, const Agreement& reached, size_t photos, const std::string& out) {
  Json json = {{"schema", "furrow.quantize/1"}, {"file", printable(out, 4096)}, {"photos", photos},
               {"iou", reached.iou()},          {"marked", reached.either},     {"logits_moved", reached.relative()},
               {"layers", Json::array()}};
  for (const Layer& layer : layers)
    json["layers"].push_back({{"where", layer.where},
                              {"op", layer.op},
                              {"macs", layer.macs},
                              {"precision", layer.in_bytes ? "int8" : "fp32"},
                              {"logits_moved", layer.alone.relative()},
                              {"iou", layer.alone.iou()}});
  return json;
}

}  // namespace

int quantize_model(const QuantizeOptions& options, const io::Limits& limits, const cli::Common& common) {
  check(options);
  const auto mode = choose<int>("--crop", options.crop, {{"auto", 0}, {"face", 1}, {"none", 2}});
  Model model = load_wrinkle_model(options.model, limits);
  ModelInfo info = model.info();
  info.quantisation = {};
  bool data_set = false;
  const std::vector<std::string> photos = photos_of(options, data_set);
  ThreadPool pool(options.threads);
  const int64_t side = options.size.value_or(info.size);
  Mixer mixer(model, side, pool);
  for (const std::string& photo : photos) {
    if (auto input = input_of(model, photo, mode == 1 || (mode == 0 && !data_set), side, limits, pool))
      mixer.add(std::move(*input));
    else
      cli::note(common, printable(photo, 400) + ": no face found, left out (--crop none, if it is a crop already)");
  }
  if (mixer.photos() == 0) throw Error(ErrorCode::no_face, "no photo of it shows a face").file(options.data);

  info.quantisation = mixer.best();
  std::vector<Layer> layers = layers_of(mixer, info.quantisation);
  const Agreement reached = settle_layers(mixer, layers, info.quantisation, options.iou);
  if (std::ranges::none_of(layers, &Layer::in_bytes))
    throw Error(ErrorCode::unsupported, "no layer of it can be in 8 bits with masks that agree by --iou");
  if (reached.either == 0) cli::note(common, "no photo has a marked pixel: that the masks agree says nothing here");
  model.set_info(info);
  save_native(options.out, model, DType::f32);
  if (common.json)
    cli::print(as_json(layers, reached, mixer.photos(), options.out).dump() + "\n");
  else
    cli::print(table(layers, reached, mixer.photos()) + "written: " + printable(options.out, 400) + "\n");
  return 0;
}

}  // namespace furrow::apps
