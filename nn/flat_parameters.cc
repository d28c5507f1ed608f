#include "nn/flat_parameters.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/secret_hash.h"

namespace furrow {
namespace {

constexpr int64_t kStep = 16;  // elements: 64 bytes of float32

std::byte* data_of(Tensor& t) {
  return t.dtype() == DType::f64 ? reinterpret_cast<std::byte*>(t.values<double>().data())
                                 : reinterpret_cast<std::byte*>(t.values<float>().data());
}

template <class T>
int64_t count_non_finite(const Tensor& t) {
  return std::ranges::count_if(t.values<T>(), [](T value) { return !std::isfinite(value); });
}

}  // namespace

FlatParameters::FlatParameters(const Module& module, Backend& backend) : backend_(&backend) {
  require(module.loaded() && module.dtype() == backend.dtype(),
          "FlatParameters: values of the back-end's element type");
  for (const Module::Keyed& k : module.parameters()) {
    if (!k.parameter->trainable) continue;
    const int64_t count = k.parameter->shape().elements();
    index_.emplace(k.parameter, entries_.size());
    entries_.push_back({k.key, k.parameter, count_, count});
    count_ += (count + kStep - 1) / kStep * kStep;
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
  rebind();
}

void FlatParameters::rebind() {
  for (const Entry& entry : entries_) {
    Tensor& value = entry.parameter->value;
    require(value.dtype() == own_.dtype(), "FlatParameters: a parameter of another type");
    Tensor own = window(own_, entry);
    if (data_of(value) != data_of(own)) std::memcpy(data_of(own), data_of(value), own.bytes());
    value = own;
  }
  if (!backend_->in_host_memory()) backend_->put(own_, values_);
}

void FlatParameters::publish() {
  if (!backend_->in_host_memory()) backend_->fetch(values_, own_);
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
  const auto found = index_.find(&parameter);
  return found == index_.end() ? parameter.value : value_windows_[found->second];
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
