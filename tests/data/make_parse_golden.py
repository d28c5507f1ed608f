#!/usr/bin/env python3
"""Makes tests/data/prepare/expected/parsed: what a small face parser (tests/apps/parser_weights.py) makes of the photos of
tests/data/prepare in PyTorch, float64, as the original program calls it: Pillow's BILINEAR to the parser's size, ImageNet's
mean and deviation, the first class of the largest logit. 255 where the best two are too near for float32 to tell.

    make_parse_golden.py            after make_prepare_golden.py, which writes the folder anew

Wants PyTorch, NumPy, safetensors and Pillow.
"""
import pathlib
import sys
import tempfile

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

HERE = pathlib.Path(__file__).resolve().parent
sys.path += [str(HERE), str(HERE.parent / "apps")]
from parser_weights import parser_file  # noqa: E402
from reference_bisenet import BiSeNet  # noqa: E402

SIDE = 96
SEED = 26       # of 150 that whose labels differ most
NEAR = 1e-4   # of the logits' root mean square


def main():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "parser.safetensors"
        parser_file(path, size=SIDE, seed=SEED)
        network = BiSeNet(2, 3, 19)
        network.load_state_dict(load_file(path))
    network.double().eval()
    out = HERE / "prepare" / "expected" / "parsed"
    out.mkdir(exist_ok=True)
    for photo in sorted((HERE / "prepare" / "images").rglob("*.png")):
        pixels = np.asarray(Image.open(photo).convert("RGB").resize((SIDE, SIDE), Image.BILINEAR)) / 255
        x = (pixels - [.485, .456, .406]) / [.229, .224, .225]
        with torch.no_grad():
            logits = network(torch.tensor(x.transpose(2, 0, 1)[None]))[0]
        best = logits.topk(2, 0).values
        labels = logits.argmax(0)
        labels[best[0] - best[1] < NEAR * logits.square().mean().sqrt()] = 255
        Image.fromarray(labels.numpy().astype(np.uint8)).save(out / photo.name, optimize=True)
        print(photo.stem, "classes", len(labels.unique()), "unsure", int((labels == 255).sum()))


if __name__ == "__main__":
    main()
