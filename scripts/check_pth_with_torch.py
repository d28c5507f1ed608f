#!/usr/bin/env python3
"""check_pth_with_torch.py FILE.pth WANTED.txt [KEY]

Opens FILE with PyTorch's safe loader (weights_only=True) and compares it with WANTED: one tensor per line, in order,
as "name dtype shape bytes" (name and bytes in hexadecimal, "-" for none; dtype as safetensors spells it; shape as
2x3 or scalar). KEY is the dictionary that holds the tensors; without it they are at the top. Exit status 1 and one
line on stderr for the first difference.
"""
import sys

import torch

TYPES = {"F32": torch.float32, "F64": torch.float64, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
         "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool}


def main():
    state = torch.load(sys.argv[1], weights_only=True)
    if len(sys.argv) > 3:
        state = state[sys.argv[3]]
    wanted = [line.split() for line in open(sys.argv[2])]
    names = [bytes.fromhex(row[0]).decode() for row in wanted]
    if list(state) != names:
        sys.exit(f"names differ: {list(state)} and {names}")
    for name, (_, dtype, shape, content) in zip(names, wanted):
        tensor = state[name]
        dims = [] if shape == "scalar" else [int(d) for d in shape.split("x")]
        if tensor.dtype != TYPES[dtype] or list(tensor.shape) != dims:
            sys.exit(f"{name}: {tensor.dtype} {list(tensor.shape)}, wanted {dtype} {shape}")
        raw = tensor.contiguous().view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor.contiguous()
        if raw.numpy().tobytes().hex() != content.replace("-", ""):
            sys.exit(f"{name}: values differ")


main()
