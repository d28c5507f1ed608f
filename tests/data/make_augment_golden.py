#!/usr/bin/env python3
"""Writes tests/data/augment/: what albumentations and OpenCV make of pictures and parameters, and texture maps.

    python3 -m venv venv
    venv/bin/pip install albumentations==1.4.22 albucore==0.0.21 opencv-python-headless==4.10.0.84 numpy==2.1.3
    venv/bin/python tests/data/make_augment_golden.py

Intel's IPP is off; the processor has AVX2 (OpenCV's HSV differs by one level without it). Pictures and fields come from
formulas that tests/augment/ops_test.cc repeats, so only parameters and digests are stored. One line per case:
  operation, width, height, seed of the picture, channels, parameters..., first 16 digits of the result's SHA-256.
The library's own transforms compute the results (`apply` at given parameters); only where they draw a field inside is
the field replaced.

texture.u8 holds texture maps in full, one after another, as texture_cases() lists them: the formulas of
io/texture.h in float64 with cv2.filter2D, except where the authors' recipe has 8 bits.
"""
import hashlib
import os
import random

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
import albumentations as A
import albumentations.augmentations.geometric.functional as G
import cv2
import numpy as np

cv2.ipp.setUseIPP(False)


def noise(count, seed):
    x = (np.arange(count, dtype=np.uint64) * 2654435761 + seed * 40503 + 12345) & 0xFFFFFFFF
    x ^= x >> np.uint64(15)
    x = (x * 2246822519) & 0xFFFFFFFF
    x ^= x >> np.uint64(13)
    return (x >> np.uint64(8)) & 0xFFFF


def picture(width, height, seed, channels):
    """Even seeds: any byte. Odd seeds: bright and dark slopes with a little grain, as photos have."""
    grain = noise(width * height * channels, seed).reshape(height, width, channels)
    if seed % 2 == 0:
        values = grain & 255
    else:
        y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(channels), indexing="ij")
        slope = (x * 3 + y * 2 + c * 40 + seed * 11) % 300
        values = np.minimum(slope, 299 - slope).astype(np.uint64) + 60 + (grain & 15)
    values = values.astype(np.uint8)
    return values if channels == 3 else np.where(values[:, :, 0] < 128, 0, 255).astype(np.uint8)


def field(count, seed, scale):
    """Float32 values between -4 and 4, times scale, without a rounding before the last."""
    return ((noise(count, seed).astype(np.float32) - np.float32(32768)) / np.float32(8192)) * np.float32(scale)


class Fields:
    """A generator that hands out given fields in place of standard_normal()."""

    def __init__(self, *fields):
        self.fields = list(fields)

    def standard_normal(self, size):
        return self.fields.pop(0).reshape(size)


def apply(transform, image, **params):
    if image.ndim == 2:
        return transform.apply_to_mask(image, **params)
    return transform.apply(image, **params)


def hflip(image):
    return apply(A.HorizontalFlip(), image)


def affine(image, scale_x, scale_y, translate_x, translate_y, rotate, shear_x, shear_y):
    shape = image.shape[:2]
    matrix = G.create_affine_transformation_matrix({"x": translate_x, "y": translate_y}, {"x": shear_x, "y": shear_y},
                                                   {"x": scale_x, "y": scale_y}, rotate, G.center(shape))
    return apply(A.Affine(), image, matrix=matrix, output_shape=shape)


def rotate(image, angle):
    shape = image.shape[:2]
    zero, one = {"x": 0, "y": 0}, {"x": 1, "y": 1}
    matrix = G.create_affine_transformation_matrix(zero, zero, one, angle, G.center(shape))
    return apply(A.Rotate(), image, matrix=matrix, x_min=-1, x_max=-1, y_min=-1, y_max=-1, shape=image.shape)


def elastic(image, seed, alpha, sigma):
    height, width = image.shape[:2]
    transform = A.ElasticTransform(alpha=alpha, sigma=sigma)
    transform.random_generator = Fields(field(width * height, seed, 1), field(width * height, seed + 1, 1))
    maps = transform.get_params_dependent_on_data({"shape": image.shape}, {})
    return apply(transform, image, **maps)


def displacement(image, seed, alpha, sigma):
    height, width = image.shape[:2]
    generator = Fields(field(width * height, seed, 1))
    return G.generate_displacement_fields((height, width), alpha, sigma, True, (17, 17), generator, "gaussian")[0]


def crop(image, x, y, width, height):
    transform = A.RandomResizedCrop(size=image.shape[:2])
    return apply(transform, image, crop_coords=(x, y, x + width, y + height))


def clahe(image, limit):
    return A.CLAHE().apply(image, clip_limit=limit)


def jitter(image, brightness, contrast, saturation, hue, order):
    return A.ColorJitter().apply(image, brightness=brightness, contrast=contrast, saturation=saturation, hue=hue,
                                 order=[int(c) for c in order])


def blur(image, size):
    return A.GaussianBlur().apply(image, ksize=size, sigma=0.0)


