#include "apps/model_layers.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>

#include "apps/cli/words.h"
#include "apps/embedded_model.h"
#include "io/atomic_file.h"
#include "io/npy.h"
#include "kernels/device.h"
#include "kernels/threads.h"
#include "segment/compute.h"
#include "segment/crop.h"
#include "segment/faces.h"

namespace furrow::apps {
namespace {

namespace fs = std::filesystem;

// A device and the network's input on it.
struct AuditedDevice {
  AuditedDevice(const LayersOptions& options, const std::string& device)
      : compute(options.compute), chosen(choose_device(device)), pool(options.compute.threads) {
    compute.device = device;
    backend_settings = backend_options(chosen.device, compute);
    backend = make_backend(chosen.device, &pool, backend_settings);
  }
  ComputeOptions compute;
  ChosenDevice chosen;
  ThreadPool pool;
  BackendOptions backend_settings;
  std::unique_ptr<Backend> backend;
};

// Of a value's largest element. Float32: up to sixty convolutions follow each other, each off by some 4e-8 sqrt(K) of
// its largest value (tests/nn/plan_test.cc holds the classic network to 2e-5). Operands of 10 or 7 bits: half a unit of
// their last place, grown likewise.
double allowed_by(const AuditedDevice& runner) {
  switch (runner.backend_settings.precision.value_or(Precision::fp32)) {
    case Precision::fp32: break;
    case Precision::tf32: return 1e-2;
    case Precision::fp16: return 2e-2;
    case Precision::bf16: return 1e-1;
  }
  return 1e-4;
}

void check_layers(const LayersOptions& options) {
  const auto outside = [](const std::string& name, double value, const std::string& range) {
    char number[32];
    std::snprintf(number, sizeof number, "%g", value);
    return Error(ErrorCode::usage, name + " " + number + " is outside " + range);
  };
  const int threads = options.compute.threads;
  if (threads < 0 || threads > kMostThreads) throw outside("--threads", threads, "0.." + std::to_string(kMostThreads));
  if (options.rounds < 1 || options.rounds > 1000) throw outside("--rounds", options.rounds, "1..1000");
  if (options.size && (*options.size < kSmallestSize || *options.size > kLargestSize))
    throw outside("--size", static_cast<double>(*options.size), "32..4096");
  if (options.tolerance && !(*options.tolerance >= 0 && *options.tolerance <= 1))
    throw outside("--tolerance", *options.tolerance, "0..1");
  if (!options.compare.empty() && !options.against.empty())
    throw Error(ErrorCode::usage, "--compare and --against: one at a time");
}

// The photo, or the picture that stands for one, as `runner`'s network sees it.
Tensor input_of(const LayersOptions& options, const Model& model, const io::Image& photo, const Crop& crop,
                AuditedDevice& runner) {
  return network_input(model, photo, crop, options.size.value_or(model.info().size), runner.backend->dtype(),
                       &runner.pool);
}

Crop crop_of(const LayersOptions& options, const io::Image& photo, ThreadPool& pool) {
  const bool face = choose<bool>("--crop", options.crop, {{"face", true}, {"none", false}});
  if (!face || options.photo.empty()) return whole_photo(photo.width, photo.height);
  const std::vector<Face> faces = find_faces(photo, {}, &pool);
  if (faces.empty())
    throw Error(ErrorCode::no_face, "no usable face")
        .file(options.photo)
        .hint("--crop none for pictures that are crops");
  return face_crop(faces.front(), photo.width, photo.height);
}

std::string file_of(const std::string& folder, const std::string& name) { return folder + "/" + name + ".npy"; }

// max|a-b| / max|b|.
double largest_difference(std::span<const float> a, std::span<const float> b) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i]) || !std::isfinite(b[i])) return std::numeric_limits<double>::infinity();
    difference = std::max(difference, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
    size = std::max(size, std::abs(static_cast<double>(b[i])));
  }
  return difference == 0 ? 0 : difference / size;  // infinite where all of b is 0
}

std::vector<int64_t> dims_of(const Shape& s) { return {s.n, s.c, s.h, s.w}; }

void compare(LayersReport& report, const AuditedValue& value, std::span<const float> elements,
             std::span<const int64_t> dims, std::span<const float> other) {
  ComparedValue row{.name = value.name, .largest = std::numeric_limits<double>::infinity()};
  if (std::ranges::equal(dims_of(value.shape), dims)) row.largest = largest_difference(elements, other);
  row.departs = !(row.largest <= report.allowed);
  if (row.departs && !report.first) report.first = report.compared.size();
  report.compared.push_back(std::move(row));
}

void make_dump_folder(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw Error(ErrorCode::io, "cannot create the folder: " + error.message()).file(folder);
}

