#!/usr/bin/env python3
"""Every network from PyTorch through `furrow model convert` and back: the same bytes in every tensor.

    scripts/check_export.py FURROW [--base 8]

Needs PyTorch; docs/accuracy.md says what 2.15 found. Each network gets random weights and is written by torch.save;
Furrow converts that file to .safetensors, to .pth, to .pth under a key (--nest), and the .safetensors to .pth again.
PyTorch opens each of the four (torch.load with weights_only=True; safetensors.torch.load_file where that package is
installed, torch.frombuffer where not): keys, types, shapes and bytes must be those that it wrote, .pth files must hold
the keys in the same order, and the network must take them with load_state_dict(strict=True). Prints one row of a
Markdown table per network; exit status 1 and one line on stderr for the first difference.
"""
import argparse
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import torch

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "data"))
from reference_networks import fill, network  # noqa: E402

TYPES = {"F32": torch.float32, "I64": torch.int64}


def read_safetensors(path):
    try:
        from safetensors.torch import load_file
    except ImportError:
        data = path.read_bytes()
        start = 8 + struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8:start])
        header.pop("__metadata__", None)
        state = {}
        for key, entry in header.items():
            first, end = entry["data_offsets"]
            raw = torch.frombuffer(bytearray(data[start + first:start + end]), dtype=TYPES[entry["dtype"]])
            state[key] = raw.reshape(entry["shape"])
        return state
    return load_file(path)


def content(tensor):
    return tensor.dtype, tuple(tensor.shape), tensor.contiguous().numpy().tobytes()


def check(state, wanted, net, what, ordered):
    if (list(state) if ordered else sorted(state)) != (list(wanted) if ordered else sorted(wanted)):
        sys.exit(f"{what}: other keys, or in another order")
    for key, tensor in wanted.items():
        if content(state[key]) != content(tensor):
            sys.exit(f"{what}: {key} differs")
    net.load_state_dict(state, strict=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("furrow", type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--base", type=int, default=8)
    args = parser.parse_args()
    print("| network | tensors | bytes in them | .safetensors | .pth | .pth under a key | .pth of the .safetensors |")
    print("|---|--:|--:|---|---|---|---|")
    unets = ("3 -> 1, transposed", "3 -> 1, bilinear", "4 -> 2, bilinear")
    for family in ("unet", "attention-unet", "resnet50-unet", "resnet50-attention-unet", "bisenet", "bisenet-resnet34"):
        for shape in ("3 -> 19",) if family.startswith("bisenet") else unets:
            architecture = f"{family} base {args.base}, {shape}"
            net = fill(network(architecture))
            wanted = {key: value.clone() for key, value in net.state_dict().items()}
            with tempfile.TemporaryDirectory() as name:
                folder = pathlib.Path(name)
                torch.save(net.state_dict(), folder / "from.pth")
                for source, target, *more in (("from.pth", "a.safetensors"), ("from.pth", "b.pth"),
                                              ("from.pth", "c.pth", "--nest", "model_state_dict"), ("a.safetensors", "d.pth")):
                    subprocess.run([args.furrow, "model", "convert", source, target, *more], cwd=folder, check=True,
                                   stdout=subprocess.DEVNULL)
                    if target.endswith(".pth"):
                        state = torch.load(folder / target, weights_only=True)
                        state = state["model_state_dict"] if more else state
                    else:
                        state = read_safetensors(folder / target)
                    fresh = network(architecture)
                    check(state, wanted, fresh, f"{architecture}, {target}", target.endswith(".pth"))
            size = sum(len(content(t)[2]) for t in wanted.values())
            print(f"| {architecture} | {len(wanted)} | {size} | equal | equal | equal | equal |", flush=True)


main()
