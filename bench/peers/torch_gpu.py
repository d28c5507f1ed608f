#!/usr/bin/env python3
"""The rows of furrow_gpu_bench on PyTorch and TensorRT, on the same device, under the same names.

    torch_gpu.py --device cuda|cpu --sizes full|tiny --seconds N --json FILE

Settings (each named in a row's `peer`): channels_last, cudnn.benchmark, inference_mode; half weights, and float weights under
autocast; a CUDA graph of the eager network; torch.compile in its default mode and with max-autotune while time is left.
Weights and pictures are random: only time is compared here. What is not installed is said in one line of `not_run`.
"""
import argparse
import json
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

import tensorrt_peer
from unet import UNet

DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Bench:
    def __init__(self, options):
        self.cuda, self.tiny = options.device == "cuda", options.sizes == "tiny"
        self.device = torch.device(options.device)
        self.end = time.monotonic() + options.seconds
        self.told = {"versions": {"torch": torch.__version__}, "ceilings": [], "rows": [], "not_run": []}
        if self.cuda:
            self.told["versions"].update({"torch cuda": torch.version.cuda, "cudnn": str(torch.backends.cudnn.version())})

    def sync(self):
        if self.cuda:
            torch.cuda.synchronize()

    def precision(self, name):
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name == "tf32"

    def time(self, body, least_ms=20.0):
        """Quartiles, in ms, of 30 repeats of at least `least_ms` each (tiny: 3 runs)."""
        for _ in range(2 if self.tiny else 10):
            body()
        self.sync()
        count = 1
        while not self.tiny:
            start = time.perf_counter()
            for _ in range(count):
                body()
            self.sync()
            took = 1e3 * (time.perf_counter() - start)
            if took >= least_ms:
                break
            count = max(count + 1, int(count * min(10.0, 1.2 * least_ms / max(took, 1e-3))))
        samples = []
        for _ in range(3 if self.tiny else 30):
            start = time.perf_counter()
            for _ in range(count):
                body()
            self.sync()
            samples.append(1e3 * (time.perf_counter() - start) / count)
        return statistics.quantiles(samples, n=4, method="inclusive") + [len(samples)]

    def add(self, group, name, peer, body, least_ms=20.0, flops=0):
        """Times `body`; what it throws becomes a line of not_run, for a peer's failure is no failure of the run."""
        if time.monotonic() > self.end:
            return self.told["not_run"].append(f"peer {peer}: {group} {name}: no time left")
        try:
            q1, median, q3, repeats = self.time(body, least_ms)
        except Exception as error:  # noqa: BLE001: compilers fail in many ways
            return self.told["not_run"].append(f"peer {peer}: {group} {name}: {type(error).__name__}: {str(error).strip().splitlines()[0][:160] if str(error).strip() else ''}")
        self.told["rows"].append({"group": group, "name": name, "peer": peer, "ms": median, "q1_ms": q1, "q3_ms": q3, "repeats": repeats, "timed": "device" if self.cuda else "wall",
                                  "tflops": flops / median * 1e-9 if flops else None, "gbps": None, "floor_ms": None, "fraction_of_floor": None, "note": ""})

    def graph_of(self, body):
        """`body` captured in a CUDA graph, after the runs on a side stream that capture wants."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                body()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            body()
        return graph.replay

    # -- ceilings ----------------------------------------------------------------------------------------------------
    def ceilings(self):
        n = 64 if self.tiny else 8192
        for name in ("fp16", "bf16", "tf32", "fp32") if self.cuda else ("bf16", "fp32"):
            self.precision(name)
            a, b = (torch.randn(n, n, device=self.device).to(DTYPES[name]) for _ in range(2))
            # As activations are after a ReLU, half of them 0: that takes less power, and where power is the limit is faster.
            for what, left in (("", a), (" after ReLU", a.relu())):
                median = self.time(lambda: left @ b)[1]
                self.told["ceilings"].append({"name": f"matmul {name}{what} (torch)", "value": 2.0 * n**3 / median * 1e-9, "unit": "TFLOP/s", "how": f"{n} x {n} random numbers{', half of the left ones 0' if what else ''}, PyTorch's matmul"})

    # -- layers ------------------------------------------------------------------------------------------------------
    def layers(self):
        base, size = (4, 32) if self.tiny else (64, 512)
        for precision in ("fp16", "bf16", "tf32", "fp32") if self.cuda else ("fp32",):
            self.precision(precision)
            for name, body, flops in layer_bodies(base, size, DTYPES[precision], self.device):
                self.add("layer", f"{name} {precision}", "torch eager", body, 5, flops)

    # -- networks ----------------------------------------------------------------------------------------------------
    def networks(self):
        for batch in (1, 2) if self.tiny else (1, 8):
            self.network(batch, 32 if self.tiny else 512, ("fp16", "bf16", "tf32", "fp32") if self.cuda else ("fp32", "bf16"))

    def large_pictures(self):
        for size, batch in () if self.tiny else ((1024, 1), (512, 32), (1024, 8)):
            self.network(batch, size, ("fp16",))

    def network(self, batch, size, precisions):
        base = 4 if self.tiny else 64
        for precision in precisions:
            try:
                self.precision(precision)
                dtype, name = DTYPES[precision], f"unet{base} {size} b{batch} {precision}"
                model = UNet(base).to(self.device).to(memory_format=torch.channels_last).eval()
                x = torch.randn(batch, 3, size, size, device=self.device).contiguous(memory_format=torch.channels_last)
                if dtype != torch.float32:
                    def autocast(model=model, x=x, dtype=dtype):
                        with torch.autocast(self.device.type, dtype=dtype):
                            return model(x)
                    self.add("network", name, "torch eager autocast", autocast)
                narrow, y = model.to(dtype), x.to(dtype)
                self.add("network", name, "torch eager", lambda: narrow(y))
                if self.cuda:
                    try:
                        self.add("network", name, "torch eager, CUDA graph", self.graph_of(lambda: narrow(y)))
                    except RuntimeError as error:
                        self.told["not_run"].append(f"peer torch eager, CUDA graph: {name}: {str(error).splitlines()[0][:160]}")
            except RuntimeError as error:   # for want of memory
                self.told["not_run"].append(f"peer torch: unet{base} {size} b{batch} {precision}: {str(error).splitlines()[0][:160]}")

    def compiled(self):
        if not hasattr(torch, "compile"):
            return self.told["not_run"].append(f"peer torch.compile: torch {torch.__version__} has none")
        base, size = (4, 32) if self.tiny else (64, 512)
        precision = "fp16" if self.cuda else "fp32"
        self.precision(precision)
        for mode, seconds in (("default", 45), ("max-autotune", 120)):
            for batch in (1, 2) if self.tiny else (1, 8):
                name = f"unet{base} {size} b{batch} {precision}"
                if time.monotonic() + (5 if self.tiny else seconds) > self.end:
                    self.told["not_run"].append(f"peer torch.compile {mode}: {name}: no time left to compile")
                    continue
                torch._dynamo.reset()
                model = UNet(base).to(self.device, DTYPES[precision]).to(memory_format=torch.channels_last).eval()
                x = torch.randn(batch, 3, size, size, device=self.device, dtype=DTYPES[precision]).contiguous(memory_format=torch.channels_last)
                model = torch.compile(model, mode=mode)
                self.add("network", name, f"torch.compile {mode}", lambda: model(x))

    def tensorrt(self):
        base, size = (4, 32) if self.tiny else (64, 512)
        for batch in (1, 8):
            name = f"unet{base} {size} b{batch} fp16"
            body, why = tensorrt_peer.network(UNet(base).eval(), (batch, 3, size, size)) if self.cuda else (None, "no GPU")
            if body is None:
                return self.told["not_run"].append(f"peer TensorRT: {why}")
            self.add("network", name, "TensorRT", body)

    # -- training ----------------------------------------------------------------------------------------------------
    def training(self):
        batch, size = (2, 32) if self.tiny else (8, 512)
        z = torch.randn(batch, 1, size, size, device=self.device)
        t = (torch.rand_like(z) < 1 / 7).float()
        for precision in ("fp32", "fp16") if self.cuda else ("fp32",):
            logits = z.to(DTYPES[precision]).requires_grad_()

            def loss_and_gradient(logits=logits):
                logits.grad = None
                dice_focal(logits.float(), t).backward()
            self.add("loss", f"dice+focal b{batch} {size} {precision}", "torch eager", loss_and_gradient, 5)

        count = 50_000 if self.tiny else 31_000_000
        flat = nn.Parameter(torch.randn(count, device=self.device))
        flat.grad = torch.randn_like(flat)
        optimiser = adamw([flat], self.cuda)

        def clip_and_step():
            nn.utils.clip_grad_norm_([flat], 1.0)
            optimiser.step()
        self.add("optimiser", f"clip+adamw {count}", "torch eager, one flat parameter", clip_and_step, 10)

        base = 4 if self.tiny else 64
        model = UNet(base).to(self.device).to(memory_format=torch.channels_last).train()
        x = torch.randn(batch, 3, size, size, device=self.device).contiguous(memory_format=torch.channels_last)
        steps = adamw(model.parameters(), self.cuda)

        def training_step():
            steps.zero_grad(set_to_none=True)
            with torch.autocast(self.device.type, dtype=torch.bfloat16):
                y = model(x)
            dice_focal(y.float(), t).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            steps.step()
        self.add("training", f"unet{base} {size} b{batch} bf16 step", "torch eager autocast", training_step, 20)


def adamw(parameters, fused, capturable=False):
    """capturable: for a CUDA graph."""
    try:
        return torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01, fused=fused, capturable=capturable)
    except TypeError:   # before PyTorch 2.0
        return torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01)


def dice_focal(z, t):
    """Dice + Focal as kernels/losses.h has it: gamma 1, alpha 0.9 and 0.1, p clamped in the focal term."""
    p = torch.sigmoid(z)
    pixels = (1, 2, 3)
    dice = 1 - ((2 * (p * t).sum(pixels) + 1e-6) / ((p + t).sum(pixels) + 1e-6)).mean()
    c = p.clamp(1e-6, 1 - 1e-6)
    focal = -(0.9 * t * (1 - c) * torch.log(c) + 0.1 * (1 - t) * c * torch.log(1 - c)).mean()
    return dice + focal


def layer_bodies(base, size, dtype, device):
    """Name, function and operations of every layer, as furrow_gpu_bench names them: convolution with bias and ReLU, and what
    belongs to it there (concatenation, pooling, head)."""
    def random(*shape):
        t = torch.randn(*shape, device=device).to(dtype)
        return t.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else t

    def conv(name, side, ic, oc, two=False, pool=False, head=False):
        sources = [random(1, ic, side, side) for _ in range(2 if two else 1)]
        inputs = ic * len(sources)
        w, b, hw, hb = random(oc, inputs, 3, 3), random(oc), random(1, oc, 1, 1), random(1)

        def body():
            y = F.relu_(F.conv2d(torch.cat(sources, 1) if two else sources[0], w, b, padding=1))
            if pool:
                return F.max_pool2d(y, 2)
            return F.conv2d(y, hw, hb) if head else y
        from_text = f"({ic}+{ic})" if two else str(ic)
        text = f"{name} 1x{side}x{side}x{from_text} -> 1x{side}x{side}x{oc} k3s1p1{' head 1' if head else ''}"
        return text, body, 2.0 * 9 * inputs * oc * side * side + (2.0 * oc * side * side if head else 0)

    def up(name, side, ic, oc):
        x, w, b = random(1, ic, side, side), random(ic, oc, 2, 2), random(oc)
        return f"{name} 1x{side}x{side}x{ic} -> 1x{2 * side}x{2 * side}x{oc}", lambda: F.conv_transpose2d(x, w, b, stride=2), 2.0 * 4 * ic * oc * side * side

    c = base
    yield conv("inc.1", size, 3, c)
    yield conv("inc.2", size, c, c, pool=True)
    for level in range(1, 5):
        size //= 2
        yield conv(f"down{level}.1", size, c, 2 * c)
        yield conv(f"down{level}.2", size, 2 * c, 2 * c, pool=level < 4)
        c *= 2
    for level in range(1, 5):
        yield up(f"up{level}.T", size, c, c // 2)
        size, c = 2 * size, c // 2
        yield conv(f"up{level}.1", size, c, c, two=True)
        yield conv(f"up{level}.2" + ("+outc" if level == 4 else ""), size, c, c, head=level == 4)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=("cuda", "cpu"), required=True)
    parser.add_argument("--sizes", choices=("tiny", "full"), required=True)
    parser.add_argument("--seconds", type=float, default=200)
    parser.add_argument("--json", required=True)
    options = parser.parse_args()
    bench = Bench(options)
    torch.manual_seed(1)
    if bench.cuda and not torch.cuda.is_available():
        bench.told["not_run"].append(f"peer torch: {torch.__version__} finds no GPU")
    else:
        torch.backends.cudnn.benchmark = True
        # The file is written after each part, so that a run which is cut short leaves what it has.
        for part, gradients in ((bench.ceilings, False), (bench.networks, False), (bench.training, True), (bench.layers, False), (bench.tensorrt, False), (bench.large_pictures, False), (bench.compiled, False)):
            with torch.enable_grad() if gradients else torch.inference_mode():
                part()
            with open(options.json, "w") as file:
                json.dump(bench.told, file)
    with open(options.json, "w") as file:
        json.dump(bench.told, file)
    print(f"{len(bench.told['rows'])} rows, {len(bench.told['not_run'])} not run")


if __name__ == "__main__":
    main()