void check_folder(const std::string& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error))
    throw Error(ErrorCode::io, error ? error.message() : "no folder").file(folder).hint("--dump DIR writes one");
}

void write_text(const std::string& path, const std::string& text) {
  io::write_file_atomically(path, std::as_bytes(std::span(text)));
}

LayersReport make_report(const LayersOptions& options, const io::Limits& limits) {
  LayersReport report{.options = options};
  const LayerAuditOptions how{.unfused = choose<bool>("--layers", options.layers, {{"plan", false}, {"all", true}}),
                              .rounds = options.rounds};
  AuditedDevice runner(options, options.compute.device);
  std::optional<AuditedDevice> against;
  if (!options.against.empty()) against.emplace(options, options.against);
  if (!options.compare.empty()) check_folder(options.compare);
  const Model model = load_model(options.model, limits);
  report.info = model.info();
  report.device = runner.backend->name();
  report.allowed = options.tolerance.value_or(std::max(allowed_by(runner), against ? allowed_by(*against) : 0));
  const int64_t side = options.size.value_or(model.info().size);
  const io::Image photo = options.photo.empty() ? synthetic_picture(side)
                                                : io::read_picture(options.photo, io::Background::drop, limits).image;
  report.crop = crop_of(options, photo, runner.pool);

  std::map<std::string, std::vector<float>> others;  // of the other device
  if (against) {
    report.beside = against->backend->name();
    report.other =
        furrow::audit_layers(model.network(), *against->backend, input_of(options, model, photo, report.crop, *against),
                             how, [&](const AuditedValue& value, std::span<const float> elements) {
                               others[value.name].assign(elements.begin(), elements.end());
                             });
  }
  if (!options.compare.empty()) report.beside = options.compare;
  if (!options.dump.empty()) make_dump_folder(options.dump);
  const auto sink = [&](const AuditedValue& value, std::span<const float> elements) {
    if (const auto found = others.find(value.name); found != others.end()) {
      compare(report, value, elements, dims_of(value.shape), found->second);
      others.erase(found);
    }
    if (std::error_code error; !options.compare.empty() && fs::exists(file_of(options.compare, value.name), error)) {
      const io::NpyArray other = io::read_npy(file_of(options.compare, value.name));
      compare(report, value, elements, other.dims, other.values);
    }
    if (!options.dump.empty()) io::write_npy(file_of(options.dump, value.name), dims_of(value.shape), elements);
  };
  report.audit = furrow::audit_layers(model.network(), *runner.backend,
                                      input_of(options, model, photo, report.crop, runner), how, sink);
  report.mask = model_mask(model, report.audit.logits, model.info().threshold);
  if (!options.compare.empty() && report.compared.empty())
    throw Error(ErrorCode::unsupported, "holds none of the values of this network")
        .file(options.compare)
        .hint("they are called like " + report.audit.steps.back().values.back().name + ".npy; docs/audit.md");
  return report;
}

}  // namespace

const ComparedValue* LayersReport::comparison(const std::string& name) const {
  const auto found = std::ranges::find(compared, name, &ComparedValue::name);
  return found == compared.end() ? nullptr : &*found;
}

uint64_t LayersReport::marked() const { return static_cast<uint64_t>(std::ranges::count(mask, 1)); }

std::optional<Error> LayersReport::departure() const {
  if (!first) return std::nullopt;
  const auto departing = std::ranges::count_if(compared, [](const ComparedValue& c) { return c.departs; });
  char numbers[64];
  std::snprintf(numbers, sizeof numbers, " (max %.2e, allowed %.2e)", compared[*first].largest, allowed);
  return Error(ErrorCode::different, std::to_string(departing) + " of " + std::to_string(compared.size()) +
                                         " layers depart from " + printable(beside) + ", the first is " +
                                         compared[*first].name + numbers)
      .file(options.model)
      .hint("what comes before it agrees");
}

int audit_layers(const LayersOptions& options, const io::Limits& limits, const cli::Common& common) {
  check_layers(options);
  const LayersReport report = make_report(options, limits);
  if (!options.trace.empty()) write_text(options.trace, layers_trace(report));
  if (!options.svg.empty()) write_text(options.svg, layers_svg(report));
  const std::optional<Error> departure = report.departure();
  if (common.json) {
    cli::print(layers_json(report));
    return departure ? static_cast<int>(ErrorCode::different) : 0;
  }
  cli::print(layers_table(report));
  if (departure) throw Error(*departure);
  if (!report.beside.empty())
    cli::note(common, "all " + std::to_string(report.compared.size()) + " layers agree with " + report.beside);
  return 0;
}

}  // namespace furrow::apps
