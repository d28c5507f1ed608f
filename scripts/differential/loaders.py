"""What PyTorch makes of a file, in the words of the tool read_checkpoints. As a program: file names in, JSON out."""
import collections
import hashlib
import json
import pickle
import resource
import sys
import types
import warnings

WRAPPERS = ["model_state_dict", "state_dict", "model"]
PREFIXES = ["module.", "_orig_mod."]
ALLOWED_MODULES = {"torch._utils": {"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3",
                                    "_rebuild_parameter"},
                   "torch.nn.parameter": {"Parameter"}, "torch.autograd.variable": {"Variable"},
                   "collections": {"OrderedDict", "Counter"}, "builtins": {"set", "bytearray"},
                   "__builtin__": {"set", "bytearray"}, "_codecs": {"encode"}, "torch.storage": {"UntypedStorage"},
                   "numpy": {"dtype"}, "numpy.core.multiarray": {"scalar"}, "numpy._core.multiarray": {"scalar"}}


class Restricted(pickle.Unpickler):
    """Python's own machine with all of its opcodes, and the names that Furrow's knows."""

    def find_class(self, module, name):
        torch_name = module in ("torch", "torch.cuda") and (
            name.endswith(("Storage", "Tensor")) or name in ("Size", "device") or
            name in ("float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint32", "uint16",
                     "uint8", "bool"))
        if torch_name or name in ALLOWED_MODULES.get(module, ()):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"the name {module}.{name}")


RESTRICTED = types.SimpleNamespace(__name__="restricted", Unpickler=Restricted,
                                   load=lambda file, **kw: Restricted(file, **kw).load())


class Other(Exception):
    """Loaded, but it is nothing that Furrow promises to read."""


def is_tensor(value):
    import torch
    return isinstance(value, torch.Tensor)


def select(root):
    """The tensors of what torch.load gave, by the rules of docs/formats.md."""
    if not isinstance(root, dict):
        raise Other("the root is no dictionary")
    weights, under = root, ""
    for wrapper in WRAPPERS:
        inner = root.get(wrapper)
        if isinstance(inner, dict) and any(map(is_tensor, inner.values())):
            weights, under = inner, wrapper
            break
    tensors = [(name, value) for name, value in weights.items() if is_tensor(value)]
    if not tensors:
        raise Other("no tensors")
    if not all(isinstance(name, str) for name, _ in tensors):
        raise Other("a name that is no text")
    stripped, again, rounds = "", True, 0
    while again and rounds < 4:
        again, rounds = False, rounds + 1
        for prefix in PREFIXES:
            if all(name.startswith(prefix) and len(name) > len(prefix) for name, _ in tensors):
                tensors = [(name[len(prefix):], value) for name, value in tensors]
                stripped, again = stripped + prefix, True
    return tensors, under, stripped


def described(tensors, under="", stripped=""):
    import torch
    types_ = {torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16",
              torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8",
              torch.bool: "BOOL", torch.uint16: "U16", torch.uint32: "U32"}
    rows = []
    for name, tensor in tensors:
        if tensor.dtype not in types_ or tensor.is_sparse or tensor.is_quantized:
            raise Other("a tensor of a type that is not read")
        if tensor.device.type != "cpu":
            raise Other("a tensor on " + tensor.device.type)
        if tensor.numel() * tensor.element_size() > 1 << 28:
            raise Other("a tensor of over 256 MiB")
        dense = tensor.new_empty(tensor.numel(), requires_grad=False).copy_(tensor.detach().reshape(-1))
        dense = dense.to(torch.uint8) if dense.dtype == torch.bool else dense  # any byte but 0 is true
        raw = dense.view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
        rows.append([name, types_[tensor.dtype], list(tensor.shape), hashlib.sha256(raw).hexdigest()])
    return {"tensors": rows, "under": under, "stripped": stripped}


def reason(error):
    lines = [line for line in str(error).splitlines() if line.strip()]
    if "Weights only load failed" in str(error):  # the cause stands behind the advice
        causes = [line.split("WeightsUnpickler error:")[1] for line in lines if "WeightsUnpickler error:" in line]
        lines = causes or lines
    return f"{type(error).__name__}: {lines[0].strip() if lines else ''}"[:300]


def look(path):
    import torch
    if path.endswith(".safetensors"):
        import safetensors.torch
        try:
            with open(path, "rb") as file:
                return {**described(list(safetensors.torch.load(file.read()).items())), "sort": True}
        except Other as error:
            return {"other": str(error)}
        except Exception as error:
            return {"error": reason(error)}
    answer = {}
    for options in ({"weights_only": True}, {"weights_only": False, "pickle_module": RESTRICTED}):
        try:
            loaded = torch.load(path, map_location="cpu", **options)
            return {**answer, **described(*select(loaded)), "safe": options["weights_only"]}
        except Other as error:
            return {**answer, "other": str(error), "safe": options["weights_only"]}
        except BaseException as error:  # PyTorch's native code throws what it likes
            if isinstance(error, KeyboardInterrupt):
                raise
            answer = {"error": answer.get("error", reason(error)), "restricted": reason(error)}
    return answer


def main():
    warnings.simplefilter("ignore")
    import torch
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
    for line in sys.stdin:
        print(json.dumps(look(line.rstrip("\n"))), flush=True)


if __name__ == "__main__":
    main()
