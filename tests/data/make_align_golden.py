#!/usr/bin/env python3
"""Makes tests/data/align: drawn photos with 68 landmarks each, and what FFHQ's face crop makes of them.

The crop (download_ffhq.py -a of the FFHQ data set, Karras et al. 2019; FFHQ-Aging, Or-El et al. 2020) is written out again
below from its description; where that one calls NumPy, SciPy and Pillow, so does this.

    make_align_golden.py            writes tests/data/align anew
    make_align_golden.py --beside FURROW N             N random faces more, in a temporary folder, beside that program
    make_align_golden.py --beside FURROW N --literal   the same with the padding's weights in the type that NumPy gives them

Nothing here is anybody's photo.
"""
import hashlib
import json
import math
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

FOLDER = pathlib.Path(__file__).resolve().parent / "align"
MOUTH = {"ffhq": 1.8, "ffhq-aging": 2.2}


def align(photo, points, recipe="ffhq", size=1024, transform=4096, padding=True, literal=False):
    """The crop of one face: an Image; None where it lies outside the photo. As the script does it with libraries of its time:
    - weights of the padding in float32, as NumPy before 2.0 has them; `literal`: as the NumPy here has them
    - a photo shrunk in x before y, as Pillow before 13 does it (13 begins with y where that is the smaller part)
    - np.pad mirrors again and again; NumPy 1.26 does it unevenly where only one side's padding is far wider than the photo
    """
    points = np.array(points)
    left, right = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    eyes, mouth = (left + right) * 0.5, (points[48] + points[54]) * 0.5
    across, down = right - left, mouth - eyes
    x = across - np.flipud(down) * [-1, 1]
    x /= np.hypot(*x)
    x *= max(np.hypot(*across) * 2.0, np.hypot(*down) * MOUTH[recipe])
    y = np.flipud(x) * [-1, 1]
    centre = eyes + down * 0.1
    quad = np.stack([centre - x - y, centre - x + y, centre + x + y, centre + x - y])
    side = np.hypot(*x) * 2

    shrink = int(np.floor(side / size * 0.5))
    if shrink > 1:
        width, height = (int(np.rint(float(n) / shrink)) for n in photo.size)
        photo = photo.resize((width, photo.height), Image.LANCZOS).resize((width, height), Image.LANCZOS)
        quad, side = quad / shrink, side / shrink

    border = max(int(np.rint(side * 0.1)), 3)
    low, high = np.floor(quad.min(axis=0)).astype(int), np.ceil(quad.max(axis=0)).astype(int)
    box = (*np.maximum(low - border, 0).tolist(), *np.minimum(high + border, photo.size).tolist())
    if box[0] >= box[2] or box[1] >= box[3]:
        return None
    if box != (0, 0, *photo.size):
        photo = photo.crop(box)
        quad = quad - box[:2]

    low, high = np.floor(quad.min(axis=0)).astype(int), np.ceil(quad.max(axis=0)).astype(int)
    pad = np.maximum([*(border - low), *(high - photo.size + border)], 0)
    if padding and pad.max() > border - 4:
        pad = np.maximum(pad, int(np.rint(side * 0.3)))
        image = np.pad(np.float32(photo), ((pad[1], pad[3]), (pad[0], pad[2]), (0, 0)), "reflect")
        rows, columns = image.shape[:2]
        v, h = np.arange(rows)[:, None, None], np.arange(columns)[None, :, None]
        edges = [np.float32(at) / (n if literal else np.float32(n)) for at, n in zip((h, v, columns - 1 - h, rows - 1 - v), pad)]
        mask = np.maximum(1.0 - np.minimum(edges[0], edges[2]), 1.0 - np.minimum(edges[1], edges[3]))
        sigma = side * 0.02
        image += (ndimage.gaussian_filter(image, [sigma, sigma, 0]) - image) * np.clip(mask * 3.0 + 1.0, 0.0, 1.0)
        image += (np.median(image, axis=(0, 1)) - image) * np.clip(mask, 0.0, 1.0)
        photo = Image.fromarray(np.uint8(np.clip(np.rint(image), 0, 255)))
        quad = quad + pad[:2]

    photo = photo.transform((transform, transform), Image.QUAD, (quad + 0.5).flatten(), Image.BILINEAR)
    return photo.resize((size, size), Image.LANCZOS) if size < transform else photo


