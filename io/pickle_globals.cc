#include "io/pickle_globals.h"

#include <algorithm>
#include <array>
#include <string>

#include "kernels/error.h"

namespace furrow::io {
namespace {

constexpr std::array kAllowed = {
    AllowedGlobal{"collections", "OrderedDict", PickleGlobal::ordered_dict},
    AllowedGlobal{"collections", "Counter", PickleGlobal::counter},
    AllowedGlobal{"__builtin__", "set", PickleGlobal::set},
    AllowedGlobal{"builtins", "set", PickleGlobal::set},
    AllowedGlobal{"__builtin__", "bytearray", PickleGlobal::byte_array},
    AllowedGlobal{"builtins", "bytearray", PickleGlobal::byte_array},
    AllowedGlobal{"_codecs", "encode", PickleGlobal::codecs_encode},
    AllowedGlobal{"torch._utils", "_rebuild_tensor", PickleGlobal::rebuild_tensor_v1},
    AllowedGlobal{"torch._utils", "_rebuild_tensor_v2", PickleGlobal::rebuild_tensor},
    AllowedGlobal{"torch._utils", "_rebuild_tensor_v3", PickleGlobal::rebuild_tensor_v3},
    AllowedGlobal{"torch._utils", "_rebuild_parameter", PickleGlobal::rebuild_parameter},
    AllowedGlobal{"torch.nn.parameter", "Parameter", PickleGlobal::parameter},
    AllowedGlobal{"torch.autograd.variable", "Variable", PickleGlobal::parameter},
    AllowedGlobal{"torch.storage", "UntypedStorage", PickleGlobal::untyped_storage},
    AllowedGlobal{"torch", "UntypedStorage", PickleGlobal::untyped_storage},
    AllowedGlobal{"torch", "Size", PickleGlobal::size},
    AllowedGlobal{"torch", "device", PickleGlobal::device},
    AllowedGlobal{"torch", "float32", PickleGlobal::element_type, DType::f32},
    AllowedGlobal{"torch", "float64", PickleGlobal::element_type, DType::f64},
    AllowedGlobal{"torch", "float16", PickleGlobal::element_type, DType::f16},
    AllowedGlobal{"torch", "bfloat16", PickleGlobal::element_type, DType::bf16},
    AllowedGlobal{"torch", "int64", PickleGlobal::element_type, DType::i64},
    AllowedGlobal{"torch", "int32", PickleGlobal::element_type, DType::i32},
    AllowedGlobal{"torch", "int16", PickleGlobal::element_type, DType::i16},
    AllowedGlobal{"torch", "int8", PickleGlobal::element_type, DType::i8},
    AllowedGlobal{"torch", "uint32", PickleGlobal::element_type, DType::u32},
    AllowedGlobal{"torch", "uint16", PickleGlobal::element_type, DType::u16},
    AllowedGlobal{"torch", "uint8", PickleGlobal::element_type, DType::u8},
    AllowedGlobal{"torch", "bool", PickleGlobal::element_type, DType::boolean},
    AllowedGlobal{"numpy", "dtype", PickleGlobal::numpy_dtype},
    AllowedGlobal{"numpy.core.multiarray", "scalar", PickleGlobal::numpy_scalar},
    AllowedGlobal{"numpy._core.multiarray", "scalar", PickleGlobal::numpy_scalar},
};

// torch.NAMEStorage and torch.NAMETensor; until 2018 those of a GPU stood in torch.cuda.
struct TypeWord {
  std::string_view word;
  DType dtype;
};
constexpr std::array kTypeWords = {TypeWord{"Float", DType::f32},     TypeWord{"Double", DType::f64},
                                   TypeWord{"Half", DType::f16},      TypeWord{"Long", DType::i64},
                                   TypeWord{"BFloat16", DType::bf16}, TypeWord{"Int", DType::i32},
                                   TypeWord{"Short", DType::i16},     TypeWord{"Char", DType::i8},
                                   TypeWord{"Byte", DType::u8},       TypeWord{"Bool", DType::boolean}};

constexpr std::array kStorageTypes = [] {
  std::array<AllowedGlobal, kTypeWords.size()> out{};
  for (size_t i = 0; i < out.size(); ++i) out[i] = {"torch", "", PickleGlobal::storage, kTypeWords[i].dtype};
  return out;
}();
constexpr std::array kTensorTypes = [] {
  std::array<AllowedGlobal, kTypeWords.size()> out{};
  for (size_t i = 0; i < out.size(); ++i) out[i] = {"torch", "", PickleGlobal::tensor_type, kTypeWords[i].dtype};
  return out;
}();

// The entry for a storage or tensor class; null where it is none.
const AllowedGlobal* typed_class(std::string_view module, std::string_view name) {
  if (module != "torch" && module != "torch.cuda") return nullptr;
  for (size_t i = 0; i < kTypeWords.size(); ++i) {
    if (!name.starts_with(kTypeWords[i].word)) continue;
    const std::string_view rest = name.substr(kTypeWords[i].word.size());
    if (rest == "Storage") return &kStorageTypes[i];
    if (rest == "Tensor") return &kTensorTypes[i];
  }
  return nullptr;
}

constexpr std::array<std::string_view, 5> kPicklers = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle"};

// Modules whose upper-case names are no classes of a model. Only the wording and the exit status depend on this list:
// what is not in kAllowed is refused either way.
constexpr std::array<std::string_view, 26> kSystem = {
    "os",        "posix",    "nt",         "sys",     "subprocess", "runpy",    "builtins",  "__builtin__",
    "importlib", "shutil",   "socket",     "pty",     "ctypes",     "operator", "functools", "types",
    "code",      "commands", "webbrowser", "asyncio", "threading",  "tempfile", "io",        "multiprocessing",
    "marshal",   "inspect"};

bool has(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// What kind of thing an unread torch name builds, in words; "" where it is none of these.
std::string unread_tensor(std::string_view module, std::string_view name) {
  if (module != "torch" && module != "torch._utils" && module != "torch.storage" && module != "torch._tensor")
    return "";
  if (name == "_rebuild_qtensor" || (name.starts_with("Q") && name.ends_with("Storage"))) return "a quantised tensor";
  if (has(name, "sparse")) return "a sparse tensor";
  if (has(name, "_meta_tensor")) return "a tensor on device meta, which has no data";
  if (name.starts_with("Complex") || name.starts_with("complex")) return "a complex tensor";
  for (const char* type : {"uint", "int", "float", "bits", "qint", "quint"})
    if (module == "torch" && name.starts_with(type)) return "an element type that is not read";
  if (name.starts_with("_rebuild_")) return "a kind of tensor that is not read";
  if (name == "TypedStorage" || name == "_UntypedStorage") return "an untyped storage";
  return "";
}

}  // namespace

const AllowedGlobal& allowed_global(std::string_view module, std::string_view name, const char* opcode, uint64_t at,
                                    std::string_view entry) {
  for (const AllowedGlobal& allowed : kAllowed)
    if (allowed.module == module && allowed.name == name) return allowed;
  if (const AllowedGlobal* const typed = typed_class(module, name)) return *typed;

  const std::string full = std::string(module) + "." + std::string(name);
  const auto refuse = [&](ErrorCode code, const std::string& what, const char* hint) {
    throw Error(code, std::string(opcode) + " " + printable(full) + ": " + what).at(at).in(entry).hint(hint);
  };
  constexpr const char* kSave = "save the state_dict instead: torch.save(model.state_dict(), FILE)";
  const std::string_view top = module.substr(0, module.find('.'));
  if (const std::string kind = unread_tensor(module, name); !kind.empty())
    refuse(ErrorCode::unsupported, kind, "save a dense tensor of an ordinary type");
  if (module == "torch" && name.ends_with("Storage")) refuse(ErrorCode::malformed, "an unknown storage class", "");
  if (std::ranges::find(kPicklers, top) != kPicklers.end())
    refuse(ErrorCode::unsupported, "a pickle inside the pickle", kSave);
  const bool is_class = !name.empty() && name[0] >= 'A' && name[0] <= 'Z' && !has(name, ".");
  if (is_class && std::ranges::find(kSystem, top) == kSystem.end())
    refuse(ErrorCode::unsupported, "a class of the program that wrote the file, not weights", kSave);
  refuse(ErrorCode::malformed, "a name that no checkpoint needs; nothing was run",
         "do not open this file with PyTorch: loading it there may run code");
  __builtin_unreachable();
}

}  // namespace furrow::io
