#include "apps/model_audit.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/cli/words.h"
#include "io/checkpoint.h"
#include "kernels/threads.h"
#include "nn/recognise.h"
#include "train/audit.h"

namespace furrow::apps {
namespace {

using Json = nlohmann::ordered_json;
using train::Audit;
using train::AuditPart;
using train::AuditRow;

std::string scientific(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2e", value);
  return text;
}

std::string padded(std::string text, size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

std::string called(const AuditRow& row) {
  std::string text = "step " + std::to_string(row.step) + " " + std::string(name(row.part));
  return row.name.empty() ? text : text + " " + row.name;
}

// Where to look, told by what had agreed before.
const char* where_to_look(const AuditRow& row) {
  switch (row.part) {
    case AuditPart::loss:
      return row.step == 1 ? "other weights than the dump's, another loss, or the forward pass"
                           : "the steps before it: the optimiser and its settings";
    case AuditPart::gradient: return "the backward pass between the loss and this parameter; the arrays above it agree";
    case AuditPart::parameter:
      return row.step == 1 ? "the optimiser: the gradients agree" : "the optimiser's moments and their settings";
    case AuditPart::statistic: return "the batch norms' running statistics";
    case AuditPart::counter: break;
  }
  return "how many batches the batch norms have seen";
}

Error departure(const Audit& audit, const AuditOptions& options) {
  const AuditRow& row = audit.rows[*audit.first];
  const auto departing =
      std::ranges::count_if(audit.rows, [](const AuditRow& r) { return r.verdict == train::AuditVerdict::departs; });
  const bool by_way = row.part == AuditPart::parameter && audit.tolerance->moved.first != 0;
  const std::string by = by_way ? scientific(row.moved) + " of its way" : "max " + scientific(row.largest);
  return Error(ErrorCode::different, std::to_string(departing) + " of " + std::to_string(audit.rows.size()) +
                                         " arrays depart, the first is " + called(row) + " (" + by + ")")
      .file(options.backward)
      .hint(std::string("look at: ") + where_to_look(row));
}

Json finite_or_null(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

std::string as_json(const Audit& audit, const AuditOptions& options, const std::string& device) {
  Json out = {{"schema", "furrow.audit/1"},
              {"file", printable(options.model, 4096)},
              {"dump", printable(options.backward, 4096)},
              {"architecture", audit.architecture},
              {"device", device}};
  out["tolerance"] = {{"reason", audit.tolerance->reason}};
  out["agrees"] = !audit.first.has_value();
  out["first"] = audit.first ? Json(*audit.first) : Json(nullptr);
  out["arrays"] = Json::array();
  for (const AuditRow& row : audit.rows) {
    Json one = {{"step", row.step},  {"part", std::string(name(row.part))}, {"name", row.name},
                {"shape", row.dims}, {"max", finite_or_null(row.largest)},          {"rms", finite_or_null(row.rms)}};
    if (row.part == AuditPart::parameter) one["moved"] = finite_or_null(row.moved);
    one["allowed"] = row.allowed;
    one["verdict"] = std::string(name(row.verdict));
    out["arrays"].push_back(std::move(one));
  }
  out["other_branches"] = Json::array();
  for (const auto& layer : audit.branches.layers)
    out["other_branches"].push_back(
        {{"where", layer.where}, {"op", layer.op}, {"units", layer.units}, {"of", layer.of}});
  if (audit.first) out["error"] = Json::parse(cli::error_json(departure(audit, options)))["error"];
  return out.dump() + "\n";
}

std::string as_text(const Audit& audit, const std::string& device) {
  size_t widest = 4;
  for (const AuditRow& row : audit.rows) widest = std::max(widest, row.name.size());
  std::string text = audit.architecture + " on " + device + "\nstep  part       " + padded("name", widest) +
                     "  shape           max        rms        moved      allowed    verdict\n";
  for (const AuditRow& row : audit.rows) {
    text += padded(std::to_string(row.step), 6) + padded(std::string(name(row.part)), 11) + padded(row.name, widest) +
            "  " + padded(dims_to_string(row.dims), 16) + padded(scientific(row.largest), 11) +
            padded(scientific(row.rms), 11) +
            padded(row.part == AuditPart::parameter ? scientific(row.moved) : "", 11) +
            padded(scientific(row.allowed), 11) + std::string(name(row.verdict)) + "\n";
  }
  const bool by_way = audit.tolerance->moved.first != 0;
  for (const auto& layer : audit.branches.layers)
    text += "other branch: " + layer.op + " " + layer.where + ", " + std::to_string(layer.units) + " of " +
            std::to_string(layer.of) + " units lie within rounding of the other side\n";
  return text + "allowed is " + (by_way ? "the most of max, of parameters of moved; " : "the most of max; ") +
         audit.tolerance->reason + "\n";
}

}  // namespace

int audit_model(const AuditOptions& options, const io::Limits& limits, const cli::Common& common) {
  check_range("--threads", options.threads, 0, kMostThreads);
  const ChosenDevice chosen = choose_device(options.device);
  ThreadPool pool(options.threads);
  BackendOptions compute;  // gradients are compared, so no precision below float32
  if (chosen.device.kind == DeviceKind::cuda || chosen.device.kind == DeviceKind::cpu_emulated)
    compute.precision = Precision::fp32;
  const auto backend = make_backend(chosen.device, &pool, compute);
  const io::Checkpoint weights = io::read_checkpoint(options.model, limits);
  const train::AuditDump dump = train::read_audit_dump(options.backward, limits);
  with_file(options.model, [&] { recognise(weights.tensors); });
  const Audit audit =
      with_file(options.backward, [&] { return train::audit_backward(weights.tensors, dump, *backend); });
  if (common.json) {
    cli::print(as_json(audit, options, backend->name()));
    return audit.first ? static_cast<int>(ErrorCode::different) : 0;
  }
  cli::print(as_text(audit, backend->name()));
  if (audit.first) throw departure(audit, options);
  const auto unjudged = std::ranges::count(audit.rows, train::AuditVerdict::other_branch, &AuditRow::verdict);
  if (unjudged == 0)
    cli::note(common, "all " + std::to_string(audit.rows.size()) + " arrays agree");
  else
    cli::note(common, std::to_string(unjudged) + " of " + std::to_string(audit.rows.size()) +
                          " arrays lie before another branch and were not judged, the others agree; --device ref and a "
                          "float64 dump judge all");
  return 0;
}

}  // namespace furrow::apps
