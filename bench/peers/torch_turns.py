#!/usr/bin/env python3
"""The networks of furrow_gpu_bench on PyTorch, one repeat at a time, for turns with it (scripts/gpu_check/side_by_side.py).

    torch_turns.py --device cuda|cpu --sizes full|tiny

Reads from standard input, and answers each line with one:
    prepare BATCH PRECISION FILE KIND   FILE: the inputs, float32, one set after the other, NHWC. KIND: eager (of half weights, autocast and
                                        a CUDA graph the fastest) or compile. Answers a JSON list of candidates, each {"kind", "name"}
    train BATCH PRECISION FILE KIND     the same for training steps: Dice + Focal, gradient clipped, AdamW. FILE: all inputs, then all targets
    errors PRECISION FILE WEIGHTS LOGITS   batch 1: how far LOGITS are from what the network of WEIGHTS answers to FILE in float64 on this device, and how
                                        far PyTorch is with weights of that precision: ||got - want|| / ||want|| over all sets, {"ours", "torch"}
    run K                               a repeat of at least 20 ms of candidate K on the next input (of training: and target); answers the milliseconds of one run
"""
import argparse
import copy
import json
import sys
import time

import torch

from torch_gpu import DTYPES, Bench, adamw, dice_focal
from unet import UNet

WARM_UPS = 20


class Candidate:
    """A body that reads the buffers `inputs`, and how many runs make a repeat."""

    def __init__(self, bench, kind, name, body, *inputs):
        self.bench, self.kind, self.name, self.body, self.inputs = bench, kind, name, body, inputs
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

    def run(self, values):
        for buffer, value in zip(self.inputs, values):
            buffer.copy_(value)   # not timed, as on the other side
        return self.burst() / self.count


class Turns:
    def __init__(self, bench):
        self.bench, self.candidates, self.sets, self.next, self.training = bench, [], [], 0, False
        self.base, self.side = (4, 32) if bench.tiny else (64, 512)

    def prepare(self, batch, precision, path, kind):
        bench, dtype = self.bench, DTYPES[precision]
        values = self.begin(precision, path).reshape(-1, batch, self.side, self.side, 3)
        self.sets = [(self.placed(v, dtype),) for v in values]
        whole = self.sets[0][0].float().contiguous(memory_format=torch.channels_last)
        narrow = self.sets[0][0].clone(memory_format=torch.preserve_format)
        found = []

        def candidate(name, make, x):
            self.attempt(found, kind, name, make, x)

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
        return self.fastest(found)

    def train(self, batch, precision, path, kind):
        bench, pixels = self.bench, self.side * self.side
        values = self.begin(precision, path)
        sets = len(values) // (batch * pixels * 4)
        inputs = values[:sets * batch * pixels * 3].reshape(sets, batch, self.side, self.side, 3)
        targets = values[sets * batch * pixels * 3:].reshape(sets, batch, 1, self.side, self.side)   # one channel: both layouts are one
        self.training = True
        self.sets = [(self.placed(x, torch.float32), t.to(bench.device)) for x, t in zip(inputs, targets)]
        x, t = (buffer.clone(memory_format=torch.preserve_format) for buffer in self.sets[0])
        found = []

        def steps(compiled, graph):
            model = UNet(self.base).to(bench.device).to(memory_format=torch.channels_last).train()
            network = torch.compile(model) if compiled else model
            optimiser = adamw(model.parameters(), bench.cuda, graph)
            scaler = torch.cuda.amp.GradScaler() if precision == "fp16" else None   # of 65536 at first

            def step():
                optimiser.zero_grad(set_to_none=True)
                with torch.autocast(bench.device.type, dtype=DTYPES[precision], enabled=precision in ("bf16", "fp16")):
                    z = network(x)
                loss = dice_focal(z.float(), t)
                if scaler:
                    scaler.scale(loss).backward()
                    scaler.unscale_(optimiser)
                else:
                    loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                if scaler:
                    scaler.step(optimiser)
                    scaler.update()
                else:
                    optimiser.step()
            return bench.graph_of(step) if graph else step

        how = "autocast" if precision in ("bf16", "fp16") else precision
        if kind == "compile":
            torch._dynamo.reset()
            self.attempt(found, kind, f"torch.compile default, {how}", lambda: steps(True, False), x, t)
        else:
            self.attempt(found, kind, f"torch eager {how}", lambda: steps(False, False), x, t)
            if bench.cuda and precision != "fp16":   # the scaler asks the host whether to step
                self.attempt(found, kind, f"torch eager {how}, CUDA graph", lambda: steps(False, True), x, t)
        return self.fastest(found)

    def begin(self, precision, path):
        """Forgets what was before; the float32 values of the file."""
        self.candidates, self.sets, self.training = [], [], False
        if self.bench.cuda:
            torch.cuda.empty_cache()
        self.bench.precision(precision)
        with open(path, "rb") as file:
            return torch.frombuffer(bytearray(file.read()), dtype=torch.float32)

    def placed(self, images, dtype):
        """NHWC memory seen as NCHW, which is channels_last."""
        return images.permute(0, 3, 1, 2).to(self.bench.device, dtype).contiguous(memory_format=torch.channels_last)

    def attempt(self, found, kind, name, make, *inputs):
        try:
            found.append(Candidate(self.bench, kind, name, make(), *inputs))
        except Exception as error:  # noqa: BLE001: compilers fail in many ways
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)

    def fastest(self, found):
        """By two repeats of each, the first of which does not count."""
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
    for line in sys.stdin:
        word, *rest = line.split()
        with torch.inference_mode(word != "train" and not (word == "run" and turns.training)):
            if word in ("prepare", "train"):
                print(getattr(turns, word)(int(rest[0]), *rest[1:]), flush=True)
            elif word == "errors":
                print(turns.errors(*rest), flush=True)
            else:
                print(turns.run(int(rest[0])), flush=True)


if __name__ == "__main__":
    main()
