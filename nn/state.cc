// Module::load and Module::state: between a checkpoint's arrays and a module's parameters.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>
#include <unordered_map>

#include "kernels/secret_hash.h"
#include "nn/module.h"

namespace furrow {
namespace {

// Calls visit(index in PyTorch's order, index in memory) for every element of a parameter.
template <class Visit>
void for_each_element(const Parameter& p, Visit visit) {
  const bool conv = p.kind == ParameterKind::conv, transposed = p.kind == ParameterKind::transposed_conv;
  const Shape s = p.shape();  // {oc, kh, kw, ic} for weights; vectors and counters keep their order
  if (!conv && !transposed) {
    for (int64_t i = 0; i < s.elements(); ++i) visit(static_cast<size_t>(i), static_cast<size_t>(i));
    return;
  }
  size_t torch_index = 0;
  for (int64_t a = 0; a < p.dims[0]; ++a)
    for (int64_t b = 0; b < p.dims[1]; ++b)
      for (int64_t y = 0; y < s.h; ++y)
        for (int64_t x = 0; x < s.w; ++x) {
          const int64_t oc = conv ? a : b, ic = conv ? b : a;
          visit(torch_index++, static_cast<size_t>(((oc * s.h + y) * s.w + x) * s.c + ic));
        }
}

template <class T>
Tensor from_checkpoint(const Parameter& p, const NamedTensor& t, DType type) {
  Tensor value(p.shape(), type);
  const std::vector<T> from = t.to<T>();
  auto to = value.values<T>();
  for_each_element(p, [&](size_t torch_index, size_t index) { to[index] = from[torch_index]; });
  return value;
}

// A counter converts from any type that holds a whole number; -1 where it does not.
int64_t counter_value(const NamedTensor& t) {
  int64_t exact = 0;
  if (t.dtype == DType::i64) {
    require(t.bytes.size() == sizeof exact, "NamedTensor: byte count differs from shape");
    std::memcpy(&exact, t.bytes.data(), sizeof exact);
    return exact;
  }
  const double value = t.to<double>()[0];
  return value >= 0 && value < 0x1p62 && value == std::floor(value) ? static_cast<int64_t>(value) : -1;
}

bool is_float(DType type) {
  return type == DType::f32 || type == DType::f64 || type == DType::f16 || type == DType::bf16;
}

// Why `t` cannot become `p`; empty where it can.
std::string mismatch(const Parameter& p, const NamedTensor& t) {
  if (t.dims != p.dims) return "is " + dims_to_string(t.dims) + ", expected " + dims_to_string(p.dims);
  if (p.kind != ParameterKind::counter && !is_float(t.dtype))
    return "holds " + std::string(name(t.dtype)) + ", expected a floating type";
  if (p.kind == ParameterKind::counter && counter_value(t) < 0) return "is not a count";
  return "";
}

struct Differences {
  std::vector<std::string> missing, unexpected, misshapen;
  bool empty() const { return missing.empty() && unexpected.empty() && misshapen.empty(); }
};

[[noreturn]] void report(const Differences& d) {
  constexpr size_t kFirst = 5;
  struct Group {
    const char* word;
    const std::vector<std::string>& keys;
  };
  const Group groups[] = {{"missing", d.missing}, {"unexpected", d.unexpected}, {"misshapen", d.misshapen}};
  std::vector<std::string> lines;
  std::string reason = "the weights do not fit the network:";
  for (const Group& g : groups) {
    reason += std::string(" ") + std::to_string(g.keys.size()) + " " + g.word + (&g == &groups[2] ? " keys" : ",");
    for (size_t i = 0; i < std::min(kFirst, g.keys.size()); ++i)
      lines.push_back(std::string(g.word) + ": " + g.keys[i]);
    if (g.keys.size() > kFirst)
      lines.push_back("... and " + std::to_string(g.keys.size() - kFirst) + " more " + g.word);
  }
  for (const Group& g : groups)
    for (size_t i = kFirst; i < g.keys.size(); ++i) lines.push_back(std::string(g.word) + ": " + g.keys[i]);
  throw Error(ErrorCode::unsupported, reason).details(std::move(lines));
}

template <class T>
std::vector<std::byte> to_checkpoint(const Parameter& p) {
  std::vector<std::byte> bytes(p.value.bytes());
  const auto from = p.value.values<T>();
  for_each_element(p, [&](size_t torch_index, size_t index) {
    std::memcpy(bytes.data() + torch_index * sizeof(T), &from[index], sizeof(T));
  });
  return bytes;
}

}  // namespace

void Module::load(const NamedTensors& tensors, DType type) {
  require(type == DType::f32 || type == DType::f64, "Module::load: f32 or f64");
  const std::vector<Keyed> wanted = parameters();
  std::unordered_map<std::string_view, const NamedTensor*, SecretHash> by_name;
  Differences differences;
  for (const NamedTensor& t : tensors)
    if (!by_name.emplace(t.name, &t).second) differences.unexpected.push_back(printable(t.name) + " (a second time)");

  std::vector<const NamedTensor*> sources;  // parallel to `wanted`
  for (const Keyed& k : wanted) {
    const auto found = by_name.find(k.key);
    if (found == by_name.end()) {
      differences.missing.push_back(k.key + " " + dims_to_string(k.parameter->dims));
      continue;
    }
    sources.push_back(found->second);
    by_name.erase(found);
    const std::string why = mismatch(*k.parameter, *sources.back());
    if (!why.empty()) differences.misshapen.push_back(k.key + " " + why);
  }
  if (!by_name.empty())
    for (const NamedTensor& t : tensors)  // in file order
      if (const auto left = by_name.find(t.name); left != by_name.end() && left->second == &t)
        differences.unexpected.push_back(printable(t.name) + " " + dims_to_string(t.dims));
  if (!differences.empty()) report(differences);

  std::vector<Tensor> fresh;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const Parameter& p = *wanted[i].parameter;
    if (p.kind == ParameterKind::counter) {
      fresh.emplace_back(p.shape(), DType::i64).values<int64_t>()[0] = counter_value(*sources[i]);
    } else {
      fresh.push_back(type == DType::f64 ? from_checkpoint<double>(p, *sources[i], type)
                                         : from_checkpoint<float>(p, *sources[i], type));
    }
  }
  for (size_t i = 0; i < wanted.size(); ++i) wanted[i].parameter->value = std::move(fresh[i]);
}

NamedTensors Module::state() const {
  require(loaded(), "Module::state: the module has no values yet");
  NamedTensors out;
  for (const Keyed& k : parameters()) {
    const Parameter& p = *k.parameter;
    auto bytes = std::make_shared<std::vector<std::byte>>();
    switch (p.value.dtype()) {
      case DType::f64: *bytes = to_checkpoint<double>(p); break;
      case DType::i64: *bytes = to_checkpoint<int64_t>(p); break;
      default: *bytes = to_checkpoint<float>(p); break;
    }
    out.push_back({k.key, p.value.dtype(), p.dims, {bytes->data(), bytes->size()}, bytes});
  }
  return out;
}

}  // namespace furrow
