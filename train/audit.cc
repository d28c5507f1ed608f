#include "train/audit.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "kernels/secret_hash.h"
#include "nn/recognise.h"

namespace furrow::train {
namespace {

// Sums of thousands of products in another order leave 1e-13 of the largest. Batch norms over few pixels multiply that,
// and AdamW, which divides each gradient by its own size, does so in every step. Measured (docs/audit.md): gradients
// 4e-14, parameters 3e-12 after ten steps.
constexpr AuditTolerance kExact = {
    .loss = {1e-10, 1e-7},
    .gradient = {1e-9, 1e-9},
    .parameter = {1e-7, 1e-7},
    .statistic = {1e-9, 1e-7},
    .moved = {0, 0},
    .growth = 4,
    .reason = "float64 on both sides: sums in another order, multiplied by batch norms and AdamW"};
// A float32 convolution is off by 4e-8 sqrt(K) of its largest value, K up to 9216 in a U-Net; some fifty layers follow
// each other. Measured: gradients 1.4e-5. An element whose gradient is rounding alone moves by up to the learning rate
// in either direction with AdamW, so parameters are judged by the way they went together; and a step of a network that
// is new multiplies what the steps before it left.
constexpr AuditTolerance kFloat32 = {.loss = {1e-6, 1e-3},
                                     .gradient = {2e-4, 2e-4},
                                     .parameter = {0, 0},
                                     .statistic = {2e-5, 0.2},
                                     .moved = {1e-2, 0.3},
                                     .growth = 4,
                                     .reason =
                                         "float32 on one side at least: rounding of every layer, multiplied by AdamW; "
                                         "--device ref and a float64 dump show more"};

// The keys of `wanted`, each with its shape, and nothing else, as Module::load() has it.
void check_keys(const std::string& where, const NamedTensors& found, const std::vector<Module::Keyed>& wanted,
                std::vector<std::string>& lines) {
  std::unordered_map<std::string_view, const NamedTensor*, SecretHash> by_name;
  for (const NamedTensor& t : found) by_name.emplace(t.name, &t);
  for (const Module::Keyed& k : wanted) {
    const auto at = by_name.find(k.key);
    if (at == by_name.end())
      lines.push_back("missing: " + where + k.key + " " + dims_to_string(k.parameter->dims));
    else if (at->second->dims != k.parameter->dims)
      lines.push_back("misshapen: " + where + k.key + " is " + dims_to_string(at->second->dims) + ", expected " +
                      dims_to_string(k.parameter->dims));
    if (at != by_name.end()) by_name.erase(at);
  }
  for (const NamedTensor& t : found)
    if (by_name.contains(t.name))
      lines.push_back("unexpected: " + where + printable(t.name) + " " + dims_to_string(t.dims));
}

void check_fit(const AuditDump& dump, const Network& network) {
  const std::vector<Module::Keyed> all = network.parameters();
  std::vector<Module::Keyed> trained;
  for (const Module::Keyed& k : all)
    if (k.parameter->trainable) trained.push_back(k);
  std::vector<std::string> lines;
  check_keys("gradient/", dump.gradients, trained, lines);
  for (const auto& [step, state] : dump.states) check_keys("step" + std::to_string(step) + "/", state, all, lines);
  if (!lines.empty())
    throw Error(ErrorCode::unsupported,
                "the dump does not fit the network: " + std::to_string(lines.size()) + " arrays, the first " + lines[0])
        .details(lines);
  const Architecture& a = network.architecture();
  const auto channels = [](const char* which, int64_t found, int64_t wanted) {
    if (found != wanted)
      throw Error(ErrorCode::malformed,
                  "has " + std::to_string(found) + " channels, the network " + std::to_string(wanted))
          .in(which);
  };
  channels("input", dump.input.shape().c, a.in_channels);
  if (dump.target.dtype() == DType::f64) channels("target", dump.target.shape().c, a.classes);
}

struct Sizes {
  double largest = 0, squares = 0, count = 0;
  void add(double v) {
    largest = std::isfinite(v) ? std::max(largest, std::abs(v)) : std::numeric_limits<double>::infinity();
    squares += v * v;
    ++count;
  }
  double mean() const { return count == 0 ? 0 : squares / count; }
};

Sizes sizes(std::span<const double> values) {
  Sizes out;
  for (const double v : values) out.add(v);
  return out;
}

// Arrays of one part and step beside those of the dump.
class Comparison {
 public:
  Comparison(const AuditTolerance& tolerance, const NamedTensors& start, Audit& audit)
      : tolerance_(tolerance), audit_(audit) {
    for (const NamedTensor& t : start) start_.emplace(t.name, t.to<double>());
  }

