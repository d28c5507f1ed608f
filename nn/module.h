// Module and Parameter: a network as a tree of names. A child's name is the checkpoint's key, part by part, so nothing
// is ever renamed on import: UNet -> "down1" -> "maxpool_conv" -> "1" -> "double_conv" -> "0" -> "weight".
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "kernels/tensor.h"

namespace furrow {

// How a parameter lies in a checkpoint (PyTorch's dims, row-major) and in memory (Parameter::value).
enum class ParameterKind : uint8_t {
  vector,           // [c]                 {1,1,1,c}
  conv,             // [oc, ic, kh, kw]    {oc, kh, kw, ic}
  transposed_conv,  // [ic, oc, 2, 2]      {oc, 2, 2, ic}
  counter,          // [] int64            {1,1,1,1} int64
};

struct Parameter {
  std::string name;  // last part of the key: "weight"
  ParameterKind kind = ParameterKind::vector;
  std::vector<int64_t> dims;       // as PyTorch prints them
  bool trainable = true;           // false: a buffer (running statistics, counter), or frozen
  bool frozen = false;             // a buffer that training leaves as it is (nn/freeze.h)
  double bound = 0, constant = 0;  // initial values: uniform in (-bound, bound), or the constant where bound is 0
  Tensor value;                    // empty until loaded or initialised

  Shape shape() const;  // of `value`
};

// A node of the tree. Modules hold pointers to each other, so they neither copy nor move; a network lives on the heap.
class Module {
 public:
  // A root has no parent and no name.
  explicit Module(Module* parent = nullptr, std::string name = "");
  virtual ~Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  const std::string& name() const { return name_; }
  std::string path() const;  // "down1.maxpool_conv.1.double_conv.0"; of the root: ""
  bool leaf() const { return children_.empty(); }

  // Every parameter and buffer below this module in PyTorch's order: own ones first, then the children's, each in the
  // order of construction. Keys are relative to this module.
  struct Keyed {
    std::string key;
    Parameter* parameter;
  };
  std::vector<Keyed> parameters() const;

  // Strict: `tensors` holds exactly the keys of parameters(), each with its dims; order does not matter. Otherwise
  // throws ErrorCode::unsupported that counts *all* missing, unexpected and misshapen keys, and lists them as detail
  // lines: the first 5 of each kind first, then the rest. Every float dtype converts to `type` (f32 or f64). Nothing of
  // the module changes unless everything fits.
  void load(const NamedTensors& tensors, DType type = DType::f32);

  // Copies of all values under their keys, dims and order as PyTorch's state_dict() has them; floats keep this module's
  // element type, counters are int64 scalars. Requires loaded() .
  NamedTensors state() const;

  // PyTorch's default initial values (Parameter::bound and constant), drawn by a counter-based generator
  // (kernels/random.h): a function of seed and key order alone, the same on every machine.
  void initialise(uint64_t seed, DType type = DType::f32);

  bool loaded() const;  // every parameter has a value
  DType dtype() const;  // of the floating parameters; f32 where nothing is loaded

 protected:
  // For constructors of layers; the reference stays valid as long as the module.
  Parameter& add_parameter(Parameter parameter);

 private:
  void collect(const std::string& prefix, std::vector<Keyed>& into) const;

  Module* parent_;
  std::string name_;
  std::vector<Module*> children_;
  std::vector<std::unique_ptr<Parameter>> own_;
};

}  // namespace furrow
