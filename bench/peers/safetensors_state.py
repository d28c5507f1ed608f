"""A safetensors file as a PyTorch state_dict, without the package of that name: float32 and int64 tensors."""
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
        kind = {"F32": torch.float32, "I64": torch.int64}[told["dtype"]]
        state[key] = torch.frombuffer(data, dtype=kind, count=(end - begin) // kind.itemsize, offset=begin).reshape(told["shape"])
    return state
