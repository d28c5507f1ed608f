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
#include "segment/network_picture.h"

namespace furrow::apps {
namespace {

namespace fs = std::filesystem;

// The settings of `device`. Of two devices, precisions below fp32 and whose kernels go to the one that runs the CUDA
// kernels, int8 to cpu.
ComputeOptions compute_on(const std::string& device, const LayersOptions& options) {
  const auto takes = [](const std::string& name) {
    const DeviceKind kind = choose_device(name).device.kind;
    return kind == DeviceKind::cuda || kind == DeviceKind::cpu_emulated;
  };
  ComputeOptions compute = options.compute;
  compute.device = device;
  const std::string& other = device == options.against ? options.compute.device : options.against;
  if (other.empty()) return compute;
  const bool cpu = choose_device(device).device.kind == DeviceKind::cpu;
  if (compute.precision == "int8" && !cpu && choose_device(other).device.kind == DeviceKind::cpu)
    compute.precision.reset();
  if (takes(device) || !takes(other)) return compute;
  compute.kernels = "auto";
  if (compute.precision && compute.precision != "int8") compute.precision = "fp32";
  return compute;
}

// What segment computes the network by on one device: the plan of the precision that was asked for, or, where its
// output in fp16 is not finite, that in bf16.
struct Settled {
  PlannedNetwork* by;
  Precision precision;
  bool again;
};

Settled settle(NetworkRunner& runner, const Network& network, const Tensor& input) {
  if (runner.precision() != Precision::fp16) return {&runner.planned(), runner.precision(), false};
  double unused = 0;
  const NetworkRunner::Outcome outcome = runner.run(network, input, unused, unused);
  return {outcome.by, outcome.in_bf16 ? Precision::bf16 : Precision::fp16, outcome.in_bf16};
}

LayerAudit audit_by(PlannedNetwork& planned, const Network& network, const Tensor& input, const LayerAuditOptions& how,
                    const ValueSink& sink) {
  return how.unfused ? furrow::audit_layers(network, planned.backend(), input, how, sink)
                     : audit_plan(planned.plan(network, input.shape().h), input, how.rounds, sink);
}

// The first value that is not finite, and of what step.
std::string where_it_left_fp16(const LayerAudit& audit) {
  for (const AuditedStep& step : audit.steps)
    for (const AuditedValue& value : step.values)
      if (value.not_finite > 0)
        return "the first value that is not finite in fp16 is " + value.name + ", " + std::to_string(value.not_finite) +
               " of " + std::to_string(value.shape.elements()) + " elements";
  return "every value that was looked at is finite in fp16";
}

// Of a value's largest element, where a plan in 8 bits is beside one that is not: a rounding is 1/510 of a range, and
// they grow through the layers.
constexpr double kAllowedInBytes = 0.2;
// The same of floating-point precisions. Float32: up to sixty convolutions follow each other, each off by some 4e-8 sqrt(K) of
// its largest value (tests/nn/plan_test.cc holds the classic network to 2e-5). Operands of 10 or 7 bits: half a unit of
// their last place, grown likewise.
double allowed_by(Precision precision) {
  switch (precision) {
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
  if (options.layers == "all" && options.compute.precision == "int8")
    throw Error(ErrorCode::usage, "--layers all runs the tape, which is in float32: --precision int8 is of the plan");
  if (!options.compare.empty() && !options.against.empty())
    throw Error(ErrorCode::usage, "--compare and --against: one at a time");
  if (options.photo.empty() && (options.labels != "none" || options.tile))
    throw Error(ErrorCode::usage, std::string(options.tile ? "--tile" : "--labels") + " takes a PHOTO")
        .hint("furrow model audit FILE PHOTO");
}

// How segment would be told.
SegmentOptions segment_options(const LayersOptions& options) {
  SegmentOptions out;
  out.size = options.size;
  out.tile = options.tile;
  out.crop = choose<CropMode>("--crop", options.crop, {{"face", CropMode::face}, {"none", CropMode::none}});
  if (options.photo.empty()) out.crop = CropMode::none;
  if (!options.keep.empty()) out.kept_labels = parse_labels(options.keep);
  return out;
}

Crop crop_of(const LayersOptions& options, const io::Image& photo, CropMode mode, ThreadPool& pool) {
  if (mode == CropMode::none) return whole_photo(photo.width, photo.height);
  const std::vector<Face> faces = find_faces(photo, {}, &pool);
  if (faces.empty())
    throw Error(ErrorCode::no_face, "no usable face")
        .file(options.photo)
        .hint("--crop none for pictures that are crops");
  return face_crop(faces.front(), photo.width, photo.height);
}

std::string file_of(const std::string& folder, const std::string& name) { return folder + "/" + name + ".npy"; }

// max|a-b| / max|b| over the elements that are finite; where one is not, the other must be the same.
double largest_difference(std::span<const float> a, std::span<const float> b) {
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i]) || !std::isfinite(b[i])) {
      if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
      return std::numeric_limits<double>::infinity();
    }
    difference = std::max(difference, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
    size = std::max(size, std::abs(static_cast<double>(b[i])));
  }
  return difference == 0 ? 0 : difference / size;  // infinite where all of b is 0
}

std::vector<int64_t> dims_of(const Shape& s) { return {s.n, s.c, s.h, s.w}; }

