#include "apps/model_tune.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/cli/words.h"
#include "apps/embedded_model.h"
#include "kernels/cuda/vendor/vendor_backend.h"
#include "kernels/device.h"
#include "segment/model.h"
#include "segment/tuning.h"

namespace furrow::apps {
namespace {

std::string line(const TunedStep& step) {
  char times[64];
  std::snprintf(times, sizeof times, "%9.4f ms %9.4f ms  ", step.own_ms, step.vendor_ms);
  return times + std::string(step.vendor_is_faster() ? "vendor  " : "own     ") + step.key + "  (" + step.own + " | " +
         step.vendor + ")\n";
}

}  // namespace

int tune_model(const TuneOptions& options, const io::Limits& limits, const cli::Common& common) {
  const ChosenDevice chosen = choose_device(options.device);
  if (chosen.device.kind != DeviceKind::cuda)
    throw Error(ErrorCode::usage, "--device " + printable(options.device) + ": only cuda has kernels to choose from");
  if (options.size) check_range("--size", *options.size, kSmallestSize, kLargestSize);
  check_range("--rounds", options.rounds, 1, 1000);
  std::optional<Precision> precision;
  if (options.precision) {
    precision = precision_of(*options.precision);
    if (!precision)
      throw Error(ErrorCode::usage, "precision " + printable(*options.precision) + ": unknown")
          .hint("it takes fp16, bf16, tf32");
  }
  const std::string path = options.file.empty() ? default_tuning_file() : options.file;
  if (path.empty())
    throw Error(ErrorCode::usage, "neither XDG_CACHE_HOME nor HOME says where the result belongs")
        .hint("name a file with --tune");

  const auto own = make_backend(chosen.device, nullptr, {.precision = precision, .kernels = KernelChoice::own});
  const auto other = make_backend(chosen.device, nullptr, {.precision = precision, .kernels = KernelChoice::vendor});
  auto& vendor = dynamic_cast<gpu::VendorBackend&>(*other);
  vendor.use([&vendor](const Step& step) { return vendor.offers(step); });
  const Model model = load_model(options.model, limits);
  const int64_t side = options.size.value_or(model.info().size);
  const Shape shape{1, side, side, model.in_channels()};
  Plan own_plan(model.network(), *own, shape), vendor_plan(model.network(), vendor, shape);
  Tensor input(shape, own->dtype());
  for (size_t i = 0; float& value : input.values<float>())
    value = static_cast<float>(i++ % 251) / 125 - 1;  // any picture
  const std::vector<TunedStep> steps = time_steps(own_plan, vendor_plan, input, options.rounds);
  write_tuning(path, vendor.machine(), steps);

  if (common.json) {
    auto json = nlohmann::ordered_json{
        {"file", path}, {"machine", vendor.machine()}, {"steps", nlohmann::ordered_json::array()}};
    for (const TunedStep& step : steps)
      json["steps"].push_back({{"step", step.key},
                               {"use", step.vendor_is_faster() ? "vendor" : "own"},
                               {"own", step.own},
                               {"own_ms", step.own_ms},
                               {"vendor", step.vendor},
                               {"vendor_ms", step.vendor_ms}});
    cli::print(json.dump() + "\n");
    return 0;
  }
  std::string text = "      own       vendor     use     step\n";
  for (const TunedStep& step : steps) text += line(step);
  cli::print(text);
  cli::note(common, vendor.machine() + ": written to " + path);
  return 0;
}

}  // namespace furrow::apps
