#include "nn/module.h"

#include "kernels/random.h"

namespace furrow {

Shape Parameter::shape() const {
  switch (kind) {
    case ParameterKind::vector: return {1, 1, 1, dims[0]};
    case ParameterKind::conv: return {dims[0], dims[2], dims[3], dims[1]};
    case ParameterKind::transposed_conv: return {dims[1], dims[2], dims[3], dims[0]};
    case ParameterKind::counter: break;
  }
  return {1, 1, 1, 1};
}

Module::Module(Module* parent, std::string name) : parent_(parent), name_(std::move(name)) {
  if (parent_ != nullptr) parent_->children_.push_back(this);
}

std::string Module::path() const {
  if (parent_ == nullptr) return "";
  const std::string above = parent_->path();
  return above.empty() ? name_ : above + "." + name_;
}

Parameter& Module::add_parameter(Parameter parameter) {
  return *own_.emplace_back(std::make_unique<Parameter>(std::move(parameter)));
}

void Module::collect(const std::string& prefix, std::vector<Keyed>& into) const {
  for (const auto& p : own_) into.push_back({prefix + p->name, p.get()});
  for (const Module* child : children_) child->collect(prefix + child->name_ + ".", into);
}

std::vector<Module::Keyed> Module::parameters() const {
  std::vector<Keyed> all;
  collect("", all);
  return all;
}

bool Module::loaded() const {
  for (const Keyed& k : parameters())
    if (k.parameter->value.empty()) return false;
  return true;
}

DType Module::dtype() const {
  for (const Keyed& k : parameters())
    if (k.parameter->kind != ParameterKind::counter && !k.parameter->value.empty()) return k.parameter->value.dtype();
  return DType::f32;
}

namespace {

// Values are drawn in memory order: the draw of an element is a function of (seed, parameter, element) alone.
template <class T>
void fill(Parameter& p, const Philox& generator, uint64_t stream) {
  auto values = p.value.values<T>();
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<T>(p.bound == 0 ? p.constant : p.bound * (2 * generator.uniform(stream, i) - 1));
}

}  // namespace

void Module::initialise(uint64_t seed, DType type) {
  require(type == DType::f32 || type == DType::f64, "Module::initialise: f32 or f64");
  const Philox generator(seed);
  uint64_t stream = 0;
  for (const Keyed& k : parameters()) {
    Parameter& p = *k.parameter;
    p.value = Tensor(p.shape(), p.kind == ParameterKind::counter ? DType::i64 : type);
    if (p.kind != ParameterKind::counter) {
      if (type == DType::f64)
        fill<double>(p, generator, stream);
      else
        fill<float>(p, generator, stream);
    }
    ++stream;
  }
}

}  // namespace furrow
