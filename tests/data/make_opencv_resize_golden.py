#!/usr/bin/python3
"""Writes tests/data/datasets/opencv_resize.txt: what cv2.resize() gives for pictures made by a formula.

Run with Debian 12's python3-opencv (4.6.0) and python3-numpy:
  /usr/bin/python3 tests/data/make_opencv_resize_golden.py            writes the file
  python3 tests/data/make_opencv_resize_golden.py --compare           counts lines that another OpenCV answers differently
  python3 tests/data/make_opencv_resize_golden.py --compare --ipp     the same with Intel's IPP on, in wheels that have it
One line per case: filter channels width height to_width to_height seed sha256 (first 16 digits).
A few small results follow in full ("full": the same fields, the digest replaced by the bytes in hexadecimal).
tests/datasets/resize_opencv_test.cc makes the same pictures and compares.
"""
import hashlib
import os
import random
import sys

import cv2
import numpy as np

FILTERS = {"nearest": cv2.INTER_NEAREST, "linear": cv2.INTER_LINEAR, "lanczos4": cv2.INTER_LANCZOS4}


def noise(count, seed):
    """As in make_resize_golden.py: with an odd seed only 0 and 255, which makes Lanczos overshoot and clip."""
    x = (np.arange(count, dtype=np.uint64) * 2654435761 + seed * 40503 + 12345) & 0xFFFFFFFF
    x ^= x >> np.uint64(15)
    x = (x * 2246822519) & 0xFFFFFFFF
    x ^= x >> np.uint64(13)
    values = ((x >> np.uint64(8)) & 255).astype(np.uint8)
    return np.where(values < 128, 0, 255).astype(np.uint8) if seed % 2 else values


def size(rng):
    return rng.choice([rng.randint(1, 12), rng.randint(1, 200), rng.randint(150, 300)])


def resized(name, channels, width, height, to_width, to_height, seed):
    picture = noise(width * height * channels, seed).reshape((height, width, 3) if channels == 3 else (height, width))
    return cv2.resize(picture, (to_width, to_height), interpolation=FILTERS[name])


def lines():
    rng = random.Random(20240301)
    for name in FILTERS:
        cases = []
        for index in range(200):
            width, height, to_width, to_height = size(rng), size(rng), size(rng), size(rng)
            if index % 20 == 0:
                to_width = width
            if index % 20 == 1:
                to_height = height
            if index % 20 in (2, 3):  # exactly one half along one axis, or both
                width = 2 * to_width
                height = 2 * to_height if index % 20 == 2 else height
            cases.append((rng.choice([1, 3]), width, height, to_width, to_height, index))
        cases += [(3, 1024, 1024, 512, 512, 8), (1, 1024, 1024, 512, 512, 9), (3, 500, 620, 512, 512, 10), (1, 512, 512, 1024, 1024, 12)]
        for case in cases:
            digest = hashlib.sha256(resized(name, *case).tobytes()).hexdigest()[:16]
            yield " ".join([name, *map(str, case), digest])
        for case in [(1, 7, 5, 4, 9, 2), (3, 6, 4, 3, 2, 4), (1, 3, 3, 8, 8, 1)]:
            yield " ".join(["full", name, *map(str, case), resized(name, *case).tobytes().hex()])


def main():
    if "--ipp" not in sys.argv:
        cv2.ipp.setUseIPP(False)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "datasets", "opencv_resize.txt")
    if "--compare" in sys.argv:
        with open(path) as file:
            pairs = [(ours, theirs) for ours, theirs in zip(file.read().splitlines(), lines(), strict=True)]
        print(f"OpenCV {cv2.__version__}, IPP {cv2.ipp.useIPP()}:")
        for name in FILTERS:
            mine = [p for p in pairs if name in p[0].split()[:2]]
            print(f"  {name}: {sum(a != b for a, b in mine)} of {len(mine)} differ")
        return
    with open(path, "w") as out:
        out.writelines(line + "\n" for line in lines())


main()
