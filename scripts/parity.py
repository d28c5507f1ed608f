#!/usr/bin/env python3
"""Every network at full width beside PyTorch: random weights and running statistics, logits against float64.

    cmake --build BUILD --target network_logits
    scripts/parity.py --build BUILD [--base 64] [--sizes 256x256,203x187] [--devices cpu,cpu:low] [--only WORD]

Needs PyTorch; 2.15 made the table in docs/accuracy.md. For each network and size the checkpoint is written by
torch.save, run by Furrow's plan on each device (`cpu-emulated:fp32` names a precision, `cpu:low` is `--memory low`) and
by PyTorch in float64, and, for comparison, by PyTorch in float32. Limits: the largest error of a logit 2.5e-5 x the
logits' root mean square, and no mask pixel (one class: logit > 0; two: the larger; of a face parser its label, the
largest) that differs where the deciding logit is more than 1e-3 from 0 (of a label: from the next). Prints one row of a Markdown table per network and size, the largest error of each column,
and on which processor's instructions and by which algorithms the last network ran; exit status 1 where a limit is
exceeded.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "data"))
from reference_networks import fill, network  # noqa: E402

NETWORKS = ["unet base {}, 3 -> 1, transposed", "unet base {}, 4 -> 2, bilinear", "attention-unet base {}, 3 -> 1, transposed",
            "attention-unet base {}, 3 -> 1, bilinear", "resnet50-unet base {}, 3 -> 1, transposed",
            "resnet50-unet base {}, 3 -> 1, bilinear", "resnet50-attention-unet base {}, 3 -> 1, transposed",
            "resnet50-attention-unet base {}, 3 -> 1, bilinear", "bisenet base {}, 3 -> 19", "bisenet-resnet34 base {}, 3 -> 19"]
LIMIT, CLEAR = 2.5e-5, 1e-3
RAN = {}  # device: what network_logits said of the last network on it


def picture(height, width, channels):
    """Smooth shapes and grain, float32, as if normalised: H, W, C."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    planes = [np.sin(x / (7 + 5 * c) + c) * np.cos(y / (11 + 3 * c)) for c in range(channels)]
    grain = np.random.RandomState(height * 10007 + width).uniform(-0.5, 0.5, (height, width, channels))
    return (np.stack(planes, 2) + grain).astype(np.float32)


def scaled(net, channels):
    """The network with its last convolution scaled so that logits are of the size of a trained network's (root mean
    square 3). As random running statistics leave them, a ResNet's are in the thousands, where the rounding of a float32
    is as large as the band of logits that masks may differ in."""
    head = net.conv_out.conv_out if hasattr(net, "conv_out") else [m for m in net.modules() if isinstance(m, torch.nn.Conv2d)][-1]
    with torch.no_grad():
        logits = net.double()(torch.from_numpy(picture(128, 128, channels)).double().permute(2, 0, 1)[None])
        for parameter in head.parameters():
            parameter *= 3 / logits.square().mean().sqrt()
    return net.float()


def by_torch(net, x, dtype):
    with torch.no_grad():
        y = net.to(dtype)(torch.from_numpy(x).to(dtype).permute(2, 0, 1)[None])
    return y[0].permute(1, 2, 0).double().numpy()


def by_furrow(program, checkpoint, x, classes, device, folder):
    source, target = folder / "input.f64", folder / "logits.f64"
    x.astype("<f8").tofile(source)
    ran = subprocess.run([program, checkpoint, source, str(x.shape[0]), str(x.shape[1]), target, *device.split(":")],
                         check=True, stdout=subprocess.PIPE, text=True)
    RAN[device] = ran.stdout.strip()
    return np.fromfile(target, "<f8").reshape(x.shape[0], x.shape[1], classes)


def decided(logits):
    """What a pixel is, and how far the logits are from another answer."""
    if logits.shape[2] > 2:
        two = np.partition(logits, -2, axis=2)[..., -2:]
        return logits.argmax(2), two[..., 1] - two[..., 0]
    deciding = logits[..., 0] if logits.shape[2] == 1 else logits[..., 1] - logits[..., 0]
    return deciding > 0, np.abs(deciding)


def compare(logits, exact):
    """Largest error over the root mean square; clear pixels of the mask that differ."""
    error = np.abs(logits - exact).max() / np.sqrt((exact ** 2).mean())
    wanted, margin = decided(exact)
    flipped = (decided(logits)[0] != wanted) & (margin > CLEAR)
    return error, int(flipped.sum())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True)
    parser.add_argument("--base", type=int, default=64)
    parser.add_argument("--sizes", default="256x256,203x187", help="HEIGHTxWIDTH,...")
    parser.add_argument("--devices", default="cpu")
    parser.add_argument("--only", default="", help="networks whose description holds this")
    args = parser.parse_args()
    program = os.path.join(args.build, "tests", "nn", "network_logits")
    devices = args.devices.split(",")
    print("| network | size | logit rms | " + " | ".join(f"`{d}`" for d in devices) + " | PyTorch float32 | mask pixels that differ |")
    print("|---" * (5 + len(devices)) + "|")
    bad, worst = False, [0.0] * (len(devices) + 1)
    for architecture in (name.format(args.base) for name in NETWORKS):
        if args.only not in architecture:
            continue
        channels, classes = int(architecture.split(", ")[1][0]), int(architecture.split(" -> ")[1].split(",")[0])
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            net = scaled(fill(network(architecture)).eval(), channels)
            torch.save(net.state_dict(), folder / "weights.pth")
            for size in args.sizes.split(","):
                x = picture(*map(int, size.split("x")), channels)
                single, exact = by_torch(net, x, torch.float32), by_torch(net, x, torch.float64)
                results = [compare(by_furrow(program, folder / "weights.pth", x, classes, d, folder), exact) for d in devices]
                errors = [error for error, _ in results] + [compare(single, exact)[0]]
                worst = [max(pair) for pair in zip(worst, errors)]
                bad |= any(error > LIMIT or flipped for error, flipped in results)
                print(f"| {architecture} | {size} | {np.sqrt((exact ** 2).mean()):.3g} | "
                      + " | ".join(f"{error:.1e}" for error in errors) + " | " + ", ".join(str(flipped) for _, flipped in results) + " |", flush=True)
    print("\nlargest: " + ", ".join(f"{device} {error:.1e}" for device, error in zip(devices + ["PyTorch float32"], worst)))
    print("\n".join(f"{device}: {RAN[device]}" for device in devices if device in RAN))
    sys.exit(1 if bad else 0)


main()
