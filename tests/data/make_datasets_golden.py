#!/usr/bin/python3
"""Writes tests/data/datasets/golden.txt: what Pillow, OpenCV and PyTorch give where data/ claims to be equal to them.

Run with Debian 12's python3-torch (1.13), python3-opencv (4.6.0), python3-pil (9.4.0) and python3-numpy:
  /usr/bin/python3 tests/data/make_datasets_golden.py
Pictures are made by the formula of tests/datasets/noise.h. Digests are the first 16 digits of SHA-256. Lines:
  luma WIDTH HEIGHT SEED DIGEST                 Image.convert("L") of an RGB picture
  dilate WIDTH HEIGHT SEED DIGEST               cv2.dilate(mask > 0, ones(3, 3)) * 255 of a sparse mask
  seed IW IH MW MH WIDTH HEIGHT SEED DILATE IMAGE_DIGEST MASK_DIGEST
                                                the seed's resizing (b5824ba) of a photo and a mask of 0 and 255
  randperm N SEED DRAW DIGEST                   of the permutation as int32; draw 2: the second from one generator
"""
import hashlib
import os

import cv2
import numpy as np
import torch
from PIL import Image


def noise(count, seed):
    x = (np.arange(count, dtype=np.uint64) * 2654435761 + seed * 40503 + 12345) & 0xFFFFFFFF
    x ^= x >> np.uint64(15)
    x = (x * 2246822519) & 0xFFFFFFFF
    x ^= x >> np.uint64(13)
    values = ((x >> np.uint64(8)) & 255).astype(np.uint8)
    return np.where(values < 128, 0, 255).astype(np.uint8) if seed % 2 else values


def sparse(width, height, seed):
    """One pixel in 32 or so is 255."""
    return np.where(noise(width * height, 2 * seed) < 8, 255, 0).astype(np.uint8).reshape(height, width)


def photo(width, height, seed):
    return noise(width * height * 3, seed).reshape(height, width, 3)


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def dilated(mask):
    return cv2.dilate((mask > 0).astype(np.uint8), np.ones((3, 3), np.uint8), iterations=1) * 255


def seed_path(image, mask, width, height, dilate):
    if image.shape[:2] != mask.shape[:2]:
        image = np.asarray(Image.fromarray(image).resize((width, height), Image.LANCZOS))
        mask = np.asarray(Image.fromarray(mask).resize((width, height), Image.NEAREST))
    if dilate and mask.max() > 0:
        mask = dilated(mask)
    image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LANCZOS4)
    mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
    return image, np.where(mask > 127, 255, 0).astype(np.uint8)


def lines():
    for width, height, seed in [(64, 48, 2), (33, 31, 3)]:
        rgb = Image.fromarray(photo(width, height, seed))
        yield f"luma {width} {height} {seed} {digest(np.asarray(rgb.convert('L')))}"
    for width, height, seed in [(40, 30, 1), (1, 17, 2), (23, 1, 3)]:
        yield f"dilate {width} {height} {seed} {digest(dilated(sparse(width, height, seed)))}"
    for case in [(100, 100, 200, 200, 50, 50), (128, 128, 128, 128, 64, 64), (64, 64, 64, 64, 64, 64), (90, 70, 90, 70, 64, 64),
                 (50, 60, 100, 119, 64, 48)]:
        for dilate in (0, 1):
            iw, ih, mw, mh, width, height = case
            image, mask = seed_path(photo(iw, ih, 6), sparse(mw, mh, 7), width, height, dilate)
            yield " ".join(["seed", *map(str, case), "6", str(dilate), digest(image), digest(mask)])
    for count in (1, 2, 7, 100, 1000, 1820, 70000):
        for seed in (0, 42, 4294967295):
            generator = torch.Generator().manual_seed(seed)
            for draw in (1, 2):
                yield f"randperm {count} {seed} {draw} {digest(torch.randperm(count, generator=generator).numpy().astype(np.int32))}"


def main():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "datasets", "golden.txt")
    with open(path, "w") as out:
        out.writelines(line + "\n" for line in lines())


main()