  void loss(int step, double ours, double theirs) {
    AuditRow row{.part = AuditPart::loss, .step = step, .name = "", .dims = {}};
    judge(std::vector{ours}, std::vector{theirs}, sizes(std::vector{theirs}), row);
  }

  void gradients(const NamedTensors& ours, const NamedTensors& theirs) {
    const auto by_name = index(theirs);
    Sizes greatest;
    for (const NamedTensor& t : theirs) raise(greatest, sizes(t.to<double>()));
    // From the output back, the order in which they are computed.
    for (auto t = ours.rbegin(); t != ours.rend(); ++t)
      judge(t->to<double>(), by_name.at(t->name)->to<double>(), greatest,
            {.part = AuditPart::gradient, .step = 1, .name = t->name, .dims = t->dims});
  }

  void state(int step, const NamedTensors& ours, const NamedTensors& theirs, const std::vector<Module::Keyed>& what) {
    const auto by_name = index(theirs);
    for (size_t i = 0; i < ours.size(); ++i) {
      const Parameter& p = *what[i].parameter;
      const bool counter = p.kind == ParameterKind::counter;
      const AuditPart part = counter ? AuditPart::counter : p.trainable ? AuditPart::parameter : AuditPart::statistic;
      judge(ours[i].to<double>(), by_name.at(ours[i].name)->to<double>(), {},
            {.part = part, .step = step, .name = ours[i].name, .dims = ours[i].dims});
    }
  }

 private:
  static std::unordered_map<std::string_view, const NamedTensor*, SecretHash> index(const NamedTensors& tensors) {
    std::unordered_map<std::string_view, const NamedTensor*, SecretHash> out;
    for (const NamedTensor& t : tensors) out.emplace(t.name, &t);
    return out;
  }
  static void raise(Sizes& to, const Sizes& one) {
    to.largest = std::max(to.largest, one.largest);
    if (one.mean() > to.mean()) to.squares = one.squares, to.count = one.count;
  }

  void judge(const std::vector<double>& a, const std::vector<double>& b, const Sizes& greatest, AuditRow row) {
    Sizes difference;
    for (size_t i = 0; i < a.size(); ++i) difference.add(a[i] - b[i]);
    const Sizes size = sizes(b);
    const auto over = [](double x, double y) { return x == 0 ? 0 : y == 0 || std::isnan(x) ? kNever : x / y; };
    row.largest = over(difference.largest, std::max(size.largest, kAuditFloor * greatest.largest));
    row.rms = std::sqrt(over(difference.mean(), std::max(size.mean(), kAuditFloor * kAuditFloor * greatest.mean())));
    double judged = row.largest;
    if (row.part == AuditPart::parameter) {
      const std::vector<double>& from = start_.at(row.name);
      Sizes way;
      for (size_t i = 0; i < b.size(); ++i) way.add(b[i] - from[i]);
      row.moved = std::sqrt(over(difference.squares, way.squares));
      if (tolerance_.moved.first != 0) judged = row.moved;
    }
    if (!std::isfinite(difference.largest)) row.largest = row.rms = judged = kNever;
    row.allowed = tolerance_.allowed(row.part, row.step);
    row.verdict = judged <= row.allowed ? AuditVerdict::agrees : AuditVerdict::departs;
    audit_.rows.push_back(std::move(row));
  }

