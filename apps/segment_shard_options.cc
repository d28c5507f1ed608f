#include "apps/segment_shard_options.h"

#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "apps/segment_origin.h"
#include "apps/segment_output.h"
#include "kernels/error.h"

namespace furrow::apps {
namespace {

using Json = nlohmann::ordered_json;

// Without what only one of both knows.
Json compared_settings(Json settings, const std::set<std::string>& unknown) {
  for (const std::string& key : unknown) settings.erase(key);
  // The map of one photo in the one, the word of --labels in the other.
  if (const auto labels = settings.find("labels"); labels != settings.end()) *labels = !labels->is_null();
  return settings;
}

std::string difference(const Json& theirs, const Json& ours) {
  std::set<std::string> keys;
  for (const Json* object : {&theirs, &ours})
    for (const auto& [key, value] : object->items()) keys.insert(key);
  const auto said = [](const Json& object, const std::string& key) {
    const auto found = object.find(key);
    const std::string value =
        found == object.end() ? "unknown" : found->is_string() ? found->get<std::string>() : found->dump();
    return printable(key, 40) + " " + printable(value, 40);
  };
  std::string out;
  int told = 0;
  for (const std::string& key : keys) {
    const auto a = theirs.find(key), b = ours.find(key);
    if (a != theirs.end() && b != ours.end() && *a == *b) continue;
    if (++told > 2) return out + ", ...";
    out += (out.empty() ? "" : ", ") + said(theirs, key) + ", not " + said(ours, key);
  }
  return out;
}

}  // namespace

std::string shard_options(const SegmentJob& job, const ModelInfo& model) {
  const SegmentOptions& o = job.options;
  Json out = Json::parse(shared_settings(job, model));
  out["measures"] = o.measures;
  out["prob_bits"] = probability_bits(job);
  std::string saved;
  for (const auto& [name, is_saved] : {std::pair{"mask", job.save_mask}, {"prob", job.save_prob},
                                       {"overlay", job.save_overlay}, {"json", job.save_json}})
    if (is_saved) saved += (saved.empty() ? "" : ",") + std::string(name);
  out["save"] = saved;
  return out.dump();
}

std::string differing_options(const std::string& theirs, const std::string& ours) {
  return difference(Json::parse(theirs), Json::parse(ours));
}

std::string differing_settings(const std::string& settings, const std::string& options) {
  return difference(compared_settings(Json::parse(settings), {"prob_bits"}),
                    compared_settings(Json::parse(options), {"prob_bits", "measures", "save"}));
}

}  // namespace furrow::apps
