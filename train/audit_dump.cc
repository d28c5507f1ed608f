#include "train/audit_dump.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>

#include "train/audit_settings.h"

namespace furrow::train {
namespace {

bool is_float(DType type) {
  return type == DType::f64 || type == DType::f32 || type == DType::f16 || type == DType::bf16;
}

[[noreturn]] void malformed(const NamedTensor& t, const std::string& expected) {
  throw Error(ErrorCode::malformed,
              "is " + dims_to_string(t.dims) + " " + std::string(name(t.dtype)) + ", expected " + expected)
      .in(t.name);
}

// [N,C,H,W] as {N,H,W,C} float64.
Tensor pictures(const NamedTensor& t) {
  if (t.dims.size() != 4 || !is_float(t.dtype) || t.elements() == 0) malformed(t, "floating [N,C,H,W]");
  const Shape shape{t.dims[0], t.dims[2], t.dims[3], t.dims[1]};
  const std::vector<double> from = t.to<double>();
  if (!std::ranges::all_of(from, [](double v) { return std::isfinite(v); }))
    throw Error(ErrorCode::malformed, "holds numbers that are not finite").in(t.name);
  Tensor out(shape, DType::f64);
  const auto to = out.values<double>();
  size_t at = 0;
  for (int64_t n = 0; n < shape.n; ++n)
    for (int64_t c = 0; c < shape.c; ++c)
      for (int64_t h = 0; h < shape.h; ++h)
        for (int64_t w = 0; w < shape.w; ++w)
          to[static_cast<size_t>(((n * shape.h + h) * shape.w + w) * shape.c + c)] = from[at++];
  return out;
}

// [N,H,W] as {N,H,W,1}; a label is within int32 or malformed.
Tensor labels(const NamedTensor& t) {
  if (t.dims.size() != 3 || t.dtype != DType::i64 || t.elements() == 0) malformed(t, "I64 [N,H,W]");
  const std::vector<double> from = t.to<double>();
  Tensor out({t.dims[0], t.dims[1], t.dims[2], 1}, DType::i32);
  for (size_t i = 0; i < from.size(); ++i) {
    if (std::abs(from[i]) > 0x1p30) throw Error(ErrorCode::malformed, "a label beyond any class").in(t.name);
    out.values<int32_t>()[i] = static_cast<int32_t>(from[i]);
  }
  return out;
}

// K of "stepK/KEY", and where KEY begins.
struct StepName {
  int step;
  size_t key;
};
std::optional<StepName> step_name(const std::string& text) {
  constexpr std::string_view kStep = "step";
  if (!text.starts_with(kStep)) return std::nullopt;
  int step = 0;
  const char* const last = text.data() + text.size();
  const auto [end, status] = std::from_chars(text.data() + kStep.size(), last, step);
  if (status != std::errc() || end == last || *end != '/' || step < 1) return std::nullopt;
  return StepName{step, static_cast<size_t>(end - text.data()) + 1};
}

NamedTensor renamed(NamedTensor t, size_t from) {
  t.name.erase(0, from);
  return t;
}

}  // namespace

AuditDump audit_dump_of(const io::Checkpoint& file) {
  AuditSettings settings = audit_settings(file.metadata);
  AuditDump out;
  out.options = std::move(settings.options);
  out.lr = settings.lr;
  const NamedTensor *input = nullptr, *target = nullptr, *losses = nullptr;
  constexpr std::string_view kGradient = "gradient/";
  std::vector<std::string> others;
  std::set<std::string_view> seen;
  for (const NamedTensor& t : file.tensors) {
    if (!seen.insert(t.name).second) throw Error(ErrorCode::malformed, "stands there twice").in(t.name);
    if (t.name == "input") {
      input = &t;
    } else if (t.name == "target") {
      target = &t;
    } else if (t.name == "losses") {
      losses = &t;
    } else if (t.name.starts_with(kGradient)) {
      out.gradients.push_back(renamed(t, kGradient.size()));
    } else if (const auto step = step_name(t.name)) {
      out.states[step->step].push_back(renamed(t, step->key));
    } else {
      others.push_back(printable(t.name) + " " + dims_to_string(t.dims));
    }
  }
  for (const auto& [found, name] : {std::pair{input, "input"}, {target, "target"}, {losses, "losses"}})
    if (found == nullptr)
      throw Error(ErrorCode::malformed, std::string("no array ") + name)
          .hint("a dump for the audit is made as in docs/audit.md");
  if (!others.empty())
    throw Error(ErrorCode::unsupported,
                "arrays that an audit does not know: " + std::to_string(others.size()) + ", such as " + others[0])
        .details(others);
  if (out.gradients.empty()) throw Error(ErrorCode::malformed, "no gradient/KEY: nothing to compare");
  out.input = pictures(*input);
  out.target = settings.labels ? labels(*target) : pictures(*target);
  const Shape &x = out.input.shape(), &t = out.target.shape();
  if (x.n != t.n || x.h != t.h || x.w != t.w)
    throw Error(ErrorCode::malformed, "is " + dims_to_string(target->dims) + ", and the input " +
                                          dims_to_string(input->dims) + ": not the same pictures")
        .in("target");
  if (losses->dims.size() != 1 || !is_float(losses->dtype) || losses->dims[0] < 1) malformed(*losses, "floating [S]");
  if (losses->dims[0] > kMostAuditSteps)
    throw Error(ErrorCode::limit, "steps to repeat")
        .in("losses")
        .limit(static_cast<uint64_t>(kMostAuditSteps), static_cast<uint64_t>(losses->dims[0]));
  out.losses = losses->to<double>();
  if (!out.states.empty() && out.states.rbegin()->first > losses->dims[0])
    throw Error(ErrorCode::malformed, "step" + std::to_string(out.states.rbegin()->first) +
                                          " is kept, and losses has " + std::to_string(losses->dims[0]) + " steps");
  const auto narrow = [](const NamedTensor& n) { return is_float(n.dtype) && n.dtype != DType::f64; };
  out.narrow = std::ranges::any_of(out.gradients, narrow);
  for (const auto& [step, state] : out.states) out.narrow = out.narrow || std::ranges::any_of(state, narrow);
  return out;
}

AuditDump read_audit_dump(const std::string& path, const io::Limits& limits) {
  return with_file(path, [&] { return audit_dump_of(io::read_checkpoint(path, limits)); });
}

}  // namespace furrow::train