  static constexpr double kNever = std::numeric_limits<double>::infinity();
  const AuditTolerance& tolerance_;
  Audit& audit_;
  std::unordered_map<std::string, std::vector<double>, SecretHash> start_;
};

// The gradients under their keys, in PyTorch's order and layout, by way of a second network.
NamedTensors gradients_of(const Network& network, const FlatParameters& parameters) {
  const auto twin = build(network.architecture());
  twin->initialise(0, network.dtype());
  const Tensor gradients = parameters.on_host(parameters.gradients());
  const std::vector<Module::Keyed> keyed = twin->parameters();
  for (const FlatParameters::Entry& entry : parameters.entries())
    std::ranges::find(keyed, entry.key, &Module::Keyed::key)->parameter->value =
        FlatParameters::window(gradients, entry);
  NamedTensors all = twin->state();
  std::erase_if(all, [&](const NamedTensor& t) {
    return std::ranges::find(parameters.entries(), t.name, &FlatParameters::Entry::key) == parameters.entries().end();
  });
  return all;
}

// Rows that depart no further than another branch of a few units can bring them. What one unit is worth depends on how
// few pixels its channel has: measured, one of 512 moved single gradients by 6 % of the largest, parameters by 27 % of
// their way, losses by less than 1e-3.
void excuse(Audit& audit) {
  constexpr double kGradient = 0.5, kMoved = 0.6, kStatistic = 0.5, kLoss = 1e-2;
  const auto before = [&](const AuditRow& row) {
    return std::ranges::find(audit.branches.parameters, row.name) != audit.branches.parameters.end();
  };
  for (AuditRow& row : audit.rows) {
    if (row.verdict != AuditVerdict::departs) continue;
    bool excused = false;
    switch (row.part) {
      case AuditPart::loss: excused = row.step > 1 && row.largest <= kLoss; break;
      case AuditPart::gradient: excused = row.largest <= kGradient && before(row); break;
      // The first step reaches what lies before the unit; from the second on everything has another input.
      case AuditPart::parameter: excused = row.moved <= kMoved && (row.step > 1 || before(row)); break;
      case AuditPart::statistic: excused = row.step > 1 && row.largest <= kStatistic; break;
      case AuditPart::counter: break;
    }
    if (excused) row.verdict = AuditVerdict::other_branch;
  }
}

}  // namespace

std::string_view name(AuditPart part) {
  switch (part) {
    case AuditPart::loss: return "loss";
    case AuditPart::gradient: return "gradient";
    case AuditPart::parameter: return "parameter";
    case AuditPart::statistic: return "statistic";
    case AuditPart::counter: break;
  }
  return "counter";
}

double AuditTolerance::allowed(AuditPart part, int step) const {
  Bound bound{0, 0};
  switch (part) {
    case AuditPart::loss: bound = loss; break;
    case AuditPart::gradient: bound = gradient; break;
    case AuditPart::parameter: bound = moved.first == 0 ? parameter : moved; break;
    case AuditPart::statistic: bound = statistic; break;
    case AuditPart::counter: break;
  }
  return std::min(bound.most, bound.first * std::pow(growth, step - 1));
}

std::string_view name(AuditVerdict verdict) {
  switch (verdict) {
    case AuditVerdict::agrees: return "agrees";
    case AuditVerdict::departs: return "departs";
    case AuditVerdict::other_branch: break;
  }
  return "other branch";
}

const AuditTolerance& audit_tolerance(bool exact) { return exact ? kExact : kFloat32; }

Audit audit_backward(const NamedTensors& weights, const AuditDump& dump, Backend& backend) {
  const auto network = build(recognise(weights));
  network->load(weights, backend.dtype());
  check_fit(dump, *network);
  Audit audit;
  audit.architecture = network->architecture().text();
  audit.tolerance = &audit_tolerance(backend.dtype() == DType::f64 && !dump.narrow);
  Comparison compare(*audit.tolerance, network->state(), audit);
  TrainStep step(*network, backend, dump.options);
  const bool labels = dump.target.dtype() == DType::i32;
  const MicroBatch batch{dump.input.to(backend.dtype()), labels ? dump.target : dump.target.to(backend.dtype())};
  for (int k = 1; k <= static_cast<int>(dump.losses.size()); ++k) {
    const LossValue loss = step.accumulate({&batch, 1});
    if (loss.invalid > 0)
      throw Error(ErrorCode::malformed, std::to_string(loss.invalid) + " labels are no class of the network")
          .in("target");
    compare.loss(k, loss.total, dump.losses[static_cast<size_t>(k - 1)]);
    if (k == 1) compare.gradients(gradients_of(*network, step.parameters()), dump.gradients);
    step.update(loss, dump.lr);
    if (const auto state = dump.states.find(k); state != dump.states.end()) {
      step.parameters().publish();
      compare.state(k, network->state(), state->second, network->parameters());
    }
  }
  const auto departs = [](const AuditRow& row) { return row.verdict == AuditVerdict::departs; };
  const bool exact = audit.tolerance == &audit_tolerance(true);
  if (!exact && std::ranges::any_of(audit.rows, departs)) {
    const auto cpu = backend.dtype() == DType::f64 ? make_backend({DeviceKind::cpu, 0}, nullptr) : nullptr;
    audit.branches = other_branches(weights, dump.input, cpu != nullptr ? *cpu : backend,
                                    dump.narrow ? Rounded::elsewhere : Rounded::here);
    if (!audit.branches.layers.empty()) excuse(audit);
  }
  const auto first = std::ranges::find_if(audit.rows, departs);
  if (first != audit.rows.end()) audit.first = static_cast<size_t>(first - audit.rows.begin());
  return audit;
}

}  // namespace furrow::train
