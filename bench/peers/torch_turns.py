#!/usr/bin/env python3
"""The networks of furrow_gpu_bench on PyTorch, one repeat at a time, for turns with it (scripts/gpu_check/side_by_side.py).

    torch_turns.py --device cuda|cpu --sizes full|tiny

Reads from standard input, and answers each line with one:
    prepare BATCH PRECISION FILE KIND   FILE: the inputs, float32, one set after the other, NHWC. KIND: eager (of half weights, autocast and
                                        a CUDA graph the fastest) or compile. Answers a JSON list of candidates, each {"kind", "name"}
    errors PRECISION FILE WEIGHTS LOGITS   batch 1: how far LOGITS are from what the network of WEIGHTS answers to FILE in float64 on this device, and how
                                        far PyTorch is with weights of that precision: ||got - want|| / ||want|| over all sets, {"ours", "torch"}
    run K                               a repeat of at least 20 ms of candidate K on the next input; answers the milliseconds of one run
"""
import argparse
import copy
import json
import sys
import time

import torch

from torch_gpu import DTYPES, Bench
from unet import UNet

WARM_UPS = 20


class Candidate:
    """A body that reads the buffer `x`, and how many runs make a repeat."""

    def __init__(self, bench, kind, name, body, x):
        self.bench, self.kind, self.name, self.body, self.x = bench, kind, name, body, x
        for _ in range(2 if bench.tiny else WARM_UPS):
            body()
        self.count = 1
        while not bench.tiny:
            took = self.burst()
            if took >= 20:
                break
            self.count = max(self.count + 1, int(self.count * min(10.0, 24 / max(took, 1e-3))))

    def burst(self):
        self.bench.sync()
        start = time.perf_counter()
        for _ in range(self.count):
            self.body()
        self.bench.sync()
        return 1e3 * (time.perf_counter() - start)

    def run(self, pixels):
        self.x.copy_(pixels)   # not timed, as on the other side
        return self.burst() / self.count


class Turns:
    def __init__(self, bench):
        self.bench, self.candidates, self.sets, self.next = bench, [], [], 0
        self.base, self.side = (4, 32) if bench.tiny else (64, 512)

    def prepare(self, batch, precision, path, kind):
        bench, dtype = self.bench, DTYPES[precision]
        self.candidates, self.sets = [], []
        if bench.cuda:
            torch.cuda.empty_cache()
        bench.precision(precision)
        with open(path, "rb") as file:
            values = torch.frombuffer(bytearray(file.read()), dtype=torch.float32).reshape(-1, batch, self.side, self.side, 3)
        # NHWC memory seen as NCHW: channels_last.
        self.sets = [v.permute(0, 3, 1, 2).to(bench.device, dtype).contiguous(memory_format=torch.channels_last) for v in values]
        whole = self.sets[0].float().contiguous(memory_format=torch.channels_last)
        narrow = self.sets[0].clone(memory_format=torch.preserve_format)
        found = []

        def candidate(name, make, x):
            try:
                found.append(Candidate(bench, kind, name, make(), x))
            except Exception as error:  # noqa: BLE001: compilers fail in many ways
                print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)

        model = UNet(self.base).to(bench.device).to(memory_format=torch.channels_last).eval()
        if kind == "compile":
            torch._dynamo.reset()
            compiled = torch.compile(model.to(dtype))
            candidate("torch.compile default", lambda: lambda: compiled(narrow), narrow)
        else:
            if dtype != torch.float32:
                wide = copy.deepcopy(model)

                def autocast():
                    with torch.autocast(bench.device.type, dtype=dtype):
                        return wide(whole)
                candidate("torch eager autocast", lambda: autocast, whole)
            model = model.to(dtype)
            candidate("torch eager", lambda: lambda: model(narrow), narrow)
            if bench.cuda:
                candidate("torch eager, CUDA graph", lambda: bench.graph_of(lambda: model(narrow)), narrow)
        # The fastest, by two repeats of each, the first of which does not count.
        for c in found:
            c.run(self.sets[0])
        self.candidates = sorted(found, key=lambda c: c.run(self.sets[1 % len(self.sets)]))[:1]
        return json.dumps([{"kind": c.kind, "name": c.name} for c in self.candidates])

    def errors(self, precision, path, weights, logits):
        bench, dtype = self.bench, DTYPES[precision]
        bench.precision(precision)
        model = UNet(self.base).eval()
        load(model, weights)
        values = torch.frombuffer(bytearray(open(path, "rb").read()), dtype=torch.float32).reshape(-1, 1, self.side, self.side, 3).permute(0, 1, 4, 2, 3)
        ours = torch.frombuffer(bytearray(open(logits, "rb").read()), dtype=torch.float32).reshape(len(values), 1, 1, self.side, self.side).double()
        exact = copy.deepcopy(model).double().to(bench.device)
        narrow = model.to(bench.device, dtype).to(memory_format=torch.channels_last)
        wanted = torch.stack([exact(x.to(bench.device).double()).cpu() for x in values])
        torchs = torch.stack([narrow(x.to(bench.device, dtype).contiguous(memory_format=torch.channels_last)).double().cpu() for x in values])
        return json.dumps({name: ((got - wanted).norm() / wanted.norm()).item() for name, got in (("ours", ours), ("torch", torchs))})

    def run(self, number):
        self.next = (self.next + 1) % len(self.sets)
        return repr(self.candidates[number].run(self.sets[self.next]))


def load(model, path):
    """The float32 tensors of a safetensors file, under the names of milesial's network, into bench/peers/unet.py's."""
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    header.pop("__metadata__", None)
    blocks = {"inc.double_conv": "down.0", "outc.conv": "last"}
    for level in range(1, 5):
        blocks |= {f"down{level}.maxpool_conv.1.double_conv": f"down.{level}", f"up{level}.up": f"up.{level - 1}", f"up{level}.conv.double_conv": f"join.{level - 1}"}
    state = {}
    for key, told in header.items():
        block = next(b for b in blocks if key.startswith(b + "."))
        begin, end = told["data_offsets"]
        values = torch.frombuffer(bytearray(data[begin:end]), dtype={"F32": torch.float32, "I64": torch.int64}[told["dtype"]])
        state[blocks[block] + key[len(block):]] = values.reshape(told["shape"])
    model.load_state_dict(state)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=("cuda", "cpu"), required=True)
    parser.add_argument("--sizes", choices=("tiny", "full"), required=True)
    options = parser.parse_args()
    options.seconds = 1e9
    torch.manual_seed(1)
    torch.backends.cudnn.benchmark = True
    turns = Turns(Bench(options))
    with torch.inference_mode():
        for line in sys.stdin:
            word, *rest = line.split()
            if word == "prepare":
                print(turns.prepare(int(rest[0]), rest[1], rest[2], rest[3]), flush=True)
            elif word == "errors":
                print(turns.errors(*rest), flush=True)
            else:
                print(turns.run(int(rest[0])), flush=True)


if __name__ == "__main__":
    main()