def landmarks(x, y, eyes, angle, jitter):
    """68 points of a face whose eyes lie `eyes` pixels apart about (x, y), turned by `angle` degrees; two decimals, as FFHQ's."""
    arc = lambda n, cx, cy, w, h, a, b: [(cx + w * math.cos(math.radians(a + (b - a) * i / max(n - 1, 1))),
                                         cy + h * math.sin(math.radians(a + (b - a) * i / max(n - 1, 1)))) for i in range(n)]
    points = (arc(17, 0, .5, 1.05, 1.35, 180, 0) + arc(5, -.5, -.25, .35, .12, 180, 360) + arc(5, .5, -.25, .35, .12, 180, 360)
              + [(0, .1 + .15 * i) for i in range(4)] + arc(5, 0, .65, .2, .08, 180, 0)
              + arc(6, -.5, 0, .18, .08, 180, 480) + arc(6, .5, 0, .18, .08, 180, 480)
              + arc(12, 0, 1.1, .42, .2, 180, 510) + arc(8, 0, 1.1, .3, .1, 180, 495))
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return [[round(x + eyes * (a * cos - b * sin) + float(jitter.normal(0, .01 * eyes)), 2),
             round(y + eyes * (a * sin + b * cos) + float(jitter.normal(0, .01 * eyes)), 2)] for a, b in points]


def photo_of(width, height, points, rng, steps=16):
    """A face of ellipses on stripes, few colours so that it packs well."""
    v, h = np.mgrid[:height, :width]
    wave = np.sin(h / 5 + v / 9) * 50 + np.sin(v / 4 - h / 31) * 40
    image = Image.fromarray(np.uint8(np.clip(wave[..., None] + rng.integers(60, 190, 3), 0, 255)))
    draw = ImageDraw.Draw(image)
    colour = lambda: tuple(int(c) for c in rng.integers(0, 256, 3))
    draw.polygon([tuple(p) for p in points[:17] + points[26:21:-1] + points[21:16:-1]], fill=colour())
    for part in (points[36:42], points[42:48], points[48:60], points[60:68]):
        draw.polygon([tuple(p) for p in part], fill=colour())
    shade = (np.asarray(image).astype(int) + h[..., None] * 60 // width - v[..., None] * 40 // height) // steps * steps
    return Image.fromarray(np.uint8(np.clip(shade, 0, 255)))


FACES = {"00000": (150, 140, 76, 60, 22, 4),      # inside
         "00001": (110, 96, 16, 20, 25, 20),      # at the corner: padding
         "00002": (190, 170, 100, 80, 28, -38),   # turned
         "01003": (330, 300, 170, 205, 100, 9),   # large: shrunk first at 64, and at the lower border
         "00003": (12, 90, 7, 44, 30, 15)}        # larger than the photo, which is mirrored again and again
EXPECTED = [(name, "ffhq", True) for name in FACES] + [("00002", "ffhq-aging", True), ("01003", "ffhq-aging", True), ("00001", "ffhq", False)]


def folder_of(recipe, padding):
    return recipe + ("" if padding else "-bare")


def write():
    shutil.rmtree(FOLDER, ignore_errors=True)
    ffhq, plain, hashes = {}, {}, {}
    for i, (name, (width, height, *place)) in enumerate(FACES.items()):
        rng = np.random.default_rng(i)
        plain[name] = landmarks(*place, rng)
        path = f"in-the-wild-images/{name[:2]}000/{name}.png"
        (FOLDER / path).parent.mkdir(parents=True, exist_ok=True)
        photo_of(width, height, plain[name], rng, 48 if width > 200 else 16).save(FOLDER / path, optimize=True)
        other = [[1, 2]] * 68   # "image" has landmarks of its own, of the crop
        ffhq[str(int(name))] = {"category": "training", "metadata": {"pageurl": None, "score": 0.5, "x": [[], {}, True]},
                                "image": {"file_path": f"images1024x1024/{name}.png", "face_landmarks": other},
                                "in_the_wild": {"file_path": path, "face_rect": [0, 0, -1, 2], "face_landmarks": plain[name],
                                                "face_quad": [[0.5, 1]] * 4}}
        hashes[name] = hashlib.sha256(align(Image.open(FOLDER / path), plain[name], size=256, transform=1024).tobytes()).hexdigest()
    text = lambda value: json.dumps(value, separators=(",", ":")) + "\n"
    (FOLDER / "ffhq.json").write_text(text(ffhq))
    (FOLDER / "plain.json").write_text(text({f"{name}.jpg" if name == "00000" else name: points for name, points in plain.items()}))
    for name, recipe, padding in EXPECTED:
        photo = Image.open(next((FOLDER / "in-the-wild-images").rglob(f"{name}.png")))
        out = FOLDER / "expected" / folder_of(recipe, padding) / f"{name}.png"
        out.parent.mkdir(parents=True, exist_ok=True)
        align(photo, plain[name], recipe, 64, 256, padding).save(out, optimize=True)
    (FOLDER / "expected/ffhq256.json").write_text(json.dumps(hashes, indent=1) + "\n")
    print(sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()), "bytes")


