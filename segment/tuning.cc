#include "segment/tuning.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "io/atomic_file.h"
#include "kernels/error.h"

namespace furrow {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kFormat = "furrow tune 1";
constexpr uintmax_t kMostBytes = uintmax_t{16} << 20;

[[noreturn]] void broken(const std::string& path, const std::string& reason) {
  throw Error(ErrorCode::configuration, reason)
      .hint("remove it, and measure again with `furrow model tune`")
      .file(path);
}

Json read_json(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::error_code error;
  const uintmax_t bytes = std::filesystem::file_size(path, error);
  if (!file || error) throw Error(ErrorCode::io, "cannot be read").file(path);
  if (bytes > kMostBytes)
    throw Error(ErrorCode::limit, "too large for a file of measured times").limit(kMostBytes, bytes).file(path);
  Json json = Json::parse(file, nullptr, false);
  if (!json.is_object() || json.value("format", Json()) != kFormat)
    broken(path, "not a file of measured times (format \"furrow tune 1\")");
  const auto machines = json.find("machines");
  if (machines == json.end() || !machines->is_object()) broken(path, "no \"machines\"");
  for (const auto& [machine, steps] : machines->items()) {
    if (!steps.is_object()) broken(path, "the steps of " + printable(machine) + " are no object");
    for (const auto& [key, step] : steps.items())
      if (!step.is_object() || (step.value("use", Json()) != "own" && step.value("use", Json()) != "vendor"))
        broken(path, printable(key) + ": \"use\" is neither \"own\" nor \"vendor\"");
  }
  return json;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

std::string default_tuning_file() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string() : std::string(value);
  };
  const std::string cache = variable("XDG_CACHE_HOME"), home = variable("HOME");
  if (!cache.empty()) return cache + "/furrow/tune.json";
  return home.empty() ? "" : home + "/.cache/furrow/tune.json";
}

std::shared_ptr<const Tuning> read_tuning(const std::string& path) {
  auto tuning = std::make_shared<Tuning>();
  const Json json = read_json(path);
  for (const auto& [machine, steps] : json.at("machines").items())
    for (const auto& [key, step] : steps.items())
      if (step.at("use") == "vendor") tuning->vendor_steps[machine].insert(key);
  return tuning;
}

void write_tuning(const std::string& path, const std::string& machine, const std::vector<TunedStep>& steps) {
  Json json{{"format", kFormat}, {"machines", Json::object()}};
  if (std::filesystem::exists(path)) json = read_json(path);
  for (const TunedStep& step : steps)
    json["machines"][machine][step.key] = {{"use", step.vendor_is_faster() ? "vendor" : "own"},
                                           {"own", step.own},
                                           {"own_ms", step.own_ms},
                                           {"vendor", step.vendor},
                                           {"vendor_ms", step.vendor_ms}};
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::error_code error;
  if (!folder.empty()) std::filesystem::create_directories(folder, error);
  if (error) throw Error(ErrorCode::io, "the folder cannot be made: " + error.message()).file(path);
  io::AtomicFile file(path);
  file.write(json.dump(1) + "\n");
  file.commit();
}

std::vector<TunedStep> time_steps(Plan& own, Plan& vendor, const Tensor& input, int rounds) {
  require(own.steps().size() == vendor.steps().size() && rounds > 0,
          "time_steps: plans of one network, at least one round");
  const size_t count = own.steps().size();
  std::vector<std::vector<double>> own_ms(count), vendor_ms(count);
  const auto run = [&](Plan& plan, std::vector<std::vector<double>>* times) {
    Trace trace;
    plan.run(input, &trace);
    require(trace.records().size() == count, "time_steps: one record per step");
    if (times != nullptr)
      for (size_t i = 0; i < count; ++i) (*times)[i].push_back(trace.records()[i].milliseconds);
  };
  run(own, nullptr);
  run(vendor, nullptr);
  for (int round = 0; round < rounds; ++round) {
    run(own, &own_ms);
    run(vendor, &vendor_ms);
  }
  // Steps of one key are one choice: their times are added.
  std::map<std::string, TunedStep> steps;
  for (size_t i = 0; i < count; ++i) {
    const Plan::StepInfo &a = own.steps()[i], &b = vendor.steps()[i];
    if (a.algorithm == b.algorithm) continue;
    const std::string key = a.op + " " + a.problem;
    TunedStep& step = steps[key];
    step.key = key, step.own = a.algorithm, step.vendor = b.algorithm;
    step.own_ms += median(own_ms[i]);
    step.vendor_ms += median(vendor_ms[i]);
  }
  std::vector<TunedStep> list;
  for (auto& [key, step] : steps) list.push_back(std::move(step));
  return list;
}

}  // namespace furrow