void compare(LayersReport& report, const AuditedValue& value, std::span<const float> elements,
             std::span<const int64_t> dims, std::span<const float> other) {
  ComparedValue row{.name = value.name, .largest = std::numeric_limits<double>::infinity()};
  if (const std::vector<int64_t> own = dims_of(value.shape); std::ranges::equal(own, dims))
    row.largest = largest_difference(elements, other);
  else
    row.shapes = dims_to_string(own) + " here, " + dims_to_string(dims) + " there";
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

// What goes into `report` while the network runs: comparisons and files.
ValueSink sink_of(LayersReport& report, std::map<std::string, std::vector<float>>& others) {
  return [&report, &others](const AuditedValue& value, std::span<const float> elements) {
    const LayersOptions& options = report.options;
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
}

void note_once(LayersReport& report, const std::string& note) {
  if (!note.empty() && std::ranges::find(report.notes, note) == report.notes.end()) report.notes.push_back(note);
}

LayersReport make_report(const LayersOptions& options, const io::Limits& limits) {
  LayersReport report{.options = options};
  const LayerAuditOptions how{.unfused = choose<bool>("--layers", options.layers, {{"plan", false}, {"all", true}}),
                              .rounds = options.rounds};
  const SegmentOptions as_segment = segment_options(options);
  if (!options.compare.empty()) check_folder(options.compare);
  const Model model = load_model(options.model, limits);
  if (model.parses_faces() && (options.labels != "none" || !options.keep.empty()))
    throw Error(ErrorCode::usage, "--labels, --keep: a face parser has no use for them")
        .file(options.model)
        .hint("leave them out");
  NetworkRunner runner(compute_on(options.compute.device, options), model.info());
  std::optional<NetworkRunner> against;
  if (!options.against.empty()) against.emplace(compute_on(options.against, options), model.info());
  report.info = model.info();
  report.notes = model.info().notes;
  const io::Image photo = options.photo.empty() ? synthetic_picture(options.size.value_or(model.info().size))
                                                : io::read_picture(options.photo, io::Background::drop, limits).image;
  std::optional<io::LabelMap> labels;
  if (options.labels != "none") labels = io::read_labels(options.labels, limits);
  const io::LabelMap* map = labels ? &*labels : nullptr;
  if (map == nullptr && !options.photo.empty()) note_once(report, missing_labels_note(model));
  const Crop crop = crop_of(options, photo, as_segment.crop, runner.pool());
  const auto view_on = [&](NetworkRunner& on) {
    const auto view = [&] {
      return network_view(model, photo, crop, as_segment, map, on.backend().dtype(), &on.pool());
    };
    return options.photo.empty() ? view() : with_file(options.photo, view);
  };

  std::map<std::string, std::vector<float>> others;  // of the other device
  if (against) {
    const Tensor input = view_on(*against).input;
    const Settled other = settle(*against, model.network(), input);
    report.beside = other.by->backend().name();
    report.allowed = allowed_by(other.precision);
    if (other.again) note_once(report, kAgainInBf16);
    report.other = audit_by(*other.by, model.network(), input, how,
                            [&](const AuditedValue& value, std::span<const float> elements) {
                              others[value.name].assign(elements.begin(), elements.end());
                            });
  }
  if (!options.compare.empty()) report.beside = options.compare;
  if (!options.dump.empty()) make_dump_folder(options.dump);
  report.view = view_on(runner);
  const Tensor& input = report.view.input;
  const Settled settled = settle(runner, model.network(), input);
  if (settled.again) {
    report.in_fp16 = audit_by(runner.planned(), model.network(), input, {.unfused = how.unfused}, {});
    note_once(report, kAgainInBf16);
    note_once(report, where_it_left_fp16(*report.in_fp16));
  }
  if (how.unfused && runner.quantised())
    note_once(report, "--layers all: the tape is in float32, where segment's plan is in 8 bits; its mask is another");
  if (how.unfused && settled.precision != Precision::fp32)
    note_once(report, "--layers all: in " + std::string(name(settled.precision)) +
                          " the tape rounds where the plan does not, so that some pixels of its mask may be others");
  report.device = settled.by->backend().name();
  const bool in_bytes = !how.unfused && runner.quantised();
  if (in_bytes) report.device += " int8";
  if (in_bytes || (!how.unfused && against && against->quantised())) report.allowed = kAllowedInBytes;
  report.allowed = options.tolerance.value_or(std::max(report.allowed, allowed_by(settled.precision)));
  report.audit = audit_by(*settled.by, model.network(), input, how, sink_of(report, others));
  report.parser = model.parses_faces();
  report.mask = report.parser ? model_labels(report.audit.logits)
                              : model_mask(model, report.audit.logits, model.info().threshold);
  const KeptPixels kept(map, as_segment.kept_labels.value_or(model.info().kept_labels), photo.width, photo.height);
  report.of_photo = limit_mask(report.mask, report.view, kept, photo.width, photo.height);
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
  const ComparedValue& at = compared[*first];
  char numbers[64];
  std::snprintf(numbers, sizeof numbers, "max %.2e, allowed %.2e", at.largest, allowed);
  Error error(ErrorCode::different, std::to_string(departing) + " of " + std::to_string(compared.size()) +
                                        " layers depart from " + printable(beside) + ", the first is " + at.name +
                                        " (" + (at.shapes.empty() ? numbers : at.shapes) + ")");
  error.set_file(options.model);
  if (*first > 0) return std::move(error).hint("what comes before it agrees");
  return at.shapes.empty() ? error : std::move(error).hint("the dump is of another --size or network");
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
  for (const std::string& note : report.notes) cli::note(common, note);
  cli::print(layers_table(report));
  if (departure) throw Error(*departure);
  if (!report.beside.empty())
    cli::note(common, "all " + std::to_string(report.compared.size()) + " layers agree with " + report.beside);
  return 0;
}

}  // namespace furrow::apps
