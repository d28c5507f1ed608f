#include "bench/gpu/rows.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "kernels/error.h"

namespace furrow::bench {
namespace {

using Json = nlohmann::ordered_json;

// JSON has no NaN and no infinity: they become null, which no check takes for a number.
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json check_json(const Check& c) {
  return {{"what", c.what}, {"value", number(c.value)}, {"bound", c.bound}, {"ok", c.ok()}, {"note", c.note}};
}

}  // namespace

bool Report::ok() const {
  return std::all_of(rows.begin(), rows.end(), [](const Row& r) { return r.check.ok(); }) &&
         std::all_of(checks.begin(), checks.end(), [](const NamedCheck& c) { return c.check.ok(); }) &&
         std::all_of(ceilings.begin(), ceilings.end(), [](const Ceiling& c) { return c.check.ok(); });
}

void Report::write(const std::string& path) const {
  Json all{{"device", device},         {"sizes", sizes},          {"ceilings", Json::array()},
           {"checks", Json::array()}, {"rows", Json::array()}, {"not_run", not_run}};
  for (const NamedCheck& c : checks) all["checks"].push_back({{"name", c.name}, {"check", check_json(c.check)}});
  for (const Ceiling& c : ceilings)
    all["ceilings"].push_back({{"name", c.name},
                               {"value", number(c.value)},
                               {"unit", c.unit},
                               {"how", c.how},
                               {"check", check_json(c.check)}});
  for (const Row& r : rows) {
    Json row{{"group", r.group},         {"name", r.name},       {"ms", number(r.ms)}, {"q1_ms", number(r.q1_ms)},
             {"q3_ms", number(r.q3_ms)}, {"repeats", r.repeats}, {"timed", r.timed}};
    row["event_ms"] = r.event_ms > 0 ? number(r.event_ms) : Json(nullptr);
    row["began"] = number(r.began), row["ended"] = number(r.ended);
    row["tflops"] = r.cost.flops > 0 && r.ms > 0 ? number(r.cost.flops / r.ms * 1e-9) : Json(nullptr);
    row["gbps"] = r.cost.bytes > 0 && r.ms > 0 ? number(r.cost.bytes / r.ms * 1e-6) : Json(nullptr);
    row["floor_ms"] = r.floor_ms > 0 ? number(r.floor_ms) : Json(nullptr);
    row["fraction_of_floor"] = r.floor_ms > 0 && r.ms > 0 ? number(r.floor_ms / r.ms) : Json(nullptr);
    row["note"] = r.note;
    row["check"] = check_json(r.check);
    all["rows"].push_back(std::move(row));
  }
  std::ofstream file(path, std::ios::trunc);
  if (!(file << all.dump(1) << "\n") || !file.flush()) throw Error(ErrorCode::io, "cannot write").file(path);
}

}  // namespace furrow::bench
