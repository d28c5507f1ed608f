#include "train/run_state.h"

#include <charconv>
#include <cmath>
#include <memory>

namespace furrow::train {
namespace {

constexpr std::string_view kModel = "model.", kAverage = "average.", kNorms = "watch.norms", kSchedule = "schedule.";

// The buffers of the optimiser by their names in a checkpoint.
std::vector<std::pair<std::string, int>> moments_of(const TrainStep& step) {
  if (!step.moment(1).empty()) return {{"adam.m.", 0}, {"adam.v.", 1}};
  if (!step.moment(0).empty()) return {{"sgd.buffer.", 0}};
  return {};
}

// Both ways between a snapshot and the numbers of a run, so that what is written is what is read.
class Writer {
 public:
  explicit Writer(Snapshot& to) : to_(to) {}
  void operator()(const char* key, int64_t value) { to_.values[key] = std::to_string(value); }
  void operator()(const char* key, uint64_t value) { to_.values[key] = std::to_string(value); }
  void operator()(const char* key, int32_t value) { to_.values[key] = std::to_string(value); }
  void operator()(const char* key, double value) { to_.values[key] = exact_text(value); }
  void operator()(const char* key, float value) { to_.values[key] = exact_text(static_cast<double>(value)); }
  void operator()(const char* key, bool value) { to_.values[key] = value ? "1" : "0"; }

 private:
  Snapshot& to_;
};

class Reader {
 public:
  explicit Reader(const Snapshot& from) : from_(from) {}
  void operator()(const char* key, int64_t& value) { value = integer_value(from_, key); }
  void operator()(const char* key, uint64_t& value) { value = unsigned_value(from_, key); }
  void operator()(const char* key, int32_t& value) { value = static_cast<int32_t>(integer_value(from_, key)); }
  void operator()(const char* key, double& value) { value = real_value(from_, key); }
  void operator()(const char* key, float& value) { value = static_cast<float>(real_value(from_, key)); }
  void operator()(const char* key, bool& value) { value = integer_value(from_, key) != 0; }

 private:
  const Snapshot& from_;
};

// `Number` is Writer or Reader; the same list serves both.
template <class Visit, class Optim, class Place, class Sums, class Logs, class Watching>
void visit_numbers(Visit&& number, Optim& optim, Place& position, Sums& interval, Logs& logs, Watching& watch) {
  number("epoch", position.epoch);
  number("batch", position.batch);
  number("step", position.step);
  number("optim.step", optim.step);
  number("optim.skipped", optim.skipped);
  number("optim.loss_scale", optim.loss_scale);
  number("optim.good_steps", optim.good_steps);
  number("interval.loss", interval.loss.total);
  number("interval.dice", interval.loss.dice);
  number("interval.focal", interval.loss.focal);
  number("interval.steps", interval.steps);
  number("interval.skipped", interval.skipped);
  number("interval.positives", interval.positives);
  number("interval.pixels", interval.pixels);
  number("interval.gradient_norm", interval.gradient_norm);
  number("interval.lr", interval.lr);
  number("log.metrics", logs.metrics);
  number("log.events", logs.events);
  number("watch.empty_steps", watch.empty_steps);
  number("watch.empty", watch.empty);
  number("watch.collapsed", watch.collapsed);
  number("watch.spike", watch.spike);
  number("watch.broken", watch.broken);
}

// Those whose names begin with `prefix`, without it.
NamedTensors below(const Snapshot& snapshot, std::string_view prefix) {
  NamedTensors out;
  for (const NamedTensor& tensor : snapshot.tensors)
    if (tensor.name.starts_with(prefix)) {
      out.push_back(tensor);
      out.back().name.erase(0, prefix.size());
    }
  return out;
}

NamedTensor norms_tensor(const std::vector<double>& norms) {
  const auto held = std::make_shared<const std::vector<double>>(norms);
  return {std::string(kNorms), DType::f64, {static_cast<int64_t>(norms.size())}, std::as_bytes(std::span(*held)), held};
}

}  // namespace

Snapshot capture(const RunState& state, const LogSizes& logs, const std::string& config) {
  Snapshot out;
  state.step.parameters().publish();
  out.tensors = state.network.state();
  for (NamedTensor& tensor : out.tensors) tensor.name.insert(0, kModel);
  if (state.average != nullptr)
    for (NamedTensor& tensor : state.average->network().state()) {
      tensor.name.insert(0, kAverage);
      out.tensors.push_back(std::move(tensor));
    }
  for (const auto& [prefix, which] : moments_of(state.step))
    for (NamedTensor& tensor : state.step.parameters().named(state.step.moment(which), prefix))
      out.tensors.push_back(std::move(tensor));
  const Watch::State watch = state.watch.state();
  out.tensors.push_back(norms_tensor(watch.norms));

  visit_numbers(Writer(out), state.step.state(), state.position, state.interval, logs, watch);
  for (const auto& [key, value] : state.schedule.state()) out.values[std::string(kSchedule) + key] = exact_text(value);
  // The best score is "none" until there is one: NaN is no number for a file.
  out.values["best.score"] = std::isnan(state.stopping.best()) ? "none" : exact_text(state.stopping.best());
  out.values["best.epoch"] = std::to_string(state.best_epoch);
  out.values["best.since"] = std::to_string(state.stopping.since_best());
  out.values["architecture"] = state.network.architecture().text();
  out.values["config"] = config;
  return out;
}

NamedTensors model_tensors(const Snapshot& snapshot) { return below(snapshot, kModel); }

NamedTensors exported_tensors(const Snapshot& snapshot) {
  NamedTensors average = below(snapshot, kAverage);
  return average.empty() ? model_tensors(snapshot) : average;
}

LogSizes restore(const Snapshot& snapshot, const RunState& state) {
  for (const auto& [prefix, which] : moments_of(state.step))
    state.step.parameters().take(snapshot.tensors, prefix, state.step.moment(which));
  if (state.average != nullptr) {
    const NamedTensors average = below(snapshot, kAverage);
    if (average.empty())
      throw Error(ErrorCode::unsupported, "the checkpoint holds no average of the weights").in("average_decay");
    state.average->load(average);
  }
  Watch::State watch;
  LogSizes logs;
  visit_numbers(Reader(snapshot), state.step.state(), state.position, state.interval, logs, watch);
  for (const NamedTensor& tensor : snapshot.tensors)
    if (tensor.name == kNorms) watch.norms = tensor.to<double>();
  state.watch.restore(watch);

  ScheduleState schedule;
  for (const auto& [key, text] : snapshot.values)
    if (key.starts_with(kSchedule)) schedule[key.substr(kSchedule.size())] = real_value(snapshot, key);
  state.schedule.restore(schedule);
  const auto best = snapshot.values.find("best.score");
  const bool none = best != snapshot.values.end() && best->second == "none";
  state.stopping.restore(none ? std::nan("") : real_value(snapshot, "best.score"),
                         integer_value(snapshot, "best.since"));
  state.best_epoch = integer_value(snapshot, "best.epoch");
  return logs;
}

}  // namespace furrow::train