def beside(furrow, count, literal):
    """Random faces, many at borders, some with a strip of the photo or none of it: values that differ."""
    total, different, most, none = 0, 0, 0, 0
    for recipe, size, transform in (("ffhq", 128, 512), ("ffhq-aging", 256, 256), ("ffhq", 256, 1024), ("ffhq-aging", 100, 333)):
        with tempfile.TemporaryDirectory() as name:
            folder, faces = pathlib.Path(name), {}
            (folder / "photos").mkdir()
            for i in range(count):
                rng = np.random.default_rng(i)
                width, height = (int(n) for n in rng.integers(2 if i % 3 == 2 else 60, 700, 2))
                eyes = float(rng.uniform(8, 220))
                faces[f"{i}"] = landmarks(float(rng.uniform(-.3, 1.3) * width), float(rng.uniform(-.3, 1.3) * height), eyes, float(rng.uniform(-60, 60)), rng)
                noise = rng.integers(-20, 21, (height, width, 3))
                image = np.asarray(photo_of(width, height, faces[f"{i}"], rng, 1)).astype(int) + noise
                Image.fromarray(np.uint8(np.clip(image, 0, 255))).save(folder / f"photos/{i}.png")
            (folder / "faces.json").write_text(json.dumps(faces))
            subprocess.run([furrow, "prepare", "align", "photos", "--landmarks", "faces.json", "-o", "out", "--recipe", recipe, "--size",
                            str(size), "--transform-size", str(transform)], cwd=folder)   # exit 4 where a face lies outside
            for stem, points in faces.items():
                mine = align(Image.open(folder / f"photos/{stem}.png"), points, recipe, size, transform, literal=literal)
                path = folder / f"out/{stem}.png"
                assert (mine is None) == (not path.exists()), f"face {stem}: one makes it, the other not"
                if mine is None:
                    none += 1
                    continue
                apart = np.abs(np.asarray(mine).astype(int) - np.asarray(Image.open(path)))
                total, different, most = total + apart.size, different + int((apart > 0).sum()), max(most, int(apart.max()))
    print(f"{different} of {total} values differ, by at most {most}; outside their photos: {none} of {4 * count} faces")


if __name__ == "__main__":
    beside(sys.argv[2], int(sys.argv[3]), "--literal" in sys.argv) if sys.argv[1:2] == ["--beside"] else write()