def gauss_noise(image, seed, scale):
    return A.GaussNoise().apply(image, noise_map=field(image.size, seed, scale).reshape(image.shape))


def spaces():
    """Every colour there is."""
    v = np.arange(1 << 24, dtype=np.uint32)
    colours = np.stack([v >> 16, (v >> 8) & 255, v & 255], -1).astype(np.uint8).reshape(4096, 4096, 3)
    for code in ("RGB2GRAY", "RGB2LAB", "LAB2RGB", "RGB2HSV", "HSV2RGB"):
        yield code, cv2.cvtColor(colours, getattr(cv2, "COLOR_" + code))
    narrow = np.ascontiguousarray(colours.reshape(-1, 3)[: 61 * 50000 : 50]).reshape(1000, 61, 3)
    yield "HSV2RGB_61", cv2.cvtColor(narrow, cv2.COLOR_HSV2RGB)


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def cases(rng):
    sizes = [(64, 48), (61, 47), (48, 64), (33, 96), (8, 8), (5, 3)]
    uniform = rng.uniform
    for index in range(24):
        width, height = sizes[index % len(sizes)]
        for channels in (3, 1):
            place = (width, height, index, channels)
            yield hflip, place, ()
            reach = max(1, width // 8)
            yield affine, place, (uniform(0.7, 1.3), uniform(0.7, 1.3), rng.randint(-reach, reach), rng.randint(-reach, reach),
                                  uniform(-30, 30), *((uniform(-10, 10), uniform(-10, 10)) if index % 3 == 0 else (0.0, 0.0)))
            yield rotate, place, (uniform(-15, 15) if index % 4 else uniform(-180, 180),)
            alpha, sigma = rng.choice([(30.0, 6.0), (10.0, 5.0), (200.0, 4.0)])
            yield elastic, place, (100 + 2 * index, alpha, sigma)
            x, y = rng.randint(0, width // 3), rng.randint(0, height // 3)
            yield crop, place, (x, y, rng.randint(width // 2, width - x), rng.randint(height // 2, height - y))
        place = (width, height, index, 3)
        yield displacement, (width, height, index, 1), (200 + index, rng.choice([10.0, 30.0]), rng.choice([5.0, 6.0]))
        yield clahe, place, (uniform(1, 4),)
        order = "".join(map(str, rng.sample(range(4), 4)))
        yield jitter, place, (uniform(0.5, 1.5), uniform(0.5, 1.5), uniform(0.5, 1.5), uniform(-0.5, 0.5), order)
        yield blur, place, ((3, 5, 7)[index % 3],)
        yield gauss_noise, place, (300 + index, rng.choice([1.0, 7.0, 60.0]))
    for factor in (0.0, 1.0):
        yield jitter, (64, 48, 3, 3), (factor, 1.0, 1.0, 0.0, "0123")
        yield jitter, (64, 48, 3, 3), (1.0, factor, 1.0, 0.0, "0123")
        yield jitter, (64, 48, 3, 3), (1.0, 1.0, factor, 0.0, "0123")
    large = (512, 512, 1, 3)
    yield affine, large, (1.05, 0.95, 31, 47, 11.5, 0.0, 0.0)
    yield rotate, large, (-7.25,)
    yield elastic, large, (400, 30.0, 6.0)
    yield crop, large, (17, 3, 490, 485)
    yield clahe, large, (1.7,)
    yield jitter, large, (1.1, 0.9, 1.15, 0.21, "3120")
    yield blur, large, (7,)
    yield gauss_noise, large, (402, 5.0)


def texture_cases():
    for width, height, seed in ((64, 48, 1), (61, 47, 0), (33, 15, 3)):
        for recipe in ("authors", "authors_inverse", "closest"):
            yield width, height, seed, recipe


def texture(image, recipe):
    taps = cv2.getGaussianKernel(21, 5, cv2.CV_64F)
    if recipe == "closest":
        level = image.astype(np.float64) @ np.array([0.2126, 0.7152, 0.0722])
    else:
        level = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)
    low = cv2.filter2D(level, -1, taps @ taps.T, borderType=cv2.BORDER_REFLECT_101)
    if recipe == "closest":
        return np.rint((1 - np.minimum(level, low) / (1 + low)) * 255).astype(np.uint8)
    quotient = np.clip(level * 255 / (low + 1), 0, 255).astype(np.uint8)
    return np.uint8(1) - quotient if recipe == "authors" else np.uint8(255) - quotient


def main():
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "augment")
    with open(os.path.join(folder, "golden.txt"), "w") as out:
        for name, result in spaces():
            out.write(f"{name} {digest(result)}\n")
        for function, place, params in cases(random.Random(20240302)):
            result = function(picture(*place), *params)
            assert function is displacement or result.dtype == np.uint8
            out.write(" ".join([function.__name__, *map(str, place), *map(str, params), digest(result)]) + "\n")
    with open(os.path.join(folder, "texture.u8"), "wb") as out:
        for width, height, seed, recipe in texture_cases():
            out.write(texture(picture(width, height, seed, 3), recipe).tobytes())


if __name__ == "__main__":
    main()
