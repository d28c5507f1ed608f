#!/usr/bin/env python3
"""The rows `train/` of furrow_bench in PyTorch on the CPU: one training step of the classic U-Net, and the loss alone.

    torch_train.py --threads 2 --steps 5 [--base 64] [--side 256] [--batch 2] [--channels-last] [--compile]
                   [--loss] [--json FILE]

The same step: forward in training mode, Dice + Focal of kernels/losses.h (form L6, written op by op, as the models were
trained), backward, clipping to norm 1, AdamW. float32, random weights and pictures; one step is run before the clock
starts. Reported: wall clock and CPU time of every step, and the largest resident size (VmHWM). With --loss the loss alone,
value and gradient of logits, --steps times.
"""
import argparse
import json
import statistics
import time

import torch

from unet import UNet


def dice_focal(z, t, alpha=0.9, eps=1e-6):
    p = torch.sigmoid(z)
    dims = (1, 2, 3)
    both = (p * t).sum(dims)
    dice = 1 - ((2 * both + eps) / (p.sum(dims) + t.sum(dims) + eps)).mean()
    p = p.clamp(1e-6, 1 - 1e-6)
    focal = -(alpha * t * (1 - p) * torch.log(p) + (1 - alpha) * (1 - t) * p * torch.log(1 - p)).mean()
    return dice + focal


def peak_mib():
    """Of this process: ru_maxrss would be that of whoever started it, where that is larger."""
    with open("/proc/self/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:")) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("threads", 2), ("steps", 5), ("base", 64), ("side", 256), ("batch", 2)):
        parser.add_argument("--" + name, type=int, default=default)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--loss", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    layout = torch.channels_last if options.channels_last else torch.contiguous_format
    side, batch = options.side, options.batch
    t = (torch.arange(batch * side * side) % 7 == 0).float().view(batch, 1, side, side)
    if options.loss:
        z = torch.randn(batch, 1, side, side, requires_grad=True)

        def step():
            z.grad = None
            dice_focal(z, t).backward()
    else:
        x = torch.rand(batch, 3, side, side).to(memory_format=layout)
        net = UNet(options.base).to(memory_format=layout).train()
        if options.compile:
            net = torch.compile(net)
        optimiser = torch.optim.AdamW(net.parameters(), lr=1e-4, weight_decay=0.01)

        def step():
            optimiser.zero_grad(set_to_none=True)
            dice_focal(net(x), t).backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimiser.step()

    step()
    step()  # two, as bench_train.cc: the second is the first in the memory that all later ones use
    wall, cpu = [], []
    for _ in range(options.steps):
        start, busy = time.perf_counter(), time.process_time()
        step()
        wall.append(1e3 * (time.perf_counter() - start))
        cpu.append(1e3 * (time.process_time() - busy))
    told = {"peer": f"torch {torch.__version__}" + " compiled" * options.compile + " channels_last" * options.channels_last,
            "threads": options.threads, "wall_ms": wall, "cpu_ms": cpu, "median_wall_ms": statistics.median(wall),
            "median_cpu_ms": statistics.median(cpu),
            "peak_MiB": peak_mib()}
    print(json.dumps(told))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(told, file)


if __name__ == "__main__":
    main()
