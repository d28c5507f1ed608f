#!/usr/bin/python3
"""Writes tests/data/resize/pillow.txt: what Pillow's Image.resize() gives for pictures made by a formula.

Run with Debian 12's python3-pil (9.4.0) and python3-numpy:  /usr/bin/python3 tests/data/make_resize_golden.py
One line per case: filter channels width height to_width to_height seed left top right bottom sha256 (first 16 digits).
Channels 0 means a plane of float32 (mode "F"). tests/pictures/resize_test.cc makes the same pictures and compares.
"""
import hashlib
import os
import random

import numpy as np
from PIL import Image

FILTERS = {"nearest": Image.NEAREST, "bilinear": Image.BILINEAR, "lanczos": Image.LANCZOS}


def noise(count, seed):
    """Bytes that look random; with an odd seed only 0 and 255, which makes Lanczos overshoot and clip."""
    x = (np.arange(count, dtype=np.uint64) * 2654435761 + seed * 40503 + 12345) & 0xFFFFFFFF
    x ^= x >> np.uint64(15)
    x = (x * 2246822519) & 0xFFFFFFFF
    x ^= x >> np.uint64(13)
    values = ((x >> np.uint64(8)) & 255).astype(np.uint8)
    return np.where(values < 128, 0, 255).astype(np.uint8) if seed % 2 else values


def picture(channels, width, height, seed):
    values = noise(width * height * max(channels, 1), seed)
    if channels == 0:
        return Image.fromarray((values.astype(np.float32) / np.float32(255)).reshape(height, width), "F")
    return Image.fromarray(values.reshape((height, width, 3) if channels == 3 else (height, width)))


def case(out, name, channels, width, height, to_width, to_height, seed, box):
    result = picture(channels, width, height, seed).resize((to_width, to_height), FILTERS[name], box)
    digest = hashlib.sha256(np.asarray(result).tobytes()).hexdigest()[:16]
    corners = " ".join(repr(float(v)) for v in box)
    out.write(f"{name} {channels} {width} {height} {to_width} {to_height} {seed} {corners} {digest}\n")


def size(rng):
    return rng.choice([rng.randint(1, 12), rng.randint(1, 200), rng.randint(150, 300)])


def main():
    rng = random.Random(20240229)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "resize", "pillow.txt")
    with open(path, "w") as out:
        for name in FILTERS:
            for index in range(250):  # 200 of the whole picture, 50 of a box in it
                width, height = size(rng), size(rng)
                to_width, to_height = size(rng), size(rng)
                if index % 20 == 0:
                    to_width = width
                if index % 20 == 1:
                    to_height = height
                box = (0, 0, width, height)
                if index >= 200:
                    left, top = rng.uniform(0, width * 0.7), rng.uniform(0, height * 0.7)
                    box = (left, top, left + rng.uniform(0.2, 1) * (width - left), top + rng.uniform(0.2, 1) * (height - top))
                    if index % 2:
                        box = tuple(float(int(v)) for v in box)
                        box = (box[0], box[1], max(box[2], box[0] + 1), max(box[3], box[1] + 1))
                case(out, name, rng.choice([1, 3]), width, height, to_width, to_height, index, box)
            case(out, name, 3, 1024, 1024, 512, 512, 8, (0, 0, 1024, 1024))
            case(out, name, 3, 500, 620, 512, 512, 10, (0, 0, 500, 620))
        for index in range(60):
            width, height = size(rng), size(rng)
            case(out, "bilinear", 0, width, height, size(rng), size(rng), index, (0, 0, width, height))


main()
