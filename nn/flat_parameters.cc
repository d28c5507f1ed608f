#include "nn/flat_parameters.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "kernels/secret_hash.h"

namespace furrow {
namespace {

constexpr int64_t kStep = 16;  // elements: 64 bytes of float32
int64_t in_steps(int64_t count) { return (count + kStep - 1) / kStep * kStep; }

std::byte* data_of(Tensor& t) {
  return t.dtype() == DType::f64 ? reinterpret_cast<std::byte*>(t.values<double>().data())
                                 : reinterpret_cast<std::byte*>(t.values<float>().data());
}

template <class T>
int64_t count_non_finite(const Tensor& t) {
  return std::ranges::count_if(t.values<T>(), [](T value) { return !std::isfinite(value); });
}

}  // namespace

FlatParameters::FlatParameters(const Module& module, Backend& backend, bool shared) : backend_(&backend) {
  require(module.loaded() && module.dtype() == backend.dtype(),
          "FlatParameters: values of the back-end's element type");
  for (const Module::Keyed& k : module.parameters()) {
    if (!k.parameter->trainable) continue;
    const int64_t count = k.parameter->shape().elements();
    index_.emplace(k.parameter, entries_.size());
    entries_.push_back({k.key, k.parameter, count_, count});
    count_ += in_steps(count);
  }
  require(!entries_.empty(), "FlatParameters: nothing is trained");
  written_.assign(entries_.size(), 0);
  own_ = Tensor({1, 1, 1, count_}, module.dtype());
  values_ = backend.in_host_memory() ? own_ : zeros();
  gradients_ = zeros();
  for (const Entry& entry : entries_) {
    value_windows_.push_back(window(values_, entry));
    windows_.push_back(window(gradients_, entry));
  }
  if (!backend.in_host_memory()) keep_on_device(module, shared);
  rebind();
}

void FlatParameters::keep_on_device(const Module& module, bool shared) {
  const auto layer = [](const std::string& key) { return key.substr(0, key.rfind('.') + 1); };
  std::set<std::string> fixed;  // whose statistics stay: the host computes from them (nn/op.cc)
  for (const Module::Keyed& k : module.parameters())
    if (k.parameter->frozen) fixed.insert(layer(k.key));
  int64_t moving = 0, still = 0;
  for (const Module::Keyed& k : module.parameters()) {
    const Parameter& p = *k.parameter;
    if (p.trainable || p.kind == ParameterKind::counter) continue;
    const bool statistic = p.name.starts_with("running_");
    if (statistic && (shared || fixed.contains(layer(k.key)))) continue;
    int64_t& count = statistic ? moving : still;
    (statistic ? statistics_ : frozen_).push_back({k.key, k.parameter, count, p.shape().elements()});
    count += in_steps(p.shape().elements());
  }
  const auto buffer = [&](int64_t count) {
    return backend_->reserve(static_cast<size_t>(count) * size_of(own_.dtype())).take({1, 1, 1, count}, own_.dtype());
  };
  if (moving > 0) {
    own_statistics_ = Tensor({1, 1, 1, moving}, own_.dtype());
    statistic_values_ = buffer(moving);
    for (const Entry& entry : statistics_) kept_.emplace(entry.parameter, window(statistic_values_, entry));
  }
  if (still > 0) frozen_values_ = buffer(still);
  for (const Entry& entry : frozen_) kept_.emplace(entry.parameter, window(frozen_values_, entry));
}

void FlatParameters::rebind() {
  const auto bind = [](const Entry& entry, const Tensor& buffer) {
    Tensor& value = entry.parameter->value;
    require(value.dtype() == buffer.dtype(), "FlatParameters: a parameter of another type");
    Tensor own = window(buffer, entry);
    if (data_of(value) != data_of(own)) std::memcpy(data_of(own), data_of(value), own.bytes());
    value = own;
  };
  for (const Entry& entry : entries_) bind(entry, own_);
  for (const Entry& entry : statistics_) bind(entry, own_statistics_);
  if (backend_->in_host_memory()) return;
  backend_->put(own_, values_);
  if (!statistics_.empty()) backend_->put(own_statistics_, statistic_values_);
  for (const Entry& entry : frozen_) backend_->put(entry.parameter->value, kept_.at(entry.parameter));
}

void FlatParameters::publish() {
  if (backend_->in_host_memory()) return;
  backend_->fetch(values_, own_);
  if (!statistics_.empty()) backend_->fetch(statistic_values_, own_statistics_);
}

Tensor FlatParameters::zeros() const {
  if (backend_->in_host_memory()) return Tensor({1, 1, 1, count_}, own_.dtype());
  Tensor buffer = backend_->reserve(own_.bytes()).take({1, 1, 1, count_}, own_.dtype());
  backend_->zero(buffer);
  return buffer;
}

Tensor FlatParameters::on_host(const Tensor& buffer) const {
  if (backend_->in_host_memory()) return buffer;
  Tensor copy(buffer.shape(), buffer.dtype());
  backend_->fetch(buffer, copy);
  return copy;
}

Tensor FlatParameters::value_of(const Parameter& parameter) const {
  if (const auto found = index_.find(&parameter); found != index_.end()) return value_windows_[found->second];
  const auto kept = kept_.find(&parameter);
  return kept == kept_.end() ? parameter.value : kept->second;
}

Tensor FlatParameters::window(const Tensor& buffer, const Entry& entry) {
  auto owner = std::make_shared<Tensor>(buffer);
  std::byte* data = data_of(*owner) + static_cast<size_t>(entry.first) * size_of(buffer.dtype());
  return Tensor(entry.parameter->shape(), buffer.dtype(), data, std::move(owner));
}

std::vector<OptimSegment> FlatParameters::segments(double weight_decay, Decayed decayed) const {
  std::vector<OptimSegment> out;
  for (const Entry& entry : entries_) {
    const bool decays = decayed == Decayed::all || entry.parameter->kind != ParameterKind::vector;
    const float decay = decays ? static_cast<float>(weight_decay) : 0;
    if (out.empty() || out.back().weight_decay != decay)
      out.push_back({.first = entry.first, .lr_scale = 1, .weight_decay = decay});
  }
  return out;
}

void FlatParameters::begin_gradients() { std::ranges::fill(written_, 0); }

TapeMemory::Target FlatParameters::gradient_of(const Parameter& parameter) {
  const auto found = index_.find(&parameter);
  if (found == index_.end()) return {};
  uint8_t& written = written_[found->second];
  const Grad mode = written != 0 ? Grad::accumulate : Grad::overwrite;
  written = 1;
  return {windows_[found->second], mode};
}

void FlatParameters::complete_gradients() {
  for (size_t i = 0; i < entries_.size(); ++i)
    if (written_[i] == 0) backend_->zero(windows_[i]);
}

NamedTensors FlatParameters::named(const Tensor& buffer, const std::string& prefix) const {
  NamedTensors out;
  const Tensor host = on_host(buffer);
  for (const Entry& entry : entries_) {
    const auto owner = std::make_shared<Tensor>(window(host, entry));
    const Shape& s = owner->shape();
    out.push_back({prefix + entry.key, buffer.dtype(), {s.n, s.h, s.w, s.c}, {data_of(*owner), owner->bytes()}, owner});
  }
  return out;
}

void FlatParameters::take(const NamedTensors& from, const std::string& prefix, Tensor& buffer) const {
  std::unordered_map<std::string_view, const NamedTensor*, SecretHash> by_name;
  for (const NamedTensor& t : from) by_name.emplace(t.name, &t);
  const Tensor host = on_host(buffer);
  for (const bool copies : {false, true})  // nothing changes unless everything fits
    for (const Entry& entry : entries_) {
      const auto found = by_name.find(prefix + entry.key);
      Tensor to = window(host, entry);
      if (found == by_name.end())
        throw Error(ErrorCode::unsupported, "no array " + prefix + entry.key + " to go on from");
      const NamedTensor& t = *found->second;
      const Shape& s = to.shape();
      if (t.dtype != to.dtype() || t.dims != std::vector<int64_t>{s.n, s.h, s.w, s.c} || t.bytes.size() != to.bytes())
        throw Error(ErrorCode::unsupported, "array " + t.name + " is " + dims_to_string(t.dims) + " " +
                                                std::string(name(t.dtype)) + ", expected " + to_string(s) + " " +
                                                std::string(name(to.dtype())));
      if (copies) std::memcpy(data_of(to), t.bytes.data(), to.bytes());
    }
  if (!backend_->in_host_memory()) backend_->put(host, buffer);
}

NonFinite first_non_finite(const FlatParameters& parameters) {
  const Tensor gradients = parameters.on_host(parameters.gradients());
  NonFinite out;
  for (const FlatParameters::Entry& entry : parameters.entries()) {
    const Tensor gradient = FlatParameters::window(gradients, entry);
    const int64_t bad =
        gradient.dtype() == DType::f64 ? count_non_finite<double>(gradient) : count_non_finite<float>(gradient);
    if (bad == 0) continue;
    if (out.key.empty()) out = {entry.key, bad, entry.count, {}};
    out.began = entry.key;
  }
  return out;
}

}  // namespace furrow
