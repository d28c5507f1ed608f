"""A safetensors file as a PyTorch state_dict, without the package of that name; float16 becomes float32, as in Furrow."""
import json

import torch


def read(path):
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = bytearray(file.read())
    header.pop("__metadata__", None)
    state = {}
    for key, told in header.items():
        begin, end = told["data_offsets"]
        kind = {"F16": torch.float16, "F32": torch.float32, "I64": torch.int64}[told["dtype"]]
        values = torch.frombuffer(data, dtype=kind, count=(end - begin) // kind.itemsize, offset=begin).reshape(told["shape"])
        state[key] = values.float() if kind == torch.float16 else values
    return state
